#pragma once
/// OciConfig: what the config.json of a bundle asks for, in libcontainer's terms.
///
/// Reading it asks the kernel nothing but which capabilities there are. What davit cannot do is
/// refused, never left out.
///
/// Follows: OCI runtime-spec 1.0 to 1.2, config.md and config-linux.md; runc's
/// libcontainer/specconv where the specification leaves something open.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/json_reader.h"
#include "libcontainer/spec.h"

namespace davit {

/// The newest version whose files are understood; of 1.x any is accepted.
inline constexpr std::string_view oci_version_max = "1.2.0";

struct OciHook {
    std::string path;  // Absolute.
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::optional<std::int64_t> timeout_s;
};

struct OciHooks {
    std::vector<OciHook> prestart;          // Deprecated; as create_runtime.
    std::vector<OciHook> create_runtime;    // In the runtime's namespaces.
    std::vector<OciHook> create_container;  // In the container's, before its root is entered.
    std::vector<OciHook> start_container;   // In the container, before its program.
    std::vector<OciHook> poststart;
    std::vector<OciHook> poststop;

    /// Those that run before the root is entered.
    bool has_early() const {
        return !(prestart.empty() && create_runtime.empty() && create_container.empty());
    }
};

/// Namespaces that exist, by path; "": made, or the runtime's own (ContainerSpec::namespaces).
struct OciNamespacePaths {
    std::string pid;  // "/proc/PID/ns/pid"
    std::string network;
    std::string ipc;
    std::string uts;
    std::string cgroup;
};

struct OciConfig {
    std::string root;  // Absolute, or below the bundle.
    /// All but the id and the cgroup's placement.
    ContainerSpec spec;
    /// What its prepared mounts are to be, in their order: a tmpfs that is copied up, or the procfs
    /// of a pid namespace that is joined.
    std::vector<Mount> prepared;
    OciNamespacePaths paths;
    Resources resources;
    std::string cgroups_path;  // "": the runtime chooses.
    OciHooks hooks;
    std::map<std::string, std::string> annotations;
    /// What was left out because this host does not have it, as runc does with capabilities.
    std::vector<std::string> warnings;
};

/// Errors: invalid_argument (no JSON, a member that is missing or of another type, a value that the
///         specification does not have); unsupported.
Result<OciConfig> oci_config_parse(std::string_view text);

/// The object "process", for a container or for an exec. Errors: as above.
/// Gives: unknown capabilities in `warnings`.
Result<ProcessSpec> oci_process_parse(const JsonValue& process, std::vector<std::string>& warnings);

struct OciMount : Mount {
    /// The option tmpcopyup: a tmpfs that begins with what the root has there.
    bool copies_up = false;
};

/// An entry of "mounts". Errors: as above.
Result<OciMount> oci_mount_parse(const JsonValue& mount);

/// The options of mounts that it understands, but for data of file systems; sorted.
std::vector<std::string> oci_mount_option_names();

/// "linux.resources", for a container or for an update.
/// Takes: for_update: devices are left as they are. Errors: as above.
Result<Resources> oci_resources_parse(const JsonValue& resources, bool for_update);

/// "hooks". Errors: as above.
Result<OciHooks> oci_hooks_parse(const JsonValue& hooks);

}  // namespace davit
