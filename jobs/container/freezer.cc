#include "jobs/container/freezer.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>

#include "reactor/offload.h"

namespace davit {

namespace {

/// Freezing takes microseconds; a process in an uninterruptible call may take longer.
constexpr int freeze_rounds_max = 100;
constexpr int freeze_round_ms = 50;

/// Until the kernel tells of a change in the cgroup (v2), or for one round. poll(2) tells of what
/// has changed since the file was last read.
Result<void> freeze_wait(int events) {
    std::array<char, 256> text{};
    const ssize_t size = events < 0 ? 0 : ::pread(events, text.data(), text.size(), 0);
    const std::string_view now(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    if (now.find("frozen 1") != std::string_view::npos) {
        return ok;
    }
    pollfd waiting{events, POLLPRI, 0};
    (void)::poll(&waiting, events >= 0 ? 1 : 0, freeze_round_ms);
    return ok;
}

Task<void> frozen_wait(const Cgroup& cgroup, int events) {
    for (int round = 0; round < freeze_rounds_max; ++round) {
        CO_TRY(const bool frozen, cgroup.frozen());
        if (frozen) {
            co_return ok;
        }
        auto wait = [events] { return freeze_wait(events); };
        CO_CHECK(co_await offload(wait));
    }
    co_return Error(ErrorKind::timed_out, "the container's processes cannot be frozen");
}

}  // namespace

Task<void> cgroup_freeze(Cgroup& cgroup) {
    Fd events;
    if (cgroup.unified_fd() >= 0) {
        CO_TRY(events, Fd::openat(cgroup.unified_fd(), "cgroup.events", O_RDONLY));
    }
    CO_CHECK(cgroup.freeze());
    Result<void> frozen = co_await frozen_wait(cgroup, events.get());
    if (!frozen) {
        static_cast<void>(cgroup.thaw());  // The first error is the one that matters.
    }
    co_return frozen;
}

}  // namespace davit
