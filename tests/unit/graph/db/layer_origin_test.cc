// Goal: where a layer can be had from is kept as long as the layer, the newest first, and bounded.
// Method: a layer of a pulled image, noted from many repositories, then removed.
#include "graph/layer_origin.h"

#include "tests/unit/graph/db/graph_fixture.h"

using namespace davit;
using davit::test::GraphFixture;
using davit::test::nothing_pinned;

namespace {

LayerOrigin origin_of(const std::string& blob, const std::string& path) {
    LayerOrigin origin;
    origin.blob = LayerBlob{sha256_of(blob), "application/x", blob.size()};
    origin.domain = "registry.example:5000";
    origin.path = path;
    return origin;
}

void add(GraphFixture& graph, const LayerPlace& place, const LayerOrigin& origin) {
    const auto note = [&](WriteTxn& txn) { return layer_origin_add(txn, place, origin); };
    const Result<void> noted = graph.db->update(note);
    REQUIRE(noted.has_value());
}

std::vector<LayerOrigin> origins(GraphFixture& graph, const LayerPlace& place) {
    return graph.view([&](const ReadTxn& txn) { return layer_origins(txn, place.diff_id); });
}

}  // namespace

TEST_CASE("origins: the newest comes first, each once, and the oldest go") {
    GraphFixture graph;
    graph.pull("image", {"x"});
    const LayerPlace place = layer_places(GraphFixture::diffs_of({"x"})).front();
    CHECK(origins(graph, place).empty());
    add(graph, place, origin_of("blob", "first"));
    add(graph, place, origin_of("other", "second"));
    add(graph, place, origin_of("blob", "first"));
    const std::vector<LayerOrigin> two = origins(graph, place);
    REQUIRE(two.size() == 2);
    CHECK(two[0] == origin_of("blob", "first"));
    CHECK(two[0].blob.media_type == "application/x");
    CHECK(two[0].blob.size == 4);
    CHECK(two[1] == origin_of("other", "second"));
    graph.open();  // What is stored is read back.
    CHECK(origins(graph, place) == two);
    for (std::size_t i = 0; i < layer_origins_max; ++i) {
        add(graph, place, origin_of("blob", "many/" + std::to_string(i)));
    }
    CHECK(origins(graph, place).size() == layer_origins_max);
    CHECK(origins(graph, place).back().path == "many/0");
    graph.check();
}

TEST_CASE("origins go with their layer, and none are noted without one") {
    GraphFixture graph;
    const LayerPlace place = layer_places(GraphFixture::diffs_of({"x"})).front();
    add(graph, place, origin_of("blob", "early"));
    CHECK(origins(graph, place).empty());
    const Digest image = graph.pull("image", {"x"});
    add(graph, place, origin_of("blob", "app"));
    CHECK(origins(graph, place).size() == 1);
    graph.update([&](WriteTxn& txn) -> Result<std::vector<std::string>> {
        TRY(const Digest chain, image_erase(txn, image));
        return chain_collect(txn, chain, nothing_pinned);
    });
    CHECK(origins(graph, place).empty());
    graph.check();
}
