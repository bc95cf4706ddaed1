#pragma once
/// Streams: bytes in order, both ways or one. ByteStream is what HTTP and TLS are written against;
/// FdStream is a socket, pipe, pty or character device on the loop.
///
/// A read or write tries the system call first and waits only on EAGAIN, so a stream that is ready
/// costs one call. Cancelling a wait never loses bytes: nothing is in the kernel's hands meanwhile.
#include <sys/uio.h>

#include <span>
#include <string>
#include <string_view>

#include "reactor/base/fd.h"
#include "reactor/poller.h"

namespace davit {

class ByteStream {
  public:
    ByteStream() = default;
    ByteStream(const ByteStream&) = delete;
    ByteStream& operator=(const ByteStream&) = delete;
    virtual ~ByteStream() = default;

    /// At least one byte into buffer (not empty); 0 at the end of the stream. Errors: cancelled, or
    /// the peer's (unavailable for a reset connection). One reader at a time.
    virtual Task<std::size_t> read(std::span<char> buffer) = 0;

    /// All of bytes, in order. bytes must live until then. One writer at a time.
    virtual Task<void> write(std::string_view bytes) = 0;

    /// No more writes: the peer reads the end of the stream after what was written.
    virtual Task<void> shutdown_write() = 0;
};

class FdStream final : public ByteStream {
  public:
    /// Takes the descriptor and makes it non-blocking. A regular file works too, without waiting.
    static Result<std::unique_ptr<FdStream>> make(Fd fd);

    Task<std::size_t> read(std::span<char> buffer) override;
    Task<void> write(std::string_view bytes) override;
    Task<void> shutdown_write() override;

    /// writev(2) of all parts, in order.
    Task<void> write_parts(std::span<const std::string_view> parts);

    /// What can be read without waiting: 0 bytes at the end of the stream, nothing if it would
    /// wait.
    Result<std::optional<std::size_t>> try_read(std::span<char> buffer);

    /// Wait until a read would not wait, or the peer hung up. Errors: cancelled.
    Task<void> readable();

    /// Wait until the peer of a socket has closed it altogether; a peer that only stopped writing
    /// has not. Errors: cancelled.
    Task<void> hung_up();

    int fd() const { return fd_.get(); }

  private:
    FdStream(Fd fd, Poller poller) : fd_(std::move(fd)), poller_(std::move(poller)) {}

    Fd fd_;
    Poller poller_;  // Destroyed before fd_: a polled descriptor must not be closed.
};

/// The two ends of a connected unix stream socket, for tests and for streams inside the daemon.
struct StreamPair {
    std::unique_ptr<FdStream> first;
    std::unique_ptr<FdStream> second;
};

Result<StreamPair> stream_pair_make();

/// Connect to a unix socket. Errors: not_found, unavailable (nobody listens), permission_denied.
Task<std::unique_ptr<FdStream>> connect_unix(std::string path);

/// A numeric IPv4 or IPv6 address; TCP_NODELAY is set. Errors: unavailable, timed_out.
Task<std::unique_ptr<FdStream>> connect_tcp(std::string address, std::uint16_t port);

}  // namespace davit
