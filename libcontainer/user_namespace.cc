#include "libcontainer/user_namespace.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <memory>

#include "libcontainer/init/syscall.h"
#include "libcontainer/mount.h"

namespace davit {

namespace {

/// Stays until it is killed, or its parent has ended. It shares our memory, so it makes raw system
/// calls only.
__attribute__((noinline, no_sanitize("address", "undefined"))) int stay(void* parent) {
    raw::call(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
    while (raw::call(__NR_getppid) == reinterpret_cast<long>(parent)) {
        raw::call(__NR_ppoll, nullptr, 0, nullptr, nullptr, 0);
    }
    return 0;
}

/// The first process of the namespaces, as long as somebody has to be in them.
class Resident {
  public:
    static Result<Resident> make(int flags) {
        auto stack = std::make_unique<Stack>();
        // No signal may run a handler of ours there.
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, &before);
        int pidfd = -1;
        const int pid = ::clone(stay,
                                stack->bytes + sizeof(stack->bytes),
                                flags | CLONE_VM | CLONE_PIDFD,
                                reinterpret_cast<void*>(static_cast<long>(::getpid())),
                                &pidfd);
        const int failure = errno;
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        if (pid < 0) {
            Error error = Error::from_errno(failure, "clone", "a user namespace");
            // ENOSPC: its words would blame a disk. EUSERS is what old kernels say.
            return failure == ENOSPC || failure == EUSERS
                       ? std::move(error).with_kind(ErrorKind::resource_exhausted)
                       : std::move(error);
        }
        return Resident(PidRef(pid, Fd(pidfd)), std::move(stack));
    }

    Resident(Resident&&) noexcept = default;
    Resident& operator=(Resident&&) = delete;
    Resident(const Resident&) = delete;
    Resident& operator=(const Resident&) = delete;

    ~Resident() {
        if (!process_) {
            return;
        }
        static_cast<void>(process_.signal(SIGKILL));
        siginfo_t info{};
        while (::waitid(P_PIDFD,
                        static_cast<id_t>(process_.pidfd()),
                        &info,
                        static_cast<int>(WEXITED | static_cast<unsigned>(__WALL))) != 0 &&
               errno == EINTR) {
        }
    }

    std::string file(const char* name) const {
        return "/proc/" + std::to_string(process_.pid()) + "/" + name;
    }

  private:
    struct Stack {
        alignas(16) char bytes[16 * 1024];
    };

    Resident(PidRef process, std::unique_ptr<Stack> stack)
        : stack_(std::move(stack)), process_(std::move(process)) {}

    std::unique_ptr<Stack> stack_;
    PidRef process_;
};

/// The kernel takes a map in one write or not at all.
Result<void> map_write(const std::string& path, const std::vector<IdRange>& ranges) {
    const std::string text = id_ranges_text(ranges);
    TRY(const Fd file, Fd::open(path, O_WRONLY));
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        return Error::from_errno(errno, "write", path);
    }
    return ok;
}

struct CapabilityState {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
};

/// setfsuid(2) takes effective capabilities away from who is not root any more.
void all_effective() {
    CapabilityState state;
    if (::syscall(SYS_capget, &state.header, state.sets.data()) != 0) {
        std::abort();
    }
    for (__user_cap_data_struct& set : state.sets) {
        set.effective = set.permitted;
    }
    if (::syscall(SYS_capset, &state.header, state.sets.data()) != 0) {
        std::abort();
    }
}

}  // namespace

Result<UserNamespace> user_namespace_make(const IdMap& map, bool with_network) {
    TRY(const Resident resident,
        Resident::make(with_network ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWUSER));
    TRY_VOID(map_write(resident.file("uid_map"), map.uids));
    TRY_VOID(map_write(resident.file("gid_map"), map.gids));
    UserNamespace made;
    TRY(made.user, Fd::open(resident.file("ns/user"), O_RDONLY));
    if (with_network) {
        TRY(made.network, Fd::open(resident.file("ns/net"), O_RDONLY));
    }
    return made;
}

Result<IdMap> user_namespace_map_of(const PidRef& process) {
    const std::string directory = "/proc/" + std::to_string(process.pid());

    struct stat theirs {};

    struct stat ours {};

    if (::stat((directory + "/ns/user").c_str(), &theirs) != 0) {
        return Error::from_errno(errno, "stat", directory + "/ns/user");
    }
    if (::stat("/proc/self/ns/user", &ours) != 0) {
        return Error::from_errno(errno, "stat", "/proc/self/ns/user");
    }
    IdMap map;
    if (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino) {
        return map;
    }
    TRY(const std::string uids, file_read(directory + "/uid_map"));
    TRY(map.uids, id_ranges_parse(uids));
    TRY(const std::string gids, file_read(directory + "/gid_map"));
    TRY(map.gids, id_ranges_parse(gids));
    return map;
}

std::string id_ranges_text(const std::vector<IdRange>& ranges) {
    std::string text;
    for (const IdRange& range : ranges) {
        text += std::to_string(range.inside) + " " + std::to_string(range.outside) + " " +
                std::to_string(range.count) + "\n";
    }
    return text;
}

Result<std::vector<IdRange>> id_ranges_parse(std::string_view text) {
    std::vector<IdRange> ranges;
    const char* at = text.data();
    const char* end = at + text.size();
    const auto skip_blanks = [&] {
        while (at != end && (*at == ' ' || *at == '\n')) {
            ++at;
        }
        return at != end;
    };
    while (skip_blanks()) {
        IdRange range;
        for (std::uint32_t* number : {&range.inside, &range.outside, &range.count}) {
            skip_blanks();
            const auto [next, error] = std::from_chars(at, end, *number);
            if (error != std::errc{}) {
                return Error(ErrorKind::corrupt, "malformed id map: " + std::string(text));
            }
            at = next;
        }
        ranges.push_back(range);
    }
    return ranges;
}

Result<void> mount_map_ids(int mount_fd, int user_namespace, const std::string& what) {
    struct mount_attr attributes {};

    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<std::uint64_t>(user_namespace);
    if (::mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) == 0) {
        return ok;
    }
    if (errno == EINVAL) {
        return Error(ErrorKind::unsupported,
                     what +
                         ": its file system has no ID-mapped mounts in this kernel, so its "
                         "files cannot belong to users of a user namespace");
    }
    return Error::from_errno(errno, "mount_setattr(IDMAP)", what);
}

FileOwnerGuard::FileOwnerGuard(std::uint32_t uid, std::uint32_t gid)
    : dumpable_(::prctl(PR_GET_DUMPABLE)) {
    ::setfsgid(gid);
    ::setfsuid(uid);
    all_effective();
}

FileOwnerGuard::~FileOwnerGuard() {
    ::setfsuid(0);
    ::setfsgid(0);
    if (::setfsuid(static_cast<uid_t>(-1)) != 0 || ::setfsgid(static_cast<gid_t>(-1)) != 0) {
        std::abort();
    }
    all_effective();
    // Other credentials have changed it, for all threads.
    ::prctl(PR_SET_DUMPABLE, dumpable_, 0, 0, 0);
}

}  // namespace davit
