#pragma once
/// Engines under test: daemons that the harness starts in private directories, and stops.
#include <string>
#include <vector>

#include "bench/bench.h"
#include "bench/support/http_unix.h"
#include "reactor/base/pid_ref.h"

namespace davit::bench {

struct EngineConfig {
    std::string program;        // Path of davit or dockerd.
    std::string directory;      // Existing; data root, run directory, socket and log go below it.
    std::string data_root;      // Empty: directory + "/data".
    std::string cgroup_parent;  // Empty: its own default.
    bool keeper = false;        // davit only.
    bool network = false;       // dockerd only: with its bridge, iptables and docker-proxy.
};

class Engine {
  public:
    /// `davit daemon`. Errors: not_found (no such program); timed_out (it does not answer).
    static Result<Engine> start_davit(EngineConfig config);

    /// dockerd with its own containerd, without bridge and iptables.
    static Result<Engine> start_dockerd(EngineConfig config);

    /// containerd alone, without CRI. It has no HTTP: what asks for that does not work with it.
    static Result<Engine> start_containerd(EngineConfig config);

    Engine(Engine&&) noexcept = default;
    Engine& operator=(Engine&&) = delete;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    /// Stops the daemon.
    ~Engine();

    const std::string& socket() const { return socket_; }

    pid_t pid() const { return process_.pid(); }

    /// Resident memory of the daemon and the helpers it started (containerd, the keeper's daemon).
    long rss_kib() const;

    /// What its processes and those that it started for containers take, containers excluded.
    long family_share_kib() const;
    Nanoseconds family_cpu_time() const;

    /// davit only: the longest turn of its loop since the reset.
    Result<void> loop_reset() const;
    Result<double> loop_longest_ms() const;

    /// SIGKILL to the daemon below davit's keeper, which starts another. Errors: not_found (none).
    Result<void> kill_kept() const;

    /// The most that was resident since peak_reset(), of each of them at its own time. Errors: as
    /// proc_pid_clear_refs(5).
    Result<void> peak_reset() const;
    long peak_kib() const;

    /// POST /images/create?fromSrc=-: a tar becomes an image.
    Result<void> import_image(std::string_view tar, const std::string& reference) const;

    /// POST /images/create?fromImage=: fails on an error in the progress stream.
    Result<void> pull_image(const std::string& repository, const std::string& tag) const;

    /// POST /images/load: the archive of docker save, or an OCI layout in a tar.
    Result<void> load_image(std::string_view archive) const;

    /// GET /images/NAME/get, read to its end and thrown away.
    Result<void> save_image(const std::string& name) const;

    /// The Size that GET /images/NAME/json has, in bytes.
    Result<double> image_bytes(const std::string& name) const;

    /// DELETE /images/NAME?force=1; a missing image is fine.
    Result<void> remove_image(const std::string& name) const;

  private:
    Engine(PidRef process, std::string socket)
        : process_(std::move(process)), socket_(std::move(socket)) {}

    static Result<Engine> start(std::vector<std::string> argv,
                                const EngineConfig& config,
                                bool http = true);

    std::vector<pid_t> processes() const;
    std::vector<pid_t> family() const;

    /// A request whose answer is a progress stream; an error in the stream is an error.
    Result<std::string> image_call(std::string_view step, const HttpRequest& request) const;

    PidRef process_;
    std::string socket_;
};

/// A call with a JSON body ("" for none). Errors: internal, with the answer's text, if its status
/// is 400 or above.
Result<HttpAnswer> api_call(HttpUnix& connection,
                            const char* method,
                            const std::string& path,
                            const std::string& body = "");

/// Where the peers put their containers, so that the directory can be removed after them.
std::string cgroup_parent();

/// rmdir what peers leave below their cgroup parent, in every hierarchy; deepest first.
void cgroup_parent_remove();

}  // namespace davit::bench
