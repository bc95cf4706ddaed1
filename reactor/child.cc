#include "reactor/child.h"

#include "reactor/poller.h"

namespace davit {

Task<ExitStatus> child_wait(const PidRef& child) {
    CO_TRY(Poller poller, Poller::make(child.pidfd()));
    for (;;) {
        CO_TRY(const std::optional<ExitStatus> status, child.try_reap());
        if (status) {
            co_return *status;
        }
        CO_CHECK(co_await poller.readable());
    }
}

}  // namespace davit
