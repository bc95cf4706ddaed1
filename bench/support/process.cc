#include "bench/support/process.h"

#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <sstream>

#include <fmt/format.h>

#include "bench/support/interrupt.h"

namespace davit::bench {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> raw;
    raw.reserve(texts.size() + 1);
    for (const std::string& text : texts) {
        raw.push_back(const_cast<char*>(text.c_str()));
    }
    raw.push_back(nullptr);
    return raw;
}

std::vector<std::string> environment_make(const std::vector<std::string>& extra) {
    std::vector<std::string> all = extra;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        all.emplace_back(*entry);  // The first of two equal names wins in every libc we know.
    }
    return all;
}

/// What the child of vfork does: system calls only; it borrows our memory until it execs.
struct ChildPlan {
    const char* path;
    char* const* argv;
    char* const* envp;
    int input;
    int output;
    int errors;
    int mount_namespace;
    bool own_group;
};

[[noreturn]] void child_exec(const ChildPlan& plan) {
    if (plan.mount_namespace >= 0 && setns(plan.mount_namespace, CLONE_NEWNS) != 0) {
        _exit(126);
    }
    if (plan.own_group && setpgid(0, 0) != 0) {
        _exit(126);
    }
    if (dup2(plan.input, 0) < 0 || dup2(plan.output, 1) < 0 || dup2(plan.errors, 2) < 0) {
        _exit(126);
    }
    execve(plan.path, plan.argv, plan.envp);
    _exit(127);
}

// Alone in its function: the compiler must not keep values across vfork's second return.
[[gnu::noinline]] pid_t vfork_exec(const ChildPlan& plan) {
    const pid_t pid = vfork();
    if (pid == 0) {
        child_exec(plan);
    }
    return pid;
}

}  // namespace

std::string program_find(const std::string& name) {
    if (name.find('/') != std::string::npos) {
        return access(name.c_str(), X_OK) == 0 ? name : "";
    }
    const char* path = std::getenv("PATH");
    std::string list = std::string(path == nullptr ? "" : path) + ":/usr/sbin:/sbin:";
    for (std::size_t end = 0; (end = list.find(':')) != std::string::npos; list.erase(0, end + 1)) {
        const std::string candidate = list.substr(0, end) + "/" + name;
        if (access(candidate.c_str(), X_OK) == 0) {
            return candidate;
        }
    }
    return "";
}

Result<PidRef> process_spawn(const SpawnOptions& options) {
    const std::string path = program_find(options.argv.front());
    if (path.empty()) {
        return Error(ErrorKind::not_found, options.argv.front() + " is not installed");
    }
    TRY(Fd input, Fd::open("/dev/null", O_RDONLY));
    const std::string log = options.log_path.empty() ? "/dev/null" : options.log_path;
    TRY(Fd errors, Fd::open(log, O_WRONLY | O_CREAT | O_APPEND, 0644));
    const int output = options.output >= 0 ? options.output : errors.get();
    const std::vector<std::string> environment = environment_make(options.environment_extra);
    const std::vector<char*> argv = pointers(options.argv);
    const std::vector<char*> envp = pointers(environment);
    const ChildPlan plan = {path.c_str(),
                            argv.data(),
                            envp.data(),
                            input.get(),
                            output,
                            errors.get(),
                            options.mount_namespace,
                            interrupt_fd() >= 0};
    const pid_t pid = vfork_exec(plan);
    if (pid < 0) {
        return Error::from_errno(errno, "vfork", path);
    }
    return PidRef::open(pid);
}

std::string log_tail(const std::string& path) {
    constexpr std::size_t shown_bytes_max = 400;
    Result<std::string> text = path.empty() ? std::string() : file_read(path, 64UL << 20);
    if (!text || text->empty()) {
        return "";
    }
    const std::size_t from = text->size() > shown_bytes_max ? text->size() - shown_bytes_max : 0;
    std::string tail = ": " + text->substr(from);
    while (tail.back() == '\n') {
        tail.pop_back();
    }
    return tail;
}

namespace {

Result<ExitStatus> reap(const PidRef& child) {
    TRY(std::optional<ExitStatus> status, child.try_reap());
    if (!status) {
        return Error(ErrorKind::internal, "pidfd readable, but nothing to reap");
    }
    return *status;
}

/// SIGKILL, and wait for the end of it.
void end(const PidRef& child) {
    static_cast<void>(child.signal(SIGKILL));
    pollfd waited = {child.pidfd(), POLLIN, 0};
    while (poll(&waited, 1, -1) < 0 && errno == EINTR) {
    }
    static_cast<void>(reap(child));
}

}  // namespace

Result<ExitStatus> process_wait(const PidRef& child, std::optional<MonotonicTime> deadline) {
    if (Result<void> ended = await_readable(child.pidfd(), deadline); !ended) {
        end(child);
        return std::move(ended).error();
    }
    return reap(child);
}

Result<void> process_run(const SpawnOptions& options) {
    TRY(PidRef child, process_spawn(options));
    TRY(ExitStatus status, process_wait(child, deadline_in(options.limit)));
    if (status.shell_code() != 0) {
        return Error(ErrorKind::internal,
                     fmt::format("{} ended with {}{}",
                                 options.argv.front(),
                                 status.shell_code(),
                                 log_tail(options.log_path)));
    }
    return ok;
}

namespace {

/// Take what a pipe holds; false at its end.
bool pipe_drain(int pipe, Output& output) {
    char chunk[4096];
    pollfd readable = {pipe, POLLIN, 0};
    while (poll(&readable, 1, 0) == 1) {
        const ssize_t count = read(pipe, chunk, sizeof chunk);
        if (count <= 0) {
            return false;
        }
        if (!output.first) {
            output.first = monotonic_now();
        }
        output.text.append(chunk, static_cast<std::size_t>(count));
    }
    return true;
}

}  // namespace

Result<ExitStatus> process_read(const PidRef& child,
                                int pipe,
                                Output& output,
                                std::optional<MonotonicTime> deadline) {
    pollfd waited[] = {{child.pidfd(), POLLIN, 0}, {pipe, POLLIN, 0}, {interrupt_fd(), POLLIN, 0}};
    for (;;) {
        const int found = poll(waited, 3, poll_timeout(deadline));
        if (found < 0 && errno == EINTR) {
            continue;
        }
        if (found == 0 || waited[2].revents != 0) {
            end(child);
            return found == 0 ? Error(ErrorKind::timed_out, "no end in time")
                              : Error(ErrorKind::cancelled, "interrupted");
        }
        // The pipe may outlive the child, in another process's hands: the child's end decides.
        if (waited[1].revents != 0 && !pipe_drain(pipe, output)) {
            waited[1].fd = -1;
        }
        if (waited[0].revents != 0) {
            if (waited[1].fd >= 0) {
                pipe_drain(pipe, output);
            }
            return reap(child);
        }
    }
}

std::string program_version(const std::string& name) {
    Result<Pipe> pipe = pipe_make();
    if (!pipe) {
        return "";
    }
    SpawnOptions options = {{name, "--version"}, {}, "", -1};
    options.output = pipe->write_end.get();
    Result<PidRef> child = process_spawn(options);
    Output output;
    if (!child ||
        !process_read(
            *child, pipe->read_end.get(), output, deadline_in(std::chrono::seconds(10)))) {
        return "";
    }
    return output.text.substr(0, output.text.find('\n'));
}

Result<void> process_stop(const PidRef& child, std::chrono::seconds grace) {
    if (Result<void> sent = child.signal(SIGTERM);
        !sent && sent.error().kind() != ErrorKind::not_found) {
        return sent;
    }
    pollfd waited = {child.pidfd(), POLLIN, 0};
    const auto grace_ms = std::chrono::duration_cast<std::chrono::milliseconds>(grace);
    if (poll(&waited, 1, static_cast<int>(grace_ms.count())) == 0) {
        TRY_VOID(child.signal(SIGKILL));
    }
    TRY_VOID(process_wait(child));
    return ok;
}

long process_memory_kib(pid_t pid, const std::string& line) {
    Result<std::string> status = file_read(fmt::format("/proc/{}/status", pid));
    const std::size_t at = status ? status->find(line) : std::string::npos;
    return at == std::string::npos ? 0 : std::atol(status->c_str() + at + line.size());
}

std::uint64_t proc_number(const char* file, const std::string& key) {
    const Result<std::string> text = file_read(file);
    const std::size_t at = text ? ("\n" + *text).find("\n" + key) : std::string::npos;
    return at == std::string::npos ? 0
                                   : std::strtoull(text->c_str() + at + key.size(), nullptr, 10);
}

Result<void> process_peak_reset(pid_t pid) {
    TRY(const Fd file, Fd::open(fmt::format("/proc/{}/clear_refs", pid), O_WRONLY));
    return write_all(file.get(), "5");
}

std::vector<pid_t> process_children(pid_t pid) {
    std::vector<pid_t> children;
    const Result<std::string> list = file_read(fmt::format("/proc/{}/task/{}/children", pid, pid));
    std::istringstream words(list ? *list : "");
    for (pid_t child = 0; words >> child;) {
        children.push_back(child);
    }
    return children;
}

namespace {

/// The fields of /proc/PID/stat behind the name, from the third ("state") on.
std::vector<std::string> stat_fields(pid_t pid) {
    std::vector<std::string> fields;
    const Result<std::string> text = file_read(fmt::format("/proc/{}/stat", pid));
    std::istringstream rest(text ? text->substr(text->rfind(')') + 1) : "");
    for (std::string field; rest >> field;) {
        fields.push_back(field);
    }
    return fields;
}

std::string pid_namespace(pid_t pid) {
    std::array<char, 64> name{};
    const ssize_t size =
        readlink(fmt::format("/proc/{}/ns/pid", pid).c_str(), name.data(), name.size());
    return {name.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

bool is_helper_of(pid_t pid, const std::string& marker) {
    const Result<std::string> name = file_read(fmt::format("/proc/{}/comm", pid));
    const Result<std::string> line = file_read(fmt::format("/proc/{}/cmdline", pid));
    return name && line && (name->starts_with("containerd-shim") || *name == "conmon\n") &&
           line->find(marker) != std::string::npos;
}

}  // namespace

long process_share_kib(pid_t pid) {
    const Result<std::string> text = file_read(fmt::format("/proc/{}/smaps_rollup", pid));
    const std::size_t at = text ? text->find("\nPss:") : std::string::npos;
    return at == std::string::npos ? 0 : std::strtol(text->c_str() + at + 5, nullptr, 10);
}

Nanoseconds process_cpu_time(pid_t pid) {
    const std::vector<std::string> fields = stat_fields(pid);
    constexpr std::size_t utime = 11;  // Up to cstime: four fields.
    if (fields.size() < utime + 4) {
        return Nanoseconds(0);
    }
    long long ticks = 0;
    for (std::size_t i = utime; i < utime + 4; ++i) {
        ticks += std::stoll(fields[i]);
    }
    return Nanoseconds(ticks * (1'000'000'000 / sysconf(_SC_CLK_TCK)));
}

namespace {

/// Every process, and its parent.
std::map<pid_t, pid_t> parents_list() {
    std::map<pid_t, pid_t> parents;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const pid_t pid = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
        const std::vector<std::string> fields = pid > 0 ? stat_fields(pid) : stat_fields(-1);
        if (fields.size() > 1) {
            parents.emplace(pid, static_cast<pid_t>(std::atoi(fields[1].c_str())));
        }
    }
    return parents;
}

bool descends(const std::map<pid_t, pid_t>& parents, pid_t pid, pid_t root) {
    for (auto at = parents.find(pid); pid != root && at != parents.end(); at = parents.find(pid)) {
        pid = at->second;
    }
    return pid == root;
}

}  // namespace

std::vector<pid_t> process_family(pid_t root, const std::string& marker) {
    const std::map<pid_t, pid_t> parents = parents_list();
    const std::string own = pid_namespace(root);
    std::vector<pid_t> family;
    for (const auto& [pid, parent] : parents) {
        const bool below = descends(parents, pid, root) && pid_namespace(pid) == own;
        if (below || is_helper_of(pid, marker)) {
            family.push_back(pid);
        }
    }
    return family;
}

std::vector<pid_t> process_helpers(const std::string& marker) {
    std::vector<pid_t> helpers;
    for (const auto& [pid, parent] : parents_list()) {
        if (is_helper_of(pid, marker)) {
            helpers.push_back(pid);
        }
    }
    return helpers;
}

Result<void> orphans_adopt() {
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        return Error::from_errno(errno, "prctl(PR_SET_CHILD_SUBREAPER)");
    }
    return ok;
}

Nanoseconds descendants_cpu_time() {
    rusage ended{};
    getrusage(RUSAGE_CHILDREN, &ended);
    const auto nanoseconds = [](const timeval& time) {
        return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
    };
    Nanoseconds total = nanoseconds(ended.ru_utime) + nanoseconds(ended.ru_stime);
    const std::map<pid_t, pid_t> parents = parents_list();
    for (const auto& [pid, parent] : parents) {
        if (pid != getpid() && descends(parents, pid, getpid())) {
            total += process_cpu_time(pid);
        }
    }
    return total;
}

std::set<pid_t> children_list() {
    std::set<pid_t> children;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        const Result<std::string> list = file_read(task.path().string() + "/children");
        std::istringstream words(list ? *list : "");
        for (pid_t pid = 0; words >> pid;) {
            children.insert(pid);
        }
    }
    return children;
}

namespace {

/// Handles of the children but these. One that cannot be opened has been reaped meanwhile.
std::vector<PidRef> children_but(const std::set<pid_t>& kept) {
    std::vector<PidRef> children;
    for (const pid_t pid : children_list()) {
        Result<PidRef> child = kept.contains(pid) ? PidRef() : PidRef::open(pid);
        if (child && *child) {
            children.push_back(*std::move(child));
        }
    }
    return children;
}

}  // namespace

std::size_t children_settle(const std::set<pid_t>& kept, Nanoseconds grace) {
    const std::optional<MonotonicTime> deadline = monotonic_now() + grace;
    for (;;) {
        const std::vector<PidRef> left = children_but(kept);
        std::size_t living = left.size();
        for (const PidRef& child : left) {
            if (!await_readable(child.pidfd(), deadline)) {
                continue;
            }
            static_cast<void>(child.try_reap());
            --living;
        }
        // What has ended may have left us children of its own.
        if (left.empty() || living > 0) {
            return living;
        }
    }
}

void children_kill(const std::set<pid_t>& kept) {
    for (std::vector<PidRef> left = children_but(kept); !left.empty(); left = children_but(kept)) {
        for (const PidRef& child : left) {
            end(child);
        }
    }
}

void mounts_detach(const std::string& directory) {
    const Result<std::string> table = file_read("/proc/self/mountinfo", 64UL << 20);
    std::istringstream lines(table ? *table : "");
    std::vector<std::string> found;
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string word;
        for (int at = 0; at < 5; ++at) {  // Follows: proc_pid_mountinfo(5).
            words >> word;
        }
        if (word.starts_with(directory + "/")) {
            found.push_back(word);
        }
    }
    for (auto path = found.rbegin(); path != found.rend(); ++path) {
        static_cast<void>(umount2(path->c_str(), MNT_DETACH));
    }
}

Result<Fd> mount_namespace_without_unified() {
    constexpr const char* unified = "/sys/fs/cgroup/unified";
    if (access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) != 0) {
        return Fd();
    }
    TRY(Pipe ready, pipe_make());
    TRY(Pipe hold, pipe_make());
    const pid_t pid = fork();
    if (pid < 0) {
        return Error::from_errno(errno, "fork");
    }
    if (pid == 0) {
        hold.write_end.reset();
        const bool done = unshare(CLONE_NEWNS) == 0 &&
                          mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                          umount2(unified, MNT_DETACH) == 0;
        char byte = done ? 1 : 0;
        if (write(ready.write_end.get(), &byte, 1) == 1) {
            [[maybe_unused]] const ssize_t end = read(hold.read_end.get(), &byte, 1);
        }
        _exit(0);
    }
    TRY(PidRef child, PidRef::open(pid));
    ready.write_end.reset();
    char byte = 0;
    const bool made = read(ready.read_end.get(), &byte, 1) == 1 && byte == 1;
    Result<Fd> space = Fd::open(fmt::format("/proc/{}/ns/mnt", pid), O_RDONLY);
    hold.write_end.reset();
    TRY_VOID(process_wait(child));
    if (!made) {
        return Error(ErrorKind::unavailable, "cannot make a mount namespace without cgroup v2");
    }
    return space;
}

}  // namespace davit::bench
