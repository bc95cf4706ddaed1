#include "drivers/net/netlink.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cassert>
#include <cerrno>

namespace davit {

namespace {

constexpr std::size_t align(std::size_t size) {
    return (size + 3) & ~std::size_t{3};
}

/// A batch of acknowledgements must fit, or the kernel drops some.
constexpr int receive_buffer_bytes = 1 << 20;
constexpr std::size_t receive_bytes = 64 * 1024;

template <typename T>
T read_as(std::string_view bytes) {
    T value{};
    if (!bytes.empty()) {
        std::memcpy(&value, bytes.data(), std::min(sizeof(T), bytes.size()));
    }
    return value;
}

}  // namespace

void NetlinkBatch::append(const void* data, std::size_t size) {
    const std::size_t end = bytes_.size();
    bytes_.resize(end + align(size), '\0');
    if (size > 0) {
        std::memcpy(bytes_.data() + end, data, size);
    }
    length_fix();
}

void NetlinkBatch::length_fix() {
    const std::size_t offset = messages_.back().offset;
    const auto length = static_cast<std::uint32_t>(bytes_.size() - offset);
    std::memcpy(bytes_.data() + offset, &length, sizeof(length));
}

void NetlinkBatch::begin(std::uint16_t type, std::uint16_t flags, std::string what) {
    messages_.push_back({bytes_.size(), std::move(what)});
    nlmsghdr head{};
    head.nlmsg_type = type;
    head.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST | NLM_F_ACK);
    append(&head, sizeof(head));
}

void NetlinkBatch::attribute(std::uint16_t type, std::span<const std::uint8_t> bytes) {
    rtattr head{};
    head.rta_type = type;
    head.rta_len = static_cast<std::uint16_t>(sizeof(head) + bytes.size());
    std::string whole(sizeof(head) + bytes.size(), '\0');
    std::memcpy(whole.data(), &head, sizeof(head));
    if (!bytes.empty()) {
        std::memcpy(whole.data() + sizeof(head), bytes.data(), bytes.size());
    }
    append(whole.data(), whole.size());
}

void NetlinkBatch::attribute(std::uint16_t type, std::string_view text) {
    std::vector<std::uint8_t> bytes(text.begin(), text.end());
    bytes.push_back(0);
    attribute(type, std::span<const std::uint8_t>(bytes));
}

void NetlinkBatch::attribute(std::uint16_t type, std::uint32_t value) {
    std::array<std::uint8_t, sizeof(value)> bytes{};
    std::memcpy(bytes.data(), &value, sizeof(value));
    attribute(type, std::span<const std::uint8_t>(bytes));
}

void NetlinkBatch::attribute_u8(std::uint16_t type, std::uint8_t value) {
    attribute(type, std::span<const std::uint8_t>(&value, 1));
}

void NetlinkBatch::attribute(std::uint16_t type, const IpAddress& address) {
    attribute(type,
              std::span<const std::uint8_t>(address.bytes()).subspan(address.is_v4() ? 12 : 0));
}

std::size_t NetlinkBatch::nest(std::uint16_t type) {
    const std::size_t begin = bytes_.size();
    attribute(type, std::span<const std::uint8_t>());
    return begin;
}

void NetlinkBatch::close(std::size_t nest) {
    const auto length = static_cast<std::uint16_t>(bytes_.size() - nest);
    std::memcpy(bytes_.data() + nest, &length, sizeof(length));
}

std::string_view NetlinkAttributes::find(std::uint16_t type) const {
    std::string_view rest = bytes_;
    while (rest.size() >= sizeof(rtattr)) {
        const auto head = read_as<rtattr>(rest);
        if (head.rta_len < sizeof(rtattr) || head.rta_len > rest.size()) {
            break;
        }
        if ((head.rta_type & NLA_TYPE_MASK) == type) {
            return rest.substr(sizeof(rtattr), head.rta_len - sizeof(rtattr));
        }
        rest.remove_prefix(std::min(rest.size(), align(head.rta_len)));
    }
    return {};
}

std::string NetlinkAttributes::text(std::uint16_t type) const {
    const std::string_view value = find(type);
    return std::string(value.substr(0, value.find('\0')));
}

std::uint32_t NetlinkAttributes::number(std::uint16_t type) const {
    return read_as<std::uint32_t>(find(type));
}

Result<NetlinkSocket> NetlinkSocket::open() {
    Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd) {
        return Error::from_errno(errno, "socket", "NETLINK_ROUTE");
    }
    // Without the request's bytes in each error; a kernel that cannot sends them, to no harm.
    const int on = 1;
    static_cast<void>(::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)));
    static_cast<void>(::setsockopt(
        fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof(receive_buffer_bytes)));
    return NetlinkSocket(std::move(fd));
}

Result<std::string> NetlinkSocket::receive() {
    std::string buffer(receive_bytes, '\0');
    ssize_t got = -1;
    do {
        got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_TRUNC);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return Error::from_errno(errno, "recv", "netlink");
    }
    if (static_cast<std::size_t>(got) > buffer.size()) {
        return Error(ErrorKind::corrupt,
                     "netlink: a datagram of " + std::to_string(got) + " bytes");
    }
    buffer.resize(static_cast<std::size_t>(got));
    return buffer;
}

Result<void> NetlinkSocket::run(const NetlinkBatch& batch, const NetlinkVisit& visit) {
    std::string bytes = batch.bytes_;
    const std::uint32_t first = sequence_ + 1;
    for (const NetlinkBatch::Message& message : batch.messages_) {
        ++sequence_;
        std::memcpy(bytes.data() + message.offset + offsetof(nlmsghdr, nlmsg_seq),
                    &sequence_,
                    sizeof(sequence_));
    }
    if (::send(fd_.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        return Error::from_errno(errno, "send", "netlink");
    }
    std::size_t answered = 0;
    std::optional<Error> failure;
    while (answered < batch.messages_.size()) {
        TRY(const std::string datagram, receive());
        std::string_view rest = datagram;
        while (rest.size() >= sizeof(nlmsghdr)) {
            const auto head = read_as<nlmsghdr>(rest);
            if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > rest.size()) {
                return Error(ErrorKind::corrupt, "netlink: a message of a wrong length");
            }
            const std::uint32_t index = head.nlmsg_seq - first;
            if (head.nlmsg_type == NLMSG_ERROR && index < batch.messages_.size()) {
                const int error = -read_as<std::int32_t>(rest.substr(sizeof(head)));
                const NetlinkBatch::Message& message = batch.messages_[index];
                if (error != 0 && error != message.forgiven && !failure) {
                    failure = Error::from_errno(error, message.what);
                }
                ++answered;
            } else if (visit && index < batch.messages_.size()) {
                visit(head.nlmsg_type, rest.substr(sizeof(head), head.nlmsg_len - sizeof(head)));
            }
            rest.remove_prefix(std::min(rest.size(), align(head.nlmsg_len)));
        }
    }
    if (failure) {
        return *std::move(failure);
    }
    return ok;
}

Result<void> NetlinkSocket::dump(std::uint16_t type,
                                 std::string_view header,
                                 const NetlinkVisit& visit) {
    nlmsghdr head{};
    head.nlmsg_len = static_cast<std::uint32_t>(sizeof(head) + align(header.size()));
    head.nlmsg_type = type;
    head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    head.nlmsg_seq = ++sequence_;
    std::string bytes(head.nlmsg_len, '\0');
    std::memcpy(bytes.data(), &head, sizeof(head));
    std::memcpy(bytes.data() + sizeof(head), header.data(), header.size());
    if (::send(fd_.get(), bytes.data(), bytes.size(), 0) < 0) {
        return Error::from_errno(errno, "send", "netlink");
    }
    for (;;) {
        TRY(const std::string datagram, receive());
        std::string_view rest = datagram;
        while (rest.size() >= sizeof(nlmsghdr)) {
            const auto answer = read_as<nlmsghdr>(rest);
            if (answer.nlmsg_len < sizeof(answer) || answer.nlmsg_len > rest.size()) {
                return Error(ErrorKind::corrupt, "netlink: a message of a wrong length");
            }
            const std::string_view body =
                rest.substr(sizeof(answer), answer.nlmsg_len - sizeof(answer));
            if (answer.nlmsg_seq == sequence_) {
                if (answer.nlmsg_type == NLMSG_DONE) {
                    return ok;
                }
                if (answer.nlmsg_type == NLMSG_ERROR) {
                    return Error::from_errno(-read_as<std::int32_t>(body), "dump", "netlink");
                }
                visit(answer.nlmsg_type, body);
            }
            rest.remove_prefix(std::min(rest.size(), align(answer.nlmsg_len)));
        }
    }
}

}  // namespace davit
