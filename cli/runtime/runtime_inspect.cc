// state, list, events, features, spec, and what davit has not: checkpoint, restore.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "cli/runtime/runtime_main.h"
#include "http/json_writer.h"
#include "libcontainer/cgroup_stats.h"
#include "libcontainer/defaults.h"

#include "runtime/runtime.h"

namespace davit::cli {

namespace {

using Given = RuntimeCommand::Given;

struct Nothing {};

struct ListOptions {
    std::string format = "table";
    bool quiet = false;
};

constexpr std::array list_flags{
    flag<ListOptions, &ListOptions::format>("format", 'f', "table|json", "How they are shown"),
    flag<ListOptions, &ListOptions::quiet>("quiet", 'q', "", "The ids alone"),
};

struct EventsOptions {
    bool stats = false;
    Nanoseconds interval = std::chrono::seconds(5);
};

constexpr std::array events_flags{
    flag<EventsOptions, &EventsOptions::stats>("stats", 0, "", "What it uses, once"),
    flag<EventsOptions, &EventsOptions::interval>(
        "interval", 0, "duration", "Between two lines of what it uses"),
};

struct SpecOptions {
    std::string bundle = ".";
    bool rootless = false;
};

constexpr std::array spec_flags{
    flag<SpecOptions, &SpecOptions::bundle>("bundle", 'b', "dir", "Where config.json is written"),
    flag<SpecOptions, &SpecOptions::rootless>("rootless", 0, "", "Refused"),
};

Result<int> state(const Nothing& /*options*/, const Given& given) {
    TRY(const RuntimeDirectory directory,
        RuntimeDirectory::open(given.globals.root, given.arguments[0]));
    TRY(const RuntimeState known, directory.load());
    TRY(const RuntimeStatus status, runtime_status(directory, known));
    return runtime_print(runtime_state_json(known, status, true) + "\n");
}

/// One that is removed meanwhile, or never was more than a directory, is left out.
Result<int> list(const ListOptions& options, const Given& given) {
    TRY(const std::vector<std::string> ids, RuntimeDirectory::list(given.globals.root));
    std::string quiet;
    std::string rows = fmt::format("{:<24} {:<8} {:<10} {:<32} {:<32} {}\n",
                                   "ID",
                                   "PID",
                                   "STATUS",
                                   "BUNDLE",
                                   "CREATED",
                                   "OWNER");
    std::string array;
    for (const std::string& id : ids) {
        const Result<RuntimeDirectory> directory = RuntimeDirectory::open(given.globals.root, id);
        const Result<RuntimeState> known =
            directory ? directory->load() : Result<RuntimeState>(directory.error());
        const Result<RuntimeStatus> status =
            known ? runtime_status(*directory, *known) : Result<RuntimeStatus>(known.error());
        if (!status) {
            continue;
        }
        quiet += id + "\n";
        rows += fmt::format("{:<24} {:<8} {:<10} {:<32} {:<32} {}\n",
                            id,
                            *status == RuntimeStatus::stopped ? 0 : known->pid,
                            runtime_status_name(*status),
                            known->bundle,
                            known->created,
                            known->owner);
        array += (array.empty() ? "" : ",") + runtime_state_json(*known, *status, true);
    }
    if (options.quiet) {
        return runtime_print(quiet);
    }
    if (options.format == "json") {
        return runtime_print(array.empty() ? "null\n" : "[" + array + "]\n");
    }
    if (options.format != "table") {
        return Error(ErrorKind::invalid_argument, "invalid format option: table or json");
    }
    return runtime_print(rows);
}

void block_io_write(JsonWriter& json,
                    const char* name,
                    const std::optional<std::vector<BlockIo>>& list) {
    json.key(name).begin_array();
    for (const BlockIo& entry : list.value_or(std::vector<BlockIo>{})) {
        json.begin_object().key("major").number(entry.major).key("minor").number(entry.minor);
        json.key("op").string(entry.operation).key("value").number(entry.value).end_object();
    }
    json.end_array();
}

/// Follows: runc types/events.go.
std::string stats_json(const std::string& id, const CgroupStats& stats) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("type").string("stats").key("id").string(id);
    json.key("data").begin_object().key("cpu").begin_object().key("usage").begin_object();
    json.key("total").number(stats.cpu_total).key("percpu").begin_array();
    for (const std::uint64_t each : stats.cpu_each) {
        json.number(each);
    }
    json.end_array().key("kernel").number(stats.cpu_kernel).key("user").number(stats.cpu_user);
    json.end_object().key("throttling").begin_object().key("periods").number(stats.periods);
    json.key("throttledPeriods").number(stats.periods_throttled);
    json.key("throttledTime").number(stats.throttled).end_object().end_object();
    json.key("memory").begin_object().key("usage").begin_object();
    json.key("limit").number(stats.memory_limit == 0 ? UINT64_MAX : stats.memory_limit);
    json.key("usage").number(stats.memory).key("max").number(stats.memory_max);
    json.key("failcnt").number(stats.memory_failures).end_object().key("raw").begin_object();
    for (const auto& [key, value] : stats.memory_stat) {
        json.key(key).number(value);
    }
    json.end_object().end_object().key("pids").begin_object();
    json.key("current").number(stats.pids).key("limit").number(stats.pids_max.value_or(0));
    json.end_object().key("blkio").begin_object();
    block_io_write(json, "ioServiceBytesRecursive", stats.io_bytes);
    block_io_write(json, "ioServicedRecursive", stats.io_operations);
    json.end_object().end_object().end_object();
    return text;
}

/// Waits for what tells of a container: its end, memory that ran out.
class EventSource {
  public:
    EventSource(const PidRef& init, const Cgroup& cgroup) : init_(init), cgroup_(cgroup) {
        if (Result<OomNotice> notice = cgroup.oom_notice()) {
            oom_ = *std::move(notice);
            oom_kills_ = kills_of(cgroup);
        }
    }

    enum class Event : std::uint8_t { nothing, ended, out_of_memory };

    /// Takes: as poll(2).
    Result<Event> wait(int timeout_ms) {
        const bool counter = oom_.kind == OomNotice::Kind::event_counter;
        std::array<pollfd, 2> sources{
            pollfd{.fd = init_.pidfd(), .events = POLLIN, .revents = 0},
            pollfd{.fd = oom_.fd.get(),
                   .events = static_cast<short>(counter ? POLLIN : POLLPRI),
                   .revents = 0}};
        if (::poll(sources.data(), sources.size(), timeout_ms) < 0 && errno != EINTR) {
            return Error::from_errno(errno, "poll");
        }
        if (sources[0].revents != 0) {
            return Event::ended;
        }
        return sources[1].revents != 0 && is_out_of_memory() ? Event::out_of_memory
                                                             : Event::nothing;
    }

  private:
    /// Of a file in memory.events other numbers change, too.
    bool is_out_of_memory() {
        std::array<char, 512> text{};
        if (oom_.kind == OomNotice::Kind::event_counter) {
            return ::read(oom_.fd.get(), text.data(), sizeof(std::uint64_t)) > 0;
        }
        const bool read = ::pread(oom_.fd.get(), text.data(), text.size(), 0) > 0;
        const std::uint64_t kills = read ? kills_of(cgroup_) : oom_kills_;
        return std::exchange(oom_kills_, kills) < kills;
    }

    static std::uint64_t kills_of(const Cgroup& cgroup) {
        const Result<std::uint64_t> count = cgroup.oom_kill_count();
        return count ? *count : 0;
    }

    const PidRef& init_;
    const Cgroup& cgroup_;
    OomNotice oom_;
    std::uint64_t oom_kills_ = 0;
};

/// Until the container ends.
Result<int> events_follow(EventSource& source,
                          const CgroupStatsReader& reader,
                          const std::string& id,
                          Nanoseconds interval) {
    using std::chrono::milliseconds;
    MonotonicTime next = monotonic_now() + interval;
    for (;;) {
        const auto left = std::chrono::ceil<milliseconds>(next - monotonic_now());
        TRY(const EventSource::Event event,
            source.wait(static_cast<int>(std::max<std::int64_t>(left.count(), 0))));
        if (event == EventSource::Event::ended) {
            return 0;
        }
        if (event == EventSource::Event::out_of_memory) {
            TRY_VOID(runtime_print("{\"type\":\"oom\",\"id\":\"" + id + "\"}\n"));
        }
        if (monotonic_now() >= next) {
            TRY(const CgroupStats stats, reader.read());
            TRY_VOID(runtime_print(stats_json(id, stats) + "\n"));
            next += interval;
        }
    }
}

Result<int> events(const EventsOptions& options, const Given& given) {
    constexpr Nanoseconds interval_min = std::chrono::milliseconds(1);
    if (options.interval < interval_min) {
        return Error(ErrorKind::invalid_argument, "duration interval must be greater than 0");
    }
    TRY(const RuntimeDirectory directory,
        RuntimeDirectory::open(given.globals.root, given.arguments[0]));
    TRY(const RuntimeState known, directory.load());
    TRY(const PidRef init, runtime_init(known));
    TRY(const CgroupLayout layout, CgroupLayout::detect());
    TRY(const Cgroup cgroup, Cgroup::open(layout, known.cgroup));
    TRY(const CgroupStatsReader reader, CgroupStatsReader::open(cgroup));
    if (!options.stats) {
        EventSource source(init, cgroup);
        return events_follow(source, reader, known.id, options.interval);
    }
    TRY(const CgroupStats stats, reader.read());
    return runtime_print(stats_json(known.id, stats) + "\n");
}

void enabled_write(JsonWriter& json, std::string_view name, bool enabled) {
    json.key(name).begin_object().key("enabled").boolean(enabled).end_object();
}

/// Follows: OCI runtime-spec features.md, features-linux.md.
Result<int> features(const Nothing& /*options*/, const Given& /*given*/) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("ociVersionMin").string("1.0.0");
    json.key("ociVersionMax").string(oci_version_max);
    json.key("hooks").strings(std::to_array<std::string_view>({"prestart",
                                                               "createRuntime",
                                                               "createContainer",
                                                               "startContainer",
                                                               "poststart",
                                                               "poststop"}));
    json.key("mountOptions").strings(oci_mount_option_names());
    json.key("linux").begin_object();
    json.key("namespaces")
        .strings(std::to_array<std::string_view>(
            {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"}));
    json.key("capabilities").begin_array();
    constexpr unsigned capabilities = 64;
    for (unsigned number = 0; number < capabilities; ++number) {
        if (const std::string_view name = capability_name(number); !name.empty()) {
            json.string(name);
        }
    }
    json.end_array().key("cgroup").begin_object();
    json.key("v1").boolean(true).key("v2").boolean(true);
    json.key("systemd").boolean(false).key("systemdUser").boolean(false);
    json.key("rdma").boolean(false).end_object();
    enabled_write(json, "seccomp", true);
    enabled_write(json, "apparmor", true);
    enabled_write(json, "selinux", false);
    enabled_write(json, "intelRdt", false);
    json.key("mountExtensions").begin_object();
    enabled_write(json, "idmap", false);
    json.end_object().end_object().end_object();
    return runtime_print(text + "\n");
}

struct SpecMount {
    const char* target;
    const char* type;
    const char* source;
    std::vector<std::string_view> options;
};

/// What `runc spec` begins with: a shell in Docker's confinement.
std::string spec_json() {
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("ociVersion").string(oci_version_max);
    json.key("process").begin_object().key("terminal").boolean(true);
    json.key("user").begin_object().key("uid").number(0).key("gid").number(0).end_object();
    json.key("args").strings(std::to_array<std::string_view>({"sh"}));
    json.key("env").strings(std::to_array<std::string_view>(
        {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"}));
    json.key("cwd").string("/").key("capabilities").begin_object();
    constexpr auto given =
        std::to_array<std::string_view>({"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"});
    for (const char* set : {"bounding", "effective", "permitted"}) {
        json.key(set).strings(given);
    }
    json.end_object().key("rlimits").begin_array().begin_object();
    json.key("type").string("RLIMIT_NOFILE").key("hard").number(1024).key("soft").number(1024);
    json.end_object().end_array().key("noNewPrivileges").boolean(true).end_object();
    json.key("root").begin_object().key("path").string("rootfs").key("readonly").boolean(true);
    json.end_object().key("hostname").string("runc").key("mounts").begin_array();
    const std::array mounts{
        SpecMount{"/proc", "proc", "proc", {}},
        SpecMount{"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
        SpecMount{"/dev/pts",
                  "devpts",
                  "devpts",
                  {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
        SpecMount{
            "/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
        SpecMount{"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
        SpecMount{"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
        SpecMount{
            "/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}}};
    for (const SpecMount& mount : mounts) {
        json.begin_object().key("destination").string(mount.target).key("type").string(mount.type);
        json.key("source").string(mount.source);
        if (!mount.options.empty()) {
            json.key("options").strings(mount.options);
        }
        json.end_object();
    }
    json.end_array().key("linux").begin_object().key("resources").begin_object();
    json.key("devices").begin_array().begin_object().key("allow").boolean(false);
    json.key("access").string("rwm").end_object().end_array().end_object();
    json.key("namespaces").begin_array();
    for (const char* type : {"pid", "network", "ipc", "uts", "mount", "cgroup"}) {
        json.begin_object().key("type").string(type).end_object();
    }
    json.end_array().key("maskedPaths").strings(masked_paths_default());
    json.key("readonlyPaths").strings(readonly_paths_default()).end_object().end_object();
    return text;
}

Result<int> spec(const SpecOptions& options, const Given& /*given*/) {
    if (options.rootless) {
        return Error(ErrorKind::unsupported, "--rootless: davit needs root");
    }
    const std::string path = options.bundle + "/config.json";
    Result<Fd> file = Fd::open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (!file && file.error().errno_value() == EEXIST) {
        return Error(ErrorKind::conflict,
                     "file config.json exists. Remove it first, or choose another --bundle");
    }
    if (!file) {
        return std::move(file).error();
    }
    TRY_VOID(write_all(file->get(), spec_json() + "\n"));
    return 0;
}

Result<int> no_checkpoint(const Nothing& /*options*/, const Given& /*given*/) {
    return Error(ErrorKind::unsupported, "davit has no checkpoints");
}

constexpr std::array inspect_commands{
    RuntimeCommand{"state",
                   "ID",
                   "A container's state as JSON",
                   1,
                   1,
                   true,
                   {},
                   runtime_command_run<Nothing, state>},
    RuntimeCommand{"list",
                   "[OPTIONS]",
                   "The containers of a root",
                   0,
                   0,
                   true,
                   list_flags,
                   runtime_command_run<ListOptions, list>},
    RuntimeCommand{"events",
                   "[OPTIONS] ID",
                   "What a container uses, and that memory ran out, as JSON",
                   1,
                   1,
                   true,
                   events_flags,
                   runtime_command_run<EventsOptions, events>},
    RuntimeCommand{"features",
                   "",
                   "What this runtime can do, as JSON",
                   0,
                   0,
                   true,
                   {},
                   runtime_command_run<Nothing, features>},
    RuntimeCommand{"spec",
                   "[OPTIONS]",
                   "Write a config.json to begin with",
                   0,
                   0,
                   true,
                   spec_flags,
                   runtime_command_run<SpecOptions, spec>},
    RuntimeCommand{"checkpoint",
                   "ID",
                   "Refused",
                   1,
                   SIZE_MAX,
                   false,
                   {},
                   runtime_command_run<Nothing, no_checkpoint>},
    RuntimeCommand{"restore",
                   "ID",
                   "Refused",
                   1,
                   SIZE_MAX,
                   false,
                   {},
                   runtime_command_run<Nothing, no_checkpoint>},
};

}  // namespace

std::span<const RuntimeCommand> runtime_inspect_commands() {
    return inspect_commands;
}

}  // namespace davit::cli
