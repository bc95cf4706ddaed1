#pragma once
/// davit-init: the first process of a container, and what becomes a further one of a container that
/// runs. It executes a launch plan (plan_format.h), then the program that was asked for. It runs
/// alone and once, without a C library: a static program of a few pages starts in a fraction of the
/// time, and there is nothing in it that could read the environment or a library from the image.
///
/// Security: after enter_root or open_root only descriptors opened before, and names resolved with
/// openat2 inside the container's root, are used. Every descriptor except 0, 1 and 2 is
/// close-on-exec from the start. What joins a running container is not dumpable, and is in the pid
/// namespace, where a process with CAP_SYS_PTRACE could trace it, only when it has given up what
/// the program will not have.
#include <linux/openat2.h>
#include <linux/stat.h>

#include "libcontainer/init/plan_format.h"
#include "libcontainer/init/syscall.h"

namespace davit::init {

/// What went wrong in a step, where that is more than an errno: filled at the failing call.
struct Failure {
    const char* call = "";
    char subject[plan::subject_bytes_max] = {};
    plan::Detail detail = plan::Detail::none;
};

/// Groups of a user beyond its own; more than anybody has, less than the kernel's 65536.
inline constexpr uint32_t groups_max = 1024;

/// Whom resolve_user found.
struct User {
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint32_t group_count = 0;
    uint32_t groups[groups_max];
    char home[4096];
};

/// What the operations share.
struct State {
    int root = -1;  // O_PATH of the container's root once inside.
    uint64_t bounding = ~0ULL;
    int registers[plan::registers_max];
    int passed = 0;  // The first registers, which came from the daemon.
    User user;
    Failure failure;
};

/// Everything below returns 0 or a descriptor, or a negative errno with state.failure filled.

/// Record the call and its subject, and hand the error on.
long fail(State& state, const char* call, const char* subject, long error);

/// paths.cc: names inside the container's root.

/// O_PATH descriptor of path inside the root, symlinks resolved inside it. With no_symlink none is
/// followed.
long path_open(State& state, const char* path, uint64_t flags, bool no_symlink);

/// As path_open, creating missing directories (mode 0755); a symlink that leads nowhere is created
/// at its far end, which is inside the root as well.
long directory_ensure(State& state, const char* path, bool no_symlink);

/// As path_open, creating a missing empty file and the directories above it.
long file_ensure(State& state, const char* path);

/// Open a file inside the root for use (path_open only names it).
long file_open(State& state, const char* path, uint64_t flags);

/// The directory that holds path's last component (created if missing), and that component in
/// `last`.
long parent_ensure(State& state, const char* path, const char*& last);

/// statx(2) of a descriptor.
long descriptor_stat(int fd, struct statx& info);

/// Write text to a file that exists: one of the host's before enter_root (dir AT_FDCWD), or beneath
/// dir.
long file_write(State& state, int dir, const char* path, const char* text);

/// mounts.cc
long open_source(State& state, const plan::Operation& operation);
long mount_attributes(State& state, const plan::Operation& operation);
long enter_root(State& state, const plan::Operation& operation);
long mount_filesystem(State& state, const plan::Operation& operation);
long attach(State& state, const plan::Operation& operation);
long remount(State& state, const plan::Operation& operation);
long make_device(State& state, const plan::Operation& operation);
long make_symlink(State& state, const plan::Operation& operation);
long make_directory(State& state, const plan::Operation& operation);
long mask_path(State& state, const plan::Operation& operation);
long readonly_path(State& state, const plan::Operation& operation);
long terminal(State& state, const plan::Operation& operation);
long open_root(State& state, const plan::Operation& operation);
long make_filesystem(State& state, const plan::Operation& operation);
long map_ids(State& state, const plan::Operation& operation);

/// process.cc
long join_cgroup(State& state, const plan::Operation& operation);
long join_namespace(State& state, const plan::Operation& operation);
long unshare_namespaces(State& state, const plan::Operation& operation);
long oom_score_adjust(State& state, const plan::Operation& operation);
long apparmor(State& state, const plan::Operation& operation);
long sysctl(State& state, const plan::Operation& operation);
long loopback_up(State& state, const plan::Operation& operation);
long session(State& state, const plan::Operation& operation);
long resource_limit(State& state, const plan::Operation& operation);
long credentials(State& state, const plan::Operation& operation);
long capabilities(State& state, const plan::Operation& operation);
long working_directory(State& state, const plan::Operation& operation);
long seccomp_load(State& state, const plan::Operation& operation);
long execute(State& state, const plan::Operation& operation);
long find_program(State& state, const plan::Operation& operation);
long start_wait(State& state, const plan::Operation& operation);
long give_stdio(State& state, const plan::Operation& operation);
long become_root(State& state, const plan::Operation& operation);

/// user.cc
long resolve_user(State& state, const plan::Operation& operation);

/// main.cc: talk to the daemon.
void warn(State& state, const plan::Operation& operation, const char* text, long error);
long console_send(State& state, const plan::Operation& operation, int master);

/// Strings, without a library.
inline size_t length(const char* text) {
    size_t count = 0;
    while (text[count] != '\0') {
        ++count;
    }
    return count;
}

inline void copy_text(char* to, size_t size, const char* from) {
    size_t i = 0;
    for (; i + 1 < size && from[i] != '\0'; ++i) {
        to[i] = from[i];
    }
    to[i] = '\0';
}

inline void descriptor_close(long fd) {
    raw::call(__NR_close, fd);
}

}  // namespace davit::init
