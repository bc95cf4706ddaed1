#pragma once
/// Becoming the keeper: the program that is the daemon's parent (keeper/main.cc), carried along as
/// davit-init is.
#include <span>

#include "reactor/base/fd.h"

namespace davit {

/// A sealed memory file with the davit-keeper executable. Errors: as init_binary_open().
Result<Fd> keeper_binary_open();

/// Execute the keeper in this process's place; it runs `davit daemon` with these arguments from
/// this executable's path (/proc/self/exe). Comes back with an error only.
Error keeper_execute(std::span<char* const> daemon_arguments);

}  // namespace davit
