// Goal: damage between the tables is found in every form and mended as far as that goes without
// guessing; sizes count a layer once. Method: rows are written and erased behind the stores' backs.
#include "graph/edges.h"
#include "graph/image_sizes.h"
#include "tests/unit/graph/db/graph_fixture.h"

using namespace davit;
using namespace davit::test;

namespace {

/// Erase or write one row, see the damage found and mended.
struct Damage {
    GraphFixture graph;
    Digest image;

    Damage() {
        image = graph.pull("app", {"a", "b"}, {"app:1", "app:2"});
        ContainerEntry entry;
        entry.id = ContainerId::generate();
        entry.name = "/web";
        entry.image = image;
        entry.chain_id = layer_places(GraphFixture::diffs_of({"a", "b"})).back().chain_id;
        graph.update(
            [&](WriteTxn& txn) { return container_create(txn, ContainerHome::graph, entry); });
        graph.check();
    }

    Words keys(Table table) {
        Words found;
        graph.view([&](const ReadTxn& txn) {
            return txn.scan(table, {}, [&](std::string_view key, auto) -> Result<bool> {
                found.emplace_back(key);
                return true;
            });
        });
        return found;
    }

    void erase(Table table, const std::string& key) {
        CHECK(graph.update([&](WriteTxn& txn) { return txn.erase(table, key); }));
    }

    void put(Table table, const std::string& key, const std::string& value) {
        graph.update([&](WriteTxn& txn) { return txn.put(table, key, value); });
    }

    void mends(std::size_t repairs) {
        CHECK_FALSE(graph.view(graph_check).empty());
        CHECK(graph.update([](WriteTxn& txn) { return graph_repair(txn); }).size() == repairs);
        graph.check();
        CHECK(graph.update([](WriteTxn& txn) { return graph_repair(txn); }).empty());
    }
};

}  // namespace

TEST_CASE("edges known to one side only are mended", "[graph_repair]") {
    Damage damage;
    const Words in = damage.keys(Table::edges_in);
    REQUIRE(in.size() > 3);
    for (const std::string& key : in) {
        damage.erase(Table::edges_in, key);
        damage.mends(1);
    }
    damage.put(Table::edges_in, std::string("lx\0iy\0chain", 11), "");
    damage.mends(1);
}

TEST_CASE("edges to what is not there go", "[graph_repair]") {
    Damage damage;
    damage.put(Table::edges_out, std::string("inone\0chain", 11), "cnone");
    damage.mends(1);
}

TEST_CASE("names of images that are not there go", "[graph_repair]") {
    Damage damage;
    damage.put(Table::references, "docker.io/library/lost:latest", sha256_of("lost").str());
    damage.mends(1);
    CHECK(damage.keys(Table::references).size() == 2);
}

TEST_CASE("an image's list of names is made again", "[graph_repair]") {
    Damage damage;
    damage.erase(Table::image_references, damage.image.str());
    damage.mends(1);
    CHECK(damage.graph.names_of(damage.image) == Words{"app:1", "app:2"});
    damage.erase(Table::references, damage.keys(Table::references).front());
    damage.mends(1);
    CHECK(damage.graph.names_of(damage.image) == Words{"app:2"});
}

TEST_CASE("containers' names follow the containers", "[graph_repair]") {
    Damage damage;
    damage.put(Table::container_names, "/ghost", ContainerId::generate().str());
    damage.mends(1);
    damage.erase(Table::container_names, "/web");
    damage.mends(1);
    damage.put(Table::container_names, "/web", ContainerId::generate().str());
    damage.mends(2);
    CHECK(damage.keys(Table::container_names) == Words{"/web"});
}

TEST_CASE("what cannot be mended stays told", "[graph_repair]") {
    Damage damage;
    damage.put(Table::image_configs, damage.image.str(), "{}");
    CHECK(damage.graph.update([](WriteTxn& txn) { return graph_repair(txn); }).empty());
    CHECK(damage.graph.view(graph_check).size() == 1);
}

TEST_CASE("leases are counted", "[graph_repair]") {
    GraphFixture graph;
    CHECK(graph.view(lease_list).empty());
    const std::string lease = graph.update([](WriteTxn& txn) { return lease_create(txn); });
    CHECK(graph.view(lease_list) == Words{lease});
    graph.pull("app", {"a", "b"}, {"app:1"});
    const GraphCounts counts = graph.view(graph_counts);
    CHECK(counts.images == 1);
    CHECK(counts.references == 1);
    CHECK(counts.layers == 2);
    CHECK(counts.chains == 1);
    CHECK(counts.leases == 1);
}

TEST_CASE("a layer that several images have counts once", "[image_sizes]") {
    GraphFixture graph;
    const Digest one = graph.pull("one", {"a", "b"});
    const Digest two = graph.pull("two", {"a", "c", "d"});
    const Digest three = graph.pull("three", {"e"});
    const GraphSizes sizes = graph.view(graph_sizes);
    CHECK(sizes.layers == 500);
    CHECK(sizes.images.size() == 3);
    CHECK(sizes.images.at(one).shared == 100);
    CHECK(sizes.images.at(one).unique == 100);
    CHECK(sizes.images.at(two).shared == 100);
    CHECK(sizes.images.at(two).unique == 200);
    CHECK(sizes.images.at(three).shared == 0);
    REQUIRE(sizes.images.at(two).layers.size() == 3);
    CHECK(sizes.images.at(two).layers[0].images ==
          std::vector<Digest>{std::min(one, two), std::max(one, two)});
    CHECK(sizes.images.at(two).layers[1].diff_id == sha256_of("c"));
}

TEST_CASE("a pin goes with its image", "[image_store]") {
    GraphFixture graph;
    const Digest image = graph.pull("app", {"a"});
    const auto is_pinned = [&](const ReadTxn& txn) { return image_is_pinned(txn, image); };
    CHECK_FALSE(graph.view(is_pinned));
    graph.update([&](WriteTxn& txn) { return image_pin(txn, image, true); });
    CHECK(graph.view(is_pinned));
    graph.update([&](WriteTxn& txn) { return image_pin(txn, image, false); });
    CHECK_FALSE(graph.view(is_pinned));
    graph.update([&](WriteTxn& txn) { return image_pin(txn, image, true); });
    graph.update([&](WriteTxn& txn) { return image_erase(txn, image); });
    CHECK_FALSE(graph.view(is_pinned));
    CHECK_FALSE(
        graph.db->update([&](WriteTxn& txn) { return image_pin(txn, sha256_of("none"), true); }));
}
