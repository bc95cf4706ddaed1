#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>

#include <asm/errno.h>
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/statfs.h>

#include "libcontainer/init/init.h"

namespace davit::init {

namespace {

constexpr int at_cwd = AT_FDCWD;
constexpr size_t path_bytes_max = 4096;  // PATH_MAX
constexpr uint64_t mode_type_mask = 0170000;
constexpr uint64_t mode_directory = 0040000;
constexpr uint64_t mode_regular = 0100000;

struct Limit {
    uint64_t soft;
    uint64_t hard;
};

struct CapabilityHeader {
    uint32_t version;
    int32_t pid;
};

struct CapabilitySets {
    uint64_t effective;
    uint64_t permitted;
    uint64_t inheritable;
};

long capabilities_get(CapabilitySets& sets) {
    CapabilityHeader header = {_LINUX_CAPABILITY_VERSION_3, 0};
    uint32_t words[6] = {};
    const long done = raw::call(__NR_capget, &header, words);
    sets.effective = words[0] | (static_cast<uint64_t>(words[3]) << 32);
    sets.permitted = words[1] | (static_cast<uint64_t>(words[4]) << 32);
    sets.inheritable = words[2] | (static_cast<uint64_t>(words[5]) << 32);
    return done;
}

long capabilities_set(const CapabilitySets& sets) {
    CapabilityHeader header = {_LINUX_CAPABILITY_VERSION_3, 0};
    uint32_t words[6] = {static_cast<uint32_t>(sets.effective),
                         static_cast<uint32_t>(sets.permitted),
                         static_cast<uint32_t>(sets.inheritable),
                         static_cast<uint32_t>(sets.effective >> 32),
                         static_cast<uint32_t>(sets.permitted >> 32),
                         static_cast<uint32_t>(sets.inheritable >> 32)};
    return raw::call(__NR_capset, &header, words);
}

bool is_resolved(const plan::Operation& operation) {
    return (operation.header->flags & plan::flag_resolved) != 0;
}

constexpr uint64_t same_id = 0xffffffff;

/// So that a container's user other than root can open /dev/stdout again.
void stdio_give(uint64_t uid, uint64_t gid = same_id) {
    for (int fd = 0; fd < 3; ++fd) {
        struct statx info = {};
        const bool null_device =
            descriptor_stat(fd, info) == 0 && info.stx_rdev_major == 1 && info.stx_rdev_minor == 3;
        if (!null_device && info.stx_uid != uid) {
            raw::call(__NR_fchown, fd, uid, gid);  // A read-only or foreign file stays as it is.
        }
    }
}

}  // namespace

long join_cgroup(State& state, const plan::Operation& operation) {
    // Writing 0 to "tasks" moves the calling thread alone: the kernel then needs neither its global
    // threadgroup lock nor the RCU grace period that a write to cgroup.procs waits for.
    plan::Strings strings(operation);
    return file_write(state, at_cwd, strings.next(), "0");
}

long join_namespace(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const long done =
        raw::call(__NR_setns, state.registers[operation.header->reg], operation.header->a);
    return done < 0 ? fail(state, "setns", strings.next(), done) : 0;
}

long unshare_namespaces(State& state, const plan::Operation& operation) {
    const long done = raw::call(__NR_unshare, operation.header->a);
    return done < 0 ? fail(state, "unshare", "", done) : 0;
}

long give_stdio(State& /*state*/, const plan::Operation& operation) {
    stdio_give(operation.header->a, operation.header->b);
    return 0;
}

long become_root(State& state, const plan::Operation& /*operation*/) {
    long done = raw::call(__NR_setgroups, 0, nullptr);
    if (done < 0) {
        return fail(state, "setgroups", "", done);
    }
    done = raw::call(__NR_setresgid, 0, 0, 0);
    if (done < 0) {
        return fail(state, "setresgid", "", done);
    }
    done = raw::call(__NR_setresuid, 0, 0, 0);
    if (done < 0) {
        return fail(state, "setresuid", "", done);
    }
    // Other credentials may have made us dumpable.
    raw::call(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    return 0;
}

long oom_score_adjust(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const char* text = strings.next();
    const long done = file_write(state, at_cwd, "/proc/self/oom_score_adj", text);
    if (done != -EACCES && done != -EPERM) {
        return done;
    }
    // Lowering it takes CAP_SYS_RESOURCE, which a confined daemon may lack.
    warn(state, operation, text, done);
    return 0;
}

/// From the next exec on, that of the container's program; a fork in between inherits it. Written
/// while /proc is still the host's: a container may have changed its own (CVE-2019-16884).
long apparmor(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const char* text = strings.next();
    const long done = file_write(state, at_cwd, "/proc/self/attr/apparmor/exec", text);
    // Kernels before 5.1 have no directory per security module.
    const bool is_old =
        done == -ENOENT && raw::call(__NR_faccessat, at_cwd, "/proc/self/attr/apparmor", 0) < 0;
    return is_old ? file_write(state, at_cwd, "/proc/self/attr/exec", text) : done;
}

long sysctl(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const char* key = strings.next();
    const char* value = strings.next();
    const long base = path_open(state, "/proc/sys", O_DIRECTORY, true);
    if (base < 0) {
        return base;
    }
    // Not over to what somebody has mounted there (CVE-2025-52881).
    struct statfs filesystem = {};
    if (raw::call(__NR_fstatfs, base, &filesystem) < 0 || filesystem.f_type != PROC_SUPER_MAGIC) {
        return fail(state, "fstatfs", "/proc/sys", -EXDEV);
    }
    const long done = file_write(state, static_cast<int>(base), key, value);
    descriptor_close(base);
    return done;
}

long loopback_up(State& state, const plan::Operation& /*operation*/) {
    constexpr int inet_family = 2;           // AF_INET
    constexpr int datagram = 2 | O_CLOEXEC;  // SOCK_DGRAM
    const long fd = raw::call(__NR_socket, inet_family, datagram, 0);
    if (fd < 0) {
        return fail(state, "socket", "lo", fd);
    }
    // A new namespace's lo has no flags that would have to be kept.
    struct ifreq request = {};
    copy_text(request.ifr_name, sizeof(request.ifr_name), "lo");
    request.ifr_flags = IFF_UP;
    const long done = raw::call(__NR_ioctl, fd, SIOCSIFFLAGS, &request);
    descriptor_close(fd);
    return done < 0 ? fail(state, "ioctl(SIOCSIFFLAGS)", "lo", done) : 0;
}

long session(State& state, const plan::Operation& operation) {
    const long done = raw::call(__NR_setsid);
    if (done < 0) {
        return fail(state, "setsid", "", done);
    }
    if ((operation.header->flags & plan::flag_terminal) != 0) {
        const long controlled = raw::call(__NR_ioctl, 0, TIOCSCTTY, 0);
        if (controlled < 0) {
            return fail(state, "ioctl(TIOCSCTTY)", "/dev/console", controlled);
        }
    }
    if ((operation.header->flags & plan::flag_keyring) == 0) {
        return 0;
    }
    plan::Strings strings(operation);
    const char* name = strings.next();
    const long joined = raw::call(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name);
    if (joined < 0 && joined != -ENOSYS) {
        return fail(state, "keyctl", name, joined);
    }
    return 0;
}

long resource_limit(State& state, const plan::Operation& operation) {
    const plan::OperationHeader& header = *operation.header;
    plan::Strings strings(operation);
    const char* name = strings.next();
    Limit wanted = {header.b, header.c};
    long done = 0;
    if ((header.flags & plan::flag_hard_limit) != 0) {
        Limit current = {};
        done = raw::call(__NR_prlimit64, 0, header.a, nullptr, &current);
        if (done == 0 && current.hard < wanted.hard) {
            current.hard = wanted.hard;
            // Who may not is told when the limit itself is set.
            raw::call(__NR_prlimit64, 0, header.a, &current, nullptr);
        }
        return done < 0 ? fail(state, "prlimit64", name, done) : 0;
    }
    done = raw::call(__NR_prlimit64, 0, header.a, &wanted, nullptr);
    if (done == -EPERM) {
        // Raising a hard limit takes CAP_SYS_RESOURCE: without it the limit is as high as it can
        // be.
        Limit current = {};
        done = raw::call(__NR_prlimit64, 0, header.a, nullptr, &current);
        wanted.hard = wanted.hard < current.hard ? wanted.hard : current.hard;
        wanted.soft = wanted.soft < wanted.hard ? wanted.soft : wanted.hard;
        if (done == 0) {
            done = raw::call(__NR_prlimit64, 0, header.a, &wanted, nullptr);
        }
        if (done == 0) {
            warn(state, operation, name, -EPERM);
        }
    }
    return done < 0 ? fail(state, "prlimit64", name, done) : 0;
}

long credentials(State& state, const plan::Operation& operation) {
    const plan::OperationHeader& header = *operation.header;
    const bool resolved = is_resolved(operation);
    const uint64_t uid = resolved ? state.user.uid : header.a;
    const uint64_t gid = resolved ? state.user.gid : header.b;
    CapabilitySets own = {};
    capabilities_get(own);
    for (uint64_t capability = 0; capability < 64; ++capability) {
        if (((header.c >> capability) & 1) != 0) {
            continue;
        }
        const long dropped = raw::call(__NR_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
        if (dropped == -EINVAL) {
            break;  // The kernel has no more.
        }
        if (dropped < 0) {
            return fail(state, "prctl(PR_CAPBSET_DROP)", "", dropped);
        }
    }
    if (uid != 0) {
        stdio_give(uid);
    }
    long done = raw::call(__NR_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (done < 0) {
        return fail(state, "prctl(PR_SET_KEEPCAPS)", "", done);
    }
    done = resolved ? raw::call(__NR_setgroups, state.user.group_count, state.user.groups)
                    : raw::call(__NR_setgroups, header.d, operation.data);
    if (done < 0) {
        return fail(state, "setgroups", "", done);
    }
    done = raw::call(__NR_setresgid, gid, gid, gid);
    if (done < 0) {
        return fail(state, "setresgid", "", done);
    }
    done = raw::call(__NR_setresuid, uid, uid, uid);
    if (done < 0) {
        return fail(state, "setresuid", "", done);
    }
    // Effective again until `capabilities`: loading a filter without no_new_privs takes
    // CAP_SYS_ADMIN.
    own.effective = own.permitted;
    done = capabilities_set(own);
    return done < 0 ? fail(state, "capset", "", done) : 0;
}

long capabilities(State& state, const plan::Operation& operation) {
    const plan::OperationHeader& header = *operation.header;
    CapabilitySets own = {};
    long done = capabilities_get(own);
    if (done < 0) {
        return fail(state, "capget", "", done);
    }
    // What the daemon itself was not given, the container cannot get.
    const bool powerless = is_resolved(operation) && state.user.uid != 0;
    const uint64_t available = powerless ? 0 : own.permitted;
    CapabilitySets wanted = {header.a & available, header.b & available, header.c & available};
    done = capabilities_set(wanted);
    if (done < 0) {
        return fail(state, "capset", "", done);
    }
    for (uint64_t capability = 0; capability < 64; ++capability) {
        if (((header.d & wanted.permitted & wanted.inheritable) >> capability & 1) == 0) {
            continue;
        }
        done = raw::call(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
        if (done < 0) {
            return fail(state, "prctl(PR_CAP_AMBIENT_RAISE)", "", done);
        }
    }
    return 0;
}

long working_directory(State& state, const plan::Operation& operation) {
    // Opened inside the root and without magic links: a cwd of /proc/self/fd/N must not lead to a
    // descriptor of the host's (CVE-2024-21626).
    plan::Strings strings(operation);
    const char* path = strings.next();
    const bool existing = (operation.header->flags & plan::flag_existing) != 0;
    const long fd = existing ? path_open(state, path, O_DIRECTORY, false)
                             : directory_ensure(state, path, false);
    if (fd < 0) {
        state.failure.detail = existing ? plan::Detail::no_working_directory : plan::Detail::none;
        return fd;
    }
    const long done = raw::call(__NR_fchdir, fd);
    descriptor_close(fd);
    return done < 0 ? fail(state, "fchdir", path, done) : 0;
}

long seccomp_load(State& state, const plan::Operation& operation) {
    struct sock_fprog program = {};
    program.len = static_cast<unsigned short>(operation.header->d);
    program.filter =
        reinterpret_cast<struct sock_filter*>(const_cast<char*>(operation.data));  // Only read.
    const long done =
        raw::call(__NR_seccomp, SECCOMP_SET_MODE_FILTER, operation.header->a, &program);
    return done < 0 ? fail(state, "seccomp", "", done) : 0;
}

namespace {

/// Why executing path failed, in the words of Go's exec.LookPath, which clients know.
long execute_failed(State& state, const char* path, const char* command, long error) {
    struct statx info = {};
    const long known = raw::call(__NR_statx, at_cwd, path, 0, STATX_TYPE | STATX_MODE, &info);
    if (known < 0) {
        state.failure.detail = plan::Detail::no_such_file;
        return fail(state, "stat", command, known);
    }
    if ((info.stx_mode & mode_type_mask) == mode_directory) {
        state.failure.detail = plan::Detail::is_directory;
        return fail(state, "execve", command, -EISDIR);
    }
    if (error == -EACCES) {
        state.failure.detail = plan::Detail::not_executable;
        return fail(state, "execve", command, error);
    }
    return fail(state, "execve", path, error);  // ENOENT here: the interpreter is missing.
}

const char* environment_find(char** environment, const char* name) {
    const size_t size = length(name);
    for (; *environment != nullptr; ++environment) {
        size_t i = 0;
        while (i < size && (*environment)[i] == name[i]) {
            ++i;
        }
        if (i == size && (*environment)[size] == '=') {
            return *environment + size + 1;
        }
    }
    return nullptr;
}

bool is_executable(const char* path) {
    struct statx info = {};
    constexpr long execute_access = 1;     // X_OK
    constexpr long effective_ids = 0x200;  // AT_EACCESS
    return raw::call(__NR_statx, at_cwd, path, 0, STATX_TYPE | STATX_MODE, &info) == 0 &&
           (info.stx_mode & mode_type_mask) == mode_regular && (info.stx_mode & 0111) != 0 &&
           raw::call(__NR_faccessat2, at_cwd, path, execute_access, effective_ids) != -EACCES;
}

/// Join a folder of PATH and the command; an empty folder is the working directory.
bool candidate_make(
    char* buffer, size_t size, const char* folder, size_t folder_size, const char* command) {
    const size_t command_size = length(command);
    if (folder_size + command_size + 3 > size) {
        return false;
    }
    size_t used = 0;
    for (; used < folder_size; ++used) {
        buffer[used] = folder[used];
    }
    if (folder_size == 0) {
        buffer[used++] = '.';
    }
    buffer[used++] = '/';
    copy_text(buffer + used, size - used, command);
    return true;
}

/// The command's place in the folders of PATH (null: it is not set) into `candidate`, or an error.
long path_search(
    State& state, const char* folder, const char* command, char* candidate, size_t size) {
    while (folder != nullptr) {
        const char* end = folder;
        while (*end != '\0' && *end != ':') {
            ++end;
        }
        if (candidate_make(candidate, size, folder, static_cast<size_t>(end - folder), command) &&
            is_executable(candidate)) {
            return 0;
        }
        folder = *end == ':' ? end + 1 : nullptr;
    }
    state.failure.detail = plan::Detail::not_in_path;
    return fail(state, "execve", command, -ENOENT);
}

/// "HOME=..." of the resolved user, unless the environment has its own.
char* home_variable(State& state) {
    static char variable[sizeof("HOME=") + sizeof(state.user.home)];
    copy_text(variable, sizeof(variable), "HOME=");
    const size_t name = sizeof("HOME=") - 1;
    copy_text(variable + name, sizeof(variable) - name, state.user.home);
    return variable;
}

bool has_slash(const char* text) {
    while (*text != '\0' && *text != '/') {
        ++text;
    }
    return *text == '/';
}

}  // namespace

long execute(State& state, const plan::Operation& operation) {
    const plan::OperationHeader& header = *operation.header;
    constexpr long read_write = 3;         // PROT_READ | PROT_WRITE
    constexpr long private_memory = 0x22;  // MAP_PRIVATE | MAP_ANONYMOUS
    const uint64_t bytes = (header.string_count + 3ULL) * sizeof(char*);
    const long memory = raw::call(__NR_mmap, nullptr, bytes, read_write, private_memory, -1, 0);
    if (memory < 0 && memory > -4096) {
        return fail(state, "mmap", "arguments", memory);
    }
    char** arguments = reinterpret_cast<char**>(memory);
    char** environment = arguments + header.a + 1;
    plan::Strings strings(operation);
    for (uint32_t i = 0; i < header.string_count; ++i) {
        char* text = const_cast<char*>(strings.next());
        if (i < header.a) {
            arguments[i] = text;
        } else {
            environment[i - header.a] = text;
        }
    }
    if (is_resolved(operation) && environment_find(environment, "HOME") == nullptr) {
        environment[header.string_count - header.a] = home_variable(state);
    }
    char candidate[path_bytes_max];
    const char* path = arguments[0];
    if (!has_slash(path)) {
        const char* folders = environment_find(environment, "PATH");
        const long found = path_search(state, folders, path, candidate, sizeof(candidate));
        if (found < 0) {
            return found;
        }
        path = candidate;
    }
    const long error = raw::call(__NR_execve, path, arguments, environment);
    return execute_failed(state, path, arguments[0], error);
}

long find_program(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const char* command = strings.next();
    const char* folders = operation.header->a != 0 ? strings.next() : nullptr;
    if (has_slash(command)) {
        return is_executable(command) ? 0 : execute_failed(state, command, command, -EACCES);
    }
    char candidate[path_bytes_max];
    return path_search(state, folders, command, candidate, sizeof(candidate));
}

/// It is open for writing here as well, so that nobody's going is the end of it.
long start_wait(State& state, const plan::Operation& operation) {
    const int fifo = state.registers[operation.header->reg];
    char byte = 0;
    long got = -EINTR;
    while (got == -EINTR) {
        got = raw::call(__NR_read, fifo, &byte, 1);
    }
    descriptor_close(fifo);
    return got == 1 ? 0 : fail(state, "read", "start", got < 0 ? got : -EPIPE);
}

}  // namespace davit::init
