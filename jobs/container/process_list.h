#pragma once
/// Processes as ps(1) shows them: its output, cut down to a container's; and a list of our own
/// where there is no ps. Follows: moby daemon/top_unix.go; proc_pid_stat(5).
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

struct ProcessList {
    std::vector<std::string> titles;
    /// As many as there are titles, each.
    std::vector<std::vector<std::string>> processes;
};

/// Arguments for ps that could make another column pass for PID. Errors: invalid_argument.
Result<void> ps_arguments_check(std::string_view arguments);

/// Words between white space.
std::vector<std::string> words_split(std::string_view text);

/// The lines of ps that belong to these processes, and those of their threads.
/// Takes:  pids, sorted.
/// Errors: internal, in Docker's words (no column PID; something else than a number in it).
Result<ProcessList> ps_output_parse(std::string_view output, const std::vector<pid_t>& pids);

/// What `ps -ef` shows of these processes. Those that have ended are left out.
/// Blocks: some tens of microseconds per process.
Result<ProcessList> process_list_read(const std::vector<pid_t>& pids);

}  // namespace davit
