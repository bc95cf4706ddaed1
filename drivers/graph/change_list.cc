#include "drivers/graph/change_list.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "drivers/graph/directory_names.h"
#include "graph/tree_entry.h"
#include "graph/whiteout.h"

namespace davit {

namespace {

/// What a start makes for the default mounts where the image has no place for them. Docker has them
/// in a layer between image and container, and so never shows them.
bool is_mount_place(const std::string& path, const struct stat& status) {
    static constexpr std::array<std::string_view, 7> directories{
        "/dev", "/dev/mqueue", "/dev/pts", "/dev/shm", "/etc", "/proc", "/sys"};
    static constexpr std::array<std::string_view, 3> files{
        "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"};
    if (S_ISDIR(status.st_mode)) {
        return std::ranges::find(directories, path) != directories.end();
    }
    return S_ISREG(status.st_mode) && status.st_size == 0 &&
           std::ranges::find(files, path) != files.end();
}

std::string below(const std::string& path) {
    return path.empty() ? "." : path.substr(1);
}

}  // namespace

/// A change, and that the directories above it hold one.
void ChangeList::note(const std::string& path, ChangeKind kind) {
    changes_.emplace(path, kind);
    for (std::size_t slash = path.rfind('/'); slash > 0; slash = path.rfind('/', slash - 1)) {
        changes_.emplace(path.substr(0, slash), ChangeKind::modified);
    }
}

void ChangeList::entry_look(const std::string& path,
                            int upper,
                            int lower,
                            const std::string& name) {
    struct stat now {};

    struct stat old {};

    if (::fstatat(upper, name.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0) {
        return;  // Gone meanwhile.
    }
    const bool was = lower >= 0 && ::fstatat(lower, name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
    const std::string full = path + "/" + name;
    if (is_whiteout(now)) {
        if (was) {
            note(full, ChangeKind::deleted);
        }
        return;
    }
    if (S_ISDIR(now.st_mode)) {
        waiting_.push_back(full);
    }
    if (!was && !is_mount_place(full, now)) {
        note(full, ChangeKind::added);
    } else if (was && tree_entry_differs({lower, name.c_str()}, old, {upper, name.c_str()}, now)) {
        note(full, ChangeKind::modified);
    }
}

/// Gives: how many entries it has.
Result<std::size_t> ChangeList::directory_look(const std::string& path) {
    const auto upper = Fd::openat2(upper_.get(), below(path), O_RDONLY | O_DIRECTORY, open_beneath);
    if (!upper) {
        return std::size_t{0};  // Gone meanwhile, or something else by now.
    }
    Fd lower;
    if (lower_) {
        auto opened = Fd::openat2(lower_.get(), below(path), O_RDONLY | O_DIRECTORY, open_beneath);
        lower = opened ? *std::move(opened) : Fd();
    }
    auto names = directory_names(upper->get(), ".");
    if (!names) {
        return std::size_t{0};
    }
    for (const std::string& name : *names) {
        entry_look(path, upper->get(), lower.get(), name);
    }
    if (lower && is_opaque(upper->get())) {
        const std::set<std::string> kept(names->begin(), names->end());
        TRY(const std::vector<std::string> before, directory_names(lower.get(), "."));
        for (const std::string& name : before) {
            if (!kept.contains(name)) {
                note(path + "/" + name, ChangeKind::deleted);
            }
        }
    }
    return names->size();
}

Result<bool> ChangeList::step(std::size_t entries) {
    for (std::size_t looked_at = 0; looked_at < entries && !waiting_.empty();) {
        const std::string path = std::move(waiting_.back());
        waiting_.pop_back();
        TRY(const std::size_t count, directory_look(path));
        looked_at += count + 1;
        seen_ += count;
        if (seen_ > change_list_entries_max) {
            return Error(ErrorKind::resource_exhausted, "too many changes to list");
        }
    }
    return !waiting_.empty();
}

}  // namespace davit
