#pragma once
#include "reactor/base/fd.h"
#include "reactor/base/pid_ref.h"

namespace davit {

/// Block the signals that attend() passes on; before the process is started.
Result<void> attend_prepare();

/// Stay with a child in the foreground: signals that come go to it, and with a terminal what is
/// typed and what it writes is passed on, the size of ours with it. Gives how it ended; it is
/// reaped. Takes:  console: the master of its terminal, or none. Blocks: until it has ended.
Result<ExitStatus> attend(const PidRef& process, Fd console);

}  // namespace davit
