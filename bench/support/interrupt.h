#pragma once
/// Ctrl-C while a benchmark runs: waits end early, so that what was made can be removed.
///
/// Until interrupt_catch() is called, signals do what they always do, and waits are plain ones.
#include <optional>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"

namespace davit::bench {

/// From now on SIGINT and SIGTERM make every wait below fail with `cancelled`. Call it before there
/// are threads. Errors: as eventfd(2), sigaction(2).
Result<void> interrupt_catch();

/// Whether one of them has arrived.
bool interrupted();

/// Waits work again: for the cleaning up. The next signal ends them again.
void interrupt_clear();

/// The descriptor that is readable while interrupted() is true; -1 (poll ignores it) if none.
int interrupt_fd();

/// When something that may take this long has to be over; none for zero.
std::optional<MonotonicTime> deadline_in(Nanoseconds limit);

/// What poll(2) takes: milliseconds until the deadline, rounded up; -1 for none.
int poll_timeout(std::optional<MonotonicTime> deadline);

/// Wait until one descriptor is readable. Errors: timed_out, cancelled.
Result<void> await_readable(int fd, std::optional<MonotonicTime> deadline);

}  // namespace davit::bench
