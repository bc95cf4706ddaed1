#include "reactor/base/tree_remove.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <vector>

namespace davit {

namespace {

struct DirCloser {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

/// Directories open at once; what lies deeper is moved to the top first.
constexpr std::size_t levels_max = 32;

bool is_dot(std::string_view name) {
    return name == "." || name == "..";
}

Error remove_error(std::string_view operation, std::string_view name) {
    return Error::from_errno(errno, operation, name);
}

}  // namespace

struct TreeRemove::State {
    /// An open directory, from the top down.
    struct Level {
        std::string name;
        std::unique_ptr<DIR, DirCloser> dir;
        std::uint64_t removed_at_rewind = 0;

        int fd() const { return ::dirfd(dir.get()); }
    };

    Fd parent;
    std::string name;
    std::vector<Level> levels;
    std::uint64_t removed = 0;
    std::uint64_t moved = 0;
    bool done = false;

    Result<void> begin();
    Result<void> advance();
    Result<void> leave();
    Result<void> entry_remove(const dirent& entry);
    Result<void> directory_remove(const char* entry_name);
    Result<void> enter(int dir, const std::string& entry_name);
    Result<void> move_up(const char* entry_name);
};

Result<void> TreeRemove::State::begin() {
    if (::unlinkat(parent.get(), name.c_str(), 0) == 0) {
        ++removed;
        done = true;
        return ok;
    }
    if (errno == ENOENT) {
        done = true;
        return ok;
    }
    if (errno != EISDIR && errno != EPERM) {
        return remove_error("unlink", name);
    }
    return enter(parent.get(), name);
}

Result<void> TreeRemove::State::enter(int dir, const std::string& entry_name) {
    auto fd = Fd::openat2(dir,
                          entry_name,
                          O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK,
                          RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    if (!fd) {
        // EXDEV: a mount point, which is not ours to empty.
        return fd.error().errno_value() == EXDEV ? Error::from_errno(EBUSY, "remove", entry_name)
                                                 : std::move(fd).error();
    }
    Level level;
    level.name = entry_name;
    level.dir.reset(::fdopendir(fd->get()));
    if (!level.dir) {
        return remove_error("fdopendir", entry_name);
    }
    static_cast<void>(fd->release());  // fdopendir took it.
    level.removed_at_rewind = removed + moved;
    levels.push_back(std::move(level));
    return ok;
}

/// Too deep: into the top directory under a name of its own, where its turn comes again.
Result<void> TreeRemove::State::move_up(const char* entry_name) {
    for (;;) {
        char new_name[48];
        static_cast<void>(std::snprintf(new_name,
                                        sizeof(new_name),
                                        ".davit-remove-%llu",
                                        static_cast<unsigned long long>(moved++)));
        if (::renameat2(
                levels.back().fd(), entry_name, levels.front().fd(), new_name, RENAME_NOREPLACE) ==
            0) {
            return ok;
        }
        if (errno != EEXIST) {
            return remove_error("rename", entry_name);
        }
    }
}

Result<void> TreeRemove::State::directory_remove(const char* entry_name) {
    // Empty ones, and in flat trees that is most, need not be opened.
    if (::unlinkat(levels.back().fd(), entry_name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
        ++removed;
        return ok;
    }
    if (errno != ENOTEMPTY && errno != EEXIST) {
        return remove_error("rmdir", entry_name);
    }
    if (levels.size() >= levels_max) {
        return move_up(entry_name);
    }
    return enter(levels.back().fd(), entry_name);
}

Result<void> TreeRemove::State::entry_remove(const dirent& entry) {
    if (is_dot(entry.d_name)) {
        return ok;
    }
    if (entry.d_type == DT_DIR) {
        return directory_remove(entry.d_name);
    }
    if (::unlinkat(levels.back().fd(), entry.d_name, 0) == 0 || errno == ENOENT) {
        ++removed;
        return ok;
    }
    if (entry.d_type == DT_UNKNOWN && (errno == EISDIR || errno == EPERM)) {
        return directory_remove(entry.d_name);
    }
    return remove_error("unlink", entry.d_name);
}

/// The end of a directory was read: remove it, or read it again if something came in meanwhile.
Result<void> TreeRemove::State::leave() {
    Level& level = levels.back();
    const int above = levels.size() == 1 ? parent.get() : levels[levels.size() - 2].fd();
    if (::unlinkat(above, level.name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
        ++removed;
        levels.pop_back();
        done = levels.empty();
        return ok;
    }
    const bool progress = level.removed_at_rewind != removed + moved;
    if ((errno != ENOTEMPTY && errno != EEXIST) || !progress) {
        return remove_error("rmdir", level.name);
    }
    level.removed_at_rewind = removed + moved;
    ::rewinddir(level.dir.get());
    return ok;
}

Result<void> TreeRemove::State::advance() {
    if (levels.empty()) {
        return begin();
    }
    errno = 0;
    const dirent* entry = ::readdir(levels.back().dir.get());
    if (entry != nullptr) {
        return entry_remove(*entry);
    }
    if (errno != 0) {
        return remove_error("readdir", levels.back().name);
    }
    return leave();
}

TreeRemove::TreeRemove(Fd parent, std::string name) : state_(std::make_unique<State>()) {
    state_->parent = std::move(parent);
    state_->name = std::move(name);
}

TreeRemove::TreeRemove(TreeRemove&&) noexcept = default;
TreeRemove& TreeRemove::operator=(TreeRemove&&) noexcept = default;
TreeRemove::~TreeRemove() = default;

Result<bool> TreeRemove::step(std::uint64_t entries_max) {
    for (std::uint64_t i = 0; i < entries_max && !state_->done; ++i) {
        TRY_VOID(state_->advance());
    }
    return state_->done;
}

std::uint64_t TreeRemove::removed() const {
    return state_->removed;
}

}  // namespace davit
