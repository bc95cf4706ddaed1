#include "jobs/container/cgroup_cleanup.h"

#include "reactor/base/log.h"
#include "reactor/offload.h"
#include "reactor/timer.h"

namespace davit {

Task<void> cgroup_remove(Cgroup& cgroup) {
    CO_CHECK(co_await offload(cgroup.removal()));
    cgroup.removed();
    co_return ok;
}

Task<void> cgroup_clean_up(Cgroup& cgroup, std::string name) {
    Nanoseconds pause = std::chrono::milliseconds(1);
    constexpr int tries_max = 12;
    for (int tries = 0; tries < tries_max; ++tries) {
        const Result<void> removed = co_await cgroup_remove(cgroup);
        if (removed) {
            co_return ok;
        }
        if (removed.error().kind() == ErrorKind::cancelled) {
            co_return removed;
        }
        if (removed.error().kind() != ErrorKind::conflict) {
            LOG_WARN("container={}: {}, ignoring", name, removed.error().message());
            co_return ok;
        }
        static_cast<void>(cgroup.kill());
        CO_CHECK(co_await sleep_for(pause));
        pause *= 2;
    }
    LOG_WARN("container={}: its cgroup is still busy, ignoring", name);
    co_return ok;
}

}  // namespace davit
