#include "jobs/container/exit_cause.h"

#include <csignal>
#include <cstring>

#include <fmt/format.h>

#include "jobs/container/record.h"

namespace davit {

namespace {

/// "SIGTERM"; "signal 40" for those without a name of their own.
std::string signal_text(int signal) {
    const char* const name = ::sigabbrev_np(signal);
    return name == nullptr ? fmt::format("signal {}", signal) : fmt::format("SIG{}", name);
}

std::string mebibytes(std::uint64_t bytes) {
    constexpr double mebibyte = 1 << 20;
    return fmt::format("{:.4g} MiB", static_cast<double>(bytes) / mebibyte);
}

std::string memory_text(const ContainerStateRecord& state) {
    const ExitCause& cause = state.cause;
    std::string text = "out of memory in cgroup " + cause.memory_cgroup;
    std::string numbers;
    if (cause.memory_limit != 0) {
        numbers = "limit " + mebibytes(cause.memory_limit);
    }
    if (cause.memory_peak != 0) {
        numbers += (numbers.empty() ? "peak " : ", peak ") + mebibytes(cause.memory_peak);
    }
    return numbers.empty() ? text : text + " (" + numbers + ")";
}

std::string sent_text(const ExitCause& cause) {
    return fmt::format("{} from {}", signal_text(cause.sent), cause.sender);
}

}  // namespace

std::string exit_reason(const ContainerStateRecord& state) {
    const ExitCause& cause = state.cause;
    if (!cause.failed_phase.empty()) {
        return fmt::format("not started: {}: {}", cause.failed_phase, state.error);
    }
    if (!state.finished_at) {
        return "";
    }
    if (!state.error.empty()) {
        return state.error;
    }
    if (cause.signal == 0) {
        std::string text = fmt::format("exited with code {}", state.exit_code);
        if (cause.sent != 0) {
            text += ", after it was sent " + sent_text(cause);
        }
        if (state.oom_killed) {
            text += "; before that the kernel killed another process of it, " + memory_text(state);
        }
        return text;
    }
    if (cause.sent == cause.signal) {
        return "killed by " + sent_text(cause);
    }
    if (state.oom_killed && cause.signal == SIGKILL) {
        return "killed by the kernel, its first process being the victim: " + memory_text(state);
    }
    return fmt::format("killed by {}, which davit did not send", signal_text(cause.signal));
}

}  // namespace davit
