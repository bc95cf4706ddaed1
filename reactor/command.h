#pragma once
/// Programs of the host, run to their end.
#include <string>
#include <vector>

#include "reactor/base/pid_ref.h"
#include "reactor/task.h"

namespace davit {

struct CommandOutput {
    ExitStatus status;
    std::string output;
    std::string error;
};

/// Run a program with an empty standard input and wait for its end. Found as execvp(3) finds it.
/// Takes:  words: the program, and its arguments.
/// Errors: not_found (no such program); resource_exhausted (it writes more than output_bytes_max to
///         one stream; it is killed); cancelled (killed, too).
Task<CommandOutput> command_run(std::vector<std::string> words, std::size_t output_bytes_max);

}  // namespace davit
