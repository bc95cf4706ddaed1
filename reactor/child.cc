#include "reactor/child.h"

#include <sys/epoll.h>

#include <cerrno>

#include "reactor/poller.h"

namespace davit {

namespace {

/// A process that somebody traces has ended, and its parent hears of it when the tracer lets go:
/// until then the pidfd is readable, and there is nothing to reap. Waits for the kernel to wake the
/// pidfd's waiters again, instead of looking over and over.
Task<ExitStatus> traced_wait(const PidRef& child) {
    Fd edges(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    if (!edges || ::epoll_ctl(edges.get(), EPOLL_CTL_ADD, child.pidfd(), &event) != 0) {
        co_return Error::from_errno(errno, "epoll", "pidfd");
    }
    CO_TRY(Poller poller, Poller::make(edges.get()));
    for (;;) {
        static_cast<void>(::epoll_wait(edges.get(), &event, 1, 0));  // Takes the edge.
        CO_TRY(const std::optional<ExitStatus> status, child.try_reap());
        if (status) {
            co_return *status;
        }
        CO_CHECK(co_await poller.readable());
    }
}

}  // namespace

Task<ExitStatus> child_wait(const PidRef& child) {
    CO_TRY(std::optional<ExitStatus> status, child.try_reap());
    if (!status) {
        CO_TRY(Poller poller, Poller::make(child.pidfd()));
        CO_CHECK(co_await poller.readable());
        CO_TRY(status, child.try_reap());
    }
    if (!status) {
        co_return co_await traced_wait(child);
    }
    co_return *status;
}

}  // namespace davit
