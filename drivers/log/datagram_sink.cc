#include "drivers/log/datagram_sink.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace davit {

namespace {

/// "NAME=value\n", or with a binary length where the value has a newline.
void field_append(std::string& out, std::string_view name, std::string_view value) {
    out.append(name);
    if (value.find('\n') == std::string_view::npos) {
        out.append("=").append(value);
    } else {
        out += '\n';
        for (int shift = 0; shift < 64; shift += 8) {
            out += static_cast<char>(static_cast<std::uint64_t>(value.size()) >> shift & 0xff);
        }
        out.append(value);
    }
    out += '\n';
}

class JournalSink final : public DatagramSink {
  public:
    JournalSink(const std::map<std::string, std::string>& fields, std::string path)
        : DatagramSink(std::move(path)) {
        for (const auto& [name, value] : fields) {
            field_append(fields_, name, value);
        }
    }

    Result<void> open() { return connect(); }

  protected:
    std::string datagram(bool is_error, std::string_view text) const override {
        std::string out = fields_;
        field_append(out, "PRIORITY", std::to_string(is_error ? severity_error : severity_info));
        field_append(out, "MESSAGE", text);
        return out;
    }

  private:
    std::string fields_;
};

}  // namespace

Error service_unavailable(const Error& error, const std::string& what, const std::string& path) {
    return Error(ErrorKind::unavailable,
                 what + ": " +
                     (error.kind() == ErrorKind::not_found ? "there is no socket " + path
                                                           : error.message()));
}

DatagramSink::DatagramSink(std::string name, Fd connected)
    : path_(std::move(name)), socket_(std::move(connected)) {
    socklen_t type_bytes = sizeof type_;
    peer_bytes_ = sizeof peer_;
    void* raw = &peer_;
    const bool known =
        ::getpeername(socket_.get(), static_cast<sockaddr*>(raw), &peer_bytes_) == 0 &&
        ::getsockopt(socket_.get(), SOL_SOCKET, SO_TYPE, &type_, &type_bytes) == 0;
    peer_bytes_ = known ? peer_bytes_ : 0;  // Else it has gone already, and is not looked for.
}

Result<void> DatagramSink::path_to_peer() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof(address.sun_path)) {
        return Error(ErrorKind::invalid_argument, "socket path is too long: " + path_);
    }
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    std::memcpy(&peer_, &address, sizeof address);
    peer_bytes_ = sizeof address;
    return ok;
}

/// A server may take its time: what comes before it is there is dropped.
Result<void> DatagramSink::connect() {
    if (peer_bytes_ == 0) {
        TRY_VOID(path_to_peer());
    }
    rest_.clear();
    socket_ = Fd(::socket(peer_.ss_family, type_ | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_) {
        return Error::from_errno(errno, "socket");
    }
    const void* raw = &peer_;
    if (::connect(socket_.get(), static_cast<const sockaddr*>(raw), peer_bytes_) != 0 &&
        errno != EINPROGRESS) {
        return Error::from_errno(errno, "connect", path_);
    }
    return ok;
}

/// All of bytes, or of a stream a part whose rest is then kept: half a record spoils the next one.
bool DatagramSink::put(std::string_view bytes) {
    const auto some = [this](std::string_view part) {
        return ::send(socket_.get(), part.data(), part.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    };
    if (!rest_.empty()) {
        const ssize_t done = some(rest_);
        if (done < 0) {
            return false;
        }
        rest_.erase(0, static_cast<std::size_t>(done));
        if (!rest_.empty()) {
            errno = EAGAIN;
            return false;
        }
    }
    const ssize_t done = some(bytes);
    if (done >= 0 && static_cast<std::size_t>(done) < bytes.size()) {
        rest_ = bytes.substr(static_cast<std::size_t>(done));
    }
    return done >= 0;
}

void DatagramSink::send(bool is_error, std::string_view text) {
    std::string bytes = datagram(is_error, text);
    if (type_ == SOCK_STREAM) {
        bytes += '\n';
    }
    if (put(bytes)) {
        return;
    }
    // The service may have been started anew.
    const bool again = errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET ||
                       errno == EPIPE || errno == EBADF;
    if (!again || !connect() || !put(bytes)) {
        ++dropped_;
    }
}

Result<std::unique_ptr<DatagramSink>> journal_sink_make(
    const std::map<std::string, std::string>& fields, std::string socket_path) {
    auto sink = std::make_unique<JournalSink>(fields, std::move(socket_path));
    if (Result<void> opened = sink->open(); !opened) {
        return service_unavailable(
            opened.error(), "journald is not enabled on this host", sink->path());
    }
    return std::unique_ptr<DatagramSink>(std::move(sink));
}

}  // namespace davit
