#pragma once
/// Namespaces that a container shares with another one: PidMode and IpcMode "container:X".
///
/// A record names the other container by its id. At a start it is held by the pidfd of its init, so
/// that nobody else can take its place meanwhile; should it end, joining fails. Its /dev/shm and
/// /proc are copies of the mounts that davit made for it (libcontainer/mount_borrow.h). Following
/// moby, daemon/container_operations_unix.go and daemon/oci_linux.go.
#include <optional>
#include <string>
#include <vector>

#include "jobs/container/container.h"
#include "jobs/container/spec_build.h"
#include "reactor/task.h"

namespace davit {

class Daemon;

/// For one start.
struct JoinedNamespaces {
    struct Donor {
        /// "IPC", "PID": for messages.
        std::string kind;
        ContainerId container;
        PidRef init;
    };

    std::vector<Donor> donors;
    /// The init whose ipc or pid namespace is joined; none: it is not joined.
    Fd ipc;
    Fd pid;
    /// Detached mounts; none where the container has a mount of its own.
    Fd shm;
    Fd proc;

    void tell(SpecInputs& inputs) const;

    /// The namespaces, then the mounts: as plan_compile() wants them between a network namespace
    /// and the prepared mounts of volumes. They are given up.
    void registers_add(std::vector<Fd>& registers);

    /// Why joining failed, if the reason is that another container has ended.
    std::optional<Error> donor_ended() const;
};

/// The user namespace that a container is started in.
struct UserNamespaceGiven {
    /// None: the daemon's, and nothing else is set.
    IdMap ids = {};
    Fd user = {};
    /// An empty network namespace of it, unless the container shares another one.
    Fd network = {};
};

/// One of its own; or that of the container whose network, ipc or pid namespace it shares, as it
/// would have no power over these from another one.
/// Errors: conflict (that container is not in a user namespace); those of user_namespace_make().
Task<UserNamespaceGiven> user_namespace_for_start(const Daemon& daemon, const Container& container);

/// Whether namespaces_join() has anything to do.
bool namespaces_are_shared(const HostConfig& config);

/// Of a container that is being made: put ids in the place of names, as Docker does. Errors:
/// invalid_argument "No such container: X" (with not_found a client would look for the image).
Result<void> namespaces_resolve(const Daemon& daemon, HostConfig& config);

/// Errors: conflict (the other container does not run, or is about to be restarted);
///         invalid_argument (its ipc namespace is private); not_found (there is no such container).
Task<JoinedNamespaces> namespaces_join(Daemon& daemon, const Container& container);

}  // namespace davit
