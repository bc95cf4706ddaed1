// Goal: images, their names, layers and directories stay consistent through pulls, retags, failures
// and restarts; documents come back byte for byte.
// Method: a database filled as a pull does it; graph_check() after each story.
#include "graph/image_store.h"

#include "graph/edges.h"
#include "tests/unit/graph/db/graph_fixture.h"

using namespace davit;
using davit::test::GraphFixture;
using davit::test::must;
using davit::test::nothing_pinned;
using davit::test::Words;

namespace {

std::vector<std::string> directories_of(GraphFixture& graph, const Digest& image) {
    return graph.view([&](const ReadTxn& txn) -> Result<std::vector<std::string>> {
        TRY(const std::optional<ImageRecord> record, image_get(txn, image));
        return chain_directories(txn, record->chain_id);
    });
}

Error resolve_failure(GraphFixture& graph, const std::string& text) {
    auto match = graph.db->view([&](const ReadTxn& txn) { return image_resolve(txn, text); });
    REQUIRE_FALSE(match);
    return std::move(match).error();
}

Digest resolved(GraphFixture& graph, const std::string& text) {
    return graph.view([&](const ReadTxn& txn) { return image_resolve(txn, text); }).id;
}

/// Ids of images are digests, so images are made until two share their first digit.
std::pair<Digest, Digest> two_with_the_same_first_digit(GraphFixture& graph) {
    std::map<char, Digest> by_digit;
    for (int i = 0;; ++i) {
        const Digest id = graph.pull("image " + std::to_string(i), {"l"});
        const auto [at, is_new] = by_digit.emplace(id.hex()[0], id);
        if (!is_new) {
            return {at->second, id};
        }
    }
}

}  // namespace

TEST_CASE("image store gives back what was put") {
    GraphFixture graph;
    const Digest id = graph.pull("one", {"a", "b"}, {"one"});
    CHECK(id == sha256_of(GraphFixture::config_of("one", {"a", "b"})));
    graph.open();
    graph.view([&](const ReadTxn& txn) -> Result<void> {
        TRY(const std::optional<ImageRecord> image, image_get(txn, id));
        REQUIRE(image);
        CHECK(image->layer_count == 2);
        CHECK(image->size == 200);
        CHECK(image->created == "2024-01-01T00:00:00Z");
        CHECK(image->platform == platform_host());
        CHECK(image->chain_id == chain_id(GraphFixture::diffs_of({"a", "b"})));
        CHECK(must(image_config_bytes(txn, id)) == GraphFixture::config_of("one", {"a", "b"}));
        const StoredManifest manifest = must(manifest_get(txn, image->manifests.at(0)));
        CHECK(manifest.bytes == "{ \"manifest of\":  \"one\"}\n");
        CHECK(manifest.media_type == "application/vnd.oci.image.manifest.v1+json");
        CHECK(must(image_count(txn)) == 1);
        CHECK_FALSE(must(image_get(txn, sha256_of("other"))));
        return ok;
    });
    graph.check();
}

TEST_CASE("image store shares layers by diff, in each image's own order") {
    GraphFixture graph;
    const Digest one = graph.pull("one", {"a", "b"});
    const Digest two = graph.pull("two", {"b", "c", "a"});
    CHECK(graph.directories_in(LayerDirectoryState::ready) == 3);
    const Words first = directories_of(graph, one);
    const Words second = directories_of(graph, two);
    CHECK(first == Words{second[2], second[0]});
    graph.check();
}

TEST_CASE("image store keeps a chain with the same diff twice") {
    GraphFixture graph;
    const Digest id = graph.pull("twice", {"a", "b", "a"});
    const Words directories = directories_of(graph, id);
    REQUIRE(directories.size() == 3);
    CHECK(directories[0] == directories[2]);
    graph.check();
}

TEST_CASE("image store keeps chains of many layers in order") {
    GraphFixture graph;
    Words words;
    for (int i = 0; i < 130; ++i) {
        words.push_back("layer " + std::to_string(i));
    }
    const Words directories = directories_of(graph, graph.pull("deep", words));
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::optional<LayerRecord> layer = graph.view([&](const ReadTxn& txn) {
            return layer_find(txn, LayerPlace{sha256_of(words[i]), sha256_of("any chain")});
        });
        REQUIRE(layer);
        REQUIRE(layer->cache_id == directories[i]);
        REQUIRE(layer->cache_id.size() <= 2);
    }
    graph.check();
}

TEST_CASE("image store refuses what does not fit") {
    GraphFixture graph;
    graph.pull("one", {"a"});
    const auto put = [&](const std::string& config, const std::string& manifest_bytes) {
        ImagePut request;
        request.config = config;
        request.manifests.push_back(StoredManifest{sha256_of("x"), "type", manifest_bytes});
        return graph.db->update([&](WriteTxn& txn) { return image_put(txn, request); });
    };
    CHECK(put(GraphFixture::config_of("l", {"missing layer"}), "x").error().kind() ==
          ErrorKind::not_found);
    CHECK(put(GraphFixture::config_of("l", {"a"}), "not x").error().kind() ==
          ErrorKind::invalid_argument);
    CHECK(put("not json", "x").error().kind() == ErrorKind::invalid_argument);
    CHECK(graph.view(image_count) == 1);
    graph.check();
}

TEST_CASE("image store resolves ids, names, digests, prefixes") {
    GraphFixture graph;
    const Digest id = graph.pull("one", {"a"}, {"alpine:3.20", "localhost:5000/x"});
    graph.tag("alpine@" + sha256_of("manifest").str(), id);
    for (const std::string& text : Words{id.str(),
                                         std::string(id.hex()),
                                         "alpine:3.20",
                                         "docker.io/library/alpine:3.20",
                                         "localhost:5000/x:latest",
                                         "localhost:5000/x",
                                         "alpine@" + sha256_of("manifest").str(),
                                         "alpine:any@" + sha256_of("manifest").str(),
                                         id.short_hex(),
                                         "sha256:" + id.short_hex(),
                                         std::string(id.hex().substr(0, 1))}) {
        INFO(text);
        CHECK(resolved(graph, text) == id);
    }
    CHECK(resolve_failure(graph, "alpine").message() == "No such image: alpine:latest");
    CHECK(resolve_failure(graph, "alpine").kind() == ErrorKind::not_found);
    CHECK(resolve_failure(graph, "docker.io/library/none:x").message() == "No such image: none:x");
    CHECK(resolve_failure(graph, sha256_of("x").str()).kind() == ErrorKind::not_found);
    CHECK(resolve_failure(graph, "Upper").kind() == ErrorKind::invalid_argument);
    CHECK(resolve_failure(graph, "").kind() == ErrorKind::invalid_argument);
}

TEST_CASE("image store tells ambiguous prefixes, and a name wins over a prefix") {
    GraphFixture graph;
    const auto [one, two] = two_with_the_same_first_digit(graph);
    const std::string digit(one.hex().substr(0, 1));
    const Error ambiguous = resolve_failure(graph, digit);
    CHECK(ambiguous.kind() == ErrorKind::invalid_argument);
    CHECK(ambiguous.message() == "multiple IDs found with provided prefix: " + digit);
    graph.tag(digit, two);
    CHECK(resolved(graph, digit) == two);
}

TEST_CASE("tags move, digests do not") {
    GraphFixture graph;
    const Digest one = graph.pull("one", {"a"}, {"app"});
    const Digest two = graph.pull("two", {"a"});
    const Reference app = *Reference::parse("app");
    const std::optional<Digest> before =
        graph.update([&](WriteTxn& txn) { return reference_set(txn, app, two); });
    CHECK(before == one);
    CHECK(graph.names_of(one).empty());
    CHECK(graph.names_of(two) == Words{"app:latest"});
    CHECK(resolved(graph, "app") == two);
    graph.tag("app:latest", two);  // Again: nothing changes.
    CHECK(graph.names_of(two) == Words{"app:latest"});

    const Reference digest = *Reference::parse("app@" + sha256_of("m").str());
    graph.tag(digest.str(), one);
    graph.tag(digest.str(), one);
    const auto moved =
        graph.db->update([&](WriteTxn& txn) { return reference_set(txn, digest, two); });
    CHECK(moved.error().kind() == ErrorKind::conflict);
    const auto nowhere = graph.db->update(
        [&](WriteTxn& txn) { return reference_set(txn, app, sha256_of("no image")); });
    CHECK(nowhere.error().kind() == ErrorKind::not_found);
    graph.check();

    CHECK(graph.update([&](WriteTxn& txn) { return reference_remove(txn, app); }) == two);
    CHECK_FALSE(graph.update([&](WriteTxn& txn) { return reference_remove(txn, app); }));
    CHECK(graph.names_of(two).empty());
    graph.check();
}

TEST_CASE("image erased gives its layers back, those still needed stay") {
    GraphFixture graph;
    const Digest one = graph.pull("one", {"a", "b"}, {"one"});
    graph.pull("two", {"a", "c"});
    const auto erase = [&](const Digest& id) {
        return graph.db->update([&](WriteTxn& txn) -> Result<Words> {
            TRY(const Digest chain, image_erase(txn, id));
            return chain_collect(txn, chain, nothing_pinned);
        });
    };
    CHECK(erase(one).error().kind() == ErrorKind::conflict);  // Its name.
    graph.update([](WriteTxn& txn) { return reference_remove(txn, *Reference::parse("one")); });
    const Words kept = directories_of(graph, one);
    const Words removed = must(erase(one));
    CHECK(removed == Words{kept[1]});
    CHECK(graph.directories_in(LayerDirectoryState::deleting) == 1);
    CHECK(graph.directories_in(LayerDirectoryState::ready) == 2);
    graph.check();
    const Digest blob = sha256_of("blob of " + sha256_of("b").str());
    CHECK_FALSE(graph.view([&](const ReadTxn& txn) { return blob_diff_id(txn, blob); }));
    graph.update([&](WriteTxn& txn) { return layer_forget(txn, removed[0]); });
    CHECK(graph.directories_in(LayerDirectoryState::deleting) == 0);
    CHECK_FALSE(graph.db->update([&](WriteTxn& txn) { return layer_forget(txn, kept[0]); }));
    CHECK(erase(one).error().kind() == ErrorKind::not_found);
    // The same image again: new directories, never used names.
    graph.pull("one", {"a", "b"});
    CHECK(directories_of(graph, one)[0] == kept[0]);
    CHECK(directories_of(graph, one)[1] != kept[1]);
    graph.check();
}

TEST_CASE("image put again gains manifests and keeps what it has") {
    GraphFixture graph;
    const Digest id = graph.pull("one", {"a"});
    ImagePut put;
    put.config = GraphFixture::config_of("one", {"a"});
    put.manifests.push_back(StoredManifest{sha256_of("index"), "an index", "index"});
    for (int i = 0; i < 2; ++i) {
        const ImageRecord again = graph.update([&](WriteTxn& txn) { return image_put(txn, put); });
        CHECK(again.id == id);
        CHECK(again.manifests.size() == 2);
    }
    graph.check();
}

TEST_CASE("index shared by two images goes with the last") {
    GraphFixture graph;
    const StoredManifest index{sha256_of("index"), "an index", "index"};
    std::vector<Digest> ids;
    for (const char* label : {"one", "two"}) {
        ids.push_back(graph.pull(label, {"a"}));
        ImagePut put;
        put.config = GraphFixture::config_of(label, {"a"});
        put.manifests.push_back(index);
        graph.update([&](WriteTxn& txn) { return image_put(txn, put); });
    }
    graph.update([&](WriteTxn& txn) { return image_erase(txn, ids[0]); });
    CHECK(graph.view([&](const ReadTxn& txn) { return manifest_get(txn, index.digest); }).bytes ==
          "index");
    graph.check();
    graph.update([&](WriteTxn& txn) { return image_erase(txn, ids[1]); });
    CHECK_FALSE(
        graph.db->view([&](const ReadTxn& txn) { return manifest_get(txn, index.digest); }));
    CHECK(graph.view([](const ReadTxn& txn) { return txn.count(Table::manifests); }) == 0);
}

TEST_CASE("image last use") {
    GraphFixture graph;
    const Digest id = graph.pull("one", {"a"});
    CHECK_FALSE(graph.view([&](const ReadTxn& txn) { return image_last_used(txn, id); }));
    const WallTime when = wall_from_unix_nanoseconds(1234567890123);
    graph.update([&](WriteTxn& txn) { return image_touch(txn, id, when); });
    CHECK(graph.view([&](const ReadTxn& txn) { return image_last_used(txn, id); }) == when);
    CHECK_FALSE(
        graph.db->update([&](WriteTxn& txn) { return image_touch(txn, sha256_of("none"), when); }));
}
