#pragma once
/// The floor: one container's worth of kernel work, with no engine around it.
///
/// full: what a Docker container on network none gets: new mount, uts, ipc, net, pid and cgroup
/// namespaces in one clone3, its own cgroup in the v2 hierarchy and in v1 memory, pids and cpu
/// (whichever exist), a detached overlay mount on a fresh upper directory, pivot_root, /proc, /dev
/// with nodes, devpts, shm, mqueue, a read-only /sys, Docker's masked and read-only paths,
/// hostname, loopback up, Docker's capabilities, a seccomp filter of the usual size, exec, reap,
/// and all of it removed again. bare: clone (no network or cgroup namespace), overlay, pivot_root,
/// /proc, exec, reap.
#include <array>
#include <string>
#include <string_view>

#include "bench/bench.h"
#include "reactor/base/fd.h"
#include "reactor/base/pid_ref.h"

namespace davit::bench {

enum class FloorIsolation { bare, full };

/// Where a container's time goes; the child's part is measured by the child.
enum class FloorPhase : std::size_t { cgroup, overlay, clone, join, mounts, confine, exec, clean };
inline constexpr std::size_t floor_phase_count = 8;
std::string_view floor_phase_name(FloorPhase phase);

struct FloorTimes {
    Nanoseconds whole{};
    std::array<Nanoseconds, floor_phase_count> phases{};
};

/// One floor container after another; use one object per thread.
class Floor {
  public:
    struct Config {
        std::string lower;    // The image: a directory with /bin/true in it.
        std::string scratch;  // An existing directory for upper and work directories.
        FloorIsolation isolation = FloorIsolation::full;
    };

    static Result<Floor> make(Config config);

    Floor(Floor&& other) noexcept;
    Floor& operator=(Floor&&) = delete;
    Floor(const Floor&) = delete;
    Floor& operator=(const Floor&) = delete;
    ~Floor();

    /// Run /bin/true once. Errors: the call that failed; a child that did not exit with 0.
    Result<FloorTimes> run();

  private:
    struct Shared;  // A page that child and parent both see.

    Floor(Config config, Shared* shared) : config_(std::move(config)), shared_(shared) {}

    Config config_;
    Shared* shared_;
    std::uint64_t serial_ = 0;
};

}  // namespace davit::bench
