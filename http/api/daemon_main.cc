#include "http/api/daemon_main.h"

#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "drivers/graph/select.h"
#include "http/api/api_server.h"
#include "http/api/keeper_upgrade.h"
#include "http/url.h"
#include "jobs/daemon.h"
#include "jobs/version.h"
#include "libcontainer/keeper_binary.h"
#include "reactor/base/log.h"
#include "reactor/listener.h"
#include "reactor/loop.h"
#include "reactor/signal.h"
#include "reactor/task_group.h"

namespace davit {

namespace {

constexpr const char* usage =
    "Usage: davit daemon [OPTIONS]\n"
    "\n"
    "Run the container engine, below a keeper: a small process that starts it again should it "
    "die,\n"
    "and holds its containers meanwhile. End the keeper (SIGTERM) to stop both and all "
    "containers.\n"
    "\n"
    "  -H, --host ADDRESS           unix://PATH or tcp://ADDRESS:PORT; may be repeated\n"
    "                               (default unix://RUN-DIR/davit.sock)\n"
    "      --data-root DIR          images and containers (default /var/lib/davit)\n"
    "      --run-dir DIR            what ends with the boot (default /run/davit)\n"
    "      --storage-driver NAME    overlay2, btrfs or vfs (default: what the data root was used\n"
    "                               with, else the first of these that works there)\n"
    "      --insecure-registry HOST may be spoken to without TLS; may be repeated\n"
    "      --registry-mirror [REGISTRY=]URL\n"
    "                               asked before that registry (default Docker Hub); may be "
    "repeated\n"
    "      --certs-dir DIR          registries' certificates: HOST[:PORT]/*.crt of their CAs, "
    "*.cert\n"
    "                               with *.key for the daemon (default /etc/docker/certs.d)\n"
    "      --max-concurrent-downloads N\n"
    "                               layers pulled at a time (default 3)\n"
    "      --max-concurrent-uploads N\n"
    "                               layers pushed at a time (default 5)\n"
    "      --registry-stall-timeout SECONDS\n"
    "                               give up on a registry that sends nothing for so long (default "
    "60)\n"
    "      --gc-high PERCENT        remove images that were not used for longest when more of the\n"
    "                               disk is used (default: never)\n"
    "      --gc-low PERCENT         until less would be used (default 70%, at most --gc-high)\n"
    "      --no-keeper              run it by itself: should it die, what containers write is "
    "lost\n"
    "      --upgrade                replace the daemon with this --run-dir by the davit that is "
    "now\n"
    "                               installed in its place; containers go on\n"
    "      --init                   containers that do not say get an init, as with run --init\n"
    "      --seccomp-profile NAME   builtin, unconfined or a file, for containers that do not say\n"
    "                               (default builtin)\n"
    "      --userns-remap USER      default, USER[:GROUP] or UID[:GID]: containers are in user\n"
    "                               namespaces with that user's subordinate ids\n"
    "      --cdi-spec-dir DIR       specs of CDI devices, in JSON; may be repeated, \"\" for none\n"
    "                               (default /etc/cdi and /var/run/cdi)\n"
    "      --warm-sandboxes N       namespaces and cgroups that are made ahead for containers as "
    "the\n"
    "                               last ones were (default 4; 0: none)\n"
    "      --cgroup-parent PATH     where containers' cgroups are made (default /davit)\n"
    "      --cpu-rt-runtime US      what containers together can have of real-time (cgroup v1), "
    "in\n"
    "      --cpu-rt-period US       every period of so many microseconds\n"
    "      --network-cgroup PATH    whose sockets see published ports directly, below the root of\n"
    "                               cgroup2 (default /: everybody's)\n"
    "  -l, --log-level LEVEL        debug, info, warn or error (default info)\n"
    "  -D, --debug                  the same as --log-level debug\n"
    "      --help                   this text\n";

constexpr std::size_t parallel_max = 64;
constexpr std::size_t stall_seconds_max = 3600;

enum LongOption : int {
    option_data_root = 256,
    option_run_dir,
    option_storage_driver,
    option_insecure_registry,
    option_registry_mirror,
    option_certs_dir,
    option_downloads_max,
    option_uploads_max,
    option_stall_timeout,
    option_cgroup_parent,
    option_network_cgroup,
    option_cpu_rt_runtime,
    option_cpu_rt_period,
    option_gc_high,
    option_gc_low,
    option_init,
    option_cdi_spec_dir,
    option_seccomp_profile,
    option_userns_remap,
    option_warm_sandboxes,
    option_no_keeper,
    option_keeper_socket,
    option_upgrade,
    option_help,
};

struct Arguments {
    DaemonConfig config;
    std::optional<int> gc_high;
    std::optional<int> gc_low;
    std::vector<std::string> cdi_directories;
    bool keeper = true;
    bool upgrade = false;
    bool help = false;
};

Result<LogLevel> log_level_parse(std::string_view name) {
    if (name == "debug") {
        return LogLevel::debug;
    }
    if (name == "info") {
        return LogLevel::info;
    }
    if (name == "warn") {
        return LogLevel::warn;
    }
    if (name == "error") {
        return LogLevel::error;
    }
    return Error(ErrorKind::invalid_argument, "unknown log level: " + std::string(name));
}

/// "https://mirror" is Docker Hub's, "quay.io=https://mirror" another registry's.
Result<void> mirror_take(DaemonConfig& config, std::string_view value) {
    const std::size_t equals = value.find('=');
    const bool is_hub = equals == std::string_view::npos || equals > value.find("://");
    std::string url(is_hub ? value : value.substr(equals + 1));
    const Result<Url> parsed = Url::parse(url);
    if (!parsed) {
        return Error(ErrorKind::invalid_argument,
                     "invalid mirror: " + std::string(value) + ": " + parsed.error().message());
    }
    const std::string registry(is_hub ? "docker.io" : value.substr(0, equals));
    if (registry == "docker.io") {
        config.registry_mirrors.push_back(std::move(url));
    } else {
        config.registry_mirrors_other[registry].push_back(std::move(url));
    }
    return ok;
}

Result<std::size_t> count_parse(const char* name,
                                std::string_view value,
                                std::size_t count_max,
                                std::size_t count_min = 1) {
    std::size_t count = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
    if (error != std::errc{} || end != value.data() + value.size() || count < count_min ||
        count > count_max) {
        return Error(ErrorKind::invalid_argument,
                     std::string("--") + name + " takes a number from " +
                         std::to_string(count_min) + " to " + std::to_string(count_max) +
                         ", not \"" + std::string(value) + "\"");
    }
    return count;
}

Result<std::int64_t> microseconds_parse(const char* name, std::string_view value) {
    constexpr std::size_t microseconds_max = 1'000'000'000;
    TRY(const std::size_t count, count_parse(name, value, microseconds_max));
    return static_cast<std::int64_t>(count);
}

/// "85%" or "85".
Result<int> percent_parse(const char* name, std::string_view text) {
    std::string_view digits = text;
    if (digits.ends_with('%')) {
        digits.remove_suffix(1);
    }
    int percent = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), percent);
    if (error != std::errc{} || end != digits.data() + digits.size() || percent < 0 ||
        percent > 100) {
        return Error(ErrorKind::invalid_argument,
                     std::string("--") + name + " takes a percentage from 0% to 100%, not \"" +
                         std::string(text) + "\"");
    }
    return percent;
}

Result<std::optional<GcMarks>> gc_marks(const Arguments& arguments) {
    if (!arguments.gc_high && !arguments.gc_low) {
        return std::optional<GcMarks>();
    }
    if (!arguments.gc_high) {
        return Error(ErrorKind::invalid_argument,
                     "--gc-low says how far --gc-high goes: give that, too");
    }
    GcMarks marks;
    marks.high_percent = *arguments.gc_high;
    marks.low_percent = arguments.gc_low.value_or(std::min(marks.low_percent, marks.high_percent));
    if (marks.low_percent > marks.high_percent) {
        return Error(ErrorKind::invalid_argument, "--gc-low is above --gc-high");
    }
    return std::optional<GcMarks>(marks);
}

Result<void> argument_take(Arguments& arguments, int option, const char* value) {
    DaemonConfig& config = arguments.config;
    switch (option) {
        case 'H':
            config.hosts.emplace_back(value);
            break;
        case option_data_root:
            config.data_root = value;
            break;
        case option_run_dir:
            config.run_dir = value;
            break;
        case option_storage_driver: {
            TRY(config.storage_driver, graph_driver_name(value));
            break;
        }
        case option_insecure_registry:
            config.insecure_registries.emplace_back(value);
            break;
        case option_registry_mirror:
            TRY_VOID(mirror_take(config, value));
            break;
        case option_certs_dir:
            config.certs_dir = value;
            break;
        case option_downloads_max: {
            TRY(config.downloads_max, count_parse("max-concurrent-downloads", value, parallel_max));
            break;
        }
        case option_uploads_max: {
            TRY(config.uploads_max, count_parse("max-concurrent-uploads", value, parallel_max));
            break;
        }
        case option_stall_timeout: {
            TRY(const std::size_t seconds,
                count_parse("registry-stall-timeout", value, stall_seconds_max));
            config.registry_stall_timeout = std::chrono::seconds(seconds);
            break;
        }
        case option_cgroup_parent:
            config.cgroup_parent = value;
            break;
        case option_network_cgroup:
            config.network_cgroup = value;
            if (!config.network_cgroup.starts_with('/')) {
                config.network_cgroup.insert(0, "/");
            }
            break;
        case option_cpu_rt_runtime: {
            TRY(config.cpu_realtime_runtime_us, microseconds_parse("cpu-rt-runtime", value));
            break;
        }
        case option_cpu_rt_period: {
            TRY(config.cpu_realtime_period_us, microseconds_parse("cpu-rt-period", value));
            break;
        }
        case option_gc_high: {
            TRY(arguments.gc_high, percent_parse("gc-high", value));
            break;
        }
        case option_gc_low: {
            TRY(arguments.gc_low, percent_parse("gc-low", value));
            break;
        }
        case option_init:
            config.init = true;
            break;
        case option_userns_remap:
            config.userns_remap = value;
            break;
        case option_warm_sandboxes: {
            constexpr std::size_t sandboxes_max = 1024;
            TRY(config.warm_sandboxes, count_parse("warm-sandboxes", value, sandboxes_max, 0));
            break;
        }
        case option_cdi_spec_dir:
            arguments.cdi_directories.emplace_back(value);
            break;
        case option_seccomp_profile:
            config.seccomp_profile = value;
            break;
        case 'D':
            log_level_set(LogLevel::debug);
            break;
        case 'l': {
            TRY(const LogLevel level, log_level_parse(value));
            log_level_set(level);
            break;
        }
        case option_no_keeper:
            arguments.keeper = false;
            break;
        case option_keeper_socket:  // What the keeper says, not a user.
            config.keeper_socket = keeper::socket_fd;
            arguments.keeper = false;
            break;
        case option_upgrade:
            arguments.upgrade = true;
            break;
        case option_help:
            arguments.help = true;
            break;
        default:
            return Error(ErrorKind::invalid_argument, "see davit daemon --help");
    }
    return ok;
}

Result<std::string> absolute(const std::string& path) {
    if (path.starts_with('/')) {
        return path;
    }
    char buffer[4096];
    if (::getcwd(buffer, sizeof(buffer)) == nullptr) {
        return Error::from_errno(errno, "getcwd");
    }
    return std::string(buffer) + "/" + path;
}

/// Directories that are given take the place of the default ones.
Result<void> cdi_directories_take(Arguments& arguments) {
    if (arguments.cdi_directories.empty()) {
        return ok;
    }
    arguments.config.cdi_directories.clear();
    for (const std::string& directory : arguments.cdi_directories) {
        if (!directory.empty()) {
            TRY(std::string path, absolute(directory));
            arguments.config.cdi_directories.push_back(std::move(path));
        }
    }
    return ok;
}

Result<Arguments> arguments_parse(int argc, char** argv) {
    static const option options[] = {
        {"host", required_argument, nullptr, 'H'},
        {"data-root", required_argument, nullptr, option_data_root},
        {"run-dir", required_argument, nullptr, option_run_dir},
        {"storage-driver", required_argument, nullptr, option_storage_driver},
        {"insecure-registry", required_argument, nullptr, option_insecure_registry},
        {"registry-mirror", required_argument, nullptr, option_registry_mirror},
        {"certs-dir", required_argument, nullptr, option_certs_dir},
        {"max-concurrent-downloads", required_argument, nullptr, option_downloads_max},
        {"max-concurrent-uploads", required_argument, nullptr, option_uploads_max},
        {"registry-stall-timeout", required_argument, nullptr, option_stall_timeout},
        {"cgroup-parent", required_argument, nullptr, option_cgroup_parent},
        {"network-cgroup", required_argument, nullptr, option_network_cgroup},
        {"cpu-rt-runtime", required_argument, nullptr, option_cpu_rt_runtime},
        {"cpu-rt-period", required_argument, nullptr, option_cpu_rt_period},
        {"gc-high", required_argument, nullptr, option_gc_high},
        {"gc-low", required_argument, nullptr, option_gc_low},
        {"init", no_argument, nullptr, option_init},
        {"cdi-spec-dir", required_argument, nullptr, option_cdi_spec_dir},
        {"seccomp-profile", required_argument, nullptr, option_seccomp_profile},
        {"userns-remap", required_argument, nullptr, option_userns_remap},
        {"warm-sandboxes", required_argument, nullptr, option_warm_sandboxes},
        {"log-level", required_argument, nullptr, 'l'},
        {"debug", no_argument, nullptr, 'D'},
        {"no-keeper", no_argument, nullptr, option_no_keeper},
        {"keeper-socket", no_argument, nullptr, option_keeper_socket},
        {"upgrade", no_argument, nullptr, option_upgrade},
        {"help", no_argument, nullptr, option_help},
        {nullptr, 0, nullptr, 0}};
    Arguments arguments;
    int chosen = 0;
    while ((chosen = ::getopt_long(argc, argv, "H:Dl:", options, nullptr)) != -1) {
        TRY_VOID(argument_take(arguments, chosen, optarg));
    }
    if (optind != argc) {
        return Error(ErrorKind::invalid_argument,
                     std::string("unexpected argument: ") + argv[optind]);
    }
    DaemonConfig& config = arguments.config;
    TRY(config.data_root, absolute(config.data_root));
    TRY(config.run_dir, absolute(config.run_dir));
    TRY(config.certs_dir, absolute(config.certs_dir));
    if (config.seccomp_profile != "builtin" && config.seccomp_profile != "unconfined") {
        TRY(config.seccomp_profile, absolute(config.seccomp_profile));
    }
    TRY(config.gc, gc_marks(arguments));
    TRY_VOID(cdi_directories_take(arguments));
    if (config.hosts.empty()) {
        config.hosts.push_back("unix://" + config.run_dir + "/davit.sock");
    }
    return arguments;
}

Result<Listener> listen(const std::string& host) {
    if (host.starts_with("unix://")) {
        return Listener::unix_socket(host.substr(7));
    }
    const std::size_t colon = host.rfind(':');
    if (host.starts_with("tcp://") && colon > 5) {
        std::uint16_t port = 0;
        const char* end = host.data() + host.size();
        const auto [last, error] = std::from_chars(host.data() + colon + 1, end, port);
        std::string address = host.substr(6, colon - 6);
        if (address.starts_with('[') && address.ends_with(']')) {
            address = address.substr(1, address.size() - 2);
        }
        if (error == std::errc{} && last == end) {
            return Listener::tcp(address, port);
        }
    }
    return Error(ErrorKind::invalid_argument,
                 "invalid host \"" + host + "\": expected unix://PATH or tcp://ADDRESS:PORT");
}

/// A running container costs about ten descriptors: use as many as the hard limit allows.
/// Gives: the limit before, for the containers; nothing if it was not raised.
std::optional<rlimit> descriptors_raise() {
    rlimit before{};
    if (::getrlimit(RLIMIT_NOFILE, &before) != 0 || before.rlim_cur == before.rlim_max) {
        return std::nullopt;
    }
    const rlimit raised{before.rlim_max, before.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) != 0) {
        return std::nullopt;
    }
    return before;
}

/// Gives: true if containers are to go on, for another daemon that takes over.
Task<bool> wait_for_end(KeeperLink& keeper) {
    CO_TRY(SignalSource terminate, SignalSource::make(SIGTERM));
    CO_TRY(SignalSource interrupt, SignalSource::make(SIGINT));
    AsyncEvent ended;
    bool leave = false;
    auto watch = [](SignalSource& source, AsyncEvent& event) -> Task<void> {
        CO_CHECK(co_await source.next());
        event.set();
        co_return ok;
    };
    auto watch_keeper = [](KeeperLink& link, AsyncEvent& event, bool& left) -> Task<void> {
        CO_CHECK(co_await link.leave_wanted());
        left = true;
        event.set();
        co_return ok;
    };
    TaskGroup watchers;
    watchers.spawn(watch(terminate, ended));
    watchers.spawn(watch(interrupt, ended));
    watchers.spawn(watch_keeper(keeper, ended, leave));
    static_cast<void>(co_await ended.wait());
    watchers.cancel();
    static_cast<void>(co_await watchers.join());
    co_return leave;
}

Task<void> daemon_run(DaemonConfig config) {
    CO_TRY(const std::unique_ptr<Daemon> daemon, co_await Daemon::open(std::move(config)));
    if (daemon->keeper.connected()) {
        CO_CHECK(keeper_note(daemon->config.run_dir));
    }
    std::vector<Listener> listeners;
    for (const std::string& host : daemon->config.hosts) {
        CO_TRY(Listener listener, listen(host));
        listeners.push_back(std::move(listener));
    }
    ApiServer server(*daemon);
    TaskGroup keeping;
    keeping.spawn(daemon->keeper.run());
    daemon->containers_resume();
    TaskGroup serving;
    serving.spawn(daemon->run_background());
    for (Listener& listener : listeners) {
        serving.spawn(server.serve(listener));
    }
    ::malloc_trim(0);  // What opening the databases and drivers needed for a moment.
    LOG_INFO("davit {} is ready on {}", engine_version, daemon->config.hosts.front());
    if (const Result<void> told = daemon->keeper.ready(); !told) {
        LOG_WARN("keeper: {}, ignoring", told.error().message());
    }
    const Result<bool> left = co_await wait_for_end(daemon->keeper);
    LOG_INFO("stopping");
    serving.cancel();
    static_cast<void>(co_await serving.join());
    if (left && *left) {
        static_cast<void>(co_await daemon->close());
        LOG_INFO("making room for another daemon");
        std::_Exit(0);  // Supervisors are given up where they are, as a crash would.
    }
    CO_CHECK(co_await daemon->shutdown());
    keeping.cancel();
    static_cast<void>(co_await keeping.join());
    for (const std::string& host : daemon->config.hosts) {
        if (host.starts_with("unix://")) {
            ::unlink(host.c_str() + 7);
        }
    }
    co_return left ? Result<void>(ok) : left.error();
}

}  // namespace

int daemon_main(int argc, char** argv) {
    Result<Arguments> arguments = arguments_parse(argc, argv);
    if (!arguments) {
        std::fprintf(stderr, "davit daemon: %s\n", arguments.error().message().c_str());
        return 2;
    }
    if (arguments->help) {
        std::fputs(usage, stdout);
        return 0;
    }
    if (arguments->upgrade) {
        const Result<void> upgraded = keeper_upgrade(arguments->config.run_dir);
        if (!upgraded) {
            std::fprintf(stderr, "davit daemon: %s\n", upgraded.error().message().c_str());
        }
        return upgraded ? 0 : 1;
    }
    if (arguments->keeper) {
        const Error error = keeper_execute(std::span(argv + 1, static_cast<std::size_t>(argc - 1)));
        std::fprintf(stderr, "davit daemon: %s\n", error.message().c_str());
        return 1;
    }
    std::signal(SIGPIPE, SIG_IGN);
    if (arguments->config.keeper_socket >= 0) {
        ::fcntl(arguments->config.keeper_socket, F_SETFD, FD_CLOEXEC);
    }
    arguments->config.descriptors_at_start = descriptors_raise();
    Loop loop;
    // Now, while there are descriptors for them.
    static_cast<void>(loop.brief());
    static_cast<void>(loop.bulk());
    const Result<void> ended = loop.run(daemon_run(std::move(arguments->config)));
    if (!ended) {
        LOG_ERROR("{}", ended.error().message());
        return 1;
    }
    return 0;
}

}  // namespace davit
