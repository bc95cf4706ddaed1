#pragma once
/// Links between containers of the default bridge (`--link`): who is linked to whom, and what both
/// see of it.
///
/// HostConfig.Links of a record names the linked containers by their ids, so a link follows its
/// container through a renaming, and is gone with it. On a user's network links are names that the
/// network's resolver answers (jobs/network/names.cc), and nothing of this.
/// Follows: moby daemon/links.go, daemon/container_operations_unix.go.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jobs/container/container.h"
#include "jobs/engine.h"

namespace davit {

class Daemon;

/// Of a container that is being made and has its networks: put ids in the place of names. On a
/// user's network links of the HostConfig become links of the endpoint: Docker drops them, and its
/// command line therefore sends both.
/// Errors: invalid_argument "could not get container for X: No such container: X" (with not_found a
///         client would look for the image).
Result<void> links_resolve(const Daemon& daemon, ContainerRecord& record);

/// What a starting container gets of its links.
struct LinksGiven {
    std::vector<std::string> environment;
    /// Lines of /etc/hosts: address, names.
    std::vector<std::pair<std::string, std::string>> hosts;
};

/// Errors: conflict "Cannot link to a non running container: /X AS /Y/alias"; invalid_argument (it
/// is
///         not on the default bridge).
Result<LinksGiven> links_given(const Daemon& daemon, const ContainerRecord& record);

/// The same for an exec: of the linked containers that run, those variables.
std::vector<std::string> links_environment(const Daemon& daemon, const ContainerRecord& record);

/// A container has got its address: the hosts files of those that are linked to it say so.
void links_readdress(const Daemon& daemon, const Container& container);

/// The containers that a container is linked to.
std::vector<std::shared_ptr<Container>> linked_containers(const Daemon& daemon,
                                                          const ContainerRecord& record);

/// As inspect shows its links: "/name:/container/alias".
std::vector<std::string> links_shown(const Daemon& daemon, const ContainerRecord& record);

/// What others call it, as the list shows: "/container/alias".
std::vector<std::string> link_names(const Daemon& daemon, const ContainerId& container);

/// DELETE /containers/{container/alias}?link=true: remove a link, and no container. The running
/// container keeps what it has of it until its next start.
/// Errors: conflict (the name is a container's own); not_found (no such container, or link).
Task<void> container_link_remove(Job& job, Daemon& daemon, std::string name);

}  // namespace davit
