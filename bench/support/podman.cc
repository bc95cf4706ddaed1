#include "bench/support/podman.h"

namespace davit::bench {

std::vector<std::string> podman_argv(const std::string& base,
                                     const std::string& runtime,
                                     const std::string& root) {
    return {"podman",
            "--root",
            root.empty() ? base + "/root" : root,
            "--runroot",
            base + "/run",
            "--tmpdir",
            base + "/tmp",
            "--storage-driver",
            "overlay",
            "--cgroup-manager",
            "cgroupfs",
            "--runtime",
            runtime};
}

}  // namespace davit::bench
