#pragma once
/// LogRecord: what a container wrote at one time to one of its streams.
#include <cstdint>
#include <map>
#include <string>

#include "reactor/base/clock.h"

namespace davit {

enum class OutputStream : std::uint8_t { standard_output = 1, standard_error = 2 };

/// What stands beside every record ("attrs"), by key.
using LogAttributes = std::map<std::string, std::string>;

struct LogRecord {
    OutputStream stream = OutputStream::standard_output;
    std::string text;
    WallTime time;
    /// Only if they were asked for.
    LogAttributes attributes;
};

}  // namespace davit
