#include "drivers/log/syslog_sink.h"

#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>

#include <fmt/format.h>

#include "reactor/base/clock.h"

namespace davit {

namespace {

class SyslogSink final : public DatagramSink {
  public:
    explicit SyslogSink(SyslogOptions options)
        : DatagramSink(options.socket_path), options_(std::move(options)) {}

    SyslogSink(SyslogOptions options, std::string name, Fd connected)
        : DatagramSink(std::move(name), std::move(connected)), options_(std::move(options)) {}

    Result<void> open() { return connect(); }

  protected:
    std::string datagram(bool is_error, std::string_view text) const override {
        const int priority = options_.facility * 8 + (is_error ? severity_error : severity_info);
        if (options_.format == SyslogFormat::rfc5424 ||
            options_.format == SyslogFormat::rfc5424_micro) {
            return fmt::format("<{}>1 {} {} {} {} {} - {}",
                               priority,
                               time_text(),
                               options_.host_name,
                               options_.tag,
                               ::getpid(),
                               options_.tag,
                               text);
        }
        const std::string host =
            options_.format == SyslogFormat::rfc3164 ? options_.host_name + " " : "";
        const std::time_t now = std::time(nullptr);
        std::tm at{};
        ::localtime_r(&now, &at);
        std::array<char, 32> stamp{};
        std::strftime(stamp.data(), stamp.size(), "%b %e %H:%M:%S", &at);
        return fmt::format(
            "<{}>{} {}{}[{}]: {}", priority, stamp.data(), host, options_.tag, ::getpid(), text);
    }

  private:
    /// RFC 3339, in UTC.
    std::string time_text() const {
        const std::int64_t microseconds = unix_nanoseconds(wall_now()) / 1000;
        const std::time_t seconds = microseconds / 1'000'000;
        std::tm at{};
        ::gmtime_r(&seconds, &at);
        std::array<char, 32> stamp{};
        std::strftime(stamp.data(), stamp.size(), "%Y-%m-%dT%H:%M:%S", &at);
        return options_.format == SyslogFormat::rfc5424
                   ? fmt::format("{}Z", stamp.data())
                   : fmt::format("{}.{:06}Z", stamp.data(), microseconds % 1'000'000);
    }

    SyslogOptions options_;
};

/// Wait for a connect(2) that was begun. Gives: its errno.
int connect_wait(int fd) {
    constexpr int timeout_ms = 5000;
    pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
    const int ready = ::poll(&entry, 1, timeout_ms);
    int error = ready == 0 ? ETIMEDOUT : 0;
    socklen_t size = sizeof error;
    if (ready < 0 || (ready > 0 && ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)) {
        error = errno;
    }
    return error;
}

}  // namespace

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
        return service_unavailable(opened.error(), "syslog", sink->path());
    }
    return std::unique_ptr<DatagramSink>(std::move(sink));
}

std::unique_ptr<DatagramSink> syslog_sink_make(SyslogOptions options,
                                               const SyslogServer& server,
                                               Fd connected) {
    std::string name =
        fmt::format("{}://{}:{}", server.tcp ? "tcp" : "udp", server.host, server.port);
    return std::make_unique<SyslogSink>(std::move(options), std::move(name), std::move(connected));
}

Result<Fd> syslog_connect(const SyslogServer& server, const std::string& address) {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = server.tcp ? SOCK_STREAM : SOCK_DGRAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(address.c_str(), std::to_string(server.port).c_str(), &hints, &found) != 0) {
        return Error(ErrorKind::invalid_argument, "not an IP address: " + address);
    }
    Fd fd(::socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int error = fd && ::connect(fd.get(), found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
    ::freeaddrinfo(found);
    error = error == EINPROGRESS ? connect_wait(fd.get()) : error;
    if (error != 0) {
        return Error(ErrorKind::unavailable,
                     fmt::format("dial {} {}:{}: {}",
                                 server.tcp ? "tcp" : "udp",
                                 server.host,
                                 server.port,
                                 errno_text(error)));
    }
    return fd;
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

Result<SyslogFormat> syslog_format_parse(std::string_view text) {
    if (text.empty()) {
        return SyslogFormat::local;
    }
    if (text == "rfc3164") {
        return SyslogFormat::rfc3164;
    }
    if (text == "rfc5424") {
        return SyslogFormat::rfc5424;
    }
    if (text == "rfc5424micro") {
        return SyslogFormat::rfc5424_micro;
    }
    return Error(ErrorKind::invalid_argument, "Invalid syslog format");
}

}  // namespace davit
