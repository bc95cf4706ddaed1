#include "runtime/launching.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "libcontainer/init_binary.h"

#include "runtime/hooks.h"

namespace davit {

namespace {

Result<void> channel_wait(int channel) {
    pollfd readable{.fd = channel, .events = POLLIN, .revents = 0};
    while (::poll(&readable, 1, -1) < 0) {
        if (errno != EINTR) {
            return Error::from_errno(errno, "poll", "channel");
        }
    }
    return ok;
}

void process_end(const PidRef& process) {
    if (process) {
        static_cast<void>(process.signal(SIGKILL));
        static_cast<void>(process_wait(process));
    }
}

/// A descriptor that is open, or -1, which is /dev/null.
int stream_if_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0 ? fd : -1;
}

}  // namespace

Result<Launching> launching_begin(const LaunchPlan& plan,
                                  std::vector<Fd> registers,
                                  int cgroup,
                                  bool terminal) {
    TRY(const Fd init, init_binary_open());
    TRY(const Fd plan_file, plan_memory_file(plan));
    std::vector<int> numbers;
    numbers.reserve(registers.size());
    for (const Fd& fd : registers) {
        numbers.push_back(fd.get());
    }
    LaunchRequest request;
    request.init_fd = init.get();
    request.plan_fd = plan_file.get();
    request.clone_flags = plan.clone_flags;
    request.registers = numbers;
    request.cgroup_fd = cgroup;
    for (int stream = 0; !terminal && stream < 3; ++stream) {
        request.stdio[static_cast<std::size_t>(stream)] = stream_if_open(stream);
    }
    Launching launching;
    TRY(launching.launched, launch(request));
    return launching;
}

Result<bool> launching_follow(Launching& launching) {
    std::optional<Error> failure;
    for (;;) {
        const pid_t init = launching.launched.init.pid();
        const std::array<pid_t, 2> senders{init,
                                           launching.process ? launching.process.pid() : init};
        const int channel = launching.launched.channel.get();
        TRY(std::optional<InitEvent> event, init_channel_receive(channel, senders));
        if (!event) {
            TRY_VOID(channel_wait(channel));
            continue;
        }
        switch (event->kind) {
            case InitEvent::Kind::ready:
                return true;
            case InitEvent::Kind::warning:
                launching.warnings.push_back(std::move(event->text));
                break;
            case InitEvent::Kind::console:
                launching.console = std::move(event->console);
                break;
            case InitEvent::Kind::process:
                if (event->sender == init && !launching.process) {
                    launching.process = std::move(event->process);
                }
                break;
            case InitEvent::Kind::failed:
                failure = std::move(event->error);
                break;
            case InitEvent::Kind::closed:
                return failure ? Result<bool>(*std::move(failure)) : Result<bool>(false);
        }
    }
}

void launching_abort(Launching& launching) {
    launching.launched.channel.reset();
    process_end(std::exchange(launching.launched.init, {}));
    process_end(std::exchange(launching.process, {}));
}

void launching_forked(Launching& launching) {
    if (launching.process && launching.launched.init) {
        static_cast<void>(process_wait(launching.launched.init));
        launching.launched.init = {};
    }
}

Result<ExitStatus> process_wait(const PidRef& process) {
    for (;;) {
        TRY(const std::optional<ExitStatus> status, process.try_reap());
        if (status) {
            return *status;
        }
        TRY([[maybe_unused]] const bool ended, process_ended_within(process, -1));
    }
}

Result<void> console_hand_over(const std::string& socket, int console) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket.size() >= sizeof(address.sun_path)) {
        return Error(ErrorKind::invalid_argument,
                     "console socket: the path is too long: " + socket);
    }
    std::memcpy(address.sun_path, socket.data(), socket.size());
    const Fd stream(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!stream ||
        ::connect(stream.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
            0) {
        return Error::from_errno(errno, "connect", socket);
    }
    std::string name = "/dev/ptmx";
    iovec vector{.iov_base = name.data(), .iov_len = name.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &console, sizeof(console));
    if (::sendmsg(stream.get(), &message, MSG_NOSIGNAL) < 0) {
        return Error::from_errno(errno, "sendmsg", socket);
    }
    return ok;
}

}  // namespace davit
