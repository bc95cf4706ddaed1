#pragma once
/// User namespaces as descriptors. Follows: user_namespaces(7).
#include <string>

#include "reactor/base/fd.h"
#include "reactor/base/id_map.h"
#include "reactor/base/pid_ref.h"

namespace davit {

struct UserNamespace {
    Fd user;
    /// A network namespace that it owns, if one was asked for.
    Fd network;
};

/// Make one with this map; it lasts as long as somebody has it.
/// Errors: invalid_argument (the kernel takes no such map); resource_exhausted (too many, see
///         /proc/sys/user/max_user_namespaces); permission_denied; unsupported.
/// Blocks: some tenths of a millisecond, with a network one or two. May be called by any thread.
Result<UserNamespace> user_namespace_make(const IdMap& map, bool with_network);

/// The map of a process' user namespace; none if that is ours.
/// Takes:  a process that cannot be reaped meanwhile. Errors: not_found (it has ended).
Result<IdMap> user_namespace_map_of(const PidRef& process);

/// One side as the kernel takes it: "INSIDE OUTSIDE COUNT\n"...
std::string id_ranges_text(const std::vector<IdRange>& ranges);

/// The other way round. Errors: corrupt.
Result<std::vector<IdRange>> id_ranges_parse(std::string_view text);

/// Have files below a mount that is attached nowhere yet belong to whom the map says: what is
/// INSIDE on disk is OUTSIDE through it. Follows: mount_setattr(2) MOUNT_ATTR_IDMAP.
/// Errors: unsupported, naming `what`, if its file system cannot.
Result<void> mount_map_ids(int mount_fd, int user_namespace, const std::string& what);

/// As long as it lives, what the calling thread makes in file systems belongs to this user and
/// group; its capabilities stay. Who cannot go back aborts.
class FileOwnerGuard {
  public:
    FileOwnerGuard(std::uint32_t uid, std::uint32_t gid);
    ~FileOwnerGuard();
    FileOwnerGuard(const FileOwnerGuard&) = delete;
    FileOwnerGuard& operator=(const FileOwnerGuard&) = delete;

  private:
    int dumpable_;
};

}  // namespace davit
