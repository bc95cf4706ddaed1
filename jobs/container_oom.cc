#include "jobs/container_oom.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "reactor/stream.h"

namespace davit {

namespace {

/// Take note of the notice, so that the next wait is for the next one.
Result<void> notice_take(const FdStream& stream, OomNotice::Kind kind) {
    if (kind == OomNotice::Kind::event_counter) {
        std::uint64_t count = 0;
        const ssize_t got = ::read(stream.fd(), &count, sizeof count);
        return got >= 0 || errno == EAGAIN ? Result<void>(ok) : Error::from_errno(errno, "read");
    }
    std::array<char, 512> text{};
    const ssize_t got = ::pread(stream.fd(), text.data(), text.size(), 0);
    return got > 0 ? Result<void>(ok) : Error::from_errno(got < 0 ? errno : ENODEV, "pread");
}

Task<void> kill_told(Daemon& daemon,
                     std::shared_ptr<Container> container,
                     ContainerRun& run,
                     OomNotice::Kind kind) {
    CO_TRY(std::uint64_t kills, run.cgroup->oom_kill_count());
    if (kind == OomNotice::Kind::event_counter &&
        !container->record.host_config.oom_kill_disable.value_or(false)) {
        kills = std::max(kills, run.oom_kills_told + 1);  // v1 tells before it counts.
    }
    if (kills <= run.oom_kills_told) {
        co_return ok;  // Memory was short, and could be had.
    }
    run.oom_kills_told = kills;
    container->record.state.oom_killed = true;
    container_event(daemon, *container, "oom");
    container->changed();
    if (!container->record.host_config.auto_remove) {
        CO_CHECK(co_await daemon.container_save(*container));
    }
    co_return ok;
}

}  // namespace

Task<void> container_oom_watch(Daemon& daemon,
                               std::shared_ptr<Container> container,
                               std::shared_ptr<ContainerRun> run) {
    if (container->record.host_config.memory <= 0) {
        co_return ok;
    }
    if (container->record.state.oom_killed) {
        CO_TRY(run->oom_kills_told, run->cgroup->oom_kill_count());  // By an earlier daemon.
    }
    CO_TRY(OomNotice notice, run->cgroup->oom_notice());
    CO_TRY(const std::unique_ptr<FdStream> stream, FdStream::make(std::move(notice.fd)));
    for (;;) {
        if (notice.kind == OomNotice::Kind::event_counter) {
            CO_CHECK(co_await stream->readable());
        } else {
            CO_CHECK(co_await stream->hung_up());  // Priority data, as poll(2) calls it.
        }
        CO_CHECK(notice_take(*stream, notice.kind));
        CO_CHECK(co_await kill_told(daemon, container, *run, notice.kind));
    }
}

}  // namespace davit
