#pragma once
/// What `davit cp` makes of its two paths: which directory is packed or unpacked into, and under
/// which name the copied thing arrives there.
///
/// Follows: moby/go-archive copy.go (CopyInfoSourcePath, CopyInfoDestinationPath,
/// PrepareArchiveCopy), in whose words it complains; docker-cp(1), the table of SRC_PATH and
/// DEST_PATH.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit::cli {

/// "container:path", or a path of this host if container is empty: what begins with "/" or "." is
/// never a container's.
struct CopyArgument {
    std::string container;
    std::string path;
};

CopyArgument copy_argument_parse(std::string_view argument);

/// One end of a copy, as far as it is known.
struct CopyEnd {
    std::string path;
    bool exists = false;
    bool is_directory = false;
    /// What the source is called in the archive, if that is not its path's last component.
    std::string rebase_name;
};

/// "dir/base" of a path: {"/a", "b"} for "/a/b" and "/a/b/", {"/a/b", "."} for "/a/b/.".
struct CopySplit {
    std::string directory;
    std::string base;
};

CopySplit copy_path_split(std::string_view path);

/// Absolute and clean; "/." or a slash at the end stays.
std::string copy_path_absolute(std::string_view path);

/// The same path with "/." or a slash at its end if original has one; and the name under which it
/// is asked for, if that is another than its own.
void copy_path_rebase(std::string_view original, CopyEnd& end);

/// A source on this host, which must be there. A link at its end is followed only if asked for, or
/// if a slash is behind it. Errors: not_found and others of realpath(3).
Result<CopyEnd> copy_source(const std::string& path, bool follow_link);

/// A destination on this host. A link is followed, even to where nothing is yet.
/// Errors: not_found (its directory is missing); invalid_argument.
Result<CopyEnd> copy_destination(std::string path);

/// Errors: not_found and invalid_argument for a path that nothing can be copied to.
Result<void> copy_output_check(const std::string& path);

struct CopyPlan {
    /// Unpack here.
    std::string directory;
    /// Under this name in the place of the archive's first component; nothing: as it is.
    std::optional<std::string> name;
};

/// Errors: invalid_argument "cannot copy directory", "no such directory".
Result<CopyPlan> copy_plan(const CopyEnd& source, const CopyEnd& destination);

}  // namespace davit::cli
