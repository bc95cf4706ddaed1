#pragma once
/// The question before something is removed for good.
#include <string_view>

#include "cli/context.h"
#include "reactor/task.h"

namespace davit::cli {

/// Print a warning, ask, and read a line. Gives: whether the user says y, or Y.
Task<bool> confirmed(Context& context, std::string_view warning);

}  // namespace davit::cli
