// Goal: the compiler still does what our way of writing coroutines relies on (STYLE: compiler
// traps), so that a new one that breaks it is seen here and not in a container. Method: each idiom
// once, with values that know how often they are destroyed; the sanitizers see the rest.
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "reactor/async_event.h"
#include "reactor/loop.h"
#include "reactor/offload.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"
#include "reactor/undo.h"
#include "tests/support/catch.h"

using namespace davit;
using namespace std::chrono_literals;

namespace {

/// Knows every live object of its type: one that is destroyed twice, or copied bytewise, is seen.
class Tracked {
  public:
    Tracked() { enter(); }

    Tracked(const Tracked& other) : text(other.text) { enter(); }

    Tracked(Tracked&& other) noexcept : text(std::move(other.text)) { enter(); }

    Tracked& operator=(const Tracked&) = default;
    Tracked& operator=(Tracked&&) noexcept = default;

    ~Tracked() {
        if (live.erase(this) != 1) {
            ++wrong;
        }
    }

    std::string text = "longer than any small string buffer is";

    static inline std::set<const Tracked*> live;
    static inline int wrong = 0;

  private:
    void enter() {
        if (!live.insert(this).second) {
            ++wrong;
        }
    }
};

/// An aggregate, as our request structs are.
struct Spec {
    Tracked first;
    std::string second;
    std::shared_ptr<int> shared;
};

Task<std::size_t> take(Spec spec) {
    co_await yield_now();
    co_return spec.first.text.size() + spec.second.size();
}

Task<Tracked> give() {
    co_await yield_now();
    co_return Tracked();
}

void run_clean(Task<void> (*body)()) {
    Tracked::wrong = 0;
    {
        Loop loop;
        CHECK(loop.run(body()));
    }
    CHECK(Tracked::wrong == 0);
    CHECK(Tracked::live.empty());
}

}  // namespace

// g++ 12.2: a braced temporary in the expression of a co_await is destroyed twice.
// So it is named, and moved in.
TEST_CASE("trap: a named aggregate that is moved into an awaited call") {
    run_clean([]() -> Task<void> {
        const auto shared = std::make_shared<int>(1);
        Spec spec{Tracked(), std::string(100, 'x'), shared};
        CO_TRY(const std::size_t size, co_await take(std::move(spec)));
        CHECK(size == 100 + Tracked().text.size());
        CHECK(shared.use_count() == 1);  // Neither the moved-from one nor the frame holds it.
        co_return ok;
    });
}

// Coroutines of early g++: parameters by value are moved into the frame; each is destroyed once,
// also when the task never starts.
TEST_CASE("trap: parameters by value") {
    run_clean([]() -> Task<void> {
        const auto shared = std::make_shared<int>(1);
        {
            const Task<std::size_t> never = take(Spec{Tracked(), "", shared});
            CHECK(shared.use_count() == 2);
        }
        CHECK(shared.use_count() == 1);
        Task<std::size_t> later = take(Spec{Tracked(), "abc", shared});
        CO_TRY(const std::size_t size, co_await std::move(later));
        CHECK(size > 3);
        CHECK(shared.use_count() == 2);  // The frame lives as long as its task.
        later = {};
        CHECK(shared.use_count() == 1);
        co_return ok;
    });
}

// g++ 12.2: what a lambda captures by value dies twice in the expression of a co_await. A capturing
// function object is named; a capturing coroutine is kept by its owner, or takes arguments instead.
TEST_CASE("trap: a named function object with captures") {
    run_clean([]() -> Task<void> {
        const auto shared = std::make_shared<int>(42);
        auto work = [shared, tracked = Tracked()]() -> Result<int> { return *shared; };
        CO_TRY(const int value, co_await offload(std::move(work)));
        CHECK(value == 42);
        Undo undo;
        int undone = 0;
        undo.add("captures", [&undone, shared, tracked = Tracked()]() -> Task<void> {
            co_await yield_now();
            undone += *shared;
            co_return ok;
        });
        CO_CHECK(co_await undo.unwind());
        CHECK(undone == 42);
        co_return ok;
    });
}

// g++ 12.2 destroys the result of `c ? co_await f() : value` twice (seen here, AddressSanitizer).
// So an await stands in no conditional expression; it goes into the arms of an if.
TEST_CASE("trap: an await under a condition") {
    run_clean([]() -> Task<void> {
        for (const bool first : {true, false}) {
            Result<Tracked> got = Error(ErrorKind::internal, "unset");
            if (first) {
                got = co_await give();
            } else {
                got = co_await with_timeout(1h, give());
            }
            CHECK(got);
        }
        co_return ok;
    });
}

// Temporaries of the awaited expression live until its end, and no longer.
TEST_CASE("trap: temporaries around an await") {
    run_clean([]() -> Task<void> {
        CO_TRY(const Tracked kept, co_await give());
        const std::size_t before = Tracked::live.size();  // CO_TRY's own Result is one of them.
        const std::string text = (co_await give())->text + "!";
        CHECK(text == kept.text + "!");
        CHECK(Tracked::live.size() == before);
        static_cast<void>(co_await give());
        CHECK(Tracked::live.size() == before);
        co_return ok;
    });
}

// `this` and references into the awaiter's frame stay what they are over a wait.
TEST_CASE("trap: members and references over a wait") {
    struct Walker {
        Tracked own;
        AsyncEvent go;

        Task<void> walk(const std::string& expected, int& steps) {
            CO_CHECK(co_await go.wait());
            CHECK(own.text == expected);
            for (const char byte : expected) {
                co_await yield_now();
                steps += byte != '\0' ? 1 : 0;
            }
            co_return ok;
        }
    };

    run_clean([]() -> Task<void> {
        Walker walker;
        const std::string expected = walker.own.text;
        int steps = 0;
        TaskGroup group;
        group.spawn(walker.walk(expected, steps));
        walker.go.set();
        CO_CHECK(co_await group.join());
        CHECK(steps == static_cast<int>(expected.size()));
        co_return ok;
    });
}

// Errors return through several frames; what each held is given back on the way.
TEST_CASE("trap: an early return out of nested scopes") {
    struct Steps {
        static Task<int> fail(int depth) {
            const Tracked held;
            if (depth == 0) {
                co_await yield_now();
                co_return Error(ErrorKind::conflict, "bottom");
            }
            for (;;) {
                const Tracked inner;
                CO_TRY(const int value, co_await fail(depth - 1));
                co_return value;
            }
        }
    };

    run_clean([]() -> Task<void> {
        const Result<int> failed = co_await Steps::fail(20);
        CHECK(failed.error().kind() == ErrorKind::conflict);
        CHECK(Tracked::live.empty());
        co_return ok;
    });
}
