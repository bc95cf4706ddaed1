#pragma once
/// What `davit daemon` was told on its command line.
#include <sys/resource.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace davit {

/// Percent of the data root's disk, as df(1) counts.
struct GcMarks {
    int high_percent = 85;
    int low_percent = 70;
};

struct DaemonConfig {
    /// Images, layers, containers: survives reboots.
    std::string data_root = "/var/lib/davit";
    /// Sockets, pids, the run database: dies with the boot.
    std::string run_dir = "/run/davit";
    /// "unix:///path" or "tcp://address:port".
    std::vector<std::string> hosts;
    /// Graph driver by its own name; "" lets the data root decide (drivers/graph/select.h).
    std::string storage_driver;
    /// Registries that may be spoken to without TLS, besides those on loopback.
    std::vector<std::string> insecure_registries;
    /// HOST[:PORT]/ in it has a registry's CA and client certificates (http/host_certificates.h).
    std::string certs_dir = "/etc/docker/certs.d";
    /// "https://mirror.example[:port]": asked before Docker Hub.
    std::vector<std::string> registry_mirrors;
    /// By other registries ("quay.io"): asked before them.
    std::map<std::string, std::vector<std::string>> registry_mirrors_other;
    /// Layers at a time, of all pulls and of all pushes; 0 is the default.
    std::size_t downloads_max = 0;
    std::size_t uploads_max = 0;
    /// A registry that sends nothing for this long has stalled.
    std::chrono::seconds registry_stall_timeout{60};
    /// Remove images that were not used for longest by itself (jobs/image_gc_auto.h); nothing: only
    /// when asked to.
    std::optional<GcMarks> gc;
    /// Containers that do not say get an init.
    bool init = false;
    /// What containers that do not say are filtered with: "builtin", "unconfined", or a file.
    std::string seccomp_profile = "builtin";
    /// Whose subordinate ids containers get (jobs/user_remap.h); "": they share the daemon's user
    /// namespace.
    std::string userns_remap;
    /// Where specs of CDI devices are; none: there are no such devices.
    std::vector<std::string> cdi_directories{"/etc/cdi", "/var/run/cdi"};
    /// Sandboxes that are made ahead, and wait for containers (jobs/sandbox_pool.h); 0: none.
    std::size_t warm_sandboxes = 4;
    /// Where containers' cgroups are made, below each hierarchy's root.
    std::string cgroup_parent = "/davit";
    /// What the parents of containers with --cpu-rt-runtime get of the host's real-time, in a
    /// period; 0: what they have. v1 only.
    std::int64_t cpu_realtime_runtime_us = 0;
    std::int64_t cpu_realtime_period_us = 0;
    /// Our end of the pair with the keeper (libcontainer/keeper/protocol.h); -1: there is none.
    int keeper_socket = -1;
    /// Below the root of the v2 hierarchy: whose sockets the network's hooks see ("": all).
    std::string network_cgroup;
    /// The limit of descriptors that the daemon was started with, if it runs with another.
    std::optional<rlimit> descriptors_at_start;
};

}  // namespace davit
