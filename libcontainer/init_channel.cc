// The daemon's side of what davit-init says (launch.h).
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "libcontainer/init/plan_format.h"
#include "libcontainer/launch.h"

namespace davit {

namespace {

/// A fixed field as text, whether or not it is terminated.
std::string field_text(const char* field, std::size_t size) {
    return std::string(field, ::strnlen(field, size));
}

std::string lower_first(std::string text) {
    // Go, whose messages clients compare with, spells errno texts in lower case.
    if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z' &&
        !(text.size() > 1 && text[1] >= 'A' && text[1] <= 'Z')) {
        text[0] = static_cast<char>(text[0] - 'A' + 'a');
    }
    return text;
}

Error exec_error(const plan::Message& message, const std::string& subject) {
    const std::string quoted = "exec: \"" + subject + "\": ";
    switch (message.detail) {
        case plan::Detail::not_in_path:
            return Error(ErrorKind::not_found, quoted + "executable file not found in $PATH");
        case plan::Detail::no_such_file:
            if (message.error_number == ENOENT) {
                return Error(ErrorKind::not_found,
                             quoted + "stat " + subject + ": no such file or directory");
            }
            return Error(
                error_kind_from_errno(message.error_number),
                quoted + "stat " + subject + ": " + lower_first(errno_text(message.error_number)));
        case plan::Detail::not_executable:
            return Error(ErrorKind::permission_denied, quoted + "permission denied");
        case plan::Detail::is_directory:
            // The docker CLI takes its exit code from the text: 126 for the first half since 23,
            // for the second half before.
            return Error(ErrorKind::permission_denied,
                         quoted + "is a directory: permission denied");
        case plan::Detail::none:
        case plan::Detail::no_working_directory:
        case plan::Detail::unknown_user:
        case plan::Detail::unknown_group:
        case plan::Detail::id_out_of_range:
        case plan::Detail::inside_proc:
        case plan::Detail::ids_not_mapped:
            break;
    }
    return Error(error_kind_from_errno(message.error_number),
                 "exec " + subject + ": " + lower_first(errno_text(message.error_number)));
}

/// The user's mistakes, in runc's and moby's words; nothing for the others.
std::optional<Error> request_error(const plan::Message& message, const std::string& subject) {
    switch (message.detail) {
        case plan::Detail::no_working_directory:
            // Of kinds that the command's own errors have, too.
            return Error(message.error_number == ENOENT ? ErrorKind::not_found
                                                        : ErrorKind::permission_denied,
                         "chdir to cwd (\"" + subject + "\") set in config.json failed: " +
                             lower_first(errno_text(message.error_number)));
        case plan::Detail::unknown_user:
            return Error(ErrorKind::invalid_argument,
                         "unable to find user " + subject + ": no matching entries in passwd file");
        case plan::Detail::unknown_group:
            return Error(ErrorKind::invalid_argument,
                         "unable to find group " + subject + ": no matching entries in group file");
        case plan::Detail::id_out_of_range:
            return Error(ErrorKind::invalid_argument,
                         "uids and gids must be in range 0-2147483647");
        case plan::Detail::inside_proc:
            return Error(ErrorKind::invalid_argument,
                         "\"" + subject + "\" cannot be mounted because it is inside /proc");
        case plan::Detail::ids_not_mapped:
            return Error(ErrorKind::unsupported,
                         subject +
                             ": its file system has no ID-mapped mounts in this kernel, so "
                             "its files cannot belong to users of a user namespace; use "
                             "--userns=host");
        case plan::Detail::none:
        case plan::Detail::not_in_path:
        case plan::Detail::no_such_file:
        case plan::Detail::not_executable:
        case plan::Detail::is_directory:
            break;
    }
    return std::nullopt;
}

Error step_error(const plan::Message& message) {
    const std::string subject = field_text(message.subject, sizeof(message.subject));
    if (message.operation == plan::Kind::execute || message.operation == plan::Kind::find_program) {
        return exec_error(message, subject);
    }
    if (std::optional<Error> error = request_error(message, subject)) {
        return *std::move(error);
    }
    std::string operation = plan::traits(message.operation).name;
    if (operation.empty()) {
        operation = "init";
    }
    const std::string call = field_text(message.call, sizeof(message.call));
    if (!subject.empty()) {
        operation.append(" ").append(subject);
    }
    return Error::from_errno(message.error_number, operation + ": " + call);
}

std::string warning_text(const plan::Message& message) {
    return std::string(plan::traits(message.operation).name) + " " +
           field_text(message.subject, sizeof(message.subject)) + ": " +
           lower_first(errno_text(message.error_number)) + ", using what is allowed";
}

bool is_sound(const plan::Message& message) {
    return message.magic == plan::magic && message.kind >= plan::MessageKind::ready &&
           message.kind <= plan::MessageKind::process && message.operation <= plan::Kind::last_ &&
           message.detail <= plan::Detail::ids_not_mapped && message.error_number >= 0;
}

}  // namespace

Result<InitEvent> init_message_decode(std::string_view datagram) {
    plan::Message message{};
    if (datagram.size() != sizeof(message)) {
        return Error(ErrorKind::corrupt, "message from davit-init has the wrong size");
    }
    std::memcpy(&message, datagram.data(), sizeof(message));
    if (!is_sound(message)) {
        return Error(ErrorKind::corrupt, "message from davit-init is malformed");
    }
    InitEvent event;
    switch (message.kind) {
        case plan::MessageKind::ready:
            event.kind = InitEvent::Kind::ready;
            break;
        case plan::MessageKind::warning:
            event.kind = InitEvent::Kind::warning;
            event.text = warning_text(message);
            break;
        case plan::MessageKind::console:
            event.kind = InitEvent::Kind::console;
            break;
        case plan::MessageKind::process:
            event.kind = InitEvent::Kind::process;
            event.process = PidRef(message.value, Fd());
            break;
        case plan::MessageKind::failed:
            event.kind = InitEvent::Kind::failed;
            event.error = step_error(message);
            break;
    }
    return event;
}

namespace {

struct Datagram {
    char bytes[sizeof(plan::Message) + 1];
    std::size_t size = 0;  // 0: the channel has ended.
    pid_t sender = 0;
    Fd passed;
};

/// What came with a datagram; further descriptors than the first are closed.
void control_take(msghdr& header, Datagram& datagram) {
    for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr;
         item = CMSG_NXTHDR(&header, item)) {
        if (item->cmsg_level != SOL_SOCKET) {
            continue;
        }
        if (item->cmsg_type == SCM_CREDENTIALS) {
            ucred credentials{};
            std::memcpy(&credentials, CMSG_DATA(item), sizeof(credentials));
            datagram.sender = credentials.pid;
        } else if (item->cmsg_type == SCM_RIGHTS) {
            const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (std::size_t i = 0; i < count; ++i) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(item) + i * sizeof(fd), sizeof(fd));
                Fd owned(fd);
                if (!datagram.passed) {
                    datagram.passed = std::move(owned);
                }
            }
        }
    }
}

/// False: nothing is there yet.
Result<bool> datagram_receive(int channel, Datagram& datagram) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
    iovec vector{.iov_base = datagram.bytes, .iov_len = sizeof(datagram.bytes)};
    msghdr header{};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    ssize_t got = -1;
    do {
        got = ::recvmsg(channel, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return false;
    }
    // ECONNRESET: it closed with the release byte unread.
    if (got < 0 && errno != ECONNRESET) {
        return Error::from_errno(errno, "recvmsg", "davit-init");
    }
    if (got > 0) {
        datagram.size = static_cast<std::size_t>(got);
        control_take(header, datagram);
    }
    return true;
}

}  // namespace

Result<std::optional<InitEvent>> init_channel_receive(int channel, std::span<const pid_t> senders) {
    Datagram datagram;
    TRY(const bool there, datagram_receive(channel, datagram));
    if (!there) {
        return std::optional<InitEvent>{};
    }
    if (datagram.size == 0) {
        return std::optional<InitEvent>(InitEvent{});
    }
    if (!senders.empty() &&
        std::find(senders.begin(), senders.end(), datagram.sender) == senders.end()) {
        return std::optional<InitEvent>{};
    }
    TRY(InitEvent event, init_message_decode({datagram.bytes, datagram.size}));
    event.sender = datagram.sender;
    if (event.kind == InitEvent::Kind::console && !datagram.passed) {
        return Error(ErrorKind::corrupt, "davit-init sent no terminal");
    }
    if (event.kind == InitEvent::Kind::process) {
        if (!datagram.passed) {
            return Error(ErrorKind::corrupt, "davit-init sent no process");
        }
        event.process = PidRef(event.process.pid(), std::move(datagram.passed));
    }
    event.console = std::move(datagram.passed);
    return std::optional<InitEvent>(std::move(event));
}

}  // namespace davit
