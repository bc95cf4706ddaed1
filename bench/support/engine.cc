#include "bench/support/engine.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>

#include <fmt/format.h>

#include "bench/support/interrupt.h"
#include "bench/support/process.h"

namespace davit::bench {
namespace {

constexpr auto engine_start_max = std::chrono::seconds(30);
constexpr auto engine_stop_max = std::chrono::seconds(30);

/// Connect until it works: at once, then at intervals, as long as the daemon lives.
Result<void> engine_await(const PidRef& process, const std::string& socket, bool http) {
    const MonotonicTime deadline = monotonic_now() + engine_start_max;
    for (int pause_ms = 1; monotonic_now() < deadline; pause_ms = std::min(pause_ms * 2, 100)) {
        if (http ? http_call(socket, {"GET", "/_ping", "", ""}).has_value()
                 : HttpUnix::connect(socket).has_value()) {
            return ok;
        }
        if (interrupted()) {
            return Error(ErrorKind::cancelled, "interrupted");
        }
        pollfd ended = {process.pidfd(), POLLIN, 0};
        if (poll(&ended, 1, pause_ms) == 1) {
            return Error(ErrorKind::unavailable, "the daemon ended at once");
        }
    }
    return Error(ErrorKind::timed_out, "the daemon does not answer");
}

Error unexpected(std::string_view step, const HttpAnswer& answer) {
    return Error(ErrorKind::unavailable,
                 fmt::format("{}: status {}: {}", step, answer.status, answer.body));
}

}  // namespace

Result<HttpAnswer> api_call(HttpUnix& connection,
                            const char* method,
                            const std::string& path,
                            const std::string& body) {
    const char* type = body.empty() ? "" : "application/json";
    TRY(HttpAnswer answer, connection.exchange({method, path, type, body}));
    if (answer.status >= 400) {
        return Error(ErrorKind::internal,
                     fmt::format("{} {}: {}: {}", method, path, answer.status, answer.body));
    }
    return answer;
}

std::string cgroup_parent() {
    return fmt::format("/davit-bench-{}", getpid());
}

void cgroup_parent_remove() {
    namespace fs = std::filesystem;
    std::error_code failed;
    std::vector<fs::path> found;
    std::vector<fs::path> hierarchies = {"/sys/fs/cgroup"};  // v2 alone, or v1's below it.
    for (const fs::directory_entry& hierarchy : fs::directory_iterator("/sys/fs/cgroup", failed)) {
        hierarchies.push_back(hierarchy.path());
    }
    for (const fs::path& hierarchy : hierarchies) {
        const fs::path top = hierarchy.string() + cgroup_parent();
        if (!fs::is_directory(top, failed)) {
            continue;
        }
        found.push_back(top);
        for (const fs::directory_entry& entry : fs::recursive_directory_iterator(top, failed)) {
            if (entry.is_directory(failed)) {
                found.push_back(entry.path());
            }
        }
    }
    for (auto path = found.rbegin(); path != found.rend(); ++path) {
        if (rmdir(path->c_str()) != 0) {
            fmt::print(stderr, "rmdir {}: {}, ignoring\n", path->c_str(), errno_text(errno));
        }
    }
}

Result<Engine> Engine::start(std::vector<std::string> argv, const EngineConfig& config, bool http) {
    const std::string socket = config.directory + "/engine.sock";
    const std::string log = config.directory + "/log";
    const SpawnOptions options = {std::move(argv), {}, log, -1};
    TRY(PidRef process, process_spawn(options));
    if (Result<void> answers = engine_await(process, socket, http); !answers) {
        Result<void> stopped = process_stop(process, engine_stop_max);
        return Error(answers.error().kind(), answers.error().message() + log_tail(log));
    }
    return Engine(std::move(process), socket);
}

Result<Engine> Engine::start_davit(EngineConfig config) {
    const std::string data =
        config.data_root.empty() ? config.directory + "/data" : config.data_root;
    std::vector<std::string> argv{config.program,
                                  "daemon",
                                  "--data-root",
                                  data,
                                  "--run-dir",
                                  config.directory + "/run",
                                  "--host",
                                  "unix://" + config.directory + "/engine.sock"};
    if (!config.keeper) {
        argv.emplace_back("--no-keeper");
    }
    if (!config.cgroup_parent.empty()) {
        argv.insert(argv.end(), {"--cgroup-parent", config.cgroup_parent});
    }
    return start(std::move(argv), config);
}

Result<Engine> Engine::start_dockerd(EngineConfig config) {
    const std::string data =
        config.data_root.empty() ? config.directory + "/data" : config.data_root;
    TRY_VOID(file_replace(AT_FDCWD, config.directory + "/daemon.json", "{}"));
    std::vector<std::string> argv = {
        config.program,
        "--data-root",
        data,
        "--exec-root",
        config.directory + "/exec",
        "--pidfile",
        config.directory + "/pid",
        "--host",
        "unix://" + config.directory + "/engine.sock",
        "--storage-driver=overlay2",
        // systemd's, the default where that runs, would not have our cgroup parent.
        "--exec-opt",
        "native.cgroupdriver=cgroupfs",
        "--log-level=warn",
        // An empty one: the machine's own configuration stays out of it.
        "--config-file",
        config.directory + "/daemon.json"};
    if (!config.network) {
        argv.insert(argv.end(), {"--bridge=none", "--iptables=false"});
    }
    if (!config.cgroup_parent.empty()) {
        argv.insert(argv.end(), {"--cgroup-parent", config.cgroup_parent});
    }
    return start(std::move(argv), config);
}

Result<Engine> Engine::start_containerd(EngineConfig config) {
    const std::string settings = config.directory + "/config.toml";
    TRY_VOID(file_replace(
        AT_FDCWD, settings, "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n"));
    std::vector<std::string> argv = {config.program,
                                     "--config",
                                     settings,
                                     "--address",
                                     config.directory + "/engine.sock",
                                     "--root",
                                     config.directory + "/data",
                                     "--state",
                                     config.directory + "/run",
                                     "--log-level",
                                     "warn"};
    return start(std::move(argv), config, false);
}

Engine::~Engine() {
    if (!process_) {
        return;
    }
    if (Result<void> stopped = process_stop(process_, engine_stop_max); !stopped) {
        fmt::print(stderr, "{}, ignoring\n", stopped.error().message());
    }
}

std::vector<pid_t> Engine::processes() const {
    std::vector<pid_t> all = process_children(process_.pid());
    all.push_back(process_.pid());
    return all;
}

long Engine::rss_kib() const {
    long total = 0;
    for (const pid_t process : processes()) {
        total += process_memory_kib(process, "VmRSS:");
    }
    return total;
}

Result<void> Engine::peak_reset() const {
    for (const pid_t process : processes()) {
        TRY_VOID(process_peak_reset(process));
    }
    return ok;
}

std::vector<pid_t> Engine::family() const {
    return process_family(process_.pid(), socket_.substr(0, socket_.rfind('/')));
}

long Engine::family_share_kib() const {
    long total = 0;
    for (const pid_t process : family()) {
        total += process_share_kib(process);
    }
    return total;
}

Nanoseconds Engine::family_cpu_time() const {
    Nanoseconds total{};
    for (const pid_t process : family()) {
        total += process_cpu_time(process);
    }
    return total;
}

Result<void> Engine::loop_reset() const {
    TRY_VOID(http_call(socket_, {"POST", "/davit/loop/reset", "", ""}));
    return ok;
}

Result<double> Engine::loop_longest_ms() const {
    TRY(const std::string json, http_call(socket_, {"GET", "/davit/loop", "", ""}));
    TRY(const double longest_ns, json_number_find(json, "LongestNs"));
    return longest_ns / 1e6;
}

Result<void> Engine::kill_kept() const {
    for (const pid_t process : family()) {
        if (process != process_.pid()) {
            return kill(process, SIGKILL) == 0 ? Result<void>(ok)
                                               : Error::from_errno(errno, "kill");
        }
    }
    return Error(ErrorKind::not_found, "no daemon below the keeper");
}

long Engine::peak_kib() const {
    long total = 0;
    for (const pid_t process : processes()) {
        total += process_memory_kib(process, "VmHWM:");
    }
    return total;
}

Result<std::string> Engine::image_call(std::string_view step, const HttpRequest& request) const {
    TRY(std::string progress, http_call(socket_, request));
    if (const std::size_t at = progress.find("\"error\""); at != std::string::npos) {
        return Error(ErrorKind::unavailable, fmt::format("{}: {}", step, progress.substr(at)));
    }
    return progress;
}

Result<void> Engine::import_image(std::string_view tar, const std::string& reference) const {
    const std::size_t colon = reference.rfind(':');
    const std::string target = fmt::format("/v1.41/images/create?fromSrc=-&repo={}&tag={}",
                                           reference.substr(0, colon),
                                           reference.substr(colon + 1));
    TRY_VOID(image_call("import", {"POST", target, "application/x-tar", tar}));
    return ok;
}

Result<void> Engine::pull_image(const std::string& repository, const std::string& tag) const {
    const std::string target =
        fmt::format("/v1.41/images/create?fromImage={}&tag={}", repository, tag);
    TRY_VOID(image_call("pull", {"POST", target, "", ""}));
    return ok;
}

Result<void> Engine::load_image(std::string_view archive) const {
    const char* target = "/v1.41/images/load?quiet=1";
    TRY_VOID(image_call("load", {"POST", target, "application/x-tar", archive}));
    return ok;
}

Result<void> Engine::save_image(const std::string& name) const {
    TRY(HttpUnix connection, HttpUnix::connect(socket_));
    TRY(const int status,
        connection.begin({"GET", fmt::format("/v1.41/images/{}/get", name), "", ""}));
    std::size_t bytes = 0;
    TRY_VOID(connection.finish([&bytes](std::string_view piece) { bytes += piece.size(); }));
    if (status != 200 || bytes < 1024) {
        return Error(ErrorKind::unavailable, fmt::format("save: {}, {} bytes", status, bytes));
    }
    return ok;
}

Result<double> Engine::image_bytes(const std::string& name) const {
    const std::string target = fmt::format("/v1.41/images/{}/json", name);
    TRY(const std::string json, http_call(socket_, {"GET", target, "", ""}));
    TRY(const double bytes, json_number_find(json, "Size"));
    return bytes;
}

Result<void> Engine::remove_image(const std::string& name) const {
    TRY(HttpUnix connection, HttpUnix::connect(socket_));
    const HttpRequest request = {"DELETE", fmt::format("/v1.41/images/{}?force=1", name), "", ""};
    TRY(HttpAnswer answer, connection.exchange(request));
    if (answer.status != 200 && answer.status != 404) {
        return unexpected("remove image", answer);
    }
    return ok;
}

}  // namespace davit::bench
