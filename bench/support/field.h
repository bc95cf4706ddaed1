#pragma once
/// The field of contenders: every engine that is installed, started in a private place.
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/contender_kinds.h"
#include "bench/support/engine.h"
#include "bench/support/steward.h"
#include "bench/support/workspace.h"

namespace davit::bench {

struct FieldOptions {
    std::string davit;               // Path of the davit binary.
    std::vector<std::string> only;   // Names have one of these in them; empty: all.
    std::vector<std::string> extra;  // NAME=PROGRAM: further command lines like docker's.
};

struct Entrant {
    std::string name;
    std::unique_ptr<Contender> contender;  // Null: it cannot be measured.
    std::string absent;                    // Why not.
    Engine* daemon = nullptr;              // The one whose memory and loop are this entrant's.
    std::shared_ptr<Steward> steward;      // The engine's; null: there is none.
};

/// What is made: below the workspace, in network and mount namespaces of this process's own, in
/// cgroups below cgroup_parent(), and children of this process. All of it goes with the field.
class Field {
  public:
    /// Starts the daemons and makes the image known to all. What does not work is an absent
    /// entrant. Errors: what prevents any measurement (no busybox); invalid_argument
    /// if nobody is chosen.
    static Result<std::unique_ptr<Field>> make(const Workspace& workspace,
                                               Setting& setting,
                                               FieldOptions options);

    std::vector<Entrant>& entrants() { return entrants_; }

    /// Children that stay as long as the field: its daemons.
    std::set<pid_t> daemons() const;

    /// Names and resident memory of the daemons, in KiB.
    std::vector<std::pair<std::string, long>> daemons_rss() const;

    ~Field();
    Field(const Field&) = delete;
    Field& operator=(const Field&) = delete;

  private:
    Field(const Workspace& workspace, Setting& setting, FieldOptions options)
        : workspace_(workspace), setting_(setting), options_(std::move(options)) {}

    bool chosen(const std::string& name) const;
    bool chosen_any(const std::vector<std::string>& names) const;
    void enter(const std::string& name,
               Result<std::unique_ptr<Contender>> contender,
               std::shared_ptr<Steward> steward,
               Engine* daemon = nullptr);
    void enter_absent(const std::vector<std::string>& names, const Error& reason);

    void add_floors();
    void add_davit();
    void add_dockerd();
    void add_runtime(const std::string& name, const std::string& program);
    void add_podman(const std::string& runtime);
    void add_ctr();
    void add_extra(const std::string& name, const std::string& program);
    std::unique_ptr<Contender> docker_cli(const std::string& socket);
    void add_imported(const std::string& name,
                      CommandConfig config,
                      const std::string& directory,
                      Nanoseconds limit);
    Result<void> ready(Result<Engine> started, std::optional<Engine>& engine);

    const Workspace& workspace_;
    Setting& setting_;
    FieldOptions options_;
    std::string rootfs_;
    std::string tar_;  // The image as a tar, and the path of it.
    std::string tar_path_;
    Fd plain_cgroups_;  // Mount namespace for crun: see process.h.
    std::optional<Engine> davit_;
    std::optional<Engine> dockerd_;
    std::optional<Engine> containerd_;
    std::vector<Entrant> entrants_;
};

}  // namespace davit::bench
