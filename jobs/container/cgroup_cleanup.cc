#include "jobs/container/cgroup_cleanup.h"

#include <fcntl.h>
#include <unistd.h>

#include "drivers/graph/directory_names.h"
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
    for (int tries = 1;; ++tries) {
        const Result<void> removed = co_await cgroup_remove(cgroup);
        if (removed) {
            co_return ok;
        }
        if (removed.error().kind() == ErrorKind::cancelled) {
            co_return removed;
        }
        if (tries == tries_max) {
            LOG_WARN("container={}: its cgroup stays: {}", name, removed.error().message());
            co_return ok;
        }
        static_cast<void>(cgroup.kill());
        CO_CHECK(co_await sleep_for(pause));
        pause *= 2;
    }
}

Result<void> CgroupNotes::add(const ContainerId& id, const std::string& path) const {
    return file_replace(AT_FDCWD, file(id.str()), path, 0600);
}

void CgroupNotes::drop(const ContainerId& id) const {
    ::unlink(file(id.str()).c_str());
}

Task<void> CgroupNotes::recover(const CgroupLayout& layout) const {
    CO_CHECK(make_directories(directory_, 0700));
    CO_TRY(const std::vector<std::string> names, directory_names(AT_FDCWD, directory_));
    for (const std::string& name : names) {
        if (!ContainerId::parse(name)) {
            ::unlink(file(name).c_str());  // A note that was never finished tells of nothing.
            continue;
        }
        CO_TRY(const std::string path, file_read(file(name)));
        // Whoever was inside has ended with the daemon, or is about to.
        Result<Cgroup> cgroup = Cgroup::open(layout, path);
        if (!cgroup) {
            LOG_WARN("container={}: its cgroup stays: {}", name, cgroup.error().message());
            continue;
        }
        static_cast<void>(cgroup->kill());
        CO_CHECK(co_await cgroup_clean_up(*cgroup, name));
        if (cgroup->is_removed()) {
            ::unlink(file(name).c_str());
        }
    }
    co_return ok;
}

}  // namespace davit
