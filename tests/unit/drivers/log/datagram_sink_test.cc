// Goal: what a logging service gets, and that nobody waits for it.
#include "drivers/log/datagram_sink.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "drivers/log/json_file.h"
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
    auto other = syslog_sink_make(std::move(named));
    REQUIRE(other);
    (*other)->send(false, "x");
    CHECK_THAT(service.take(), Catch::Matchers::EndsWith(" host1 web[" + pid + "]: x"));
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
