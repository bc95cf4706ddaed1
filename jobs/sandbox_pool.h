#pragma once
/// SandboxPool: warm sandboxes, that is namespaces, cgroups, /proc, /dev and /sys that were made
/// ahead, each with an init parked in it (libcontainer/launch_plan.h, sandbox_plan_compile()), and
/// a place in the network where the last containers were. A container that gets one starts with its
/// root, its command and its limits alone.
///
/// A cgroup bears its container's id and cannot be renamed on v2, so it is the other way round: a
/// container that is made gets the id of a sandbox that waits. One whose sandbox is gone when it
/// starts, or that never had one, starts cold; nobody sees a difference but the clock.
///
/// The pool holds what the last starts would have used, and is filled up while nothing starts. What
/// nobody has used for some minutes goes. A file in the run directory tells the next daemon of each
/// one, before there is anything of it.
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/exec/driver.h"
#include "jobs/container/cgroup_cleanup.h"
#include "jobs/container/sandbox_shape.h"
#include "jobs/network/ready_endpoint.h"
#include "libcontainer/cgroup.h"
#include "reactor/async_event.h"
#include "reactor/base/clock.h"
#include "reactor/base/ids.h"

namespace davit {

class Daemon;

struct ParkedSandbox {
    ContainerId id = {};
    SandboxShape shape = {};
    ParkedInit parked = {};
    std::shared_ptr<Cgroup> cgroup = {};
    /// Its network namespace: lo, and the links of `endpoint`.
    Fd netns = {};
    ReadyEndpoint endpoint = {};
    /// What its init has done: sandbox_plan_compile().
    std::string plan = {};
};

/// End a parked init, and reap it.
Task<void> parked_end(ParkedInit parked);

class SandboxPool;

/// The id of a sandbox for a container that is being made; given back unless it is kept.
class SandboxReservation {
  public:
    SandboxReservation() = default;

    SandboxReservation(SandboxPool& pool, ContainerId id) : pool_(&pool), id_(std::move(id)) {}

    SandboxReservation(SandboxReservation&& other) noexcept;
    SandboxReservation& operator=(SandboxReservation&& other) noexcept;
    ~SandboxReservation();

    explicit operator bool() const { return pool_ != nullptr; }

    const ContainerId& id() const { return id_; }

    /// The container is there: until it starts or goes, the sandbox is its own.
    void keep() { pool_ = nullptr; }

  private:
    SandboxPool* pool_ = nullptr;
    ContainerId id_;
};

class SandboxPool {
  public:
    /// Takes: size: how many wait at most; 0: none, ever.
    SandboxPool(Daemon& daemon, std::size_t size);

    /// End what an earlier daemon has left. Errors: any of the run directory's.
    Task<void> recover();

    /// A sandbox for a container that is being made with this configuration, if one waits.
    /// network: what Networks::network_to_prepare() says of it.
    SandboxReservation reserve(const HostConfig& host, const std::optional<NetworkId>& network);

    /// The sandbox of a container that starts now. If its init has ended meanwhile, which is rare,
    /// only the cgroup is left of it.
    Task<std::optional<ParkedSandbox>> take(ContainerId id);

    /// A container with this configuration has started, so others will.
    void started(const HostConfig& host, const std::optional<NetworkId>& network);

    /// Somebody needs what endpoints in this network hold. Gives: whether there were any.
    bool endpoints_give_up(const NetworkId& network);

    /// A container goes that may never have started.
    void drop(const ContainerId& id);

    /// Filling up stands back while there are any.
    class StartNote {
      public:
        explicit StartNote(SandboxPool& pool) : pool_(pool) { ++pool_.starts_; }

        StartNote(const StartNote&) = delete;
        StartNote& operator=(const StartNote&) = delete;

        ~StartNote() {
            --pool_.starts_;
            pool_.due_.set();
        }

      private:
        SandboxPool& pool_;
    };

    /// Give up a sandbox that was taken, or what is left of it.
    Task<void> end(ParkedSandbox sandbox);

    /// Fill up, and clear away; until cancelled.
    Task<void> run();

    /// End all of them.
    Task<void> close();

    std::size_t waiting() const { return free_.size() + reserved_.size(); }

  private:
    friend class SandboxReservation;

    struct Reserved {
        ParkedSandbox sandbox;
        MonotonicTime since;
    };

    void give_back(const ContainerId& id);
    std::optional<SandboxShape> shape_of(const HostConfig& host,
                                         const std::optional<NetworkId>& network) const;
    std::optional<SandboxShape> shape_wanted() const;
    void surplus_drop();
    Task<void> fill();
    Task<ParkedSandbox> make(SandboxShape shape);
    Task<void> make_steps(ParkedSandbox& sandbox, const std::string& cgroup_path);
    Task<void> doomed_end();

    Daemon& daemon_;
    CgroupNotes notes_;
    std::size_t size_;
    /// The longest waiting first.
    std::list<ParkedSandbox> free_;
    std::list<Reserved> reserved_;
    std::list<ParkedSandbox> doomed_;
    /// The one that is being ended.
    std::optional<ContainerId> ending_;
    AsyncMutex ending_turn_;
    /// Of the last starts, as many as the pool holds.
    std::deque<SandboxShape> recent_;
    MonotonicTime last_start_{};
    std::size_t starts_ = 0;
    AsyncEvent due_;
};

}  // namespace davit
