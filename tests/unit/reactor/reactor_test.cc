// Goal: tasks, groups, cancellation and every awaitable keep their promises. Method: real loop,
// real descriptors, real children; events instead of times.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <type_traits>

#include "reactor/async_event.h"
#include "reactor/base/limits.h"
#include "reactor/channel.h"
#include "reactor/child.h"
#include "reactor/listener.h"
#include "reactor/offload.h"
#include "reactor/ring.h"
#include "reactor/signal.h"
#include "reactor/stream.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"
#include "reactor/undo.h"
#include "tests/support/catch.h"

using namespace davit;
using namespace std::chrono_literals;

static_assert(std::is_nothrow_move_constructible_v<Task<int>> &&
              !std::is_copy_constructible_v<Task<int>>);
static_assert(!std::is_move_constructible_v<CancelScope>);

namespace {

Task<int> number(int value) {
    co_return value;
}

Task<int> failing() {
    co_return Error(ErrorKind::conflict, "no");
}

Task<int> sum_of(int count) {
    int sum = 0;
    for (int i = 0; i < count; ++i) {
        CO_TRY(const int one, co_await number(1));
        sum += one;
    }
    co_return sum;
}

/// Run a task that is expected to wait for ever, and cancel it once it waits.
template <typename T>
Result<T> cancel_while_waiting(Task<T> task) {
    auto body = [](Task<T> inner) -> Task<T> {
        CancelScope scope;
        std::optional<Result<T>> result;
        auto wrapped =
            [](Task<T> waiting, CancelScope& under, std::optional<Result<T>>& out) -> Task<void> {
            out.emplace(co_await std::move(waiting).under(&under));
            co_return ok;
        };
        TaskGroup group;
        group.spawn(wrapped(std::move(inner), scope, result));
        co_await yield_now();
        co_await yield_now();
        scope.cancel();
        CO_CHECK(co_await group.join());
        co_return std::move(*result);
    };
    Loop loop;
    return loop.run(body(std::move(task)));
}

/// The same task under a scope that is cancelled before it starts.
template <typename T>
Result<T> cancel_before_start(Task<T> task) {
    auto body = [](Task<T> inner) -> Task<T> {
        CancelScope scope;
        scope.cancel();
        co_return co_await std::move(inner).under(&scope);
    };
    Loop loop;
    return loop.run(body(std::move(task)));
}

}  // namespace

TEST_CASE("a task gives its value or its error", "[task]") {
    Loop loop;
    CHECK(*loop.run(number(7)) == 7);
    CHECK(loop.run(failing()).error().kind() == ErrorKind::conflict);
}

TEST_CASE("two million awaits that finish at once do not grow the stack", "[task]") {
    Loop loop;
    CHECK(*loop.run(sum_of(2'000'000)) == 2'000'000);
}

TEST_CASE("a deep chain that waits at its end unwinds", "[task]") {
    struct Chain {
        static Task<int> go(int depth) {
            if (depth == 0) {
                CO_CHECK(co_await sleep_for(1ms));
                co_return 0;
            }
            CO_TRY(const int below, co_await go(depth - 1));
            co_return below + 1;
        }
    };

    Loop loop;
    CHECK(*loop.run(Chain::go(2000)) == 2000);
}

TEST_CASE("a group's first error cancels its siblings", "[group]") {
    auto body = []() -> Task<void> {
        auto sleeper = [](bool& cancelled) -> Task<void> {
            const Result<void> slept = co_await sleep_for(1h);
            cancelled = !slept && slept.error().kind() == ErrorKind::cancelled;
            co_return ok;
        };
        auto failer = []() -> Task<void> {
            co_await yield_now();
            co_return Error(ErrorKind::corrupt, "broken");
        };
        bool cancelled = false;
        TaskGroup group;
        group.spawn(sleeper(cancelled));
        group.spawn(failer());
        const Result<void> joined = co_await group.join();
        CHECK(joined.error().kind() == ErrorKind::corrupt);
        CHECK(cancelled);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("an independent group lets siblings finish", "[group]") {
    auto body = []() -> Task<void> {
        auto fail = []() -> Task<void> { co_return Error(ErrorKind::corrupt, "broken"); };
        auto finish = [](bool& done) -> Task<void> {
            CO_CHECK(co_await sleep_for(2ms));
            done = true;
            co_return ok;
        };
        bool done = false;
        TaskGroup group(GroupPolicy::independent);
        group.spawn(fail());
        group.spawn(finish(done));
        const Result<void> joined = co_await group.join();
        CHECK(!joined);
        CHECK(done);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("cancelling a joiner cancels the group and waits for it", "[group]") {
    bool finished = false;
    auto body = [](bool& out) -> Task<void> {
        auto stubborn = [](bool& flag) -> Task<void> {
            static_cast<void>(co_await sleep_for(1h));
            co_await yield_now();
            co_await yield_now();
            flag = true;
            co_return ok;
        };
        TaskGroup group;
        group.spawn(stubborn(out));
        co_return co_await group.join();
    };
    CHECK(cancel_while_waiting(body(finished)).error().kind() == ErrorKind::cancelled);
    CHECK(finished);
}

TEST_CASE("with_timeout ends a task that takes too long", "[timer]") {
    auto sleeper = []() -> Task<int> {
        CO_CHECK(co_await sleep_for(1h));
        co_return 1;
    };
    Loop loop;
    CHECK(loop.run(with_timeout(5ms, sleeper())).error().kind() == ErrorKind::timed_out);
    CHECK(*loop.run(with_timeout(1h, number(3))) == 3);
}

TEST_CASE("timers fire in order and never early", "[timer]") {
    auto body = []() -> Task<void> {
        std::vector<int> order;
        auto one = [](std::vector<int>& out, int value, Nanoseconds delay) -> Task<void> {
            const MonotonicTime begun = monotonic_now();
            CO_CHECK(co_await sleep_for(delay));
            CHECK(monotonic_now() - begun >= delay);
            out.push_back(value);
            co_return ok;
        };
        TaskGroup group;
        group.spawn(one(order, 3, 12ms));
        group.spawn(one(order, 1, 1ms));
        group.spawn(one(order, 2, 6ms));
        CO_CHECK(co_await group.join());
        CHECK(order == std::vector<int>{1, 2, 3});
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("streams carry more than a socket buffer, under back-pressure", "[stream]") {
    auto body = []() -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        auto writer = [](ByteStream& stream, std::string data) -> Task<void> {
            CO_CHECK(co_await stream.write(data));
            co_return co_await stream.shutdown_write();
        };
        std::string sent(3'000'000, 'a');
        for (std::size_t i = 0; i < sent.size(); i += 4096) {
            sent[i] = static_cast<char>('b' + i % 20);
        }
        TaskGroup group;
        group.spawn(writer(*pair.first, sent));
        std::string received;
        std::vector<char> buffer(10'000);
        for (;;) {
            CO_TRY(const std::size_t got, co_await pair.second->read(buffer));
            if (got == 0) {
                break;
            }
            received.append(buffer.data(), got);
        }
        CO_CHECK(co_await group.join());
        CHECK(received == sent);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("write_parts writes all parts in order", "[stream]") {
    auto body = []() -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        const std::string big(500'000, 'x');
        const std::vector<std::string_view> parts{"head", "", big, "tail"};
        auto write = [](FdStream& stream, std::span<const std::string_view> all) -> Task<void> {
            CO_CHECK(co_await stream.write_parts(all));
            co_return co_await stream.shutdown_write();
        };
        TaskGroup group;
        group.spawn(write(*pair.first, parts));
        std::string received;
        std::vector<char> buffer(65536);
        for (;;) {
            CO_TRY(const std::size_t got, co_await pair.second->read(buffer));
            if (got == 0) {
                break;
            }
            received.append(buffer.data(), got);
        }
        CO_CHECK(co_await group.join());
        CHECK(received == "head" + big + "tail");
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("a half-close is not a hang-up", "[stream]") {
    auto body = []() -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        CO_CHECK(co_await pair.second->shutdown_write());
        std::array<char, 8> buffer{};
        CO_TRY(const std::size_t got, co_await pair.first->read(buffer));
        CHECK(got == 0);
        const Result<void> early = co_await with_timeout(5ms, pair.first->hung_up());
        CHECK(early.error().kind() == ErrorKind::timed_out);
        pair.second.reset();
        co_return co_await pair.first->hung_up();
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("listeners accept, replace stale sockets and refuse live ones", "[listener]") {
    auto body = []() -> Task<void> {
        const std::string path = "/tmp/davit-listener-test-" + std::to_string(::getpid());
        {
            auto stale = Listener::unix_socket(path);
            CHECK(stale);
        }
        auto listener = Listener::unix_socket(path);
        CHECK(listener);
        CHECK(Listener::unix_socket(path).error().kind() == ErrorKind::conflict);
        // An ordinary file is refused like a dead socket is, but it is somebody's.
        const std::string file = path + ".file";
        CO_CHECK(file_replace(AT_FDCWD, file, "precious"));
        CHECK(Listener::unix_socket(file).error().kind() == ErrorKind::conflict);
        CO_TRY(const std::string kept, file_read(file));
        CHECK(kept == "precious");
        ::unlink(file.c_str());
        CO_TRY(auto probe, co_await listener->accept());  // How the second one found out.
        CO_TRY(auto client, co_await connect_unix(path));
        CO_TRY(auto server, co_await listener->accept());
        CO_CHECK(co_await client->write("hi"));
        std::array<char, 8> buffer{};
        CO_TRY(const std::size_t got, co_await server->read(buffer));
        CHECK(got == 2);
        ::unlink(path.c_str());

        auto tcp = Listener::tcp("127.0.0.1", 0);
        CHECK(tcp);
        CO_TRY(auto tcp_client, co_await connect_tcp("127.0.0.1", tcp->port()));
        CO_TRY(auto tcp_server, co_await tcp->accept());
        // Not inside CHECK: it names its expression twice, and g++ 12 then awaits twice.
        const auto missing = co_await connect_unix("/nonexistent/x");
        CHECK(missing.error().kind() == ErrorKind::not_found);
        const auto refused = co_await connect_tcp("127.0.0.1", 1);
        CHECK(refused.error().kind() == ErrorKind::unavailable);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("the end of a child is an event", "[child]") {
    auto body = []() -> Task<void> {
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::pause();
            ::_exit(3);
        }
        CO_TRY(const PidRef child, PidRef::open(pid));
        CO_CHECK(child.signal(SIGKILL));
        CO_TRY(const ExitStatus status, co_await child_wait(child));
        CHECK(status.signaled);
        CHECK(status.shell_code() == 128 + SIGKILL);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("signals arrive one by one", "[signal]") {
    auto body = []() -> Task<void> {
        CO_TRY(SignalSource source, SignalSource::make(SIGUSR1));
        ::raise(SIGUSR1);
        CO_CHECK(co_await source.next());
        ::raise(SIGUSR1);
        CO_CHECK(co_await source.next());
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("offload runs elsewhere and comes back", "[offload]") {
    auto body = []() -> Task<void> {
        const pid_t loop_thread = ::gettid();
        auto work = []() -> Result<pid_t> { return ::gettid(); };
        CO_TRY(const pid_t worker, co_await offload(work));
        CHECK(worker != loop_thread);
        CHECK(::gettid() == loop_thread);
        auto failing_work = []() -> Result<int> { return Error(ErrorKind::corrupt, "bad"); };
        const auto failed = co_await offload(failing_work);
        CHECK(failed.error().kind() == ErrorKind::corrupt);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("the ring completes operations on the loop", "[ring]") {
    auto body = []() -> Task<void> {
        CO_TRY(Ring* const ring, Loop::current().ring());
        CO_TRY(Pipe pipe, pipe_make());
        char buffer[16] = {};
        auto reader = [](Ring& r, int fd, char* into, int& result) -> Task<void> {
            result =
                co_await r.op([&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, fd, into, 16, 0); });
            co_return ok;
        };
        int got = -1;
        TaskGroup group;
        group.spawn(reader(*ring, pipe.read_end.get(), buffer, got));
        const int wrote = co_await ring->op([&](io_uring_sqe* sqe) {
            io_uring_prep_write(sqe, pipe.write_end.get(), "hello", 5, 0);
        });
        CHECK(wrote == 5);
        CO_CHECK(co_await group.join());
        CHECK(got == 5);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("more operations than ring entries all complete", "[ring]") {
    auto body = []() -> Task<void> {
        CO_TRY(Ring* const ring, Loop::current().ring());
        auto nop = [](Ring& r, int& done) -> Task<void> {
            const int result = co_await r.op([](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); });
            done += result == 0 ? 1 : 0;
            co_return ok;
        };
        int done = 0;
        TaskGroup group;
        for (int i = 0; i < 5000; ++i) {
            group.spawn(nop(*ring, done));
        }
        CO_CHECK(co_await group.join());
        CHECK(done == 5000);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("every await point observes cancellation, before and while waiting", "[cancel]") {
    auto sleep_task = []() -> Task<void> { co_return co_await sleep_for(1h); };
    auto read_task = []() -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        std::array<char, 8> buffer{};
        const auto got = co_await pair.first->read(buffer);
        co_return got ? Result<void>(ok) : Result<void>(got.error());
    };
    auto write_task = []() -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        const std::string big(10'000'000, 'x');
        co_return co_await pair.first->write(big);
    };
    auto accept_task = []() -> Task<void> {
        CO_TRY(Listener listener, Listener::tcp("127.0.0.1", 0));
        const auto got = co_await listener.accept();
        co_return got ? Result<void>(ok) : Result<void>(got.error());
    };
    auto child_task = []() -> Task<void> {
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::pause();
            ::_exit(0);
        }
        CO_TRY(const PidRef child, PidRef::open(pid));
        const auto status = co_await child_wait(child);
        CO_CHECK(child.signal(SIGKILL));
        auto reap = [](const PidRef& ended) -> Task<ExitStatus> {
            co_return co_await child_wait(ended);
        };
        static_cast<void>(co_await reap(child).under(nullptr));
        co_return status ? Result<void>(ok) : Result<void>(status.error());
    };
    auto signal_task = []() -> Task<void> {
        CO_TRY(SignalSource source, SignalSource::make(SIGUSR2));
        co_return co_await source.next();
    };
    auto event_task = []() -> Task<void> {
        AsyncEvent event;
        co_return co_await event.wait();
    };
    auto semaphore_task = []() -> Task<void> {
        Semaphore semaphore(0);
        const auto permit = co_await semaphore.acquire();
        co_return permit ? Result<void>(ok) : Result<void>(permit.error());
    };
    auto receive_task = []() -> Task<void> {
        Channel<int> channel(1);
        const auto value = co_await channel.receive();
        co_return value ? Result<void>(ok) : Result<void>(value.error());
    };
    auto send_task = []() -> Task<void> {
        Channel<int> channel(1);
        CO_CHECK(co_await channel.send(1));
        co_return co_await channel.send(2);
    };
    auto ring_task = []() -> Task<void> {
        CO_TRY(Ring* const ring, Loop::current().ring());
        CO_TRY(Pipe pipe, pipe_make());
        char buffer[8];
        const int result = co_await ring->op(
            [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, pipe.read_end.get(), buffer, 8, 0); });
        if (result < 0) {
            co_return Error::from_errno(-result, "read");
        }
        co_return ok;
    };
    auto check = [](const char* name, auto make) {
        INFO(name);
        CHECK(cancel_while_waiting(make()).error().kind() == ErrorKind::cancelled);
        CHECK(cancel_before_start(make()).error().kind() == ErrorKind::cancelled);
    };
    check("sleep", sleep_task);
    check("read", read_task);
    check("write", write_task);
    check("accept", accept_task);
    check("child", child_task);
    check("signal", signal_task);
    check("event", event_task);
    check("semaphore", semaphore_task);
    check("receive", receive_task);
    check("send", send_task);
    check("ring", ring_task);
}

TEST_CASE("cancelled offloads are still waited for", "[cancel]") {
    std::atomic<bool> ran = false;
    auto task = [](std::atomic<bool>& flag) -> Task<void> {
        auto work = [&flag]() -> Result<void> {
            ::usleep(20'000);
            flag = true;
            return ok;
        };
        co_return co_await offload(work);
    };
    const Result<void> result = cancel_while_waiting(task(ran));
    CHECK((ran || result.error().kind() == ErrorKind::cancelled));
}

TEST_CASE("shielded work goes on under cancellation", "[cancel]") {
    auto task = []() -> Task<int> {
        static_cast<void>(co_await sleep_for(1h));
        auto cleanup = []() -> Task<int> {
            CO_CHECK(co_await sleep_for(1ms));
            co_return 5;
        };
        co_return co_await shielded(cleanup());
    };
    CHECK(*cancel_while_waiting(task()) == 5);
}
