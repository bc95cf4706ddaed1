#include "jobs/container_namespaces.h"

#include <fcntl.h>
#include <poll.h>

#include "jobs/daemon.h"
#include "libcontainer/mount_borrow.h"
#include "libcontainer/user_namespace.h"
#include "reactor/offload.h"

namespace davit {

namespace {

Error with_kind_of_namespace(Error error, const std::string& kind) {
    return std::move(error).context("failed to join " + kind + " namespace");
}

Error not_running(const ContainerId& id) {
    return Error(ErrorKind::conflict, "container " + id.str() + " is not running");
}

/// The container called by a mode, which must run.
Result<JoinedNamespaces::Donor> donor_find(const Daemon& daemon,
                                           const std::string& kind,
                                           const std::string& name) {
    TRY(const auto container, daemon.containers.find(name));
    if (container->record.state.status == ContainerState::restarting) {
        return Error(ErrorKind::conflict,
                     "container " + container->id().str() +
                         " is restarting, wait until the container is running");
    }
    if (!container->run) {
        return not_running(container->id());
    }
    TRY(Fd pidfd, Fd::duplicate(container->run->init.pidfd()));
    PidRef init(container->run->init.pid(), std::move(pidfd));
    return JoinedNamespaces::Donor{kind, container->id(), std::move(init)};
}

/// Docker shares the /dev/shm that it has made: nobody else's, and none that is kept private.
Result<void> shareable_check(const Daemon& daemon, const ContainerId& id) {
    TRY(const auto donor, daemon.containers.find(id.str()));
    const std::string& mode = donor->record.host_config.ipc_mode;
    const bool shares = mode == "shareable" || mode == "host" || !container_of_mode(mode).empty();
    if (!shares || record_mounts_at(donor->record, "/dev/shm")) {
        return Error(ErrorKind::invalid_argument,
                     "container " + id.str() +
                         ": non-shareable IPC (hint: use IpcMode:shareable for the donor "
                         "container)");
    }
    return ok;
}

bool has_ended(const PidRef& process) {
    pollfd end{.fd = process.pidfd(), .events = POLLIN, .revents = 0};
    return ::poll(&end, 1, 0) == 1;
}

Task<void> ipc_join(Daemon& daemon, const Container& container, JoinedNamespaces& joined) {
    const std::string name = container_of_mode(container.record.host_config.ipc_mode);
    CO_TRY(JoinedNamespaces::Donor donor, donor_find(daemon, "IPC", name));
    CO_CHECK(shareable_check(daemon, donor.container));
    CO_TRY(joined.ipc, Fd::duplicate(donor.init.pidfd()));
    joined.donors.push_back(std::move(donor));
    if (record_mounts_at(container.record, "/dev/shm")) {
        co_return ok;
    }
    auto borrow = [pidfd = joined.ipc.get()] { return mount_borrow_tmpfs(pidfd, "/dev/shm"); };
    CO_TRY(joined.shm, co_await offload(std::move(borrow)));
    co_return ok;
}

Task<void> pid_join(Daemon& daemon, const Container& container, JoinedNamespaces& joined) {
    const std::string name = container_of_mode(container.record.host_config.pid_mode);
    CO_TRY(JoinedNamespaces::Donor donor, donor_find(daemon, "PID", name));
    CO_TRY(joined.pid, Fd::duplicate(donor.init.pidfd()));
    CO_TRY(Fd pidfd, Fd::duplicate(donor.init.pidfd()));
    PidRef init(donor.init.pid(), std::move(pidfd));
    joined.donors.push_back(std::move(donor));
    if (record_mounts_at(container.record, "/proc")) {
        co_return ok;
    }
    auto borrow = [init = std::move(init)] { return mount_borrow_proc(init); };
    CO_TRY(joined.proc, co_await offload(std::move(borrow)));
    co_return ok;
}

}  // namespace

void JoinedNamespaces::tell(SpecInputs& inputs) const {
    inputs.joins_ipc = static_cast<bool>(ipc);
    inputs.joins_pid = static_cast<bool>(pid);
}

void JoinedNamespaces::registers_add(std::vector<Fd>& registers) {
    for (Fd* fd : {&ipc, &pid, &proc, &shm}) {
        if (*fd) {
            registers.push_back(std::move(*fd));
        }
    }
}

std::optional<Error> JoinedNamespaces::donor_ended() const {
    for (const Donor& donor : donors) {
        if (has_ended(donor.init)) {
            return with_kind_of_namespace(not_running(donor.container), donor.kind);
        }
    }
    return std::nullopt;
}

bool namespaces_are_shared(const HostConfig& config) {
    return !container_of_mode(config.ipc_mode).empty() ||
           !container_of_mode(config.pid_mode).empty();
}

Result<void> namespaces_resolve(const Daemon& daemon, HostConfig& config) {
    for (std::string* mode : {&config.ipc_mode, &config.pid_mode}) {
        const std::string name = container_of_mode(*mode);
        if (name.empty()) {
            continue;
        }
        auto found = daemon.containers.find(name);
        if (!found) {
            return std::move(found).error().with_kind(ErrorKind::invalid_argument);
        }
        *mode = "container:" + (*found)->id().str();
    }
    return ok;
}

Task<JoinedNamespaces> namespaces_join(Daemon& daemon, const Container& container) {
    JoinedNamespaces joined;
    const HostConfig& config = container.record.host_config;
    std::string kind = "IPC";
    Result<void> done = ok;
    if (!container_of_mode(config.ipc_mode).empty()) {
        done = co_await ipc_join(daemon, container, joined);
    }
    if (done && !container_of_mode(config.pid_mode).empty()) {
        kind = "PID";
        done = co_await pid_join(daemon, container, joined);
    }
    if (!done) {
        if (std::optional<Error> ended = joined.donor_ended()) {
            co_return *std::move(ended);
        }
        co_return with_kind_of_namespace(std::move(done).error(), kind);
    }
    co_return std::move(joined);
}

namespace {

Result<UserNamespaceGiven> user_namespace_share(const Daemon& daemon, const Container& donor) {
    UserNamespaceGiven given;
    given.ids = donor.run->ids;
    if (given.ids.is_identity()) {
        return Error(ErrorKind::conflict,
                     "container " + donor.id().str() +
                         " is in the host's user namespace: to share another namespace with it, "
                         "this one has to be, too (--userns=host)");
    }
    if (given.ids != daemon.user_remap->ids) {
        return Error(ErrorKind::conflict,
                     "container " + donor.id().str() +
                         " was started with other --userns-remap ids: restart it first");
    }
    // Its init is not reaped as long as the run is there.
    TRY(given.user,
        Fd::open("/proc/" + std::to_string(donor.run->init.pid()) + "/ns/user", O_RDONLY));
    return given;
}

}  // namespace

Task<UserNamespaceGiven> user_namespace_for_start(const Daemon& daemon,
                                                  const Container& container) {
    const HostConfig& config = container.record.host_config;
    if (!has_user_namespace(daemon, config)) {
        co_return UserNamespaceGiven{};
    }
    // The last one counts. Follows: moby daemon/oci_linux.go WithNamespaces().
    std::shared_ptr<Container> donor;
    for (const std::string* mode : {&config.network_mode, &config.ipc_mode, &config.pid_mode}) {
        const std::string name = container_of_mode(*mode);
        const auto found =
            name.empty() ? Error(ErrorKind::not_found, name) : daemon.containers.find(name);
        if (found && (*found)->run) {  // Else joining it says what is wrong.
            donor = *found;
        }
    }
    if (donor) {
        co_return user_namespace_share(daemon, *donor);
    }
    const bool has_network = config.network_mode != "none";
    auto make = [ids = daemon.user_remap->ids, has_network] {
        return user_namespace_make(ids, has_network);
    };
    CO_TRY(UserNamespace made, co_await offload(std::move(make)));
    UserNamespaceGiven given;
    given.ids = daemon.user_remap->ids;
    given.user = std::move(made.user);
    given.network = std::move(made.network);
    co_return std::move(given);
}

}  // namespace davit
