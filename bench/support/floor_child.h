#pragma once
/// The child's half of the floor: what runs between clone3 and execve. System calls only.
#include "reactor/base/clock.h"

namespace davit::bench {

/// Written by the child into shared memory.
struct FloorChildReport {
    MonotonicTime started{};   // The child's first instruction.
    MonotonicTime joined{};    // In its v1 cgroups.
    MonotonicTime mounted{};   // Everything mounted, old root gone.
    MonotonicTime confined{};  // Capabilities and seccomp done; execve comes next.
    const char* failed = nullptr;
    int errno_value = 0;
};

struct FloorChildPlan {
    bool full = true;
    int overlay = -1;                    // Detached mount.
    int cgroup_tasks[3] = {-1, -1, -1};  // tasks files of v1 directories to join.
    const char* root = nullptr;          // Where the overlay is attached before pivot_root.
    const char* hostname = nullptr;
    FloorChildReport* report = nullptr;
};

/// Never returns: execs /bin/true, or exits with 125 after filling in the report.
[[noreturn]] void floor_child_run(const FloorChildPlan& plan);

}  // namespace davit::bench
