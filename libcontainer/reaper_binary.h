#pragma once
/// davit-reaper, the first process of a container with --init (reaper/main.cc).
///
/// Security: every container has a file of its own, made anew at every start. With CAP_SYS_ADMIN a
/// container can make the read-only mount writable, and what it then writes is what it alone
/// executes (CVE-2019-5736 was about a file that all containers and the host shared).
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

/// Where it is in a container, as with Docker.
inline constexpr std::string_view reaper_path = "/sbin/docker-init";

/// Its file's name beside the other files that davit makes for a container.
inline constexpr std::string_view reaper_file_name = "docker-init";

/// Write it into an existing directory under that name, for everybody to execute; a file that is
/// there already is replaced, not changed. Errors: what open(2), write(2), chmod(2) and rename(2)
/// say.
Result<void> reaper_binary_write(const std::string& directory);

}  // namespace davit
