#pragma once
/// Asking before something is removed.
#include <string>

#include "cli/context.h"
#include "reactor/task.h"

namespace davit::cli {

/// Show a warning and ask whether to go on. True for y and Y; the end of the input is a no.
Task<bool> confirmed(Context& context, std::string warning);

}  // namespace davit::cli
