#pragma once
/// podman as the benchmarks run it.
#include <string>
#include <vector>

namespace davit::bench {

/// The command's beginning: everything of it lives below base, of which the run root may have at
/// most 50 characters. The images' files go to base + "/root", or where root says.
std::vector<std::string> podman_argv(const std::string& base,
                                     const std::string& runtime,
                                     const std::string& root = "");

}  // namespace davit::bench
