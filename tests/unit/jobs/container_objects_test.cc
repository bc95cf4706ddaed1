// Goal: containers are found by what their users call them, waiters miss no exit, and detach keys
// are told from typing. Method: the classes alone, with records that never ran.
#include "jobs/container/detach_filter.h"
#include "jobs/container/table.h"
#include "jobs/container_jobs.h"
#include "jobs/container_streams.h"
#include "reactor/loop.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"
#include "tests/support/catch.h"

namespace davit {

namespace {

std::shared_ptr<Container> container_of(char first, const std::string& name, int created = 0) {
    ContainerRecord record;
    record.id = *ContainerId::parse(std::string("ab") + first + std::string(61, '0'));
    record.name = "/" + name;
    record.rw_name = "rw-" + name;
    record.created = WallTime(std::chrono::seconds(created));
    return std::make_shared<Container>(std::move(record));
}

std::string found(const ContainerTable& table, std::string_view text) {
    const auto container = table.find(text);
    return container ? (*container)->record.name : container.error().message();
}

/// All of the input byte by byte; what was passed on, and "!" where it detached.
std::string typed(const std::string& keys, std::string_view input) {
    DetachFilter whole(keys);
    DetachFilter slow(keys);
    const DetachFilter::Outcome at_once = whole.filter(input);
    std::string text = at_once.pass + (at_once.detached ? "!" : "");
    std::string slowly;
    for (const char byte : input) {
        const DetachFilter::Outcome one = slow.filter({&byte, 1});
        slowly += one.pass;
        if (one.detached) {
            slowly += "!";
            break;
        }
    }
    CHECK(slowly == text);
    return text;
}

}  // namespace

TEST_CASE("detach keys end the input; what only looks like them is passed on", "[attach]") {
    CHECK(typed("pq", "abc") == "abc");
    CHECK(typed("pq", "abpqc") == "ab!");
    CHECK(typed("pq", "ppq") == "p!");
    CHECK(typed("pq", "pxq") == "pxq");
    CHECK(typed("aab", "aaab") == "a!");
    CHECK(typed("abab", "abaabab") == "aba!");
    CHECK(typed("abcabd", "abcabcabd") == "abc!");
    CHECK(typed("", "anything").starts_with("anything"));
    CHECK(typed("x", "x") == "!");
    // Held back at the end: it may go on.
    CHECK(typed("pq", "ap") == "a");
}

TEST_CASE("detach keys are read as Docker writes them", "[attach]") {
    CHECK(*detach_keys_parse("ctrl-p,ctrl-q") == "\x10\x11");
    CHECK(*detach_keys_parse("a,ctrl-[,ctrl-_") == "a\x1b\x1f");
    CHECK(*detach_keys_parse("ctrl-A") == "\x01");
    CHECK(*detach_keys_parse("ctrl-@") == std::string(1, '\0'));
    CHECK(detach_keys_parse("ctrl-1").error().kind() == ErrorKind::invalid_argument);
    CHECK(detach_keys_parse("shift-a").error().message() ==
          "Invalid detach keys (shift-a): unknown character");
    CHECK(detach_keys_parse("a,,b").error().kind() == ErrorKind::invalid_argument);
}

TEST_CASE("containers are found by id, name and unique prefix", "[table]") {
    ContainerTable table;
    CHECK(table.empty());
    const auto first = container_of('1', "first", 1);
    const auto second = container_of('2', "ab1", 2);
    REQUIRE(table.insert(first));
    REQUIRE(table.insert(second));
    CHECK(found(table, first->id().str()) == "/first");
    CHECK(found(table, "first") == "/first");
    CHECK(found(table, "/first") == "/first");
    CHECK(found(table, "ab2") == "/ab1");
    CHECK(found(table, "ab1") == "/ab1");  // A name goes before a prefix.
    CHECK(found(table, "ab10") == "/first");
    CHECK(found(table, "ab") == "multiple IDs found with provided prefix: ab");
    CHECK(found(table, "fir") == "No such container: fir");
    CHECK(found(table, "") == "No such container: ");
    CHECK(table.insert(container_of('3', "first")).error().kind() == ErrorKind::conflict);
    CHECK(table.list().at(0) == second);
    CHECK(table.has_rw_name("rw-first"));
    CHECK(!table.has_rw_name("rw-other"));
    first->record.state.status = ContainerState::running;
    CHECK(table.counts().total == 2);
    CHECK(table.counts().running == 1);
    CHECK(table.counts().paused == 0);
    table.erase(first->id());
    table.erase(first->id());
    CHECK(found(table, "ab1") == "/ab1");
    CHECK(found(table, "ab10") == "No such container: ab10");
    REQUIRE(table.name_check("/first"));
    REQUIRE(table.insert(container_of('3', "first")));
}

namespace {

/// Waits side by side; the answers in a string, "-" where none came yet.
struct Waits {
    explicit Waits(const std::shared_ptr<Container>& container) {
        for (const WaitCondition condition :
             {WaitCondition::not_running, WaitCondition::next_exit, WaitCondition::removed}) {
            group.spawn(wait(container, condition, answers[static_cast<std::size_t>(condition)]));
        }
    }

    static Task<void> wait(std::shared_ptr<Container> container,
                           WaitCondition condition,
                           std::string& answer) {
        ContainerWaiter waiter(std::move(container), condition);
        const auto end = co_await waiter.wait();
        answer = end ? std::to_string(end->exit_code) + (end->error.empty() ? "" : " failed")
                     : std::string(error_kind_name(end.error().kind()));
        co_return ok;
    }

    Task<std::string> seen() const {
        co_await yield_now();
        co_await yield_now();
        co_return answers[0] + " " + answers[1] + " " + answers[2];
    }

    std::string answers[3] = {"-", "-", "-"};
    TaskGroup group;
};

}  // namespace

TEST_CASE("a container may have two names while it is renamed", "[container]") {
    ContainerTable table;
    const auto first = container_of('1', "first", 1);
    REQUIRE(table.insert(first));
    REQUIRE(table.insert(container_of('2', "second", 2)));
    CHECK(table.name_reserve("/second", first->id()).error().kind() == ErrorKind::conflict);
    REQUIRE(table.name_reserve("/third", first->id()));
    CHECK(table.insert(container_of('3', "third")).error().kind() == ErrorKind::conflict);
    first->record.name = "/third";
    CHECK(found(table, "first") == "/third");
    CHECK(found(table, "third") == "/third");
    table.name_release("/first");
    CHECK(found(table, "first") == "No such container: first");
    REQUIRE(table.insert(container_of('4', "first")));
    table.erase(first->id());
    CHECK(found(table, "third") == "No such container: third");
}

TEST_CASE("waiters see the exit they wait for, and no other", "[wait]") {
    auto body = []() -> Task<void> {
        const auto container = container_of('1', "x");
        container->run = std::make_shared<ContainerRun>();
        container->record.state.exit_code = 5;
        Waits waits(container);
        container->changed();  // Something else changed.
        CO_TRY(const std::string nothing, co_await waits.seen());
        CHECK(nothing == "- - -");
        // It ends, and is started again before anybody was resumed.
        container->run.reset();
        ++container->exits;
        container->changed();
        container->run = std::make_shared<ContainerRun>();
        CO_TRY(const std::string exited, co_await waits.seen());
        CHECK(exited == "- 5 -");
        container->run.reset();
        container->changed();
        CO_TRY(const std::string stopped, co_await waits.seen());
        CHECK(stopped == "5 5 -");
        container->removed = true;
        container->changed();
        CO_CHECK(co_await waits.group.join());
        CHECK(waits.answers[2] == "5");
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("waiters of a container that goes unstarted, or is dead, are let go", "[wait]") {
    auto body = [](bool dead) -> Task<void> {
        const auto container = container_of('1', "x");
        Waits waits(container);
        CO_TRY(const std::string first, co_await waits.seen());
        CHECK(first == "0 - -");
        container->removed = !dead;
        if (dead) {
            container->record.state.status = ContainerState::dead;
        }
        container->changed();
        CO_TRY(const std::string second, co_await waits.seen());
        CHECK(second == (dead ? "0 - 0 failed" : "0 0 0"));
        waits.group.cancel();
        static_cast<void>(co_await waits.group.join());
        CHECK(waits.answers[1] == (dead ? "cancelled" : "0"));
        co_return ok;
    };
    for (const bool dead : {false, true}) {
        Loop loop;
        CHECK(loop.run(body(dead)));
    }
}

}  // namespace davit
