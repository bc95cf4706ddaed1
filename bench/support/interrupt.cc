#include "bench/support/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>

namespace davit::bench {
namespace {

std::atomic<int> event = -1;
std::atomic<bool> arrived = false;

void signal_arrived(int) {
    const int saved = errno;
    arrived = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(event, &one, sizeof one);
    errno = saved;
}

}  // namespace

Result<void> interrupt_catch() {
    event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0) {
        return Error::from_errno(errno, "eventfd");
    }

    struct sigaction action {};

    action.sa_handler = signal_arrived;
    action.sa_flags = SA_RESTART;
    for (const int signal : {SIGINT, SIGTERM}) {
        if (sigaction(signal, &action, nullptr) != 0) {
            return Error::from_errno(errno, "sigaction");
        }
    }
    return ok;
}

bool interrupted() {
    return arrived;
}

void interrupt_clear() {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t taken = read(event, &count, sizeof count);
    arrived = false;
}

int interrupt_fd() {
    return event;
}

std::optional<MonotonicTime> deadline_in(Nanoseconds limit) {
    return limit == Nanoseconds(0) ? std::nullopt : std::optional(monotonic_now() + limit);
}

int poll_timeout(std::optional<MonotonicTime> deadline) {
    if (!deadline) {
        return -1;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - monotonic_now());
    return static_cast<int>(std::clamp<long long>(left.count(), 0, 1 << 30));
}

Result<void> await_readable(int fd, std::optional<MonotonicTime> deadline) {
    pollfd waited[] = {{fd, POLLIN, 0}, {interrupt_fd(), POLLIN, 0}};
    int found = 0;
    while ((found = poll(waited, 2, poll_timeout(deadline))) < 0) {
        if (errno != EINTR) {
            return Error::from_errno(errno, "poll");
        }
    }
    if (found == 0) {
        return Error(ErrorKind::timed_out, "no answer in time");
    }
    if (waited[1].revents != 0) {
        return Error(ErrorKind::cancelled, "interrupted");
    }
    return ok;
}

}  // namespace davit::bench
