#pragma once
/// davit daemon --upgrade: a new daemon in place of the one that runs.
#include <sys/types.h>

#include <optional>
#include <string>

#include "reactor/base/result.h"

namespace davit {

/// Write down which keeper this daemon has, for keeper_upgrade().
Result<void> keeper_note(const std::string& run_dir);

/// The keeper of that run directory, if it runs: it starts a daemon again that has died.
std::optional<pid_t> keeper_running(const std::string& run_dir);

/// Ask the keeper of the daemon with this run directory to replace it by what is now at davit's
/// path. Containers go on; requests that are under way are cut off. Returns when the daemon that
/// was asked to leave has ended. Errors: not_found (no daemon with a keeper runs there).
Result<void> keeper_upgrade(const std::string& run_dir);

}  // namespace davit
