#pragma once
/// What the endpoints that carry streams have in common.
#include <cstdint>
#include <string_view>

#include "http/api/context.h"

namespace davit::api {

/// The Content-Type of a stream: frames are named as such since API 1.42.
std::string_view stream_type(const ApiContext& context, bool framed);

struct TerminalSize {
    std::uint16_t height = 0;
    std::uint16_t width = 0;
};

/// The query's h and w. Errors: invalid_argument.
Result<TerminalSize> terminal_size(const ApiContext& context);

}  // namespace davit::api
