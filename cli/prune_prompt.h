#pragma once
/// What the prune commands share: their question.
#include <string_view>

#include "cli/context.h"
#include "reactor/task.h"

namespace davit::cli {

/// Ask "WARNING! This will remove WHAT." Gives: whether the user says y, or Y.
Task<bool> prune_confirmed(Context& context, std::string_view what);

}  // namespace davit::cli
