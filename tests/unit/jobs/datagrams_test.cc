// Goal: questions of many clients are read and answered whole, and in turns. Method: UDP sockets of
// the test's own on loopback; addresses that nobody has.
#include "jobs/network/datagrams.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "reactor/base/fd.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

Datagram question_of(std::uint32_t client, std::string bytes) {
    Datagram question;
    question.peer.sin_family = AF_INET;
    question.peer.sin_addr.s_addr = client;
    question.bytes = std::move(bytes);
    return question;
}

struct Bound {
    Fd socket;
    sockaddr_in address{};
};

Bound bound_make() {
    Bound bound;
    bound.socket = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    bound.address.sin_family = AF_INET;
    bound.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&bound.address);
    socklen_t size = sizeof(bound.address);
    REQUIRE(::bind(bound.socket.get(), generic, size) == 0);
    REQUIRE(::getsockname(bound.socket.get(), generic, &size) == 0);
    return bound;
}

}  // namespace

TEST_CASE("each client's questions are taken in turn", "[network][dns]") {
    QuestionQueue queue;
    CHECK_FALSE(queue.pop());
    for (const char* one : {"a1", "a2", "a3"}) {
        CHECK(queue.push(question_of(1, one)));
    }
    CHECK(queue.push(question_of(2, "b1")));
    CHECK(queue.pop()->bytes == "a1");
    CHECK(queue.pop()->bytes == "b1");
    CHECK(queue.push(question_of(2, "b2")));
    CHECK(queue.pop()->bytes == "a2");
    CHECK(queue.pop()->bytes == "b2");
    CHECK(queue.pop()->bytes == "a3");
    CHECK(queue.empty());
    CHECK_FALSE(queue.pop());
}

TEST_CASE("who asks without end loses its own questions alone", "[network][dns]") {
    QuestionQueue queue;
    for (std::size_t i = 0; i < QuestionQueue::of_one_max; ++i) {
        REQUIRE(queue.push(question_of(1, "flood")));
    }
    CHECK_FALSE(queue.push(question_of(1, "too many")));
    CHECK(queue.push(question_of(2, "quiet")));
    CHECK(queue.pop()->bytes == "flood");
    CHECK(queue.pop()->bytes == "quiet");
    CHECK(queue.push(question_of(1, "room again")));
}

TEST_CASE("datagrams are read and sent many at a time", "[network][dns]") {
    const Bound server = bound_make();
    const Bound client = bound_make();
    constexpr std::size_t count = datagrams_at_once + 3;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string text = "question " + std::to_string(i);
        REQUIRE(::sendto(client.socket.get(),
                         text.data(),
                         text.size(),
                         0,
                         reinterpret_cast<const sockaddr*>(&server.address),
                         sizeof(server.address)) == static_cast<ssize_t>(text.size()));
    }
    std::string buffer;
    std::vector<Datagram> first = datagrams_receive(server.socket.get(), buffer);
    std::vector<Datagram> rest = datagrams_receive(server.socket.get(), buffer);
    REQUIRE(first.size() == datagrams_at_once);
    REQUIRE(rest.size() == 3);
    CHECK(datagrams_receive(server.socket.get(), buffer).empty());
    CHECK(first.front().bytes == "question 0");
    CHECK(rest.back().bytes == "question " + std::to_string(count - 1));
    CHECK(rest.back().peer.sin_port == client.address.sin_port);
    // One that cannot be sent does not keep the others from it.
    first.front().peer.sin_port = 0;
    datagrams_send(server.socket.get(), first);
    std::size_t got = 0;
    while (!datagrams_receive(client.socket.get(), buffer).empty()) {
        ++got;
    }
    CHECK(got == 1);
}

TEST_CASE("a datagram that is too long is nobody's question", "[network][dns]") {
    const Bound server = bound_make();
    const std::string text(question_bytes_max + 1, 'x');
    REQUIRE(::sendto(server.socket.get(),
                     text.data(),
                     text.size(),
                     0,
                     reinterpret_cast<const sockaddr*>(&server.address),
                     sizeof(server.address)) == static_cast<ssize_t>(text.size()));
    std::string buffer;
    const std::vector<Datagram> got = datagrams_receive(server.socket.get(), buffer);
    REQUIRE(got.size() == 1);
    CHECK(got.front().bytes.empty());
}
