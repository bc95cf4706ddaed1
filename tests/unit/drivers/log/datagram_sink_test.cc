// Goal: what a logging service gets, and that nobody waits for it.
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "drivers/log/json_file.h"
#include "drivers/log/syslog_sink.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

/// A service that takes datagrams when it is asked to.
class Service {
  public:
    Service() {
        char pattern[] = "/tmp/davit-sink-test-XXXXXX";
        directory_ = ::mkdtemp(pattern);
        bind();
    }

    ~Service() { static_cast<void>(remove_tree(AT_FDCWD, directory_)); }

    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    void bind() {
        ::unlink(path().c_str());
        socket_ = Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path().c_str(), path().size() + 1);
        const void* raw = &address;
        REQUIRE(::bind(socket_.get(), static_cast<const sockaddr*>(raw), sizeof address) == 0);
    }

    std::string path() const { return directory_ + "/socket"; }

    const std::string& directory() const { return directory_; }

    /// "" if there is none.
    std::string take() const {
        std::array<char, 65536> bytes{};
        const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
        return {bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
    }

  private:
    std::string directory_;
    Fd socket_;
};

/// A TCP server on loopback.
class Listening {
  public:
    explicit Listening(std::uint16_t port)
        : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const int on = 1;
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        void* raw = &address;
        REQUIRE(::bind(socket_.get(), static_cast<sockaddr*>(raw), sizeof address) == 0);
        REQUIRE(::listen(socket_.get(), 4) == 0);
        socklen_t size = sizeof address;
        REQUIRE(::getsockname(socket_.get(), static_cast<sockaddr*>(raw), &size) == 0);
        port_ = ntohs(address.sin_port);
    }

    std::uint16_t port() const { return port_; }

    int accept() {
        const int fd = ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC);
        REQUIRE(fd >= 0);
        accepted_.emplace_back(fd);
        return fd;
    }

    bool waiting() const {
        pollfd entry{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        return ::poll(&entry, 1, 10) > 0;
    }

    /// Also of the connection.
    void close(int accepted) {
        std::erase_if(accepted_, [accepted](const Fd& fd) { return fd.get() == accepted; });
        socket_ = Fd();
    }

    static std::string lines(int fd, int count) {
        std::string text;
        while (std::ranges::count(text, '\n') < count) {
            char byte = 0;
            REQUIRE(::read(fd, &byte, 1) == 1);
            text += byte;
        }
        return text;
    }

    static std::string drain(int fd) {
        std::string text;
        std::string block(65536, ' ');
        pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
        while (::poll(&entry, 1, 200) > 0) {
            const ssize_t got = ::read(fd, block.data(), block.size());
            if (got <= 0) {
                break;
            }
            text.append(block, 0, static_cast<std::size_t>(got));
        }
        return text;
    }

  private:
    Fd socket_;
    std::uint16_t port_ = 0;
    std::vector<Fd> accepted_;
};

SyslogOptions syslog_to(const Service& service) {
    SyslogOptions options;
    options.socket_path = service.path();
    options.facility = 16;
    options.tag = "web";
    return options;
}

}  // namespace

TEST_CASE("syslog", "[log]") {
    const Service service;
    auto sink = syslog_sink_make(syslog_to(service));
    REQUIRE(sink);
    (*sink)->send(false, "hello there");
    const std::string pid = std::to_string(::getpid());
    const std::string first = service.take();
    CHECK_THAT(first, Catch::Matchers::StartsWith("<134>"));
    CHECK_THAT(first, Catch::Matchers::EndsWith(" web[" + pid + "]: hello there"));
    (*sink)->send(true, "an error");
    CHECK_THAT(service.take(), Catch::Matchers::StartsWith("<131>"));
    SyslogOptions named = syslog_to(service);
    named.host_name = "host1";
    named.format = SyslogFormat::rfc3164;
    auto other = syslog_sink_make(std::move(named));
    REQUIRE(other);
    (*other)->send(false, "x");
    CHECK_THAT(service.take(), Catch::Matchers::EndsWith(" host1 web[" + pid + "]: x"));
}

TEST_CASE("formats of RFC 5424", "[log]") {
    const Service service;
    const std::string pid = std::to_string(::getpid());
    for (const auto& [name, time] :
         {std::pair("rfc5424", R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"),
          std::pair("rfc5424micro", R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)")}) {
        SyslogOptions options = syslog_to(service);
        options.host_name = "host1";
        options.format = *syslog_format_parse(name);
        auto sink = syslog_sink_make(std::move(options));
        REQUIRE(sink);
        (*sink)->send(false, "hello");
        CHECK_THAT(service.take(),
                   Catch::Matchers::Matches("<134>1 " + std::string(time) + " host1 web " + pid +
                                            " web - hello"));
    }
    CHECK(*syslog_format_parse("") == SyslogFormat::local);
    CHECK_FALSE(syslog_format_parse("rfc1"));
}

TEST_CASE("a server on TCP gets records by line, also one that is started anew", "[log]") {
    const SyslogServer server{.host = "127.0.0.1", .port = 0, .tcp = true};
    Listening first(0);
    SyslogServer there = server;
    there.port = first.port();
    auto connected = syslog_connect(there, there.host);
    REQUIRE(connected);
    SyslogOptions options;
    options.tag = "web";
    const auto sink = syslog_sink_make(std::move(options), there, *std::move(connected));
    CHECK(sink->path() == "tcp://127.0.0.1:" + std::to_string(there.port));
    const int accepted = first.accept();
    sink->send(false, "one");
    sink->send(false, "two");
    CHECK_THAT(first.lines(accepted, 2), Catch::Contains("]: one\n<30>"));

    first.close(accepted);
    Listening second(first.port());
    sink->send(false, "lost with the connection, or not");
    for (int i = 0; i < 1000 && !second.waiting(); ++i) {
        sink->send(false, "again");
    }
    CHECK_THAT(second.lines(second.accept(), 1), Catch::Contains("]: "));

    second.close(-1);
    const auto refused = syslog_connect(there, there.host);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind() == ErrorKind::unavailable);
    CHECK_THAT(refused.error().message(), Catch::StartsWith("dial tcp 127.0.0.1:"));
}

TEST_CASE("a server that reads nothing costs whole records", "[log]") {
    Listening listening(0);
    const SyslogServer server{.host = "127.0.0.1", .port = listening.port(), .tcp = true};
    auto connected = syslog_connect(server, server.host);
    REQUIRE(connected);
    SyslogOptions options;
    options.tag = "web";
    const auto sink = syslog_sink_make(std::move(options), server, *std::move(connected));
    const int accepted = listening.accept();
    const std::string text(1000, 'x');
    for (int i = 0; i < 20'000; ++i) {
        sink->send(false, text);
    }
    CHECK(sink->dropped() > 0);
    const std::string pid = std::to_string(::getpid());
    const std::string got = listening.drain(accepted);
    std::size_t count = 0;
    for (std::size_t at = 0; at < got.size();) {
        const std::size_t end = got.find('\n', at);
        if (end == std::string::npos) {
            break;  // Its rest is sent with the next one.
        }
        const std::string_view record = std::string_view(got).substr(at, end - at);
        REQUIRE(record.starts_with("<30>"));
        REQUIRE(record.ends_with("web[" + pid + "]: " + text));
        at = end + 1;
        ++count;
    }
    CHECK(count + sink->dropped() <= 20'000);
    CHECK(count > 0);
}

TEST_CASE("facilities", "[log]") {
    CHECK(*syslog_facility_parse("daemon") == 3);
    CHECK(*syslog_facility_parse("local7") == 23);
    CHECK(*syslog_facility_parse("5") == 5);
    for (const char* text : {"", "24", "-1", "local8", "3x"}) {
        CHECK_FALSE(syslog_facility_parse(text));
    }
}

TEST_CASE("the journal", "[log]") {
    const Service service;
    auto sink =
        journal_sink_make({{"CONTAINER_ID", "abc"}, {"LABEL", "two\nlines"}}, service.path());
    REQUIRE(sink);
    (*sink)->send(true, "hello");
    const std::string expected = std::string("CONTAINER_ID=abc\nLABEL\n\x09") +
                                 std::string(7, '\0') + "two\nlines\nPRIORITY=3\nMESSAGE=hello\n";
    CHECK(service.take() == expected);
}

TEST_CASE("a service that is not there", "[log]") {
    const auto none = journal_sink_make({}, "/no/such/socket");
    REQUIRE_FALSE(none);
    CHECK(none.error().kind() == ErrorKind::unavailable);
    CHECK_THAT(none.error().message(),
               Catch::Matchers::Contains("journald is not enabled on this host"));
    SyslogOptions options;
    options.socket_path = "/no/such/socket";
    CHECK_FALSE(syslog_sink_make(std::move(options)));
}

TEST_CASE("a service that stands still costs records, and no time", "[log]") {
    Service service;
    auto sink = syslog_sink_make(syslog_to(service));
    REQUIRE(sink);
    constexpr std::uint64_t count = 100'000;  // More than any queue of datagrams holds.
    for (std::uint64_t i = 0; i < count; ++i) {
        (*sink)->send(false, "line");
    }
    CHECK((*sink)->dropped() > 0);
    CHECK((*sink)->dropped() < count);
    while (!service.take().empty()) {
    }
    service.bind();  // It was started anew.
    const std::uint64_t before = (*sink)->dropped();
    (*sink)->send(false, "after");
    CHECK((*sink)->dropped() == before);
    CHECK_THAT(service.take(), Catch::Matchers::EndsWith(": after"));
}

TEST_CASE("a log gives its records on, whole lines each", "[log]") {
    const Service service;
    auto sink = syslog_sink_make(syslog_to(service));
    REQUIRE(sink);
    auto log = JsonFileWriter::make(service.directory() + "/log");
    log.also_to(std::shared_ptr<DatagramSink>(*std::move(sink)));
    REQUIRE(log.append(OutputStream::standard_output, "one\ntw"));
    REQUIRE(log.append(OutputStream::standard_output, "o\n\n"));
    CHECK_THAT(service.take(), Catch::Matchers::EndsWith(": one"));
    CHECK_THAT(service.take(), Catch::Matchers::EndsWith(": two"));
    CHECK_THAT(service.take(), Catch::Matchers::EndsWith("]: "));
    CHECK(service.take().empty());
}
