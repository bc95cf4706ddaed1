#include "drivers/graph/overlay/overlay_probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "drivers/graph/file_system.h"
#include "graph/whiteout.h"

namespace davit {

namespace {

/// overlayfs merges directories by the types that readdir(3) gives.
Result<void> check_entry_types(int dir) {
    TRY(Fd fd, Fd::openat(dir, ".", O_RDONLY | O_DIRECTORY));
    DIR* stream = ::fdopendir(fd.get());
    if (stream == nullptr) {
        return Error::from_errno(errno, "fdopendir");
    }
    (void)fd.release();  // closedir() closes it.
    bool typed = true;
    while (const dirent* entry = ::readdir(stream)) {
        typed = typed && entry->d_type != DT_UNKNOWN;
    }
    ::closedir(stream);
    if (!typed) {
        return Error(ErrorKind::unsupported, "its directories do not tell file types (d_type)");
    }
    return ok;
}

Result<void> make_tree(int dir) {
    for (const char* name : {"lower", "lower/replaced", "upper", "work"}) {
        if (::mkdirat(dir, name, 0700) != 0) {
            return Error::from_errno(errno, "mkdirat", name);
        }
    }
    TRY(const Fd removed, Fd::openat(dir, "lower/removed", O_WRONLY | O_CREAT | O_EXCL, 0600));
    return ok;
}

/// Remove one entry of the lower layer and replace another: needs whiteouts and trusted xattrs.
Result<void> check_changes(int dir, int merged) {
    if (::unlinkat(merged, "removed", 0) != 0) {
        return Error::from_errno(errno, "unlinkat", "a file of a lower layer");
    }
    if (::unlinkat(merged, "replaced", AT_REMOVEDIR) != 0 ||
        ::mkdirat(merged, "replaced", 0700) != 0) {
        return Error::from_errno(errno, "mkdirat", "over a directory of a lower layer");
    }

    struct stat status {};

    if (::fstatat(dir, "upper/removed", &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISCHR(status.st_mode) || status.st_rdev != makedev(0, 0)) {
        return Error(ErrorKind::unsupported, "it cannot hold whiteouts");
    }
    TRY(const Fd replaced, Fd::openat(dir, "upper/replaced", O_RDONLY | O_DIRECTORY));
    char value = 0;
    if (::fgetxattr(replaced.get(), overlay_opaque_xattr(), &value, 1) != 1 || value != 'y') {
        return Error(
            ErrorKind::unsupported,
            "it cannot hold the extended attribute " + std::string(overlay_opaque_xattr()));
    }
    return check_entry_types(replaced.get());
}

Result<void> probe_in(OverlayBase base, OverlayMountMethod method, const std::string& scratch) {
    if (::mkdirat(base.fd, scratch.c_str(), 0700) != 0) {
        return Error::from_errno(errno, "mkdirat", scratch);
    }
    TRY(const Fd dir, Fd::openat(base.fd, scratch, O_RDONLY | O_DIRECTORY));
    TRY_VOID(make_tree(dir.get()));
    TRY_VOID(check_entry_types(dir.get()));
    OverlaySpec spec;
    spec.lower = {scratch + "/lower"};
    spec.upper = scratch + "/upper";
    spec.work = scratch + "/work";
    TRY(const Fd mounted, overlay_mount(base, method, spec));
    return check_changes(dir.get(), mounted.get());
}

}  // namespace

Result<void> overlay_probe(OverlayBase base,
                           OverlayMountMethod method,
                           const std::string& scratch) {
    Result<void> probed = probe_in(base, method, scratch);
    if (probed) {
        return ok;
    }
    const ErrorKind kind = probed.error().kind();
    if (kind == ErrorKind::permission_denied || kind == ErrorKind::resource_exhausted) {
        return probed;
    }
    return Error(ErrorKind::unsupported,
                 "overlayfs does not work on " + base.path + " (file system " +
                     file_system_name(base.fd) + "): " + probed.error().message());
}

}  // namespace davit
