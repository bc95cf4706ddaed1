// Goal: updates from the loop are answered after their commit, go together when they can, fail and
// are cancelled alone. Method: a real loop and pool; an update that is held in the worker until the
// test lets it go decides what is queued meanwhile.
#include "graph/graph_writer.h"

#include <future>

#include "reactor/loop.h"
#include "reactor/task_group.h"
#include "tests/unit/graph/db/graph_fixture.h"

using namespace davit;
using davit::test::GraphFixture;
using davit::test::must;

namespace {

struct Writer : GraphFixture {
    Writer() : writer(*db) {}

    std::uint64_t rows() {
        return view([](const ReadTxn& txn) { return txn.count(Table::images); });
    }

    Loop loop;
    GraphWriter writer;
};

Task<void> put(GraphWriter& writer, std::string key) {
    auto update = [&key](WriteTxn& txn) { return txn.put(Table::images, key, "v"); };
    co_return co_await writer.update(update);
}

Task<void> put_and_fail(GraphWriter& writer, std::string key, ErrorKind& kind) {
    auto update = [&key](WriteTxn& txn) -> Result<void> {
        TRY_VOID(txn.put(Table::images, key, "v"));
        return Error(ErrorKind::not_modified, "no");
    };
    const Result<void> result = co_await writer.update(update);
    kind = result ? ErrorKind::internal : result.error().kind();
    co_return ok;
}

/// An update that stays in the worker until the promise is kept.
Task<void> hold(GraphWriter& writer, std::shared_future<void>& gate) {
    auto update = [&gate](WriteTxn& txn) -> Result<void> {
        gate.wait();
        return txn.put(Table::images, "held", "v");
    };
    co_return co_await writer.update(update);
}

}  // namespace

TEST_CASE("graph writer gives the function's value, on disk") {
    Writer graph;
    auto story = [](GraphWriter& writer) -> Task<int> {
        auto update = [](WriteTxn& txn) -> Result<int> {
            TRY_VOID(txn.put(Table::images, "k", "v"));
            return 42;
        };
        co_return co_await writer.update(update);
    };
    CHECK(must(graph.loop.run(story(graph.writer))) == 42);
    CHECK(graph.rows() == 1);
}

TEST_CASE("graph writer commits together what came during a commit") {
    Writer graph;
    std::promise<void> open;
    std::shared_future<void> gate = open.get_future().share();
    ErrorKind kind = ErrorKind::internal;
    auto story = [](Writer& box,
                    std::shared_future<void>& held,
                    std::promise<void>& opener,
                    ErrorKind& failed_with) -> Task<void> {
        TaskGroup group;
        group.spawn(hold(box.writer, held));
        for (int i = 0; i < 100; ++i) {
            group.spawn(put(box.writer, "k" + std::to_string(i)));
        }
        group.spawn(put_and_fail(box.writer, "never", failed_with));
        opener.set_value();
        co_return co_await group.join();
    };
    must(graph.loop.run(story(graph, gate, open, kind)));
    CHECK(graph.rows() == 101);
    CHECK(kind == ErrorKind::not_modified);
    CHECK(graph.writer.commits() == 2);
}

TEST_CASE("graph writer splits what is more than a batch") {
    Writer graph;
    std::promise<void> open;
    std::shared_future<void> gate = open.get_future().share();
    auto story =
        [](Writer& box, std::shared_future<void>& held, std::promise<void>& opener) -> Task<void> {
        TaskGroup group;
        group.spawn(hold(box.writer, held));
        for (std::size_t i = 0; i < limits::graph_batch_updates_max + 1; ++i) {
            group.spawn(put(box.writer, "k" + std::to_string(i)));
        }
        opener.set_value();
        co_return co_await group.join();
    };
    must(graph.loop.run(story(graph, gate, open)));
    CHECK(graph.rows() == limits::graph_batch_updates_max + 2);
    CHECK(graph.writer.commits() == 3);
}

TEST_CASE("graph writer: cancelled while queued leaves no trace, while committing is answered") {
    Writer graph;
    std::promise<void> open;
    std::shared_future<void> gate = open.get_future().share();
    auto story =
        [](Writer& box, std::shared_future<void>& held, std::promise<void>& opener) -> Task<void> {
        TaskGroup committing;
        TaskGroup queued;
        TaskGroup others;
        committing.spawn(hold(box.writer, held));
        queued.spawn(put(box.writer, "cancelled"));
        others.spawn(put(box.writer, "stays"));
        queued.cancel();
        committing.cancel();
        CO_CHECK(co_await queued.join());
        opener.set_value();
        CO_CHECK(co_await committing.join());
        co_return co_await others.join();
    };
    must(graph.loop.run(story(graph, gate, open)));
    const auto has = [&](const char* key) {
        return graph.view([&](const ReadTxn& txn) { return txn.contains(Table::images, key); });
    };
    CHECK(has("held"));
    CHECK(has("stays"));
    CHECK_FALSE(has("cancelled"));
}

TEST_CASE("graph writer under many callers and cancellations answers each once") {
    Writer graph;
    auto caller = [](GraphWriter& writer, std::string key, int& answered) -> Task<void> {
        const Result<void> result = co_await put(writer, std::move(key));
        answered += result ? 1 : 0;
        co_return ok;
    };
    auto story = [](Writer& box, auto& make, int& answered) -> Task<void> {
        for (int round = 0; round < 20; ++round) {
            TaskGroup kept;
            TaskGroup cancelled;
            for (int i = 0; i < 20; ++i) {
                const std::string key = std::to_string(round) + "/" + std::to_string(i);
                (i % 3 == 0 ? cancelled : kept).spawn(make(box.writer, key, answered));
            }
            cancelled.cancel();
            CO_CHECK(co_await kept.join());
            CO_CHECK(co_await cancelled.join());
        }
        co_return ok;
    };
    int answered = 0;
    must(graph.loop.run(story(graph, caller, answered)));
    CHECK(graph.rows() == static_cast<std::uint64_t>(answered));
    CHECK(answered >= 20 * 13);
}
