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

struct Noted {
    pid_t keeper = 0;
    pid_t daemon = 0;
};

/// "KEEPER DAEMON\n"; a pid that is another's by now has another name.
Result<Noted> note_read(const std::string& run_dir) {
    const Result<std::string> text = file_read(note_path(run_dir));
    if (!text) {
        return none(run_dir);
    }
    Noted noted;
    const char* const end = text->data() + text->size();
    const auto first = std::from_chars(text->data(), end, noted.keeper);
    const auto second = std::from_chars(std::min(first.ptr + 1, end), end, noted.daemon);
    if (first.ec != std::errc{} || second.ec != std::errc{}) {
        return none(run_dir);
    }
    const Result<std::string> name = file_read("/proc/" + std::to_string(noted.keeper) + "/comm");
    if (!name || *name != "davit-keeper\n") {
        return none(run_dir);
    }
    return noted;
}

}  // namespace

Result<void> keeper_note(const std::string& run_dir) {
    const std::string text = std::to_string(::getppid()) + " " + std::to_string(::getpid()) + "\n";
    return file_replace(AT_FDCWD, note_path(run_dir), text);
}

std::optional<pid_t> keeper_running(const std::string& run_dir) {
    const Result<Noted> noted = note_read(run_dir);
    return noted ? std::optional(noted->keeper) : std::nullopt;
}

Result<void> keeper_upgrade(const std::string& run_dir) {
    TRY(const Noted noted, note_read(run_dir));
    const Result<PidRef> keeper = PidRef::open(noted.keeper);
    const Result<PidRef> daemon = PidRef::open(noted.daemon);
    if (!keeper || !daemon) {
        return none(run_dir);
    }
    TRY_VOID(keeper->signal(SIGUSR2));
    pollfd ended{daemon->pidfd(), POLLIN, 0};
    while (::poll(&ended, 1, -1) < 0) {
        if (errno != EINTR) {
            return Error::from_errno(errno, "poll", "daemon");
        }
    }
    return ok;
}

}  // namespace davit
