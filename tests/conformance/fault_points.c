// Faults at the system calls by which a program changes the disk, for test_faults.py.
//
// Preloaded, this library stands between a daemon and libc. Each call that changes a file, a
// directory or a mount is a point; points are numbered over all threads, which no tracer can do.
// The file named by DAVIT_FAULT_CONTROL is shared with the test, which counts the points of an
// operation by it, and says at which of them the daemon is killed or is refused the disk.
// What goes to sockets, pipes and terminals, and what only reads, is no point; where the test asks
// for it, a signal, a reaped child and a message to the keeper or to davit-init are.
//
// `davit daemon` without --no-keeper becomes the keeper, a static program that this library cannot
// be in; the environment goes on to the daemons that the keeper starts. One that starts after the
// fault meets none.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

// faults.py writes and reads the same.
enum fault_kind { fault_none, fault_kill, fault_once, fault_lasting };

struct control {
    _Atomic uint64_t count;  // Points passed since the test set it to 0.
    _Atomic uint64_t at;     // The point of the fault; the first is 1.
    _Atomic uint32_t kind;
    _Atomic int32_t error;       // ENOSPC refuses only what takes space.
    char call[32];               // The call that met the fault first.
    _Atomic uint32_t processes;  // Whether what is done to processes is a point.
};

static struct control* control;
static long daemon_pid;

// Whether this process is a daemon, and not one that becomes the keeper.
static bool is_daemon(int count, char** arguments) {
    for (int i = 1; i < count; ++i) {
        if (strcmp(arguments[i], "--no-keeper") == 0 ||
            strcmp(arguments[i], "--keeper-socket") == 0) {
            return true;
        }
    }
    return false;
}

__attribute__((constructor)) static void control_map(int count, char** arguments) {
    if (!is_daemon(count, arguments)) {
        return;
    }
    const char* path = getenv("DAVIT_FAULT_CONTROL");
    const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    void* mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    unsetenv("DAVIT_FAULT_CONTROL");
    unsetenv("LD_PRELOAD");  // Not for what the daemon executes.
    if (mapped != MAP_FAILED) {
        daemon_pid = getpid();
        control = mapped;
        if (control->kind == fault_kill && control->count >= control->at) {
            control->kind = fault_none;
        }
    }
}

static void* next_of(const char* name) {
    void* found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        abort();
    }
    return found;
}

// Pass a point. Gives: the error to answer with, 0 to go on.
static int point(const char* call, bool takes_space) {
    if (control == NULL) {
        return 0;
    }
    const uint64_t number = ++control->count;
    const uint32_t kind = control->kind;
    if (kind == fault_none || number < control->at ||
        (kind == fault_once && number > control->at)) {
        return 0;
    }
    if (number == control->at) {
        strncpy(control->call, call, sizeof(control->call) - 1);
    }
    if (kind == fault_kill) {
        // The daemon, also when this is its child before exec.
        long (*send)(long, ...) = next_of("syscall");
        send(SYS_kill, daemon_pid, SIGKILL);
        return EIO;
    }
    return control->error == ENOSPC && !takes_space ? 0 : control->error;
}

static bool is_file(int fd) {
    struct stat found;
    return fd > STDERR_FILENO && fstat(fd, &found) == 0 && S_ISREG(found.st_mode);
}

// A function that is a point wherever `condition` holds.
#define POINT(type, name, parameters, arguments, takes_space, condition) \
    type name parameters {                                               \
        static type(*next) parameters;                                   \
        if (next == NULL) {                                              \
            next = (type(*) parameters)next_of(#name);                   \
        }                                                                \
        const int saved = errno;                                         \
        const int error = (condition) ? point(#name, takes_space) : 0;   \
        errno = error == 0 ? saved : error;                              \
        return error == 0 ? next arguments : (type)-1;                   \
    }

POINT(
    ssize_t, write, (int fd, const void* bytes, size_t size), (fd, bytes, size), true, is_file(fd))
POINT(ssize_t,
      pwrite,
      (int fd, const void* bytes, size_t size, off_t at),
      (fd, bytes, size, at),
      true,
      is_file(fd))
POINT(ssize_t,
      pwrite64,
      (int fd, const void* bytes, size_t size, off64_t at),
      (fd, bytes, size, at),
      true,
      is_file(fd))
POINT(ssize_t,
      writev,
      (int fd, const struct iovec* parts, int count),
      (fd, parts, count),
      true,
      is_file(fd))
POINT(ssize_t,
      pwritev,
      (int fd, const struct iovec* parts, int count, off_t at),
      (fd, parts, count, at),
      true,
      is_file(fd))
POINT(ssize_t,
      copy_file_range,
      (int in, off64_t* from, int out, off64_t* to, size_t size, unsigned flags),
      (in, from, out, to, size, flags),
      true,
      true)
POINT(int, ftruncate, (int fd, off_t size), (fd, size), true, true)
POINT(int, ftruncate64, (int fd, off64_t size), (fd, size), true, true)
POINT(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), true, true)
POINT(int, fsync, (int fd), (fd), true, true)
POINT(int, fdatasync, (int fd), (fd), true, true)
POINT(int, syncfs, (int fd), (fd), true, true)
POINT(int, mkdir, (const char* path, mode_t mode), (path, mode), true, true)
POINT(int, mkdirat, (int dir, const char* path, mode_t mode), (dir, path, mode), true, true)
POINT(int,
      mknodat,
      (int dir, const char* path, mode_t mode, dev_t device),
      (dir, path, mode, device),
      true,
      true)
POINT(int,
      symlinkat,
      (const char* target, int dir, const char* path),
      (target, dir, path),
      true,
      true)
POINT(int,
      linkat,
      (int from, const char* old, int to, const char* path, int flags),
      (from, old, to, path, flags),
      true,
      true)
POINT(int, rename, (const char* old, const char* path), (old, path), true, true)
POINT(int,
      renameat,
      (int from, const char* old, int to, const char* path),
      (from, old, to, path),
      true,
      true)
POINT(int,
      renameat2,
      (int from, const char* old, int to, const char* path, unsigned flags),
      (from, old, to, path, flags),
      true,
      true)
POINT(int, unlink, (const char* path), (path), false, true)
POINT(int, unlinkat, (int dir, const char* path, int flags), (dir, path, flags), false, true)
POINT(int, rmdir, (const char* path), (path), false, true)
POINT(int,
      fsetxattr,
      (int fd, const char* name, const void* value, size_t size, int flags),
      (fd, name, value, size, flags),
      true,
      true)
POINT(int,
      lsetxattr,
      (const char* path, const char* name, const void* value, size_t size, int flags),
      (path, name, value, size, flags),
      true,
      true)
POINT(int, chmod, (const char* path, mode_t mode), (path, mode), false, true)
POINT(int, fchmod, (int fd, mode_t mode), (fd, mode), false, true)
POINT(int,
      fchmodat,
      (int dir, const char* path, mode_t mode, int flags),
      (dir, path, mode, flags),
      false,
      true)
POINT(int, fchown, (int fd, uid_t user, gid_t group), (fd, user, group), false, true)
POINT(int,
      fchownat,
      (int dir, const char* path, uid_t user, gid_t group, int flags),
      (dir, path, user, group, flags),
      false,
      true)
POINT(int, futimens, (int fd, const struct timespec times[2]), (fd, times), false, true)
POINT(int,
      utimensat,
      (int dir, const char* path, const struct timespec times[2], int flags),
      (dir, path, times, flags),
      false,
      true)
POINT(int,
      mount,
      (const char* source,
       const char* target,
       const char* type,
       unsigned long flags,
       const void* data),
      (source, target, type, flags, data),
      false,
      true)
POINT(int, umount2, (const char* target, int flags), (target, flags), false, true)
POINT(int,
      fsmount,
      (int fd, unsigned flags, unsigned attributes),
      (fd, flags, attributes),
      false,
      true)
POINT(int,
      move_mount,
      (int from, const char* old, int to, const char* path, unsigned flags),
      (from, old, to, path, flags),
      false,
      true)

static bool is_asked_for(void) {
    return control != NULL && control->processes != 0;
}

// The keeper's socket, and davit-init's.
static bool is_message(int fd) {
    int type = 0;
    socklen_t size = sizeof(type);
    return is_asked_for() && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
           type == SOCK_SEQPACKET;
}

POINT(ssize_t,
      sendmsg,
      (int fd, const struct msghdr* message, int flags),
      (fd, message, flags),
      false,
      is_message(fd))
POINT(int,
      waitid,
      (idtype_t type, id_t id, siginfo_t* info, int options),
      (type, id, info, options),
      false,
      is_asked_for() && (options & WNOWAIT) == 0)

// The mode is there only with O_CREAT; reading an argument that is not is harmless.
#define OPEN_POINT(name, parameters, arguments)             \
    int name parameters {                                   \
        static int(*next) parameters;                       \
        if (next == NULL) {                                 \
            next = (int(*) parameters)next_of(#name);       \
        }                                                   \
        va_list list;                                       \
        va_start(list, flags);                              \
        const mode_t mode = va_arg(list, mode_t);           \
        va_end(list);                                       \
        const int saved = errno;                            \
        const bool creates = (flags & O_CREAT) != 0;        \
        const int error = creates ? point(#name, true) : 0; \
        errno = error == 0 ? saved : error;                 \
        return error == 0 ? next arguments : -1;            \
    }

OPEN_POINT(open, (const char* path, int flags, ...), (path, flags, mode))
OPEN_POINT(open64, (const char* path, int flags, ...), (path, flags, mode))
OPEN_POINT(openat, (int dir, const char* path, int flags, ...), (dir, path, flags, mode))
OPEN_POINT(openat64, (int dir, const char* path, int flags, ...), (dir, path, flags, mode))

// Of all requests only those by which a driver changes a file system.
int ioctl(int fd, unsigned long request, ...) {
    static int (*next)(int, unsigned long, ...);
    if (next == NULL) {
        next = (int (*)(int, unsigned long, ...))next_of("ioctl");
    }
    va_list list;
    va_start(list, request);
    void* argument = va_arg(list, void*);
    va_end(list);
    const int saved = errno;
    int error = 0;
    switch (request) {
        case FICLONE:
            error = point("FICLONE", true);
            break;
        case BTRFS_IOC_SUBVOL_CREATE:
            error = point("BTRFS_IOC_SUBVOL_CREATE", true);
            break;
        case BTRFS_IOC_SNAP_CREATE_V2:
            error = point("BTRFS_IOC_SNAP_CREATE_V2", true);
            break;
        case BTRFS_IOC_SNAP_DESTROY:
            error = point("BTRFS_IOC_SNAP_DESTROY", false);
            break;
        case BTRFS_IOC_SNAP_DESTROY_V2:
            error = point("BTRFS_IOC_SNAP_DESTROY_V2", false);
            break;
        default:
            break;
    }
    errno = error == 0 ? saved : error;
    return error == 0 ? next(fd, request, argument) : -1;
}

// openat2 has no wrapper.
long syscall(long number, ...) {
    static long (*next)(long, ...);
    if (next == NULL) {
        next = (long (*)(long, ...))next_of("syscall");
    }
    long values[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; ++i) {
        values[i] = va_arg(list, long);
    }
    va_end(list);
    int error = 0;
    if (number == SYS_openat2) {
        const struct open_how* how = (const struct open_how*)values[2];
        error = (how->flags & O_CREAT) != 0 ? point("openat2", true) : 0;
    } else if (number == SYS_pidfd_send_signal && is_asked_for()) {
        error = point("pidfd_send_signal", false);
    }
    if (error != 0) {
        errno = error;
        return -1;
    }
    return next(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}
