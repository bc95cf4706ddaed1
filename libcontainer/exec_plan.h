#pragma once
/// The plan of a further process in a container that runs ("exec").
///
/// davit-init is born in the container's v2 cgroup, enters the v1 ones, joins the namespaces of the
/// container's init through its pidfd, becomes what the ProcessSpec says, and only then, with no
/// power left that the program will not have, forks into the pid namespace, where the container
/// sees it. The child opens its terminal and executes; the seccomp filter has to allow that and
/// clone(2). Whatever the container did to its files, the daemon opens none of them: a user is
/// looked up by davit-init, in the container's own root and without leaving it.
///
/// Follows: setns(2), pid_namespaces(7), clone(2) CLONE_PARENT.
#include <optional>
#include <string>
#include <vector>

#include "libcontainer/launch_plan.h"

namespace davit {

struct ExecSpec {
    /// The working directory has to exist. uid, gid and groups count unless `user` is set.
    ProcessSpec process = {};
    /// "user", "user:group", "uid", "uid:gid": looked up when the process starts; it gets no
    /// effective capabilities unless it is root, and its home as HOME unless that is set.
    std::optional<std::string> user = {};
    std::vector<std::string> further_groups = {};
    /// The container's.
    CgroupPlacement cgroup = {};
    /// The map of the container's user namespace, which is joined; none: it has the daemon's.
    IdMap ids = {};
    /// The container's session keyring; empty: none.
    std::string keyring = {};
};

/// A plan whose only register is the pidfd of the container's init, and which forks (launch.h).
/// Errors: as plan_compile().
Result<LaunchPlan> exec_plan_compile(const ExecSpec& spec);

}  // namespace davit
