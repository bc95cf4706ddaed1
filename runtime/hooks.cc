#include "runtime/hooks.h"

#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

namespace davit {

namespace {

constexpr int joined_by_hooks =
    CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

Error hook_error(const OciHook& hook, std::string_view kind, const std::string& what) {
    return Error(ErrorKind::internal,
                 "error running " + std::string(kind) + " hook " + hook.path + ": " + what);
}

Result<Fd> memory_file(std::string_view text) {
    Fd file(::memfd_create("hook", MFD_CLOEXEC));
    if (!file) {
        return Error::from_errno(errno, "memfd_create");
    }
    TRY_VOID(write_all(file.get(), text));
    if (::lseek(file.get(), 0, SEEK_SET) != 0) {
        return Error::from_errno(errno, "lseek", "hook");
    }
    return file;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (const std::string& text : texts) {
        result.push_back(const_cast<char*>(text.c_str()));
    }
    result.push_back(nullptr);
    return result;
}

/// In the child. A failure is its exit code and a line of its output.
[[noreturn]] void hook_become(const OciHook& hook,
                              int input,
                              int output,
                              int namespaces,
                              char** arguments,
                              char** environment) {
    ::dup2(input, 0);
    ::dup2(output, 1);
    ::dup2(output, 2);
    if (namespaces >= 0 && ::setns(namespaces, joined_by_hooks) != 0) {
        ::dprintf(2, "setns: %s", errno_text(errno).c_str());
    } else {
        ::execve(hook.path.c_str(), arguments, environment);
        ::dprintf(2, "execve: %s", errno_text(errno).c_str());
    }
    constexpr int not_executed = 127;
    ::_exit(not_executed);
}

/// What a hook wrote, on one line.
std::string output_of(int file) {
    constexpr std::size_t shown_max = 4096;
    std::string text(shown_max, '\0');
    const ssize_t got = ::pread(file, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    while (!text.empty() && text.back() == '\n') {
        text.pop_back();
    }
    std::ranges::replace(text, '\n', ' ');
    return text.empty() ? text : ": " + text;
}

Result<void> hook_run(const OciHook& hook,
                      std::string_view kind,
                      const std::string& state,
                      const PidRef* inside) {
    TRY(const Fd input, memory_file(state));
    TRY(const Fd output, memory_file(""));
    const std::vector<char*> arguments = pointers(hook.arguments);
    const std::vector<char*> environment = pointers(hook.environment);
    const int namespaces = inside != nullptr ? inside->pidfd() : -1;
    const pid_t pid = ::fork();
    if (pid < 0) {
        return Error::from_errno(errno, "fork", hook.path);
    }
    if (pid == 0) {
        hook_become(hook,
                    input.get(),
                    output.get(),
                    namespaces,
                    const_cast<char**>(arguments.data()),
                    const_cast<char**>(environment.data()));
    }
    TRY(const PidRef process, PidRef::open(pid));
    constexpr std::int64_t milliseconds = 1000;
    constexpr std::int64_t seconds_max = INT32_MAX / milliseconds;
    const std::int64_t seconds = std::min(hook.timeout_s.value_or(0), seconds_max);
    const int timeout_ms = hook.timeout_s ? static_cast<int>(seconds * milliseconds) : -1;
    TRY(const bool ended, process_ended_within(process, timeout_ms));
    if (!ended) {
        TRY_VOID(process.signal(SIGKILL));
        TRY([[maybe_unused]] const bool killed, process_ended_within(process, -1));
    }
    TRY(const std::optional<ExitStatus> status, process.try_reap());
    if (!ended) {
        return hook_error(
            hook, kind, "it took longer than " + std::to_string(*hook.timeout_s) + " s");
    }
    if (!status || status->shell_code() != 0) {
        const std::string how = status && status->signaled ? "signal " : "exit status ";
        return hook_error(
            hook,
            kind,
            how + std::to_string(status ? status->value : -1) + output_of(output.get()));
    }
    return ok;
}

}  // namespace

Result<bool> process_ended_within(const PidRef& process, int timeout_ms) {
    pollfd ended{.fd = process.pidfd(), .events = POLLIN, .revents = 0};
    int count = -1;
    while ((count = ::poll(&ended, 1, timeout_ms)) < 0) {
        if (errno != EINTR) {
            return Error::from_errno(errno, "poll", "pidfd");
        }
    }
    return count > 0;
}

Result<void> hooks_run(const std::vector<OciHook>& hooks,
                       std::string_view kind,
                       const std::string& state,
                       const PidRef* inside) {
    for (const OciHook& hook : hooks) {
        TRY_VOID(hook_run(hook, kind, state, inside));
    }
    return ok;
}

}  // namespace davit
