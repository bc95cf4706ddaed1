#include "libcontainer/mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

namespace davit {

Result<MountContext> MountContext::open(const char* fstype) {
    const int fd = ::fsopen(fstype, FSOPEN_CLOEXEC);
    if (fd < 0) {
        Error error = Error::from_errno(errno, "fsopen", fstype);
        if (error.errno_value() == ENODEV) {
            return std::move(error).with_kind(ErrorKind::unsupported);
        }
        return error;
    }
    return MountContext(Fd(fd), fstype);
}

Error MountContext::failed(int errno_value, const char* operation, const char* key) const {
    std::string subject = fstype_;
    if (key != nullptr) {
        subject.append(" ").append(key);
    }
    // One read gives one message: "e overlay: text\n"; ENODATA when there is none left.
    char line[512];
    for (int lines = 0; lines < 8; ++lines) {
        const ssize_t got = ::read(fd_.get(), line, sizeof(line));
        if (got <= 0) {
            break;
        }
        std::string_view text(line, static_cast<std::size_t>(got));
        while (!text.empty() && (text.back() == '\n' || text.back() == '\0')) {
            text.remove_suffix(1);
        }
        subject.append(" [").append(text).append("]");
    }
    return Error::from_errno(errno_value, operation, subject);
}

Result<void> MountContext::set(const char* key, const char* value) {
    if (::fsconfig(fd_.get(), FSCONFIG_SET_STRING, key, value, 0) != 0) {
        return failed(errno, "fsconfig", key);
    }
    return ok;
}

Result<void> MountContext::set_flag(const char* key) {
    if (::fsconfig(fd_.get(), FSCONFIG_SET_FLAG, key, nullptr, 0) != 0) {
        return failed(errno, "fsconfig", key);
    }
    return ok;
}

Result<void> MountContext::set_fd(const char* key, int fd) {
    if (::fsconfig(fd_.get(), FSCONFIG_SET_FD, key, nullptr, fd) != 0) {
        return failed(errno, "fsconfig", key);
    }
    return ok;
}

Result<Fd> MountContext::mount(unsigned attributes) {
    if (::fsconfig(fd_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
        return failed(errno, "fsconfig(create)", nullptr);
    }
    const int fd = ::fsmount(fd_.get(), FSMOUNT_CLOEXEC, attributes);
    if (fd < 0) {
        return failed(errno, "fsmount", nullptr);
    }
    return Fd(fd);
}

Result<Fd> mount_fs_detached(const char* fstype,
                             std::span<const MountOption> options,
                             unsigned attributes) {
    TRY(MountContext context, MountContext::open(fstype));
    for (const auto& [key, value] : options) {
        if (value.empty()) {
            TRY_VOID(context.set_flag(key.c_str()));
        } else {
            TRY_VOID(context.set(key.c_str(), value.c_str()));
        }
    }
    return context.mount(attributes);
}

Result<Fd> open_tree_clone(int dir, const std::string& path, bool recursive) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
    if (recursive) {
        flags |= AT_RECURSIVE;
    }
    const int fd = ::open_tree(dir, path.c_str(), flags);
    if (fd < 0) {
        return Error::from_errno(errno, "open_tree", path);
    }
    return Fd(fd);
}

Result<void> mount_attributes_change(int mount_fd, const MountAttributes& change) {
    struct mount_attr attributes {};

    attributes.attr_set = change.set;
    attributes.attr_clr = change.clear;
    attributes.propagation = change.propagation;
    unsigned flags = AT_EMPTY_PATH;
    if (change.recursive) {
        flags |= AT_RECURSIVE;
    }
    if (::mount_setattr(mount_fd, "", flags, &attributes, sizeof(attributes)) != 0) {
        return Error::from_errno(errno, "mount_setattr");
    }
    return ok;
}

Result<void> mount_attach(int mount_fd, int dir, const std::string& path) {
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH;
    if (path.empty()) {
        flags |= MOVE_MOUNT_T_EMPTY_PATH;
    }
    if (::move_mount(mount_fd, "", dir, path.c_str(), flags) != 0) {
        return Error::from_errno(errno, "move_mount", path);
    }
    return ok;
}

Result<void> mount_detach(const std::string& path) {
    if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
        return Error::from_errno(errno, "umount2", path);
    }
    return ok;
}

}  // namespace davit
