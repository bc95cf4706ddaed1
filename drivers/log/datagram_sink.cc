#include "drivers/log/datagram_sink.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>

#include <fmt/format.h>

namespace davit {

namespace {

constexpr int severity_error = 3;
constexpr int severity_info = 6;

class SyslogSink final : public DatagramSink {
  public:
    explicit SyslogSink(SyslogOptions options)
        : DatagramSink(options.socket_path), options_(std::move(options)) {}

    Result<void> open() { return connect(); }

  protected:
    std::string datagram(bool is_error, std::string_view text) const override {
        const std::time_t now = std::time(nullptr);
        std::tm at{};
        ::localtime_r(&now, &at);
        std::array<char, 32> stamp{};
        std::strftime(stamp.data(), stamp.size(), "%b %e %H:%M:%S", &at);
        const int priority = options_.facility * 8 + (is_error ? severity_error : severity_info);
        const std::string host = options_.host_name.empty() ? "" : options_.host_name + " ";
        return fmt::format(
            "<{}>{} {}{}[{}]: {}", priority, stamp.data(), host, options_.tag, ::getpid(), text);
    }

  private:
    SyslogOptions options_;
};

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

/// Not in the words of an errno: clients take "no such file" for a missing command.
Error unavailable(const Error& error, const std::string& what, const std::string& path) {
    return Error(ErrorKind::unavailable,
                 what + ": " +
                     (error.kind() == ErrorKind::not_found ? "there is no socket " + path
                                                           : error.message()));
}

}  // namespace

Result<void> DatagramSink::connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof(address.sun_path)) {
        return Error(ErrorKind::invalid_argument, "socket path is too long: " + path_);
    }
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    socket_ = Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_) {
        return Error::from_errno(errno, "socket");
    }
    const void* raw = &address;
    if (::connect(socket_.get(), static_cast<const sockaddr*>(raw), sizeof address) != 0) {
        return Error::from_errno(errno, "connect", path_);
    }
    return ok;
}

void DatagramSink::send(bool is_error, std::string_view text) {
    const std::string bytes = datagram(is_error, text);
    const auto put = [&] {
        return ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
    };
    if (put()) {
        return;
    }
    // The service may have been started anew.
    const bool again = errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET;
    if (!again || !connect() || !put()) {
        ++dropped_;
    }
}

Result<std::unique_ptr<DatagramSink>> syslog_sink_make(SyslogOptions options) {
    static constexpr std::array<const char*, 3> places{
        "/dev/log", "/var/run/syslog", "/var/run/log"};
    if (options.socket_path.empty()) {
        const auto there = std::ranges::find_if(
            places, [](const char* place) { return ::access(place, F_OK) == 0; });
        if (there == places.end()) {
            return Error(ErrorKind::unavailable,
                         "no syslog on this host: there is no socket /dev/log");
        }
        options.socket_path = *there;
    }
    auto sink = std::make_unique<SyslogSink>(std::move(options));
    if (Result<void> opened = sink->open(); !opened) {
        return unavailable(opened.error(), "syslog", sink->path());
    }
    return std::unique_ptr<DatagramSink>(std::move(sink));
}

Result<int> syslog_facility_parse(std::string_view text) {
    static constexpr std::array<std::string_view, 24> names{
        "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
        "uucp",   "cron",   "authpriv", "ftp",    "",       "",       "",       "",
        "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};
    if (const auto found = std::ranges::find(names, text); !text.empty() && found != names.end()) {
        return static_cast<int>(found - names.begin());
    }
    int number = -1;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
    if (!whole || number < 0 || number > 23) {
        return Error(ErrorKind::invalid_argument, "invalid syslog facility");
    }
    return number;
}

Result<std::unique_ptr<DatagramSink>> journal_sink_make(
    const std::map<std::string, std::string>& fields, std::string socket_path) {
    auto sink = std::make_unique<JournalSink>(fields, std::move(socket_path));
    if (Result<void> opened = sink->open(); !opened) {
        return unavailable(opened.error(), "journald is not enabled on this host", sink->path());
    }
    return std::unique_ptr<DatagramSink>(std::move(sink));
}

}  // namespace davit
