#pragma once
/// ContainerRecord: everything about a container that outlives the daemon's process.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "jobs/container/config.h"
#include "jobs/container/endpoint.h"
#include "jobs/container/exit_cause.h"
#include "jobs/container/health.h"
#include "jobs/container/host_config.h"
#include "jobs/container/state.h"
#include "libcontainer/user.h"
#include "reactor/base/clock.h"
#include "reactor/base/digest.h"
#include "reactor/base/ids.h"

namespace davit {

/// One mount as inspect shows it, resolved from binds, mounts, volumes and tmpfs.
struct MountPoint {
    std::string type;    // "bind", "volume", "tmpfs", "image"
    std::string source;  // bind: a path; volume: where its data are; image: its id.
    std::string name;    // volume: its name; image: the reference given.
    std::string driver;  // volume
    std::string destination;
    std::string mode;  // As given: "ro,z".
    bool read_write = true;
    std::string propagation;
    bool recursive = true;
    /// Whether read-only is for the mounts below, too.
    bool read_only_recursive = true;
    /// Make the source directory if it is missing (binds given by -v).
    bool create_source = false;
    /// tmpfs: mount options, "size=64m,mode=1777".
    std::string options;
    /// volume: an empty one is filled with what the image has at the destination.
    bool copy_up = false;
    /// volume: it has no name of the user's, and goes with `rm -v`.
    bool anonymous = false;
    /// volume, image: mount only this, below its root.
    std::string subpath;
    /// image: what its layers make.
    Digest chain_id;
    /// volume: what a new one gets; not stored.
    std::map<std::string, std::string> volume_labels;
    std::map<std::string, std::string> volume_options;
    /// Whether inspect shows it: what --tmpfs gives is in HostConfig.Tmpfs alone, as with Docker.
    bool listed = true;

    bool operator==(const MountPoint&) const = default;
};

/// One named stretch of a start, relative to its beginning.
struct StartPhase {
    std::string name;
    std::int64_t start_ns = 0;
    std::int64_t duration_ns = 0;

    bool operator==(const StartPhase&) const = default;
};

struct ContainerStateRecord {
    ContainerState status = ContainerState::created;
    int pid = 0;
    int exit_code = 0;
    std::string error;
    bool oom_killed = false;
    std::optional<WallTime> started_at;
    std::optional<WallTime> finished_at;
    /// Of a container with a health check.
    std::optional<HealthRecord> health;
    ExitCause cause;

    bool operator==(const ContainerStateRecord&) const = default;
};

/// Of a create with an idempotency key (container_keys.h): what a retry needs to get its answer.
struct CreateKey {
    std::string key;
    /// Of what the first call asked for.
    Digest request;
    /// What it was told.
    std::vector<std::string> warnings;

    bool operator==(const CreateKey&) const = default;
};

struct ContainerRecord {
    ContainerId id;
    std::string name;  // With its slash.
    WallTime created{};
    Digest image_id;
    std::string driver;  // "overlay2"
    std::string path;    // The program, and its arguments: entrypoint and command joined.
    std::vector<std::string> args;
    ContainerConfig config;  // Merged with the image's.
    HostConfig host_config;
    ContainerStateRecord state;
    std::vector<MountPoint> mounts;
    std::string log_path;
    /// Where hostname, hosts and resolv.conf are written at start.
    std::string files_directory;
    /// The image's layers.
    Digest chain_id;
    /// Name of the writable directory in the graph driver.
    std::string rw_name;
    /// Below each hierarchy's root: "/davit/<id>".
    std::string cgroup_path;
    std::vector<StartPhase> start_phases;
    /// Whom the last start ran it as. So run its execs, whatever the container makes of its files.
    ResolvedUser user;
    /// By the network's name; none if it shares another container's namespace.
    std::map<std::string, EndpointSettings> networks;
    /// While it runs: what its ports ("80/tcp") got on the host.
    std::map<std::string, std::vector<PortBinding>> published;
    int restart_count = 0;
    bool manually_stopped = false;
    /// Of a removal that was begun: its anonymous volumes go, too.
    bool removes_volumes = false;
    /// Its limits were changed while it ran, and may not be those of its cgroups yet: the next
    /// daemon sets them again.
    bool limits_due = false;
    std::optional<CreateKey> create_key;

    bool operator==(const ContainerRecord&) const = default;
};

/// Versioned JSON, for the store.
std::string container_record_write(const ContainerRecord& record);

/// Errors: corrupt (not what the above writes); unsupported (of a later version of davit).
Result<ContainerRecord> container_record_read(std::string_view text);

}  // namespace davit
