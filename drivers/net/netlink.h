#pragma once
/// rtnetlink: a batch of requests built in one buffer, and the socket that carries it.
///
/// The kernel does the work of a request inside sendmsg(2), under its one lock for all network
/// configuration: whoever else holds that lock is waited for there, whether or not the socket
/// blocks. So all of this blocks and belongs on a worker thread (offload()).
///
/// Follows: netlink(7), rtnetlink(7), linux/netlink.h.
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/net/address.h"
#include "reactor/base/fd.h"

namespace davit {

/// Messages, each with its attributes, one after the other.
///
///     NetlinkBatch batch;
///     batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "create link dv-1");
///     batch.header(ifinfomsg{...});
///     batch.attribute(IFLA_IFNAME, std::string_view("dv-1"));
///     auto info = batch.nest(IFLA_LINKINFO); ... batch.close(info);
class NetlinkBatch {
  public:
    /// what: names the step in an error. Every message asks for an acknowledgement.
    void begin(std::uint16_t type, std::uint16_t flags, std::string what);

    /// An error of the message begun last with this errno is no error.
    void forgive(int errno_value) { messages_.back().forgiven = errno_value; }

    template <typename T>
    void header(const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        append(&value, sizeof(value));
    }

    void attribute(std::uint16_t type, std::span<const std::uint8_t> bytes);
    /// Text with its final NUL.
    void attribute(std::uint16_t type, std::string_view text);
    void attribute(std::uint16_t type, std::uint32_t value);
    void attribute_u8(std::uint16_t type, std::uint8_t value);
    /// The four bytes of an IPv4 address, the sixteen of an IPv6 one.
    void attribute(std::uint16_t type, const IpAddress& address);

    /// Attributes until close() are inside this one. Gives: where it begins.
    std::size_t nest(std::uint16_t type);
    void close(std::size_t nest);

    bool empty() const { return messages_.empty(); }

    std::size_t size() const { return messages_.size(); }

    /// The bytes as they are sent; for tests.
    const std::string& bytes() const { return bytes_; }

  private:
    friend class NetlinkSocket;

    struct Message {
        std::size_t offset;
        std::string what;
        int forgiven = 0;
    };

    void append(const void* data, std::size_t size);
    void length_fix();

    std::string bytes_;
    std::vector<Message> messages_;
};

/// The attributes of a received message, by type; views into it.
class NetlinkAttributes {
  public:
    explicit NetlinkAttributes(std::string_view bytes) : bytes_(bytes) {}

    /// Empty if there is none.
    std::string_view find(std::uint16_t type) const;

    /// Text without its final NUL.
    std::string text(std::uint16_t type) const;
    std::uint32_t number(std::uint16_t type) const;

  private:
    std::string_view bytes_;
};

/// Gets a message's type and its body (after nlmsghdr).
using NetlinkVisit = std::function<void(std::uint16_t type, std::string_view body)>;

class NetlinkSocket {
  public:
    /// In the network namespace of the calling thread.
    static Result<NetlinkSocket> open();

    /// Send a batch in as few calls as the kernel takes, and wait for every acknowledgement.
    /// Errors: of the first message that failed, named by its step: conflict (EEXIST), not_found
    ///         (ENODEV), permission_denied, ... What came before it has happened.
    /// Blocks: while the kernel works.
    /// Takes: visit, which gets what the kernel answers besides (RTM_GETLINK, ...); may be empty.
    Result<void> run(const NetlinkBatch& batch, const NetlinkVisit& visit = {});

    /// A dump: the visitor gets each message.
    Result<void> dump(std::uint16_t type, std::string_view header, const NetlinkVisit& visit);

    int fd() const { return fd_.get(); }

  private:
    explicit NetlinkSocket(Fd fd) : fd_(std::move(fd)) {}

    Result<std::string> receive();

    Fd fd_;
    std::uint32_t sequence_ = 0;
};

}  // namespace davit
