#pragma once
/// The error of what the user has typed.
#include <string>

#include "reactor/base/result.h"

namespace davit::cli {

inline Error invalid(std::string message) {
    return Error(ErrorKind::invalid_argument, std::move(message));
}

}  // namespace davit::cli
