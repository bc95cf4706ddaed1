#pragma once
/// The davit-init executable, ready to be executed: a sealed memory file made once per daemon.
///
/// Security: the memory file can be neither written nor resized nor unsealed, so a container that
/// gets hold of its first process's /proc/self/exe cannot change what the next container starts
/// (CVE-2019-5736).
#include <string_view>

#include "reactor/base/fd.h"

namespace davit {

/// The bytes of the executable.
std::string_view init_binary_bytes();

/// A sealed memory file with those bytes, for LaunchRequest::init_fd.
/// Follows: memfd_create(2), fcntl(2) F_ADD_SEALS.
/// Errors:  permission_denied (sysctl vm.memfd_noexec=2).
Result<Fd> init_binary_open();

/// A sealed, read-only memory file with any bytes: a launch plan is passed this way, too.
/// Takes: executable: whether it may be executed.
Result<Fd> memory_file_sealed(const char* name, std::string_view bytes, bool executable);

}  // namespace davit
