#pragma once
/// TreeEntries: the entries of one tree made again in another tree on the same file system.
///
/// Made whole: content, owner, mode, times, extended attributes and hard links among themselves.
/// Content is shared where the file system can share it (FICLONE), else copied by the kernel with
/// its holes.
#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "reactor/base/fd.h"

namespace davit {

enum class TreeFiles : std::uint8_t {
    link,  ///< The same inodes by another name: for trees that nobody writes to.
    copy,  ///< Inodes of their own.
};

/// Where something is: a directory and a name in it.
struct TreePlace {
    int dir;
    const char* name;
};

class TreeEntries {
  public:
    /// Takes: the new tree's root, which outlives this.
    TreeEntries(int root, TreeFiles files) : root_(root), files_(files) {}

    /// Make anything but a directory. Takes: path, of the new one below its root.
    /// Errors: conflict, if something is there; resource_exhausted; what the system calls say.
    Result<void> make(TreePlace from,
                      const struct stat& status,
                      TreePlace to,
                      const std::string& path);

    /// Give a directory the owner, mode and extended attributes of another, and only these. Times
    /// come last, by tree_times_copy().
    static Result<void> directory_like(TreePlace from, const struct stat& status, TreePlace to);

  private:
    Result<void> copy(TreePlace from, const struct stat& status, TreePlace to);
    Result<void> file_copy(TreePlace from, TreePlace to);
    Result<void> content_copy(int from, int to);

    int root_;
    TreeFiles files_;
    bool clone_works_ = true;
    /// Files with several names: inode in the old tree -> its first path in the new.
    std::map<std::pair<dev_t, ino_t>, std::string> linked_;
};

/// Whether an entry was changed: type, owner, mode or device; and, if it is no directory, size,
/// time of change, target or capabilities. Contents are not compared.
bool tree_entry_differs(TreePlace before,
                        const struct stat& old,
                        TreePlace after,
                        const struct stat& now);

/// Both times of what `from` describes. path: below dir, not followed.
Result<void> tree_times_copy(const struct stat& from, int dir, const std::string& path);

/// Whether FICLONE works between two files of this directory: told by `docker info`.
bool reflinks_work(int dir);

}  // namespace davit
