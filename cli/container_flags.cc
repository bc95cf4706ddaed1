// The flags that `create` and `run` share, as data.
#include "cli/container_options.h"

namespace davit::cli {

namespace {

using O = CreateOptions;

constexpr Flag flags[] = {
    flag<O, &O::add_host>("add-host", 0, "list", "Add a line to /etc/hosts (host:ip)"),
    flag<O, &O::annotations>("annotation", 0, "map", "Annotate the container for its OCI runtime"),
    flag<O, &O::attach>("attach", 'a', "list", "Attach to STDIN, STDOUT or STDERR"),
    flag<O, &O::blkio_weight>(
        "blkio-weight", 0, "int", "Block IO, relative weight between 10 and 1000"),
    flag<O, &O::blkio_weight_devices>(
        "blkio-weight-device", 0, "list", "Block IO weight of a device (path:weight)"),
    flag<O, &O::cap_add>("cap-add", 0, "list", "Add Linux capabilities"),
    flag<O, &O::cap_drop>("cap-drop", 0, "list", "Drop Linux capabilities"),
    flag<O, &O::cgroup_parent>("cgroup-parent", 0, "string", "Parent cgroup of the container"),
    flag<O, &O::cgroupns>("cgroupns", 0, "string", "Cgroup namespace: host or private"),
    flag<O, &O::cidfile>("cidfile", 0, "string", "Write the container's ID to this new file"),
    flag<O, &O::cpu_period>("cpu-period", 0, "int", "Period of the CPU quota, in microseconds"),
    flag<O, &O::cpu_quota>("cpu-quota", 0, "int", "CPU time per period, in microseconds"),
    flag<O, &O::cpu_realtime_period>(
        "cpu-rt-period", 0, "int", "Period of real-time CPU time, in microseconds"),
    flag<O, &O::cpu_realtime_runtime>(
        "cpu-rt-runtime", 0, "int", "Real-time CPU time per period, in microseconds"),
    flag<O, &O::cpu_shares>("cpu-shares", 'c', "int", "CPU shares (relative weight)"),
    flag<O, &O::cpus>("cpus", 0, "decimal", "Number of CPUs"),
    flag<O, &O::cpuset_cpus>("cpuset-cpus", 0, "string", "CPUs to run on (0-3, 0,1)"),
    flag<O, &O::cpuset_mems>("cpuset-mems", 0, "string", "Memory nodes to use (0-3, 0,1)"),
    flag<O, &O::devices>("device", 0, "list", "Add a host device (host[:container[:rwm]])"),
    flag<O, &O::device_cgroup_rules>(
        "device-cgroup-rule", 0, "list", "Allow devices (\"c 1:3 rwm\")"),
    flag<O, &O::device_read_bps>(
        "device-read-bps", 0, "list", "Limit reading from a device (path:bytes per second)"),
    flag<O, &O::device_read_iops>(
        "device-read-iops", 0, "list", "Limit reads from a device (path:IO per second)"),
    flag<O, &O::device_write_bps>(
        "device-write-bps", 0, "list", "Limit writing to a device (path:bytes per second)"),
    flag<O, &O::device_write_iops>(
        "device-write-iops", 0, "list", "Limit writes to a device (path:IO per second)"),
    flag<O, &O::dns>("dns", 0, "list", "DNS servers"),
    flag<O, &O::dns_options>("dns-option", 0, "list", "DNS options"),
    flag<O, &O::dns_options>("dns-opt", 0, "list", ""),
    flag<O, &O::dns_search>("dns-search", 0, "list", "DNS search domains"),
    flag<O, &O::domainname>("domainname", 0, "string", "NIS domain name"),
    flag<O, &O::entrypoint>("entrypoint", 0, "string", "Program instead of the image's entrypoint"),
    flag<O, &O::env>("env", 'e', "list", "Set an environment variable"),
    flag<O, &O::env_files>("env-file", 0, "list", "Read environment variables from a file"),
    flag<O, &O::expose>("expose", 0, "list", "Expose a port or a range of ports"),
    flag<O, &O::gpus>("gpus", 0, "gpu-request", "GPU devices to add (\"all\" for all of them)"),
    flag<O, &O::group_add>("group-add", 0, "list", "Groups to join besides the user's"),
    flag<O, &O::health_cmd>("health-cmd", 0, "string", "Command that checks health"),
    flag<O, &O::health_interval>("health-interval", 0, "duration", "Time between two checks"),
    flag<O, &O::health_retries>(
        "health-retries", 0, "int", "Failures in a row that make the container unhealthy"),
    flag<O, &O::health_start_interval>(
        "health-start-interval", 0, "duration", "Time between two checks during the start period"),
    flag<O, &O::health_start_period>(
        "health-start-period", 0, "duration", "Time before failures count"),
    flag<O, &O::health_timeout>("health-timeout", 0, "duration", "Time one check may take"),
    flag<O, &O::hostname>("hostname", 'h', "string", "Host name of the container"),
    flag<O, &O::init>("init", 0, "", "Run an init that forwards signals and reaps processes"),
    flag<O, &O::interactive>("interactive", 'i', "", "Keep STDIN open even if not attached"),
    flag<O, &O::ip>("ip", 0, "string", "IPv4 address"),
    flag<O, &O::ip6>("ip6", 0, "string", "IPv6 address"),
    flag<O, &O::ipc>("ipc", 0, "string", "IPC namespace to use"),
    flag<O, &O::labels>("label", 'l', "list", "Set a label"),
    flag<O, &O::label_files>("label-file", 0, "list", "Read labels from a file"),
    flag<O, &O::links>("link", 0, "list", "Link to another container"),
    flag<O, &O::log_driver>("log-driver", 0, "string", "Logging driver"),
    flag<O, &O::log_options>("log-opt", 0, "list", "Option of the logging driver"),
    flag<O, &O::mac_address>("mac-address", 0, "string", "MAC address (92:d0:c6:0a:29:33)"),
    flag<O, &O::memory>("memory", 'm', "bytes", "Memory limit"),
    flag<O, &O::memory_reservation>("memory-reservation", 0, "bytes", "Memory soft limit"),
    flag<O, &O::memory_swap>(
        "memory-swap", 0, "bytes", "Limit of memory plus swap; -1 for unlimited swap"),
    flag<O, &O::memory_swappiness>("memory-swappiness", 0, "int", "Swappiness (0 to 100)"),
    flag<O, &O::mounts>("mount", 0, "mount", "Mount: type=bind|volume|tmpfs,src=..,dst=..[,..]"),
    flag<O, &O::name>("name", 0, "string", "Name of the container"),
    flag<O, &O::networks>("network", 0, "network", "Connect to a network"),
    flag<O, &O::networks>("net", 0, "network", ""),
    flag<O, &O::network_aliases>("network-alias", 0, "list", "Another name on the network"),
    flag<O, &O::network_aliases>("net-alias", 0, "list", ""),
    flag<O, &O::no_healthcheck>("no-healthcheck", 0, "", "Disable the image's health check"),
    flag<O, &O::oom_kill_disable>("oom-kill-disable", 0, "", "Disable the OOM killer"),
    flag<O, &O::oom_score_adj>("oom-score-adj", 0, "int", "OOM preference (-1000 to 1000)"),
    flag<O, &O::pid>("pid", 0, "string", "PID namespace to use"),
    flag<O, &O::pids_limit>("pids-limit", 0, "int", "Limit of processes; -1 for unlimited"),
    flag<O, &O::platform>("platform", 0, "string", "Platform of the image (os/arch[/variant])"),
    flag<O, &O::privileged>("privileged", 0, "", "Give every privilege"),
    flag<O, &O::publish>("publish", 'p', "list", "Publish a port ([ip:][host:]container[/proto])"),
    flag<O, &O::publish_all>("publish-all", 'P', "", "Publish exposed ports to free ports"),
    flag<O, &O::pull>(
        "pull", 0, "string", "Pull the image: always, missing or never (default \"missing\")"),
    flag<O, &O::quiet>("quiet", 'q', "", "Suppress the output of the pull"),
    flag<O, &O::read_only>("read-only", 0, "", "Mount the root filesystem read-only"),
    flag<O, &O::restart>("restart", 0, "string", "Restart policy (default \"no\")"),
    flag<O, &O::remove>("rm", 0, "", "Remove the container when it exits"),
    flag<O, &O::runtime>("runtime", 0, "string", "Runtime to use"),
    flag<O, &O::security_options>("security-opt", 0, "list", "Security options"),
    flag<O, &O::shm_size>("shm-size", 0, "bytes", "Size of /dev/shm"),
    flag<O, &O::stop_signal>("stop-signal", 0, "string", "Signal that stops the container"),
    flag<O, &O::stop_timeout>("stop-timeout", 0, "int", "Seconds to stop before it is killed"),
    flag<O, &O::storage_options>("storage-opt", 0, "list", "Options of the storage driver"),
    flag<O, &O::sysctls>("sysctl", 0, "map", "Kernel parameters"),
    flag<O, &O::tmpfs>("tmpfs", 0, "list", "Mount a tmpfs directory"),
    flag<O, &O::tty>("tty", 't', "", "Give the container a terminal"),
    flag<O, &O::ulimits>("ulimit", 0, "ulimit", "Resource limit (name=soft[:hard])"),
    flag<O, &O::user>("user", 'u', "string", "User (name|uid[:group|gid])"),
    flag<O, &O::userns>("userns", 0, "string", "User namespace to use"),
    flag<O, &O::uts>("uts", 0, "string", "UTS namespace to use"),
    flag<O, &O::volumes>("volume", 'v', "list", "Mount a volume or a host directory"),
    flag<O, &O::volume_driver>("volume-driver", 0, "string", "Driver of the container's volumes"),
    flag<O, &O::volumes_from>("volumes-from", 0, "list", "Mount another container's volumes"),
    flag<O, &O::workdir>("workdir", 'w', "string", "Working directory"),
};

}  // namespace

std::span<const Flag> create_flags() {
    return flags;
}

}  // namespace davit::cli
