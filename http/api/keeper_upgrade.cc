#include "http/api/keeper_upgrade.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "reactor/base/fd.h"
#include "reactor/base/pid_ref.h"

namespace davit {

namespace {

std::string note_path(const std::string& run_dir) {
    return run_dir + "/keeper.pid";
}

Error none(const std::string& run_dir) {
    return Error(ErrorKind::not_found, "no daemon with a keeper runs in " + run_dir);
}

/// "KEEPER DAEMON\n"; a pid that is another's by now has another name.
Result<std::pair<PidRef, PidRef>> noted(const std::string& run_dir) {
    const Result<std::string> text = file_read(note_path(run_dir));
    if (!text) {
        return none(run_dir);
    }
    pid_t pids[2] = {};
    const char* const end = text->data() + text->size();
    const auto first = std::from_chars(text->data(), end, pids[0]);
    const auto second = std::from_chars(std::min(first.ptr + 1, end), end, pids[1]);
    if (first.ec != std::errc{} || second.ec != std::errc{}) {
        return none(run_dir);
    }
    Result<PidRef> keeper = PidRef::open(pids[0]);
    Result<PidRef> daemon = PidRef::open(pids[1]);
    const Result<std::string> name = file_read("/proc/" + std::to_string(pids[0]) + "/comm");
    if (!keeper || !daemon || !name || *name != "davit-keeper\n") {
        return none(run_dir);
    }
    return std::pair(*std::move(keeper), *std::move(daemon));
}

}  // namespace

Result<void> keeper_note(const std::string& run_dir) {
    const std::string text = std::to_string(::getppid()) + " " + std::to_string(::getpid()) + "\n";
    return file_replace(AT_FDCWD, note_path(run_dir), text);
}

Result<void> keeper_upgrade(const std::string& run_dir) {
    TRY(const auto processes, noted(run_dir));
    TRY_VOID(processes.first.signal(SIGUSR2));
    pollfd ended{processes.second.pidfd(), POLLIN, 0};
    while (::poll(&ended, 1, -1) < 0) {
        if (errno != EINTR) {
            return Error::from_errno(errno, "poll", "daemon");
        }
    }
    return ok;
}

}  // namespace davit
