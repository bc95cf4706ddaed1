// Goal: the two pools keep out of each other's way, and give back what has not begun, however much
// is queued. Method: threads held by a pipe that nobody writes to yet.
#include "reactor/work_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>

#include "reactor/base/limits.h"
#include "reactor/offload.h"
#include "reactor/task_group.h"
#include "tests/support/catch.h"

using namespace davit;

TEST_CASE("brief work does not queue behind bulk work, which yields to it", "[offload]") {
    auto body = []() -> Task<void> {
        constexpr std::size_t more_than_threads = 2 * limits::bulk_threads;
        CO_TRY(Pipe gate, pipe_make());
        TaskGroup bulk;
        std::vector<int> nice;
        auto wait_for_gate = [](int fd, std::vector<int>& all) -> Task<void> {
            auto work = [fd]() -> Result<int> {
                char byte = 0;
                const bool woken = ::read(fd, &byte, 1) == 1;
                return woken ? ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid())) : -1;
            };
            CO_TRY(const int own, co_await offload_bulk(work));
            all.push_back(own);
            co_return ok;
        };
        for (std::size_t i = 0; i < more_than_threads; ++i) {
            bulk.spawn(wait_for_gate(gate.read_end.get(), nice));
        }
        auto brief = []() -> Result<void> { return ok; };
        CO_CHECK(co_await offload(brief));  // Else it would never come back.
        CHECK(nice.empty());
        const std::string bytes(more_than_threads, 'x');
        CHECK(::write(gate.write_end.get(), bytes.data(), bytes.size()) ==
              static_cast<ssize_t>(bytes.size()));
        CO_CHECK(co_await bulk.join());
        const int own = ::getpriority(PRIO_PROCESS, 0);
        CHECK(nice == std::vector<int>(more_than_threads, own + limits::bulk_thread_nice));
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("a paused pool begins nothing, gives back what is cancelled, and goes on", "[offload]") {
    auto body = []() -> Task<void> {
        constexpr std::size_t many = 100;  // More than the pool hands to its threads at a time.
        std::atomic<std::size_t> ran = 0;
        auto count = [](std::atomic<std::size_t>& counter) -> Task<void> {
            auto work = [&counter]() -> Result<void> {
                ++counter;
                return ok;
            };
            co_return co_await offload_bulk(work);
        };
        WorkPool& bulk = Loop::current().bulk();
        for (int round = 0; round < 3; ++round) {
            bulk.pause();
            TaskGroup kept;
            TaskGroup cancelled;
            for (std::size_t i = 0; i < many; ++i) {
                kept.spawn(count(ran));
                cancelled.spawn(count(ran));
            }
            auto brief = []() -> Result<void> { return ok; };
            CO_CHECK(co_await offload(brief));
            cancelled.cancel();
            CO_CHECK(co_await cancelled.join());
            CHECK(ran == 0);
            bulk.resume();
            CO_CHECK(co_await kept.join());
            CHECK(ran.exchange(0) == many);
        }
        bulk.pause();  // A pool that ends is not paused any more.
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("work that has not begun is given back at once, however much there is", "[offload]") {
    auto body = []() -> Task<void> {
        constexpr std::size_t many = 300;  // More than the pool hands to its threads at a time.
        CO_TRY(Pipe gate, pipe_make());
        std::atomic<std::size_t> ran = 0;
        auto wait_for_gate = [](int fd) -> Task<void> {
            auto work = [fd]() -> Result<void> {
                char byte = 0;
                return ::read(fd, &byte, 1) == 1 ? Result<void>(ok)
                                                 : Error(ErrorKind::internal, "gate");
            };
            co_return co_await offload(work);
        };
        auto count = [](std::atomic<std::size_t>& counter) -> Task<void> {
            auto work = [&counter]() -> Result<void> {
                ++counter;
                return ok;
            };
            co_return co_await offload(work);
        };
        for (int round = 0; round < 3; ++round) {
            TaskGroup held;
            for (std::size_t i = 0; i < limits::brief_threads; ++i) {
                held.spawn(wait_for_gate(gate.read_end.get()));
            }
            TaskGroup queued;
            for (std::size_t i = 0; i < many; ++i) {
                queued.spawn(count(ran));
            }
            queued.cancel();
            CO_CHECK(co_await queued.join());  // With all threads held.
            CHECK(ran == 0);
            const std::string bytes(limits::brief_threads, 'x');
            CHECK(::write(gate.write_end.get(), bytes.data(), bytes.size()) ==
                  static_cast<ssize_t>(bytes.size()));
            CO_CHECK(co_await held.join());
            TaskGroup after;
            for (std::size_t i = 0; i < many; ++i) {
                after.spawn(count(ran));
            }
            CO_CHECK(co_await after.join());
            CHECK(ran.exchange(0) == many);
        }
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}
