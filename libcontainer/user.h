#pragma once
/// Who a container's process runs as: Docker's USER and --user, resolved against the image's own
/// files.
///
/// Follows: Dockerfile reference USER; moby/sys user.GetExecUser; passwd(5), group(5).
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/fd.h"

namespace davit {

struct ResolvedUser {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    /// gid first, then sorted, without duplicates.
    std::vector<std::uint32_t> additional_gids = {};
    std::string home = "/";

    bool operator==(const ResolvedUser&) const = default;
};

/// Resolve "user", "user:group", "uid", "uid:gid", "" (root), each part a name or a number; pure.
/// A user's additional groups are those of /etc/group that list its name, unless a group was given.
/// A number that /etc/passwd does not know is taken as it is, with group 0. further_groups are the
/// API's GroupAdd. Errors: not_found (`unable to find user web: no matching entries in passwd
/// file`, and the same for groups);
///         invalid_argument (a number beyond 2^31 - 1).
Result<ResolvedUser> user_resolve(std::string_view spec,
                                  std::string_view passwd,
                                  std::string_view group,
                                  std::span<const std::string> further_groups = {});

/// The same with the files below a root directory or mount, opened without leaving it. Missing
/// files count as empty. Blocks: two file reads.
Result<ResolvedUser> user_resolve_in_root(int root,
                                          std::string_view spec,
                                          std::span<const std::string> further_groups = {});

}  // namespace davit
