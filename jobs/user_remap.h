#pragma once
/// `davit daemon --userns-remap`: the user namespace that containers are in, unless they ask for
/// the host's.
///
/// A container's root is the first of a user's subordinate ids outside, and nobody there. On disk
/// everything stays as it was made: layers, what a container changed, and volumes belong to the ids
/// that are seen inside, and every container sees them through ID-mapped mounts (mount_setattr(2)).
/// So an image serves containers of both kinds, nothing is chowned, and the option may come and go:
/// unlike Docker's the data root is one and the same. What is bound from the host is not mapped.
///
/// Follows: dockerd(8) --userns-remap, moby daemon/daemon_unix.go parseRemappedRoot(); subuid(5).
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/container/host_config.h"
#include "reactor/base/fd.h"
#include "reactor/base/id_map.h"
#include "reactor/base/result.h"

namespace davit {

class Daemon;

struct UserRemap {
    IdMap ids = {};
    /// "USER:GROUP", as resolved.
    std::string user = {};
};

/// The files it is found in; those of the host.
struct UserFiles {
    std::string passwd;
    std::string group;
    std::string subuid;
    std::string subgid;
};

/// Takes:  "default", USER[:GROUP] or UID[:GID].
/// Gives:  nothing for root, which is nobody else then: namespaces are off.
/// Errors: invalid_argument, in moby's words (unknown user or group, no ids, a malformed file).
Result<std::optional<UserRemap>> user_remap_resolve(std::string_view option,
                                                    const UserFiles& files);

/// The same with the files in /etc; "default" makes the user dockremap, if there is none yet.
/// Errors: unsupported (useradd(8) or usermod(8) is not there, or refuses).
/// Blocks: for these.
Result<std::optional<UserRemap>> user_remap_open(const std::string& option);

/// A user's ranges in the text of /etc/subuid, by name or else by number, from inside id 0 on.
/// Errors: invalid_argument (malformed, or without any).
Result<std::vector<IdRange>> sub_ids_find(std::string_view text,
                                          const std::string& path,
                                          const std::string& name,
                                          std::uint32_t id);

/// Whether a container with this configuration is in a user namespace, with this daemon.
bool has_user_namespace(const Daemon& daemon, const HostConfig& config);

/// What does not go with a user namespace. Errors: invalid_argument, in moby's words.
Result<void> user_namespace_check(const Daemon& daemon, const HostConfig& config);

}  // namespace davit
