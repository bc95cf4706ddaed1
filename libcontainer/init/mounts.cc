#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>

#include <asm/errno.h>
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/statfs.h>
#include <asm/termbits.h>

#include "libcontainer/init/init.h"

namespace davit::init {

namespace {

constexpr int at_cwd = AT_FDCWD;
constexpr long detach_flags = 2;                   // MNT_DETACH
constexpr uint64_t propagation_private = 1 << 18;  // MS_PRIVATE
constexpr uint64_t mode_type_mask = 0170000;
constexpr uint64_t mode_directory = 0040000;
constexpr uint32_t memory_major = 1;
constexpr uint32_t null_minor = 3;
constexpr uint32_t terminal_major = 5;
constexpr uint32_t ptmx_minor = 2;

/// Whether an open file is this character device, and not something an image put in its place.
bool is_device(int fd, uint32_t major, uint32_t minor) {
    constexpr uint64_t mode_character = 0020000;
    struct statx info = {};
    return descriptor_stat(fd, info) == 0 && (info.stx_mode & mode_type_mask) == mode_character &&
           info.stx_rdev_major == major && info.stx_rdev_minor == minor;
}

/// Attach a detached mount exactly at an open directory or file, whatever it is.
long attach_at(State& state, int mount, int target, const char* path) {
    const long moved = raw::call(
        __NR_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    return moved < 0 ? fail(state, "move_mount", path, moved) : 0;
}

long attributes_change(State& state,
                       int mount,
                       const char* path,
                       const plan::OperationHeader& header) {
    struct mount_attr attributes = {};
    attributes.attr_set = header.a;
    attributes.attr_clr = header.b;
    attributes.propagation = header.c;
    const long flags =
        AT_EMPTY_PATH | ((header.flags & plan::flag_recursive) != 0 ? AT_RECURSIVE : 0);
    const long done =
        raw::call(__NR_mount_setattr, mount, "", flags, &attributes, sizeof(attributes));
    return done < 0 ? fail(state, "mount_setattr", path, done) : 0;
}

/// A detached copy of an open directory or file, its attributes changed.
long clone_at(State& state, int from, const char* path, uint64_t set, bool recursive) {
    const long flags =
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    const long tree = raw::call(__NR_open_tree, from, "", flags);
    if (tree < 0) {
        return fail(state, "open_tree", path, tree);
    }
    if (set != 0) {
        plan::OperationHeader change = {};
        change.a = set;
        change.flags = recursive ? plan::flag_recursive : 0;
        const long changed = attributes_change(state, static_cast<int>(tree), path, change);
        if (changed < 0) {
            descriptor_close(tree);
            return changed;
        }
    }
    return tree;
}

bool is_same(const char* a, const char* b) {
    while (*a != '\0' && *a == *b) {
        ++a;
        ++b;
    }
    return *a == *b;
}

/// Files of procfs that may be mounted over: they tell of the host, and nothing is written there.
constexpr const char* proc_targets[] = {
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
};

bool is_proc(int fd) {
    struct statfs filesystem = {};
    return raw::call(__NR_fstatfs, fd, &filesystem) == 0 && filesystem.f_type == PROC_SUPER_MAGIC;
}

/// Whether a mount may go there. A container's procfs is the kernel's: with files of somebody else
/// in it masks would hide those, and what is written for the kernel would go astray
/// (CVE-2019-16884, CVE-2023-27561, CVE-2025-52881). A procfs may take the place of a procfs.
/// Follows: runc libcontainer/rootfs_linux.go checkProcMount().
bool proc_allows(int mount, int target, const char* path) {
    if (is_same(path, "/proc")) {
        return is_proc(mount);
    }
    for (const char* allowed : proc_targets) {
        if (is_same(path, allowed)) {
            return true;
        }
    }
    return !is_proc(target);
}

/// What the spec asks to be mounted.
long attach_checked(State& state, int mount, int target, const char* path) {
    if (!proc_allows(mount, target, path)) {
        state.failure.detail = plan::Detail::inside_proc;
        return fail(state, "move_mount", path, -EPERM);
    }
    return attach_at(state, mount, target, path);
}

/// "subject" becomes "path: subject".
void subject_prefix(State& state, const char* path) {
    char* subject = state.failure.subject;
    constexpr size_t room = sizeof(state.failure.subject);
    const size_t added = length(path) + 2;
    size_t kept = length(subject);
    if (added + 1 >= room) {
        return;
    }
    kept = kept + added + 1 > room ? room - added - 1 : kept;
    for (size_t i = kept; i > 0; --i) {
        subject[added + i - 1] = subject[i - 1];
    }
    subject[added + kept] = '\0';
    for (size_t i = 0; i < added - 2; ++i) {
        subject[i] = path[i];
    }
    subject[added - 2] = ':';
    subject[added - 1] = ' ';
}

/// The kernel's own words about a failed fsconfig, behind the path.
void context_message(State& state, long context) {
    char* subject = state.failure.subject;
    size_t used = length(subject);
    if (used + 4 >= sizeof(state.failure.subject)) {
        return;
    }
    const long got =
        raw::call(__NR_read, context, subject + used + 2, sizeof(state.failure.subject) - used - 4);
    if (got <= 0) {
        return;
    }
    subject[used] = ' ';
    subject[used + 1] = '[';
    size_t end = used + 2 + static_cast<size_t>(got);
    while (end > used + 2 && (subject[end - 1] == '\n' || subject[end - 1] == '\0')) {
        --end;
    }
    subject[end] = ']';
    subject[end + 1] = '\0';
}

long context_configure(State& state, long context, plan::Strings& strings, uint32_t pairs) {
    for (uint32_t i = 0; i < pairs; ++i) {
        const char* key = strings.next();
        const char* value = strings.next();
        const bool flag = *value == '\0';
        const long set = raw::call(__NR_fsconfig,
                                   context,
                                   flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING,
                                   key,
                                   flag ? nullptr : value,
                                   0);
        if (set < 0) {
            return fail(state, "fsconfig", key, set);
        }
    }
    const long made = raw::call(__NR_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
    return made < 0 ? fail(state, "fsconfig", "create", made) : 0;
}

/// A new file system as a detached mount.
long filesystem_make(
    State& state, const char* type, uint64_t attributes, plan::Strings& strings, uint32_t pairs) {
    const long context = raw::call(__NR_fsopen, type, FSOPEN_CLOEXEC);
    if (context < 0) {
        return fail(state, "fsopen", type, context);
    }
    long mount = context_configure(state, context, strings, pairs);
    if (mount < 0) {
        context_message(state, context);
    } else {
        mount = raw::call(__NR_fsmount, context, FSMOUNT_CLOEXEC, attributes);
        if (mount < 0) {
            mount = fail(state, "fsmount", type, mount);
        }
    }
    descriptor_close(context);
    return mount;
}

}  // namespace

long open_source(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const char* path = strings.next();
    const long flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
                       ((operation.header->flags & plan::flag_recursive) != 0 ? AT_RECURSIVE : 0);
    const long tree = raw::call(__NR_open_tree, at_cwd, path, flags);
    if (tree < 0) {
        return fail(state, "open_tree", path, tree);
    }
    state.registers[operation.header->reg] = static_cast<int>(tree);
    return 0;
}

long mount_attributes(State& state, const plan::Operation& operation) {
    return attributes_change(state, state.registers[operation.header->reg], "", *operation.header);
}

long enter_root(State& state, const plan::Operation& operation) {
    // Private first: nothing mounted or unmounted from here on may reach the host.
    struct mount_attr attributes = {};
    attributes.propagation = propagation_private;
    long done =
        raw::call(__NR_mount_setattr, at_cwd, "/", AT_RECURSIVE, &attributes, sizeof(attributes));
    if (done < 0) {
        return fail(state, "mount_setattr", "/", done);
    }
    const int rootfs = state.registers[operation.header->reg];
    done = raw::call(__NR_move_mount, rootfs, "", at_cwd, "/", MOVE_MOUNT_F_EMPTY_PATH);
    if (done < 0) {
        return fail(state, "move_mount", "rootfs", done);
    }
    done = raw::call(__NR_fchdir, rootfs);
    if (done < 0) {
        return fail(state, "fchdir", "rootfs", done);
    }
    // With both arguments the same, the old root ends up on top of the new one, and is then taken
    // off (pivot_root(2), NOTES).
    done = raw::call(__NR_pivot_root, ".", ".");
    if (done < 0) {
        return fail(state, "pivot_root", "rootfs", done);
    }
    done = raw::call(__NR_umount2, ".", detach_flags);
    if (done < 0) {
        return fail(state, "umount2", "old root", done);
    }
    done = raw::call(__NR_chdir, "/");
    if (done < 0) {
        return fail(state, "chdir", "/", done);
    }
    return open_root(state, operation);
}

long open_root(State& state, const plan::Operation& /*operation*/) {
    const long root = raw::call(__NR_openat, at_cwd, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (root < 0) {
        return fail(state, "openat", "/", root);
    }
    state.root = static_cast<int>(root);
    return 0;
}

long mount_filesystem(State& state, const plan::Operation& operation) {
    const plan::OperationHeader& header = *operation.header;
    plan::Strings strings(operation);
    const char* type = strings.next();
    const char* path = strings.next();
    const long mount =
        filesystem_make(state, type, header.a, strings, (header.string_count - 2) / 2);
    if (mount < 0) {
        subject_prefix(state, path);
        return mount;
    }
    const long target = directory_ensure(state, path, (header.flags & plan::flag_no_symlink) != 0);
    if (target < 0) {
        return target;
    }
    const long done =
        attach_checked(state, static_cast<int>(mount), static_cast<int>(target), path);
    descriptor_close(target);
    descriptor_close(mount);
    return done;
}

long make_filesystem(State& state, const plan::Operation& operation) {
    const plan::OperationHeader& header = *operation.header;
    plan::Strings strings(operation);
    const char* type = strings.next();
    const long mount =
        filesystem_make(state, type, header.a, strings, (header.string_count - 1) / 2);
    if (mount < 0) {
        subject_prefix(state, type);
        return mount;
    }
    state.registers[header.reg] = static_cast<int>(mount);
    return 0;
}

long map_ids(State& state, const plan::Operation& operation) {
    const plan::OperationHeader& header = *operation.header;
    plan::Strings strings(operation);
    struct mount_attr attributes = {};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<uint64_t>(state.registers[header.a]);
    const long done = raw::call(__NR_mount_setattr,
                                state.registers[header.reg],
                                "",
                                AT_EMPTY_PATH,
                                &attributes,
                                sizeof(attributes));
    if (done == -EINVAL) {
        state.failure.detail = plan::Detail::ids_not_mapped;
    }
    return done < 0 ? fail(state, "mount_setattr(IDMAP)", strings.next(), done) : 0;
}

long attach(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const char* path = strings.next();
    int& mount = state.registers[operation.header->reg];
    struct statx info = {};
    const long known = descriptor_stat(mount, info);
    if (known < 0) {
        return fail(state, "statx", path, known);
    }
    const bool directory = (info.stx_mode & mode_type_mask) == mode_directory;
    const long target =
        directory
            ? directory_ensure(state, path, (operation.header->flags & plan::flag_no_symlink) != 0)
            : file_ensure(state, path);
    if (target < 0) {
        return target;
    }
    const long done = attach_checked(state, mount, static_cast<int>(target), path);
    descriptor_close(target);
    descriptor_close(mount);
    mount = -1;
    return done;
}

long remount(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const char* path = strings.next();
    const long target = path_open(state, path, 0, false);
    if (target < 0) {
        return target;
    }
    const long done = attributes_change(state, static_cast<int>(target), path, *operation.header);
    descriptor_close(target);
    return done;
}

long make_device(State& state, const plan::Operation& operation) {
    const plan::OperationHeader& header = *operation.header;
    plan::Strings strings(operation);
    const char* path = strings.next();
    const char* last = nullptr;
    const long dir = parent_ensure(state, path, last);
    if (dir < 0) {
        return dir;
    }
    const uint64_t device = ((header.b & 0xfff) << 8) | (header.c & 0xff) |
                            ((header.c & ~0xffULL) << 12) | ((header.b & ~0xfffULL) << 32);
    long done = raw::call(__NR_mknodat, dir, last, header.a, device);
    if (done == -EEXIST) {
        done = 0;  // A mount that the user asked for put it there.
    } else if (done < 0) {
        done = fail(state, "mknodat", path, done);
    } else if (header.d != 0) {
        done = raw::call(
            __NR_fchownat, dir, last, header.d >> 32, header.d & 0xffffffff, AT_SYMLINK_NOFOLLOW);
        if (done < 0) {
            done = fail(state, "fchownat", path, done);
        }
    }
    descriptor_close(dir);
    return done;
}

long make_symlink(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const char* target = strings.next();
    const char* path = strings.next();
    const char* last = nullptr;
    const long dir = parent_ensure(state, path, last);
    if (dir < 0) {
        return dir;
    }
    const long done = raw::call(__NR_symlinkat, target, dir, last);
    descriptor_close(dir);
    // Something a mount put there is what was asked for.
    return done < 0 && done != -EEXIST ? fail(state, "symlinkat", path, done) : 0;
}

long make_directory(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const long fd = directory_ensure(state, strings.next(), false);
    if (fd < 0) {
        return fd;
    }
    descriptor_close(fd);
    return 0;
}

long mask_path(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const char* path = strings.next();
    const long target = path_open(state, path, 0, false);
    if (target == -ENOENT || target == -ENOTDIR) {
        return 0;  // Nothing to hide in this kernel.
    }
    if (target < 0) {
        return target;
    }
    struct statx info = {};
    long mount = descriptor_stat(static_cast<int>(target), info);
    if (mount < 0) {
        mount = fail(state, "statx", path, mount);
    } else if ((info.stx_mode & mode_type_mask) == mode_directory) {
        mount = filesystem_make(
            state, "tmpfs", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV, strings, 0);
    } else {
        const long null = path_open(state, "/dev/null", 0, false);
        mount = null;
        if (null >= 0) {
            mount = is_device(static_cast<int>(null), memory_major, null_minor)
                        ? clone_at(state, static_cast<int>(null), "/dev/null", 0, false)
                        : fail(state, "statx", "/dev/null", -ENODEV);
            descriptor_close(null);
        }
    }
    if (mount >= 0) {
        const long done = attach_at(state, static_cast<int>(mount), static_cast<int>(target), path);
        descriptor_close(mount);
        mount = done;
    }
    descriptor_close(target);
    return mount;
}

long readonly_path(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const char* path = strings.next();
    const long target = path_open(state, path, 0, false);
    if (target == -ENOENT || target == -ENOTDIR) {
        return 0;
    }
    if (target < 0) {
        return target;
    }
    long done = clone_at(state, static_cast<int>(target), path, MOUNT_ATTR_RDONLY, true);
    if (done >= 0) {
        const long mount = done;
        done = attach_at(state, static_cast<int>(mount), static_cast<int>(target), path);
        descriptor_close(mount);
    }
    descriptor_close(target);
    return done;
}

namespace {

/// The slave of a new pseudo terminal in the container's own devpts, its master in `master`.
long terminal_open(State& state, const plan::OperationHeader& header, long& master) {
    master = file_open(state, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
    if (master < 0) {
        return master;
    }
    if (!is_device(static_cast<int>(master), terminal_major, ptmx_minor)) {
        return fail(state, "statx", "/dev/pts/ptmx", -ENODEV);
    }
    int unlock = 0;
    long done = raw::call(__NR_ioctl, master, TIOCSPTLCK, &unlock);
    if (done < 0) {
        return fail(state, "ioctl(TIOCSPTLCK)", "/dev/pts/ptmx", done);
    }
    const long slave = raw::call(__NR_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) {
        return fail(state, "ioctl(TIOCGPTPEER)", "/dev/pts/ptmx", slave);
    }
    if (header.a != 0 && header.b != 0) {
        struct {
            uint16_t rows, columns, x, y;
        } size = {static_cast<uint16_t>(header.b), static_cast<uint16_t>(header.a), 0, 0};

        done = raw::call(__NR_ioctl, slave, TIOCSWINSZ, &size);
    }
    raw::call(__NR_fchown, slave, header.c, -1);
    return slave;
}

/// The container's first terminal is also its /dev/console.
long console_mount(State& state, int slave) {
    const long console = file_ensure(state, "/dev/console");
    if (console < 0) {
        return console;
    }
    const long mount = clone_at(state, slave, "/dev/console", 0, false);
    if (mount < 0) {
        return mount;
    }
    const long done =
        attach_at(state, static_cast<int>(mount), static_cast<int>(console), "/dev/console");
    descriptor_close(mount);
    descriptor_close(console);
    return done;
}

}  // namespace

long terminal(State& state, const plan::Operation& operation) {
    long master = -1;
    const long slave = terminal_open(state, *operation.header, master);
    if (slave < 0) {
        return slave;
    }
    long done = 0;
    if ((operation.header->flags & plan::flag_no_console) == 0) {
        done = console_mount(state, static_cast<int>(slave));
    }
    if (done < 0) {
        return done;
    }
    if ((operation.header->flags & plan::flag_no_control) == 0) {
        done = raw::call(__NR_ioctl, slave, TIOCSCTTY, 0);
    }
    if (done < 0) {
        return fail(state, "ioctl(TIOCSCTTY)", "/dev/console", done);
    }
    for (int fd = 0; fd < 3; ++fd) {
        done = raw::call(__NR_dup3, slave, fd, 0);
        if (done < 0) {
            return fail(state, "dup3", "/dev/console", done);
        }
    }
    done = console_send(state, operation, static_cast<int>(master));
    descriptor_close(master);
    descriptor_close(slave);
    return done;
}

}  // namespace davit::init
