// Goal: every layer directory is accounted for at every moment, whoever crashes or races.
// Method: the steps of a pull by hand, cut off at each point and recovered; two pulls at once.
#include "graph/layer_store.h"

#include "tests/unit/graph/db/graph_fixture.h"

using namespace davit;
using davit::test::GraphFixture;
using davit::test::must;
using davit::test::nothing_pinned;
using davit::test::Words;

namespace {

LayerPlace place_of(const std::string& below, const std::string& word) {
    return layer_places(GraphFixture::diffs_of({below, word})).back();
}

LayerRecord publish(GraphFixture& graph,
                    const std::string& cache_id,
                    const std::string& lease,
                    const LayerPlace& place,
                    bool depends_on_parent = false) {
    LayerPublish request;
    request.cache_id = cache_id;
    request.lease = lease;
    request.place = place;
    request.depends_on_parent = depends_on_parent;
    request.unpacked_bytes = 5;
    return graph.update([&](WriteTxn& txn) { return layer_publish(txn, request); });
}

Words recover(GraphFixture& graph) {
    return graph.update([](WriteTxn& txn) { return graph_recover(txn, nothing_pinned); });
}

bool is_there(GraphFixture& graph, const LayerPlace& place) {
    return graph.view([&](const ReadTxn& txn) { return layer_find(txn, place); }).has_value();
}

}  // namespace

TEST_CASE("layer is found by diff wherever it stands") {
    GraphFixture graph;
    const std::string lease = graph.update(lease_create);
    const LayerRecord layer =
        publish(graph, graph.update(layer_stage), lease, place_of("below", "x"));
    CHECK_FALSE(layer.depends_on_parent());
    CHECK(is_there(graph, place_of("elsewhere", "x")));
    CHECK_FALSE(is_there(graph, place_of("below", "y")));
    graph.check();
}

TEST_CASE("layer that depends on those below is found at its place only") {
    GraphFixture graph;
    const std::string lease = graph.update(lease_create);
    const LayerRecord own =
        publish(graph, graph.update(layer_stage), lease, place_of("below", "x"), true);
    CHECK(own.depends_on_parent());
    CHECK(is_there(graph, place_of("below", "x")));
    CHECK_FALSE(is_there(graph, place_of("elsewhere", "x")));
    const LayerRecord other =
        publish(graph, graph.update(layer_stage), lease, place_of("elsewhere", "x"), true);
    CHECK(own.cache_id != other.cache_id);
    graph.check();
    // Also as the lowest layer, where chain id and diff id are equal.
    const LayerPlace lowest = layer_places(GraphFixture::diffs_of({"x"})).front();
    publish(graph, graph.update(layer_stage), lease, lowest, true);
    CHECK(is_there(graph, lowest));
    CHECK_FALSE(is_there(graph, place_of("third", "x")));
    graph.check();
}

TEST_CASE("layer published twice: the first directory stays, the second goes") {
    GraphFixture graph;
    const std::string lease_a = graph.update(lease_create);
    const std::string lease_b = graph.update(lease_create);
    const std::string dir_a = graph.update(layer_stage);
    const std::string dir_b = graph.update(layer_stage);
    const LayerPlace place = place_of("below", "x");
    CHECK(publish(graph, dir_a, lease_a, place).cache_id == dir_a);
    CHECK(publish(graph, dir_b, lease_b, place).cache_id == dir_a);
    CHECK(graph.directories_in(LayerDirectoryState::deleting) == 1);
    graph.check();
    // Held by both: the first lease's end does not take it from the second.
    CHECK(graph.update([&](WriteTxn& txn) { return lease_release(txn, lease_a); }).empty());
    CHECK(is_there(graph, place));
    CHECK(graph.update([&](WriteTxn& txn) { return lease_release(txn, lease_b); }) == Words{dir_a});
    CHECK_FALSE(is_there(graph, place));
    graph.check();
}

TEST_CASE("layer held by a pull survives the removal of its only image") {
    GraphFixture graph;
    const Digest image = graph.pull("one", {"a"});
    const LayerPlace place = layer_places(GraphFixture::diffs_of({"a"})).front();
    const std::string lease = graph.update(lease_create);
    CHECK(graph.update([&](WriteTxn& txn) { return lease_hold(txn, lease, place); }));
    const Words removed = graph.update([&](WriteTxn& txn) -> Result<Words> {
        TRY(const Digest chain, image_erase(txn, image));
        return chain_collect(txn, chain, nothing_pinned);
    });
    CHECK(removed.empty());
    CHECK(is_there(graph, place));
    graph.check();
    CHECK(graph.update([&](WriteTxn& txn) { return lease_release(txn, lease); }).size() == 1);
}

TEST_CASE("layer steps out of order are refused") {
    GraphFixture graph;
    const std::string lease = graph.update(lease_create);
    const std::string dir = graph.update(layer_stage);
    const auto refused = [&](FunctionRef<Result<void>(WriteTxn&)> f) {
        const Result<void> result = graph.db->update(f);
        return !result && result.error().kind() == ErrorKind::not_found;
    };
    CHECK(refused([&](WriteTxn& txn) { return layer_forget(txn, dir); }));
    CHECK(refused([&](WriteTxn& txn) { return layer_discard(txn, "nosuch"); }));
    const auto publish_with = [&](const std::string& cache_id, const std::string& held_by) {
        return refused([&](WriteTxn& txn) -> Result<void> {
            LayerPublish request;
            request.cache_id = cache_id;
            request.lease = held_by;
            request.place = place_of("below", "x");
            TRY_VOID(layer_publish(txn, request));
            return ok;
        });
    };
    CHECK(publish_with("nosuch", lease));
    CHECK(publish_with(dir, "nosuch"));
    CHECK(graph.directories_in(LayerDirectoryState::staged) == 1);
    publish(graph, dir, lease, place_of("below", "x"));
    CHECK(publish_with(dir, lease));
    CHECK(refused([&](WriteTxn& txn) { return layer_discard(txn, dir); }));
    CHECK(refused([&](WriteTxn& txn) -> Result<void> {
        TRY_VOID(lease_release(txn, "nosuch"));
        return ok;
    }));
    graph.check();
}

TEST_CASE("recovery leaves what images need and lists every other directory") {
    GraphFixture graph;
    const Digest image = graph.pull("kept", {"a"});
    const std::string lease = graph.update(lease_create);
    const std::string published = graph.update(layer_stage);
    publish(graph, published, lease, place_of("a", "x"));
    const std::string staged = graph.update(layer_stage);
    const std::string discarded = graph.update(layer_stage);
    graph.update([&](WriteTxn& txn) { return layer_discard(txn, discarded); });
    graph.open();

    Words removed = recover(graph);
    std::ranges::sort(removed);
    CHECK(removed == Words{published, staged, discarded});
    CHECK(recover(graph) == removed);  // Again, since a crash may come before the directories go.
    graph.check();
    for (const std::string& cache_id : removed) {
        graph.update([&](WriteTxn& txn) { return layer_forget(txn, cache_id); });
    }
    CHECK(recover(graph).empty());
    CHECK(graph.view([&](const ReadTxn& txn) { return image_get(txn, image); }));
    CHECK(graph.directories_in(LayerDirectoryState::ready) == 1);
    graph.check();
}

TEST_CASE("recovery keeps chains that the run database holds") {
    GraphFixture graph;
    const Digest image = graph.pull("one", {"a", "b"});
    const Digest chain = chain_id(GraphFixture::diffs_of({"a", "b"}));
    const ChainPinned pinned = [&](const Digest& id) { return id == chain; };
    graph.update([&](WriteTxn& txn) -> Result<void> {
        TRY(const Digest held, image_erase(txn, image));
        TRY(const Words removed, chain_collect(txn, held, pinned));
        CHECK(removed.empty());
        return ok;
    });
    graph.check();
    CHECK(graph.update([&](WriteTxn& txn) { return graph_recover(txn, pinned); }).empty());
    CHECK(recover(graph).size() == 2);
    graph.check();
}

TEST_CASE("directories that no row knows are named") {
    GraphFixture graph;
    const std::string staged = graph.update(layer_stage);
    const Words names = {staged, "stray"};
    CHECK(graph.view([&](const ReadTxn& txn) { return layer_directories_unknown(txn, names); }) ==
          Words{"stray"});
}

TEST_CASE("graph check sees damage in each table") {
    GraphFixture graph;
    const Digest image = graph.pull("one", {"a"}, {"one"});
    const std::string chain = chain_id(GraphFixture::diffs_of({"a"})).str();
    const std::string manifest = sha256_of("{ \"manifest of\":  \"one\"}\n").str();
    const std::vector<std::pair<Table, std::string>> damages = {
        {Table::image_configs, image.str()},
        {Table::manifests, manifest},
        {Table::references, "docker.io/library/one:latest"},
        {Table::image_references, image.str()},
        {Table::layers, sha256_of("a").str()},
        {Table::layer_directories, "1"},
        {Table::chains, chain},
        {Table::entities, "i" + image.str()},
        {Table::entities, "c" + chain},
        {Table::entities, "l1"},
    };
    for (const auto& [table, key] : damages) {
        INFO(key);
        const Result<void> outcome = graph.db->update([&](WriteTxn& txn) -> Result<void> {
            REQUIRE(must(txn.erase(table, key)));
            CHECK_FALSE(must(graph_check(txn)).empty());
            return Error(ErrorKind::cancelled, "roll the damage back");
        });
        REQUIRE_FALSE(outcome);
    }
    graph.check();
}
