#pragma once
/// Which file system something lies on.
#include <string>

namespace davit {

/// "ext4", "btrfs", "overlay", ...; the type's number if it has no name here, "unknown" if the
/// descriptor has none.
std::string file_system_name(int fd);

}  // namespace davit
