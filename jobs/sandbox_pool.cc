#include "jobs/sandbox_pool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <utility>

#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "jobs/network/networks.h"
#include "reactor/base/log.h"
#include "reactor/child.h"
#include "reactor/offload.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// What nobody has used for so long is given up.
constexpr Nanoseconds idle_after = std::chrono::minutes(5);

template <typename List>
auto find_id(List& list, const ContainerId& id) {
    return std::ranges::find_if(list, [&](const auto& item) {
        if constexpr (requires { item.sandbox; }) {
            return item.sandbox.id == id;
        } else {
            return item.id == id;
        }
    });
}

template <typename Range>
std::size_t count_shape(const Range& range, const SandboxShape& shape) {
    return static_cast<std::size_t>(std::ranges::count_if(range, [&](const auto& item) {
        if constexpr (requires { item.shape; }) {
            return item.shape == shape;
        } else {
            return item == shape;
        }
    }));
}

}  // namespace

SandboxReservation::SandboxReservation(SandboxReservation&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), id_(std::move(other.id_)) {}

SandboxReservation& SandboxReservation::operator=(SandboxReservation&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(id_, other.id_);
    return *this;
}

SandboxReservation::~SandboxReservation() {
    if (pool_ != nullptr) {
        pool_->give_back(id_);
    }
}

SandboxPool::SandboxPool(Daemon& daemon, std::size_t size)
    : daemon_(daemon), notes_(daemon.config.run_dir + "/sandboxes"), size_(size) {}

Task<void> SandboxPool::recover() {
    co_return co_await notes_.recover(daemon_.cgroups);
}

std::optional<SandboxShape> SandboxPool::shape_of(const HostConfig& host,
                                                  const std::optional<NetworkId>& network) const {
    std::optional<SandboxShape> shape;
    if (!has_user_namespace(daemon_, host)) {
        shape = sandbox_shape(host);
    }
    if (shape) {
        shape->network = network;
    }
    return shape;
}

SandboxReservation SandboxPool::reserve(const HostConfig& host,
                                        const std::optional<NetworkId>& network) {
    std::optional<SandboxShape> shape = shape_of(host, network);
    if (!shape) {
        return {};
    }
    auto found = std::ranges::find(free_, *shape, &ParkedSandbox::shape);
    if (found == free_.end()) {
        shape->network.reset();  // Its links can be made when it starts.
        found = std::ranges::find(free_, *shape, &ParkedSandbox::shape);
    }
    if (found == free_.end()) {
        return {};
    }
    reserved_.push_back({std::move(*found), monotonic_now()});
    free_.erase(found);
    return SandboxReservation(*this, reserved_.back().sandbox.id);
}

void SandboxPool::give_back(const ContainerId& id) {
    const auto found = find_id(reserved_, id);
    if (found != reserved_.end()) {
        free_.push_front(std::move(found->sandbox));
        reserved_.erase(found);
    }
}

Task<std::optional<ParkedSandbox>> SandboxPool::take(ContainerId id) {
    if (ending_ == id) {
        // A cgroup of that name is about to go: who starts cold needs it gone.
        CO_TRY(const auto permit, co_await ending_turn_.lock());
    }
    const auto doomed = find_id(doomed_, id);
    if (doomed != doomed_.end()) {
        reserved_.push_back({std::move(*doomed), monotonic_now()});
        doomed_.erase(doomed);
    }
    const auto found = find_id(reserved_, id);
    if (found == reserved_.end()) {
        co_return std::nullopt;
    }
    ParkedSandbox sandbox = std::move(found->sandbox);
    reserved_.erase(found);
    // From here on the container's record tells of the cgroup.
    notes_.drop(id);
    const Result<std::optional<ExitStatus>> ended = sandbox.parked.init.try_reap();
    if (!ended || *ended) {
        LOG_WARN("container={}: its sandbox has ended, going on without", id.short_id());
        sandbox.parked = {};
    }
    co_return std::move(sandbox);
}

void SandboxPool::started(const HostConfig& host, const std::optional<NetworkId>& network) {
    const std::optional<SandboxShape> shape = shape_of(host, network);
    if (size_ == 0 || !shape) {
        return;
    }
    recent_.push_front(*shape);
    if (recent_.size() > size_) {
        recent_.pop_back();
    }
    last_start_ = monotonic_now();
}

void SandboxPool::drop(const ContainerId& id) {
    const auto found = find_id(reserved_, id);
    if (found != reserved_.end()) {
        doomed_.push_back(std::move(found->sandbox));
        reserved_.erase(found);
        due_.set();
    }
}

bool SandboxPool::endpoints_give_up(const NetworkId& network) {
    bool any = false;
    const auto give_up = [&](ParkedSandbox& sandbox) {
        if (sandbox.endpoint && sandbox.shape.network == network) {
            sandbox.endpoint = {};  // Who asks gets it at once; its links follow.
            any = true;
        }
    };
    for (auto item = free_.begin(); item != free_.end();) {
        const auto next = std::next(item);
        give_up(*item);
        if (item->shape.network == network) {
            doomed_.splice(doomed_.end(), free_, item);
            due_.set();
        }
        item = next;
    }
    // Those of containers that are there: their starts see that it is gone, and end the rest.
    for (Reserved& reserved : reserved_) {
        give_up(reserved.sandbox);
    }
    // It goes, or is crowded: those to come will be in others.
    for (SandboxShape& shape : recent_) {
        if (shape.network == network) {
            shape.network.reset();
        }
    }
    return any;
}

std::optional<SandboxShape> SandboxPool::shape_wanted() const {
    for (const SandboxShape& shape : recent_) {
        if (count_shape(free_, shape) < count_shape(recent_, shape)) {
            return shape;
        }
    }
    return std::nullopt;
}

/// More than the last starts would have used, and what containers have that do not start.
void SandboxPool::surplus_drop() {
    for (auto item = free_.begin(); item != free_.end();) {
        const auto next = std::next(item);
        if (count_shape(free_, item->shape) > count_shape(recent_, item->shape)) {
            doomed_.splice(doomed_.end(), free_, item);
        }
        item = next;
    }
    const MonotonicTime too_old = monotonic_now() - idle_after;
    while (!reserved_.empty() && (reserved_.size() > size_ || reserved_.front().since < too_old)) {
        doomed_.push_back(std::move(reserved_.front().sandbox));
        reserved_.pop_front();
    }
}

Task<void> SandboxPool::run() {
    for (;;) {
        Result<void> woken = ok;
        if (waiting() == 0) {
            woken = co_await due_.wait();
        } else {
            woken = co_await with_timeout(idle_after, due_.wait());
        }
        if (!woken && woken.error().kind() != ErrorKind::timed_out) {
            co_return woken;
        }
        due_.reset();
        if (monotonic_now() - last_start_ >= idle_after) {
            recent_.clear();
        }
        surplus_drop();
        CO_CHECK(co_await doomed_end());
        CO_CHECK(co_await fill());
    }
}

Task<void> SandboxPool::fill() {
    while (starts_ == 0) {
        const std::optional<SandboxShape> shape = shape_wanted();
        if (!shape) {
            co_return ok;
        }
        Result<ParkedSandbox> made = co_await make(*shape);
        if (made) {
            free_.push_back(*std::move(made));
            continue;
        }
        if (made.error().kind() == ErrorKind::cancelled) {
            co_return std::move(made).error();
        }
        // The next start of this kind asks again.
        LOG_WARN("sandboxes: {}, starting without", made.error().message());
        std::erase(recent_, *shape);
    }
    co_return ok;
}

Task<ParkedSandbox> SandboxPool::make(SandboxShape shape) {
    ParkedSandbox sandbox;
    sandbox.id = ContainerId::generate();
    sandbox.shape = std::move(shape);
    const std::string path =
        container_cgroup_path(daemon_, sandbox.shape.cgroup_parent, sandbox.id);
    Result<void> made = notes_.add(sandbox.id, path);
    if (made) {
        made = co_await make_steps(sandbox, path);
    }
    if (!made) {
        static_cast<void>(co_await shielded(end(std::move(sandbox))));
        co_return std::move(made).error();
    }
    co_return std::move(sandbox);
}

Task<void> SandboxPool::make_steps(ParkedSandbox& sandbox, const std::string& cgroup_path) {
    ContainerRecord record = sandbox.shape.record();
    record.id = sandbox.id;
    auto cgroup_make = [layout = daemon_.cgroups,
                        cgroup_path,
                        resources = resources_build(record)]() -> Result<Cgroup> {
        std::vector<std::string> warnings;  // A start tells of them.
        return Cgroup::create(layout, cgroup_path, resources, warnings);
    };
    CO_TRY(Cgroup cgroup, co_await offload(std::move(cgroup_make)));
    sandbox.cgroup = std::make_shared<Cgroup>(std::move(cgroup));
    SpecInputs inputs;
    inputs.cgroup = sandbox.cgroup->placement();
    CO_TRY(const ContainerSpec spec, spec_build(record, inputs));
    ExecRequest request;
    CO_TRY(request.plan, sandbox_plan_compile(spec));
    sandbox.plan = request.plan.bytes;
    request.cgroup_fd = sandbox.cgroup->unified_fd();
    CO_TRY(sandbox.parked, co_await daemon_.exec_driver->park(std::move(request)));
    const std::string pid = std::to_string(sandbox.parked.init.pid());
    CO_TRY(sandbox.netns, Fd::open("/proc/" + pid + "/ns/net", O_RDONLY));
    if (sandbox.shape.network) {
        CO_TRY(Fd netns, Fd::duplicate(sandbox.netns.get()));
        CO_TRY(
            sandbox.endpoint,
            co_await daemon_.networks->endpoint_prepare(*sandbox.shape.network, std::move(netns)));
    }
    co_return ok;
}

Task<void> SandboxPool::doomed_end() {
    while (!doomed_.empty()) {
        CO_TRY(const auto permit, co_await ending_turn_.lock());
        if (doomed_.empty()) {
            break;
        }
        ParkedSandbox sandbox = std::move(doomed_.front());
        doomed_.pop_front();
        ending_ = sandbox.id;
        const Result<void> ended = co_await shielded(end(std::move(sandbox)));
        ending_.reset();
        CO_CHECK(ended);
    }
    co_return ok;
}

Task<void> SandboxPool::end(ParkedSandbox sandbox) {
    co_await parked_end(std::move(sandbox.parked));
    if (sandbox.cgroup) {
        CO_CHECK(co_await cgroup_clean_up(*sandbox.cgroup, sandbox.id.short_id()));
    }
    if (!sandbox.cgroup || sandbox.cgroup->is_removed()) {
        notes_.drop(sandbox.id);
    }
    co_return ok;
}

Task<void> SandboxPool::close() {
    recent_.clear();
    doomed_.splice(doomed_.end(), free_);
    for (Reserved& reserved : reserved_) {
        doomed_.push_back(std::move(reserved.sandbox));
    }
    reserved_.clear();
    co_return co_await doomed_end();
}

Task<void> parked_end(ParkedInit parked) {
    if (parked.init && parked.init.signal(SIGKILL)) {
        static_cast<void>(co_await child_wait(parked.init));
    }
    co_return ok;
}

}  // namespace davit
