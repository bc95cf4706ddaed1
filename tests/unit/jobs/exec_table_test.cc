/// Goal: execs can be asked for as long as they should, and no longer, and their number is bounded.
/// Method: a table of execs that never ran, and times that the test makes up.
#include "jobs/exec_table.h"

#include "reactor/base/limits.h"
#include "tests/support/catch.h"

namespace davit {

namespace {

std::shared_ptr<Container> container_make() {
    ContainerRecord record;
    record.id = ContainerId::generate();
    return std::make_shared<Container>(std::move(record));
}

std::shared_ptr<Exec> insert(ExecTable& table, std::shared_ptr<Container> container) {
    ExecConfig config;
    config.cmd = {"true"};
    auto exec = std::make_shared<Exec>(std::move(container), std::move(config));
    REQUIRE(table.insert(exec));
    return exec;
}

void end(ExecTable& table, const std::shared_ptr<Exec>& exec, MonotonicTime now) {
    exec->state = ExecState::exited;
    table.ended(exec, now);
}

}  // namespace

TEST_CASE("an exec is found by its whole id, and listed until it ends") {
    ExecTable table;
    const auto container = container_make();
    const auto first = insert(table, container);
    const auto second = insert(table, container);
    CHECK(*table.find(first->id.str()) == first);
    CHECK(table.find(first->id.short_id()).error().message() ==
          "No such exec instance: " + first->id.short_id());
    CHECK(container->exec_ids == std::vector<ExecId>{first->id, second->id});
    end(table, first, monotonic_now());
    CHECK(container->exec_ids == std::vector<ExecId>{second->id});
    CHECK(table.find(first->id.str()));
}

TEST_CASE("an exec that has ended is forgotten after a while") {
    ExecTable table;
    const auto container = container_make();
    const MonotonicTime begun = monotonic_now();
    const auto first = insert(table, container);
    const auto second = insert(table, container);
    end(table, first, begun);
    end(table, second, begun + std::chrono::seconds(1));
    table.expire(begun + limits::exec_ended_kept - std::chrono::nanoseconds(1));
    CHECK(table.size() == 2);
    table.expire(begun + limits::exec_ended_kept);
    CHECK_FALSE(table.find(first->id.str()));
    CHECK(table.find(second->id.str()));
}

TEST_CASE("of very many the oldest are forgotten first") {
    ExecTable table;
    const auto container = container_make();
    const auto first = insert(table, container);
    end(table, first, monotonic_now());
    for (std::size_t i = 0; i + 1 < limits::execs_ended_kept_max; ++i) {
        end(table, insert(table, container), monotonic_now());
    }
    CHECK(table.find(first->id.str()));
    end(table, insert(table, container), monotonic_now());
    CHECK_FALSE(table.find(first->id.str()));
    CHECK(table.size() == limits::execs_ended_kept_max);
}

TEST_CASE("the end of a run is the end of what was not started, and a removal of all") {
    ExecTable table;
    const auto container = container_make();
    const auto other = container_make();
    const auto never = insert(table, container);
    const auto ended = insert(table, container);
    const auto running = insert(table, container);
    const auto others = insert(table, other);
    end(table, ended, monotonic_now());
    running->state = ExecState::running;
    table.run_ended(*container);
    CHECK_FALSE(table.find(never->id.str()));
    CHECK(table.find(ended->id.str()));
    CHECK(table.find(running->id.str()));
    table.container_removed(*container);
    CHECK(table.size() == 1);
    end(table, running, monotonic_now());
    CHECK(table.size() == 1);
    table.expire(monotonic_now() + 2 * limits::exec_ended_kept);
    CHECK(table.find(others->id.str()));
}

}  // namespace davit
