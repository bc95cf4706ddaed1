#define _GNU_SOURCE
// What a hostile container runs: one attack per name, built static so that any image can hold it.
// Each prints a word that the test looks for: "failed: REASON" is what it should be.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fs.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int told(const char* what, long result) {
    if (result < 0) {
        // tidy: allow strerror: no code of davit's is in this program.
        printf("failed: %s: %s\n", what, strerror(errno));
        return 1;
    }
    printf("done: %s\n", what);
    return 0;
}

// CVE-2016-2568 and its kin: put characters into the input of the terminal's other users.
static int tiocsti(void) {
    for (const char* text = "touch /davit-hijacked\n"; *text != '\0'; ++text) {
        if (ioctl(0, TIOCSTI, text) != 0) {
            return told("TIOCSTI", -1);
        }
    }
    return told("TIOCSTI", 0);
}

// Keys of the host's session keyring.
static int keyring(void) {
    return told("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
}

// CVE-2019-5736: whoever comes in from outside is overwritten through /proc/PID/exe.
static int overwrite_exe(void) {
    int seen = 0;
    for (int round = 0; round < 400000; ++round) {
        char path[64];
        char target[256];
        for (int pid = 2; pid < 64; ++pid) {
            snprintf(path, sizeof(path), "/proc/%d/exe", pid);
            const ssize_t size = readlink(path, target, sizeof(target) - 1);
            if (size < 0) {
                continue;
            }
            target[size] = '\0';
            if (strstr(target, "davit") == NULL && strstr(target, "memfd") == NULL) {
                continue;
            }
            if (strstr(target, "attacks") != NULL) {
                continue;
            }
            if (seen++ == 0) {
                printf("seen: %s\n", target);
                fflush(stdout);
            }
            const int fd = open(path, O_WRONLY | O_TRUNC);
            if (fd >= 0) {
                printf("done: opened %s for writing\n", target);
                fflush(stdout);
                close(fd);
            }
        }
    }
    printf("finished\n");
    return 0;
}

// CVE-2016-9962, CVE-2022-29162 and its kin: take over what is started in here from outside.
_Noreturn static void trace_newcomers(void) {
    const pid_t self = getpid();
    for (;;) {
        DIR* directory = opendir("/proc");
        for (struct dirent* entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
            const pid_t pid = atoi(entry->d_name);
            char path[64];
            char target[256];
            if (pid <= 1 || pid == self) {
                continue;
            }
            for (int fd = 3; fd < 12; ++fd) {
                snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
                const ssize_t size = readlink(path, target, sizeof(target) - 1);
                if (size > 0) {
                    target[size] = '\0';
                    printf("done: saw descriptor %d: %s\n", fd, target);
                    fflush(stdout);
                }
            }
            snprintf(path, sizeof(path), "/proc/%d/root/davit-host-marker", pid);
            if (access(path, F_OK) == 0) {
                printf("done: saw the host's root\n");
                fflush(stdout);
            }
        }
        if (directory != NULL) {
            closedir(directory);
        }
    }
}

// The init channel of an exec: stop newcomers and speak in their name.
_Noreturn static void seize_newcomers(void) {
    const pid_t self = getpid();
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        for (pid_t pid = 2; pid < 200; ++pid) {
            if (pid == self || ptrace(PTRACE_SEIZE, pid, 0, 0) != 0) {
                continue;
            }
            for (int fd = 3; fd < 8; ++fd) {
                const int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
                const int copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
                struct stat info;
                if (copy >= 0 && fstat(copy, &info) == 0 && S_ISSOCK(info.st_mode)) {
                    char message[504] = "forged";
                    (void)!write(copy, message, sizeof(message));
                }
                if (copy >= 0) {
                    close(copy);
                }
                if (pidfd >= 0) {
                    close(pidfd);
                }
            }
            ptrace(PTRACE_DETACH, pid, 0, 0);
        }
    }
}

// A device node that is the host's disk.
static int device(const char* path, unsigned major, unsigned minor) {
    if (mknod(path, S_IFBLK | 0600, makedev(major, minor)) != 0 && errno != EEXIST) {
        return told("mknod", -1);
    }
    char byte;
    const int fd = open(path, O_RDONLY);
    return told("open the host's disk", fd < 0 ? -1 : read(fd, &byte, 1));
}

// CVE-2022-0492: a cgroup v1 mount of one's own, and its release_agent.
static int release_agent(void) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP) != 0) {
        return told("unshare", -1);
    }
    mkdir("/tmp/cg", 0700);
    return told("mount", mount("cgroup", "/tmp/cg", "cgroup", 0, "rdma"));
}

// CVE-2022-0185 and its kin start with a new user or mount namespace.
static int mounts(void) {
    mkdir("/tmp/m", 0700);
    return told("mount", mount("none", "/tmp/m", "tmpfs", 0, NULL));
}

static long bpf_load(void) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    attributes.prog_type = BPF_PROG_TYPE_KPROBE;
    return syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
}

static long perf_of_all(void) {
    struct perf_event_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.size = sizeof(attributes);
    return syscall(SYS_perf_event_open, &attributes, -1, 0, -1, 0);
}

// CVE-2014-3519 and its kin: a file of the host by its number, whatever the root is.
static long handle_of_host(void) {
    struct {
        struct file_handle head;
        unsigned char inode[8];
    } handle = {.head = {.handle_bytes = 8, .handle_type = 1}, .inode = {2}};

    const int root = open("/", O_RDONLY);
    return open_by_handle_at(root, &handle.head, O_RDONLY);
}

static long limit_raise(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    limit.rlim_max = limit.rlim_max == RLIM_INFINITY ? RLIM_INFINITY : limit.rlim_max + 1;
    if (limit.rlim_max == RLIM_INFINITY) {
        errno = EPERM;
        return -1;
    }
    return setrlimit(RLIMIT_MEMLOCK, &limit);
}

static long file_write_of(const char* path, const char* text) {
    const int fd = open(path, O_WRONLY);
    return fd < 0 ? -1 : write(fd, text, strlen(text));
}

// The rest of the host's ids, by a namespace of one's own below (CVE-2018-18955 and its kin).
static long ids_widen(void) {
    const pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWUSER) != 0) {
            _exit(EPERM);
        }
        _exit(file_write_of("/proc/self/uid_map", "0 0 4294967294\n") < 0 ? errno : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    errno = WEXITSTATUS(status);
    return errno == 0 ? 0 : -1;
}

static long immutable_set(void) {
    int flags = FS_IMMUTABLE_FL;
    const int fd = open("/tmp/immutable", O_RDWR | O_CREAT, 0600);
    const long done = ioctl(fd, FS_IOC_SETFLAGS, &flags);
    flags = 0;
    (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
    return done;
}

// What takes power over the host, one line each; nothing of it would do harm if it were allowed: it
// fails later, for what it names is not there.
static int powers(void) {
    const struct timezone zone = {0, 0};
    told("init_module", syscall(SYS_init_module, NULL, 0L, ""));
    told("kexec_load", syscall(SYS_kexec_load, 0L, 0L, NULL, 0xffffL));
    told("iopl", iopl(3));
    told("settimeofday", settimeofday(NULL, &zone));
    told("acct", acct("/no/such/file"));
    told("swapon", swapon("/no/such/file", 0));
    told("syslog", syscall(SYS_syslog, 3 /* read all */, NULL, 0L));
    told("bpf", bpf_load());
    told("perf_event_open", perf_of_all());
    told("open_by_handle_at", handle_of_host());
    told("mknod", mknod("/tmp/disk", S_IFBLK | 0600, makedev(8, 0)));
    told("mount ext4", mount("/no/such/disk", "/tmp", "ext4", 0, NULL));
    told("setrlimit", limit_raise());
    told("setpriority", setpriority(PRIO_PROCESS, 0, -20));
    told("oom_score_adj", file_write_of("/proc/self/oom_score_adj", "-999"));
    told("immutable", immutable_set());
    told("trusted", setxattr("/tmp", "trusted.davit", "x", 1, 0));
    told("freeze", ioctl(open("/", O_RDONLY), FIFREEZE, 0));
    told("ids", ids_widen());
    return 0;
}

int main(int argc, char** argv) {
    const char* name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "tiocsti") == 0) {
        return tiocsti();
    }
    if (strcmp(name, "keyring") == 0) {
        return keyring();
    }
    if (strcmp(name, "overwrite-exe") == 0) {
        return overwrite_exe();
    }
    if (strcmp(name, "trace-newcomers") == 0) {
        trace_newcomers();
    }
    if (strcmp(name, "seize-newcomers") == 0) {
        seize_newcomers();
    }
    if (strcmp(name, "release-agent") == 0) {
        return release_agent();
    }
    if (strcmp(name, "mount") == 0) {
        return mounts();
    }
    if (strcmp(name, "device") == 0 && argc == 5) {
        return device(argv[2], (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
    }
    if (strcmp(name, "powers") == 0) {
        return powers();
    }
    fprintf(stderr, "no such attack: %s\n", name);
    return 2;
}
