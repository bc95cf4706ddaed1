#pragma once
/// The contenders of davit_bench_startup: each runs `true` in a fresh container and removes it.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/support/engine.h"
#include "bench/support/floor.h"
#include "bench/support/process.h"
#include "bench/support/workspace.h"

namespace davit::bench {

/// One client's way to run a container once; made per client thread.
using Cycle = std::function<Result<Nanoseconds>()>;

struct Contender {
    std::string name;
    /// Taken only every stride-th round with one client: the slow ones need fewer samples.
    int stride = 1;
    std::function<Result<Cycle>()> client_make;
};

struct Unavailable {
    std::string name;
    std::string reason;
};

struct ContenderOptions {
    std::string davit;             // Path of the davit binary.
    bool explicit_remove = false;  // DELETE instead of AutoRemove through the raw APIs.
};

/// Starts the daemons, makes the image known to all of them, and tries each contender once.
class Field {
  public:
    static Result<std::unique_ptr<Field>> make(const Workspace& workspace,
                                               ContenderOptions options);

    const std::vector<Contender>& contenders() const { return contenders_; }

    const std::vector<Unavailable>& unavailable() const { return unavailable_; }

    /// Name and resident KiB of each daemon.
    std::vector<std::pair<std::string, long>> daemons_rss() const;

    ~Field();
    Field(const Field&) = delete;
    Field& operator=(const Field&) = delete;

  private:
    Field(const Workspace& workspace, ContenderOptions options)
        : workspace_(workspace), options_(std::move(options)) {}

    /// Add it if one run of it works, else note why not.
    void admit(Contender contender);

    Result<void> add_floors(const std::string& rootfs);
    void add_davit(const std::string& tar);
    void add_dockerd(const std::string& tar);
    void add_docker_cli(const std::string& name, const std::string& socket);
    void add_runtime(const std::string& program, const std::string& bundle);
    void add_podman(const std::string& runtime, const std::string& tar_path);
    Contender api_contender(const std::string& name, const std::string& socket, int stride) const;

    const Workspace& workspace_;
    ContenderOptions options_;
    Fd plain_cgroups_;  // Mount namespace for crun: see process.h.
    std::optional<Engine> davit_;
    std::optional<Engine> dockerd_;
    std::vector<Contender> contenders_;
    std::vector<Unavailable> unavailable_;
};

}  // namespace davit::bench
