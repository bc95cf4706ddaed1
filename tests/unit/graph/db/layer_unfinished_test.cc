// Goal: a layer whose image is not complete stays until a chain holds it, or nobody wants it.
// Method: the steps of a pull by hand, with a recovery between any two.
#include "graph/layer_unfinished.h"

#include "graph/graph_check.h"
#include "graph/image_remove.h"
#include "tests/unit/graph/db/graph_fixture.h"

using namespace davit;
using davit::test::GraphFixture;
using davit::test::nothing_pinned;
using davit::test::Words;

namespace {

/// Published as a pull does that has more layers to come, and that is killed then.
std::string left_behind(GraphFixture& graph, const std::string& word) {
    const std::string lease = graph.update(lease_create);
    LayerPublish publish;
    publish.cache_id = graph.update(layer_stage);
    publish.lease = lease;
    publish.place = layer_places(GraphFixture::diffs_of({word})).back();
    graph.update([&](WriteTxn& txn) -> Result<bool> {
        TRY_VOID(layer_publish(txn, publish));
        TRY_VOID(layer_unfinished_put(txn, publish.place));
        return true;
    });
    CHECK(graph.update([](WriteTxn& txn) { return graph_recover(txn, nothing_pinned); }).empty());
    return publish.cache_id;
}

Words unfinished(GraphFixture& graph) {
    return graph.view([](const ReadTxn& txn) { return layers_unfinished(txn); });
}

}  // namespace

TEST_CASE("unfinished layers outlive a restart, and are no lease of a pull", "[unfinished]") {
    GraphFixture graph;
    const std::string a = left_behind(graph, "a");
    const std::string b = left_behind(graph, "b");
    CHECK(unfinished(graph) == Words{a, b});
    CHECK(graph.view(lease_list).empty());
    graph.check();
}

TEST_CASE("a chain takes over what it needs", "[unfinished]") {
    GraphFixture graph;
    left_behind(graph, "a");
    const std::string b = left_behind(graph, "b");
    const std::vector<Digest> diffs = GraphFixture::diffs_of({"a"});
    const Digest chain = graph.update([&](WriteTxn& txn) { return chain_put(txn, diffs); });
    CHECK(unfinished(graph) == Words{b});
    graph.check();
    // And with it the layer goes.
    const auto collect = [&](WriteTxn& txn) { return chain_collect(txn, chain, nothing_pinned); };
    CHECK(graph.update(collect).size() == 1);
    CHECK(unfinished(graph) == Words{b});
    graph.check();
}

TEST_CASE("unfinished layers are given up together", "[unfinished]") {
    GraphFixture graph;
    const std::string a = left_behind(graph, "a");
    const std::string b = left_behind(graph, "b");
    CHECK(graph.update(layers_unfinished_drop) == Words{a, b});
    CHECK(unfinished(graph).empty());
    CHECK(graph.update(layers_unfinished_drop).empty());
    CHECK(graph.directories_in(LayerDirectoryState::deleting) == 2);
    graph.check();
}

TEST_CASE("an unfinished layer whose directory is lost is forgotten", "[unfinished]") {
    GraphFixture graph;
    const std::string a = left_behind(graph, "a");
    const std::string b = left_behind(graph, "b");
    const ImageRemoved removed = graph.update([&](WriteTxn& txn) { return layer_lost(txn, a); });
    CHECK(removed.entries.empty());
    CHECK(removed.directories == Words{a});
    CHECK(unfinished(graph) == Words{b});
    graph.check();
}

TEST_CASE("only a layer that is there can wait", "[unfinished]") {
    GraphFixture graph;
    const LayerPlace nowhere = layer_places(GraphFixture::diffs_of({"x"})).back();
    const auto put = [&](WriteTxn& txn) -> Result<bool> {
        TRY_VOID(layer_unfinished_put(txn, nowhere));
        return true;
    };
    const auto refused = graph.db->update(put);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind() == ErrorKind::not_found);
}
