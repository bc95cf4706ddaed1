#include "jobs/keeper_link.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "reactor/base/log.h"
#include "reactor/task_group.h"

namespace davit {

namespace {

using keeper::Kind;
using keeper::Message;

struct Received {
    Message message;
    std::array<Fd, keeper::descriptors_max> fds;  // By the descriptor's bit.
};

/// One datagram; nothing if none is there. Errors: unavailable when the keeper has gone.
Result<std::optional<Received>> receive(int socket) {
    Received received;
    alignas(cmsghdr) char control[CMSG_SPACE(keeper::descriptors_max * sizeof(int))];
    iovec vector{&received.message, sizeof(received.message)};
    msghdr header{};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    ssize_t got = -1;
    do {
        got = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) {
        return std::optional<Received>{};
    }
    if (got <= 0) {
        return Error(ErrorKind::unavailable, "the keeper has gone");
    }
    std::array<int, keeper::descriptors_max> fds{};
    std::size_t count = 0;
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
         part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
            count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            std::memcpy(fds.data(), CMSG_DATA(part), count * sizeof(int));
        }
    }
    std::size_t next = 0;
    for (std::size_t bit = 0; bit < fds.size() && next < count; ++bit) {
        if ((received.message.descriptors >> bit & 1) != 0) {
            received.fds[bit] = Fd(fds[next++]);
        }
    }
    if (got != sizeof(Message) || (header.msg_flags & MSG_CTRUNC) != 0) {
        return Error(ErrorKind::corrupt, "a message of the keeper's is cut off");
    }
    return std::optional<Received>(std::move(received));
}

std::optional<KeptExit> exit_in(const Message& message) {
    if (message.exit == keeper::Exit::none) {
        return std::nullopt;
    }
    KeptExit exit;
    exit.status.value = message.exit_value;
    exit.status.signaled = message.exit == keeper::Exit::signal;
    exit.time = wall_from_unix_nanoseconds(message.exit_time_ns);
    return exit;
}

std::string id_text(const Message& message) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : message.id) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

void id_put(Message& message, const ContainerId& id) {
    const auto digit = [&id](std::size_t at) {
        const char c = id.str()[at];
        return c >= 'a' ? c - 'a' + 10 : c - '0';
    };
    for (std::size_t i = 0; i < sizeof(message.id); ++i) {
        message.id[i] = static_cast<std::uint8_t>(digit(2 * i) << 4 | digit(2 * i + 1));
    }
}

Result<Kept> kept_from(Received received) {
    if (received.message.slot >= keeper::slots_max || !received.fds[0]) {
        return Error(ErrorKind::corrupt, "the keeper holds a container without a process");
    }
    Kept kept;
    kept.slot = received.message.slot;
    TRY(kept.id, ContainerId::parse(id_text(received.message)));
    kept.process = PidRef(received.message.pid, std::move(received.fds[0]));
    kept.input = std::move(received.fds[1]);
    kept.output = std::move(received.fds[2]);
    kept.error = std::move(received.fds[3]);
    return kept;
}

}  // namespace

Result<bool> KeeperLink::send_now(const Message& message, std::span<const int> fds) const {
    alignas(cmsghdr) char control[CMSG_SPACE(keeper::descriptors_max * sizeof(int))] = {};
    iovec vector{const_cast<Message*>(&message), sizeof(message)};
    msghdr header{};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    if (!fds.empty()) {
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* const part = CMSG_FIRSTHDR(&header);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(part), fds.data(), fds.size_bytes());
    }
    for (;;) {
        if (::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
            return true;
        }
        if (errno == EAGAIN) {
            return false;
        }
        if (errno != EINTR) {
            return Error::from_errno(errno, "sendmsg", "keeper");
        }
    }
}

Result<void> KeeperLink::send(Message message, std::span<const int> fds) {
    if (!connected()) {
        return ok;
    }
    if (queue_.empty()) {
        TRY(const bool sent, send_now(message, fds));
        if (sent) {
            return ok;
        }
    }
    Outgoing outgoing;
    outgoing.message = message;
    for (const int fd : fds) {
        TRY(Fd copy, Fd::duplicate(fd));
        outgoing.fds.push_back(std::move(copy));
    }
    queue_.push_back(std::move(outgoing));
    queued_.set();
    return ok;
}

Task<KeptAll> KeeperLink::open(Fd socket) {
    socket_ = std::move(socket);
    CO_TRY(poller_, Poller::make(socket_.get()));
    Message hello;
    hello.kind = Kind::hello;
    hello.version = keeper::version;
    CO_CHECK(send(hello, {}));
    KeptAll all;
    for (;;) {
        CO_TRY(std::optional<Received> received, receive(socket_.get()));
        if (!received) {
            CO_CHECK(co_await poller_.readable());
            continue;
        }
        const Message& message = received->message;
        if (message.kind == Kind::end) {
            co_return std::move(all);
        }
        if (message.kind == Kind::welcome) {
            if (message.version != keeper::version) {
                co_return Error(ErrorKind::unsupported,
                                "the keeper speaks version " + std::to_string(message.version) +
                                    " of its protocol, this daemon version " +
                                    std::to_string(keeper::version));
            }
            if (received->fds[0] && received->fds[1] && received->fds[2]) {
                all.outputs = OutputStore::Files{std::move(received->fds[0]),
                                                 std::move(received->fds[1]),
                                                 std::move(received->fds[2])};
            }
        } else if (message.kind == Kind::held) {
            if (const std::optional<KeptExit> exit = exit_in(message)) {
                exits_.emplace(message.slot, *exit);
            }
            CO_TRY(Kept kept, kept_from(*std::move(received)));
            all.containers.push_back(std::move(kept));
        }
    }
}

Result<void> KeeperLink::share(const OutputStore::Files& files) {
    Message message;
    message.kind = Kind::share;
    message.descriptors =
        keeper::descriptor_memory | keeper::descriptor_stage_read | keeper::descriptor_stage_write;
    const std::array<int, 3> fds{
        files.memory.get(), files.stage_read.get(), files.stage_write.get()};
    return send(message, fds);
}

Result<void> KeeperLink::hold(const Holding& holding) {
    Message message;
    message.kind = Kind::hold;
    message.slot = holding.slot;
    message.pid = holding.process.pid();
    id_put(message, holding.id);
    std::vector<int> fds;
    const auto add = [&](keeper::Descriptor which, int fd) {
        if (fd >= 0) {
            message.descriptors |= which;
            fds.push_back(fd);
        }
    };
    add(keeper::descriptor_process, holding.process.pidfd());
    add(keeper::descriptor_input, holding.input);
    add(keeper::descriptor_output, holding.output);
    add(keeper::descriptor_error, holding.error);
    return send(message, fds);
}

Result<void> KeeperLink::drop_input(std::uint32_t slot) {
    Message message;
    message.kind = Kind::drop_input;
    message.slot = slot;
    return send(message, {});
}

Result<void> KeeperLink::release(std::uint32_t slot) {
    exits_.erase(slot);
    Message message;
    message.kind = Kind::release;
    message.slot = slot;
    return send(message, {});
}

Result<void> KeeperLink::ready() {
    Message message;
    message.kind = Kind::ready;
    return send(message, {});
}

Task<std::optional<KeptExit>> KeeperLink::exit_of(std::uint32_t slot) {
    for (;;) {
        if (const auto found = exits_.find(slot); found != exits_.end()) {
            co_return std::optional<KeptExit>(found->second);
        }
        if (!connected()) {
            co_return std::optional<KeptExit>{};
        }
        CO_CHECK(co_await waiters_.wait());
    }
}

Result<void> KeeperLink::message_take(const Message& message) {
    if (message.kind == Kind::leave) {
        leave_.set();
        return ok;
    }
    const std::optional<KeptExit> exit = exit_in(message);
    if (message.kind != Kind::exited || !exit) {
        return Error(ErrorKind::corrupt, "the keeper says what it may not");
    }
    exits_[message.slot] = *exit;
    waiters_.wake_all();
    return ok;
}

Task<void> KeeperLink::receive_all() {
    for (;;) {
        CO_TRY(const std::optional<Received> received, receive(socket_.get()));
        if (received) {
            CO_CHECK(message_take(received->message));
        } else {
            CO_CHECK(co_await poller_.readable());
        }
    }
}

Task<void> KeeperLink::send_queued() {
    for (;;) {
        CO_CHECK(co_await queued_.wait());
        while (!queue_.empty()) {
            const Outgoing& first = queue_.front();
            std::vector<int> fds;
            for (const Fd& fd : first.fds) {
                fds.push_back(fd.get());
            }
            CO_TRY(const bool sent, send_now(first.message, fds));
            if (sent) {
                queue_.pop_front();
            } else {
                CO_CHECK(co_await poller_.writable());
            }
        }
        queued_.reset();
    }
}

void KeeperLink::gone(std::string_view why) {
    LOG_ERROR("keeper: {}: should the daemon die now, its containers' output is lost", why);
    queue_.clear();
    poller_ = Poller();
    socket_.reset();
    waiters_.wake_all();
}

Task<void> KeeperLink::run() {
    if (!connected()) {
        co_return ok;
    }
    TaskGroup both;
    both.spawn(receive_all());
    both.spawn(send_queued());
    const Result<void> ended = co_await both.join();
    if (!ended && ended.error().kind() != ErrorKind::cancelled) {
        gone(ended.error().message());
    }
    co_return ok;
}

}  // namespace davit
