#pragma once
/// CreateOptions: what `create` and `run` are told about the new container, and the request that it
/// makes.
///
/// Follows: Docker Engine API, operation ContainerCreate; the meaning of docker's flags. Only what
/// was asked for goes into the request: the daemon fills in the rest.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/flags.h"
#include "cli/terminal.h"
#include "http/message.h"

namespace davit::cli {

/// "KEY=VALUE"; "KEY" takes the value from this process's environment, or drops out.
struct EnvironmentEntries {
    std::vector<std::string> entries;
};

Result<void> flag_set(std::string_view text, EnvironmentEntries& variable);

/// "KEY=VALUE" or "KEY", by key; the last one counts.
struct KeyValues {
    std::map<std::string, std::string> values;
};

Result<void> flag_set(std::string_view text, KeyValues& variable);

struct CreateOptions {
    // --- the process
    std::vector<std::string> attach;
    EnvironmentEntries env;
    std::vector<std::string> env_files;
    std::optional<std::string> entrypoint;
    std::string user;
    std::string workdir;
    std::vector<std::string> group_add;
    bool interactive = false;
    bool tty = false;
    std::optional<bool> init;
    std::string stop_signal;
    std::optional<std::int64_t> stop_timeout;

    // --- the container
    std::string name;
    std::string hostname;
    std::string domainname;
    KeyValues labels;
    std::vector<std::string> label_files;
    KeyValues annotations;
    std::string cidfile;
    std::string restart;
    bool remove = false;
    std::string runtime;
    std::string log_driver;
    KeyValues log_options;

    // --- its image
    std::string platform;
    std::string pull = "missing";
    bool quiet = false;

    // --- files
    std::vector<std::string> volumes;
    std::vector<std::string> mounts;
    std::vector<std::string> tmpfs;
    std::vector<std::string> volumes_from;
    std::string volume_driver;
    KeyValues storage_options;
    bool read_only = false;
    std::optional<ByteSize> shm_size;
    std::vector<std::string> devices;
    std::string gpus;

    // --- resources
    std::optional<ByteSize> memory;
    std::optional<ByteSize> memory_reservation;
    std::string memory_swap;
    std::optional<std::int64_t> memory_swappiness;
    std::optional<CpuCount> cpus;
    std::optional<std::int64_t> cpu_shares;
    std::optional<std::int64_t> cpu_period;
    std::optional<std::int64_t> cpu_quota;
    std::optional<std::int64_t> cpu_realtime_period;
    std::optional<std::int64_t> cpu_realtime_runtime;
    std::string cpuset_cpus;
    std::string cpuset_mems;
    std::optional<std::int64_t> pids_limit;
    std::optional<std::int64_t> blkio_weight;
    std::vector<std::string> blkio_weight_devices;
    std::vector<std::string> device_read_bps;
    std::vector<std::string> device_read_iops;
    std::vector<std::string> device_write_bps;
    std::vector<std::string> device_write_iops;
    std::vector<std::string> device_cgroup_rules;
    std::vector<std::string> ulimits;
    std::string cgroup_parent;
    std::optional<std::int64_t> oom_score_adj;
    bool oom_kill_disable = false;

    // --- isolation
    bool privileged = false;
    std::vector<std::string> cap_add;
    std::vector<std::string> cap_drop;
    std::vector<std::string> security_options;
    KeyValues sysctls;
    std::string cgroupns;
    std::string ipc;
    std::string pid;
    std::string userns;
    std::string uts;

    // --- network
    std::vector<std::string> networks;
    std::vector<std::string> network_aliases;
    std::vector<std::string> links;
    std::string ip;
    std::string ip6;
    std::string mac_address;
    std::vector<std::string> publish;
    bool publish_all = false;
    std::vector<std::string> expose;
    std::vector<std::string> dns;
    std::vector<std::string> dns_options;
    std::vector<std::string> dns_search;
    std::vector<std::string> add_host;

    // --- health
    std::optional<std::string> health_cmd;
    std::optional<Nanoseconds> health_interval;
    std::optional<Nanoseconds> health_timeout;
    std::optional<Nanoseconds> health_start_period;
    std::optional<Nanoseconds> health_start_interval;
    std::optional<std::int64_t> health_retries;
    bool no_healthcheck = false;
};

/// The flags that create and run share.
std::span<const Flag> create_flags();

/// Which of the container's streams the client attaches to.
struct AttachedStreams {
    bool in = false;
    bool out = false;
    bool err = false;
};

struct CreateRequest {
    Query query;
    std::string body;
};

/// The body and query of POST /containers/create.
///
/// Takes:  arguments: the image, then the command and its words; streams: what the client will
///         attach, which decides whether the container's stdin ends with the client; window: the
///         size of the user's terminal.
/// Errors: invalid_argument, saying which option is wrong and why; a file that cannot be read.
Result<CreateRequest> create_request_make(const CreateOptions& options,
                                          const std::vector<std::string>& arguments,
                                          AttachedStreams streams,
                                          std::optional<TerminalSize> window);

/// -a as streams; without one stdout and stderr, and stdin with -i. Errors: invalid_argument.
Result<AttachedStreams> attached_streams(const CreateOptions& options);

}  // namespace davit::cli
