#include "graph/whiteout.h"

#include <sys/xattr.h>

namespace davit {

namespace {

/// aufs marked its own files with a doubled prefix; the opaque marker is the one that survived.
constexpr std::string_view aufs_prefix = ".wh..wh.";

Error whiteout_error(std::string_view path, std::string_view why) {
    return Error(ErrorKind::corrupt,
                 std::string("whiteout ").append(path).append(": ").append(why));
}

/// PROC_USER_INIT_INO of the kernel's include/linux/proc_ns.h.
constexpr ino_t initial_user_namespace = 0xEFFFFFFD;

}  // namespace

bool overlay_xattrs_are_user() {
    struct stat user {};

    return ::stat("/proc/self/ns/user", &user) == 0 && user.st_ino != initial_user_namespace;
}

std::string_view overlay_xattr_prefix() {
    return overlay_xattrs_are_user() ? "user.overlay." : "trusted.overlay.";
}

const char* overlay_opaque_xattr() {
    return overlay_xattrs_are_user() ? "user.overlay.opaque" : "trusted.overlay.opaque";
}

Result<Whiteout> whiteout_parse(std::string_view clean_path) {
    // Nearly every path: no component starts with the prefix.
    if (clean_path.find(whiteout_prefix) == std::string_view::npos) {
        return Whiteout{};
    }
    std::size_t start = 0;
    for (std::size_t slash = clean_path.find('/'); slash != std::string_view::npos;
         start = slash + 1, slash = clean_path.find('/', start)) {
        const std::string_view part = clean_path.substr(start, slash - start);
        if (part.starts_with(aufs_prefix)) {
            return Whiteout{WhiteoutKind::ignored, {}};
        }
        if (part.starts_with(whiteout_prefix)) {
            return whiteout_error(clean_path, "a whiteout cannot be a directory");
        }
    }
    const std::string_view name = clean_path.substr(start);
    const std::string_view parent = clean_path.substr(0, start == 0 ? 0 : start - 1);
    if (name == whiteout_opaque_name) {
        return Whiteout{WhiteoutKind::opaque, std::string(parent)};
    }
    if (name.starts_with(aufs_prefix)) {
        return Whiteout{WhiteoutKind::ignored, {}};
    }
    if (!name.starts_with(whiteout_prefix)) {
        return Whiteout{};
    }
    const std::string_view removed = name.substr(whiteout_prefix.size());
    if (removed.empty() || removed == "." || removed == "..") {
        return whiteout_error(clean_path, "names nothing that could be removed");
    }
    std::string target(clean_path.substr(0, start));
    target.append(removed);
    return Whiteout{WhiteoutKind::remove, std::move(target)};
}

bool is_whiteout(const struct stat& status) {
    return S_ISCHR(status.st_mode) && status.st_rdev == 0;
}

bool is_opaque(int directory) {
    char value = 0;
    return ::fgetxattr(directory, overlay_opaque_xattr(), &value, 1) == 1 && value == 'y';
}

bool xattr_allowed(std::string_view name) {
    if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.")) {
        return false;
    }
    if (name.starts_with("security.")) {
        return name == "security.capability";
    }
    return name.starts_with("user.") || name.starts_with("trusted.") ||
           name == "system.posix_acl_access" || name == "system.posix_acl_default";
}

}  // namespace davit
