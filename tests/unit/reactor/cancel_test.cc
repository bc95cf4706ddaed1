// Goal: every awaitable of reactor/ can be cancelled before it waits, while it waits and in the
// turn in which what it waits for arrives; nothing is lost or leaked by that. Method: each is run
// once per moment on a loop of its own (tests/support/cancel.h); then what it held is used again,
// and the descriptors are counted.
#include "tests/support/cancel.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "reactor/base/limits.h"
#include "reactor/channel.h"
#include "reactor/child.h"
#include "reactor/listener.h"
#include "reactor/ring.h"
#include "reactor/signal.h"
#include "reactor/stream.h"
#include "tests/support/catch.h"

using namespace davit;
using namespace davit::test;
using namespace std::chrono_literals;

namespace {

template <typename T>
bool was_cancelled(const Result<T>& result) {
    return !result && result.error().kind() == ErrorKind::cancelled;
}

/// What is known of the outcome: nothing that came after the cancellation may be taken, and what
/// the loop had seen before it may not be lost.
template <typename T>
void check_outcome(CancelMoment moment, const Result<T>& result) {
    CHECK(was_cancelled(result) == (moment != CancelMoment::same_turn));
    CHECK((result || was_cancelled(result)));
}

/// body(moment) once per moment; no descriptor stays open.
void at_every_moment(Task<void> (*body)(CancelMoment)) {
    loop_warm_up();
    for (const CancelMoment moment : cancel_moments) {
        INFO(moment_name(moment));
        const std::size_t before = descriptors_open();
        {
            Loop loop;
            const Result<void> done = loop.run(body(moment));
            INFO((done ? "" : done.error().message()));
            CHECK(done);
        }
        CHECK(descriptors_open() == before);
    }
}

Task<void> send_byte(FdStream& stream) {
    co_return write_all(stream.fd(), "x");
}

Task<void> close_stream(std::unique_ptr<FdStream>& stream) {
    stream.reset();
    co_return ok;
}

Task<std::size_t> read_one(FdStream& stream) {
    std::array<char, 8> buffer{};
    co_return co_await stream.read(buffer);
}

/// Everything that can be read without waiting, by the system call.
std::string drain_now(FdStream& stream) {
    std::string all;
    std::array<char, 65536> buffer;
    for (;;) {
        const auto got = stream.try_read(buffer);
        if (!got || !*got || **got == 0) {
            return all;
        }
        all.append(buffer.data(), **got);
    }
}

Task<void> drain(FdStream& stream) {
    static_cast<void>(drain_now(stream));
    co_return ok;
}

}  // namespace

TEST_CASE("cancel: a stream's read takes all or nothing", "[cancel][stream]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        Task<void> happen = send_byte(*pair.second);
        const auto got = co_await cancel_at(moment, read_one(*pair.first), std::move(happen));
        CHECK(was_cancelled(got) == (moment != CancelMoment::same_turn));
        // The bytes that a cancelled read did not take are there for the next one.
        const bool sent = moment == CancelMoment::unseen;
        CHECK(drain_now(*pair.first) == (sent ? "x" : ""));
        CO_CHECK(co_await send_byte(*pair.second));
        CO_TRY(const std::size_t again, co_await read_one(*pair.first));
        CHECK(again == 1);
        co_return ok;
    });
}

TEST_CASE("cancel: readiness and hang-up of a stream", "[cancel][stream]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        check_outcome(moment,
                      co_await cancel_at(moment, pair.first->readable(), send_byte(*pair.second)));
        check_outcome(moment,
                      co_await cancel_at(moment, pair.first->hung_up(), close_stream(pair.second)));
        pair.second.reset();
        co_return co_await pair.first->hung_up();
    });
}

TEST_CASE("cancel: a write leaves a prefix behind, and its stream alive", "[cancel][stream]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        const std::string big(10'000'000, 'x');
        // Room for more is not room for all: in every case it is cancelled at one of its waits.
        const auto written =
            co_await cancel_at(moment, pair.first->write(big), drain(*pair.second));
        CHECK(was_cancelled(written));
        static_cast<void>(drain_now(*pair.second));
        const std::vector<std::string_view> parts{"head", big};
        const auto gathered =
            co_await cancel_at(moment, pair.first->write_parts(parts), drain(*pair.second));
        CHECK(was_cancelled(gathered));
        static_cast<void>(drain_now(*pair.second));
        CO_CHECK(co_await pair.first->write("end"));
        CHECK(drain_now(*pair.second) == "end");
        co_return ok;
    });
}

namespace {

Task<void> nothing() {
    co_return ok;
}

/// A listening socket whose queue is full: the next connection waits until it is let in.
struct FullListener {
    Fd listening{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::vector<Fd> clients;
    std::uint16_t port = 0;

    FullListener() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        socklen_t size = sizeof(address);
        REQUIRE(::bind(listening.get(), generic, size) == 0);
        REQUIRE(::listen(listening.get(), 0) == 0);
        REQUIRE(::getsockname(listening.get(), generic, &size) == 0);
        port = ntohs(address.sin_port);
        for (int i = 0; i < 3; ++i) {
            clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            static_cast<void>(::connect(clients.back().get(), generic, size));
        }
    }
};

}  // namespace

TEST_CASE("cancel: connecting gives its socket back", "[cancel][stream]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        CO_TRY(Listener open, Listener::tcp("127.0.0.1", 0));
        const FullListener full;
        const bool waits = moment == CancelMoment::waiting;
        const std::size_t before = descriptors_open();
        {
            // On the loopback device a connection is there before anybody looks.
            const auto connected =
                co_await cancel_at(moment,
                                   connect_tcp("127.0.0.1", waits ? full.port : open.port()),
                                   nothing(),
                                   waits);
            check_outcome(moment, connected);
        }
        CHECK(descriptors_open() == before);
        co_return ok;
    });
}

TEST_CASE("cancel: a connection that was not accepted stays in the queue", "[cancel][listener]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        CO_TRY(Listener listener, Listener::tcp("127.0.0.1", 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(listener.port());
        const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        auto arrive = [](const Fd& from, sockaddr_in to) -> Task<void> {
            const int result =
                ::connect(from.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to));
            CHECK((result == 0 || errno == EINPROGRESS));
            co_return ok;
        };
        const auto accepted =
            co_await cancel_at(moment, listener.accept(), arrive(client, address));
        check_outcome(moment, accepted);
        if (moment == CancelMoment::unseen) {
            CO_TRY(const auto later, co_await listener.accept());
            CHECK(later->fd() >= 0);
        }
        co_return ok;
    });
}

TEST_CASE("cancel: a child that was not waited for can be waited for again", "[cancel][child]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::pause();
            ::_exit(0);
        }
        CO_TRY(const PidRef child, PidRef::open(pid));
        auto die = [](const PidRef& victim) -> Task<void> {
            CO_CHECK(victim.signal(SIGKILL));
            pollfd state{victim.pidfd(), POLLIN, 0};
            CHECK(::poll(&state, 1, -1) == 1);
            co_return ok;
        };
        const auto status = co_await cancel_at(moment, child_wait(child), die(child));
        check_outcome(moment, status);
        if (!status) {
            CO_CHECK(child.signal(SIGKILL));
            CO_TRY(const ExitStatus later, co_await child_wait(child));
            CHECK(later.signaled);
        }
        co_return ok;
    });
}

TEST_CASE("cancel: a signal that was not taken is still counted", "[cancel][signal]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        CO_TRY(SignalSource source, SignalSource::make(SIGUSR2));
        auto send = []() -> Task<void> {
            ::raise(SIGUSR2);
            co_return ok;
        };
        const auto caught = co_await cancel_at(moment, source.next(), send());
        check_outcome(moment, caught);
        if (moment == CancelMoment::unseen) {
            CO_CHECK(co_await source.next());
        }
        co_return ok;
    });
}

TEST_CASE("cancel: ring operations end, and their entries are free again", "[cancel][ring]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        CO_TRY(Ring* const ring, Loop::current().ring());
        CO_TRY(StreamPair pair, stream_pair_make());
        auto read = [](Ring& on, int fd) -> Task<int> {
            // On the heap: a completion after the end would be a use after free.
            const auto buffer = std::make_unique<std::array<char, 8>>();
            co_return co_await on.op([&](io_uring_sqe* sqe) {
                io_uring_prep_recv(sqe, fd, buffer->data(), buffer->size(), 0);
            });
        };
        CO_TRY(const int got,
               co_await cancel_at(moment, read(*ring, pair.first->fd()), send_byte(*pair.second)));
        // The kernel decides who was first; what matters is that the byte is in one place.
        const bool sent = moment == CancelMoment::unseen || moment == CancelMoment::same_turn;
        CHECK((got == 1 || got == -ECANCELED || got == -EINTR));
        CHECK(drain_now(*pair.first) == (sent && got != 1 ? "x" : ""));
        auto nop = [](Ring& on, std::size_t& count) -> Task<void> {
            const int result = co_await on.op([](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); });
            count += result == 0 ? 1 : 0;
            co_return ok;
        };
        std::size_t done = 0;
        TaskGroup group;
        for (std::size_t i = 0; i < 2 * limits::ring_entries; ++i) {
            group.spawn(nop(*ring, done));
        }
        CO_CHECK(co_await group.join());
        CHECK(done == 2 * limits::ring_entries);
        co_return ok;
    });
}

TEST_CASE("cancel: a timer and a cancellation in one turn", "[cancel][timer]") {
    auto body = [](bool cancelled_first) -> Task<void> {
        const MonotonicTime deadline = monotonic_now() + 2ms;
        Cancellable<void> tested;
        auto sleep = [](MonotonicTime until) -> Task<void> {
            co_return co_await sleep_until(until);
        };
        auto cancel = [](void* context) noexcept {
            static_cast<Cancellable<void>*>(context)->cancel();
        };
        TimerNode timer;  // Timers of one deadline fire in the order in which they were armed.
        if (cancelled_first) {
            timer.arm(deadline, cancel, &tested);
        }
        tested.start(sleep(deadline));
        if (!cancelled_first) {
            timer.arm(deadline, cancel, &tested);
        }
        const Result<void> slept = co_await tested.join();
        CHECK(was_cancelled(slept) == cancelled_first);
        CHECK(!timer.armed());
        co_return ok;
    };
    for (const bool cancelled_first : {false, true}) {
        Loop loop;
        CHECK(loop.run(body(cancelled_first)));
    }
}

TEST_CASE("cancel: who yields in a cancelled scope comes back all the same", "[cancel][loop]") {
    auto body = []() -> Task<void> {
        auto yields = []() -> Task<int> {
            co_await yield_now();
            co_return 1;
        };
        CancelScope scope;
        scope.cancel();
        CO_TRY(const int value, co_await yields().under(&scope));
        CHECK(value == 1);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}
