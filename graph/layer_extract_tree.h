#pragma once
/// ExtractTree: the directories of a layer being extracted.
///
/// Parents stay open in a small cache, so that a file costs no path walk. Whatever could make a
/// cached parent stale (a directory or a symbolic link is replaced) empties the cache. What a
/// directory's entry says about it is kept until the end, when nothing changes its times any more.
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "graph/tar_entry.h"
#include "reactor/base/fd.h"
#include "reactor/base/id_map.h"
#include "reactor/base/result.h"

namespace davit {

/// An open directory of the layer.
struct ExtractDir {
    Fd fd;
    std::string path;  ///< From the layer's root, without symbolic links; "" is the root.
    std::uint64_t inode = 0;
    bool setgid = false;  ///< What is made inside gets its group, not ours.
};

/// The path of what is called name in that directory.
inline std::string extract_path(const ExtractDir& dir, std::string_view name) {
    return dir.path.empty() ? std::string(name) : (dir.path + '/').append(name);
}

using ExtractDirRef = std::shared_ptr<const ExtractDir>;

/// Owner, mode and times of something extracted.
struct ExtractMeta {
    std::uint32_t mode = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    TarTime mtime;
    std::vector<TarXattr> xattrs;
};

/// A tree that lives, and has processes of its own (docker cp into a container): names that lead
/// out of the directory extracted into lead elsewhere in the whole tree, across its mounts.
struct ExtractSurroundings {
    Fd root;           ///< The whole tree's.
    std::string path;  ///< From there to the directory extracted into.
    /// Of the user namespace that the tree belongs to: owners are inside. Every call then has to be
    /// made as its root (libcontainer/user_namespace.h FileOwnerGuard), and without helpers.
    IdMap ids = {};
};

class ExtractTree {
  public:
    /// around: null for a tree that is nobody's yet; else it outlives the tree.
    static Result<ExtractTree> open(Fd root, const ExtractSurroundings* around = nullptr);

    /// The directory of that clean path ("" is the root), made with its parents where missing.
    Result<ExtractDirRef> dir_make(const std::string& path);

    /// The same, without making anything. Errors: not_found and others of openat2(2).
    Result<ExtractDirRef> dir_find(const std::string& path);

    /// Remove what stands at dir/name, if anything.
    /// Gives: whether that was a whiteout (of this layer, since layers start empty).
    Result<bool> make_room(const ExtractDir& dir, const std::string& name, const std::string& path);

    /// An entry of type directory. Errors: resource_exhausted beyond layer_deferred_bytes_max.
    Result<void> directory(const std::string& path, ExtractMeta meta);

    /// Hide what the layers below have in that directory.
    Result<void> opaque_set(const std::string& path);

    /// Apply what was kept for the directories, innermost first.
    Result<void> finish();

    /// Whether something newly made in dir has another owner than it should.
    bool chown_needed(const ExtractDir& dir, std::uint32_t uid, std::uint32_t gid) const {
        return uid != uid_ || gid != gid_ || dir.setgid;
    }

    /// Whether a mode given at creation would not be what the file has in the end.
    bool chmod_needed(std::uint32_t mode) const {
        return (mode & umask_) != 0 || (mode & 06000) != 0;
    }

    /// Called for each regular file that is about to be removed, with the directory it is in, its
    /// name there, and its path from the root.
    using Replaced =
        std::function<Result<void>(int dir, const std::string& name, const std::string& path)>;

    void replaced_with(Replaced replaced) { replaced_ = std::move(replaced); }

    int root_fd() const { return root_->fd.get(); }

    std::uint64_t parents_made() const { return parents_made_; }

    std::uint64_t xattrs_dropped() const { return xattrs_dropped_; }

    void xattrs_dropped_add(std::uint64_t count) { xattrs_dropped_ += count; }

    /// Nobody else is in the tree, so what was made is what a name still means.
    bool is_lonely() const { return around_ == nullptr; }

    /// What newly made files belong to, as seen on the first one.
    void owner_seen(uid_t uid, gid_t gid) {
        uid_ = uid;
        gid_ = gid;
    }

  private:
    struct Deferred {
        ExtractMeta meta;
        bool chown = true;
        bool chmod = true;
    };

    struct Cached {
        ExtractDirRef dir;
        std::list<const std::string*>::iterator used;
    };

    ExtractTree() = default;

    Result<Fd> open_below(const std::string& path, int flags) const;
    ExtractDirRef cache_find(const std::string& path);
    void cache_add(const std::string& path, ExtractDirRef dir);
    void cache_clear();
    Result<ExtractDirRef> dir_open(const std::string& path) const;
    Result<ExtractDirRef> parents_make(const std::string& path);
    Result<void> child_make(const ExtractDir& dir,
                            const std::string& name,
                            const std::string& path);
    Result<bool> directory_make(const ExtractDir& dir,
                                const std::string& name,
                                const std::string& path);
    Result<void> files_replaced(const ExtractDir& dir, const std::string& name) const;
    Result<void> deferred_add(const std::string& path, Deferred deferred);
    Result<void> deferred_apply(const std::string& path, const Deferred& deferred);
    void deferred_forget(const std::string& path);

    ExtractDirRef root_;
    const ExtractSurroundings* around_ = nullptr;
    std::unordered_map<std::string, Cached> cache_;
    std::list<const std::string*> cache_order_;  ///< Most recently used first.
    std::map<std::string, Deferred, std::less<>> deferred_;
    std::size_t deferred_bytes_ = 0;
    Replaced replaced_;
    uid_t uid_ = 0;
    gid_t gid_ = 0;
    /// Whose a directory is that no entry spoke of.
    uid_t root_uid_ = 0;
    gid_t root_gid_ = 0;
    mode_t umask_ = 0;
    std::uint64_t parents_made_ = 0;
    std::uint64_t xattrs_dropped_ = 0;
};

/// Set what of the attributes may be set; the rest is counted in dropped.
Result<void> extract_xattrs_set(int fd,
                                const std::vector<TarXattr>& xattrs,
                                std::uint64_t& dropped);

/// atime and mtime for utimensat(2): an archive's file was last read when it was last written.
struct ExtractTimes {
    explicit ExtractTimes(TarTime time);

    timespec values[2];
};

}  // namespace davit
