// Goal: each step of an image's history has its layer's size and, where it is known, its image.
// Method: layers out of a registry, and configs written over them.
#include "jobs/image/history.h"

#include "graph/image_config.h"
#include "graph/tag_store.h"
#include "tests/unit/jobs/image/image_support.h"

using namespace davit;
using namespace davit::test;

namespace {

HistoryEntry step(const char* created_by, bool empty_layer) {
    HistoryEntry entry;
    entry.created = "2024-01-02T03:04:05Z";
    entry.created_by = created_by;
    entry.comment = std::string("about ") + created_by;
    entry.empty_layer = empty_layer;
    return entry;
}

/// A world with two layers of 3 and 5 bytes, and images over them.
struct HistoryWorld : World {
    HistoryWorld()
        : lower(layer_of(ArchiveBuilder().file("a", "123").build())),
          upper(layer_of(ArchiveBuilder().file("b", "12345").build())) {
        content.add("layers", {lower, upper});
        REQUIRE(pull("layers"));
    }

    Digest put(const ImageConfig& config, const Digest& parent, const std::string& tag) {
        ImagePut image;
        image.config = image_config_json(config);
        image.parent = parent;
        const Digest id = sha256_of(image.config);
        const auto write = [&](WriteTxn& txn) -> Result<void> {
            TRY_VOID(image_put(txn, image));
            if (!tag.empty()) {
                TRY(const Reference name, Reference::parse(tag));
                TRY_VOID(reference_set(txn, name.with_default_tag(), id));
            }
            return ok;
        };
        REQUIRE(db->update(write).has_value());
        return id;
    }

    Result<std::vector<HistoryRow>> history(const Digest& image) {
        return db->view([&](const ReadTxn& txn) { return image_history(txn, image); });
    }

    FakeLayer lower;
    FakeLayer upper;
};

}  // namespace

TEST_CASE("history: newest first, empty layers have no size", "[history]") {
    HistoryWorld world;
    ImageConfig config;
    config.platform = platform_host();
    config.diff_ids = {world.lower.diff_id, world.upper.diff_id};
    config.history = {step("base", false),
                      step("ENV", true),
                      step("RUN", false),
                      step("CMD", true),
                      step("LABEL", true)};
    const Digest image = world.put(config, {}, "made:2");
    REQUIRE(world.put(config, {}, "made:1") == image);
    const std::vector<HistoryRow> rows = must(world.history(image));
    REQUIRE(rows.size() == 5);
    const std::vector<std::pair<std::string, std::uint64_t>> expected = {
        {"LABEL", 0}, {"CMD", 0}, {"RUN", 5}, {"ENV", 0}, {"base", 3}};
    for (std::size_t i = 0; i < rows.size(); ++i) {
        CHECK(rows[i].created_by == expected[i].first);
        CHECK(rows[i].size == expected[i].second);
        CHECK(rows[i].comment == "about " + expected[i].first);
        CHECK(rows[i].created == "2024-01-02T03:04:05Z");
        CHECK(rows[i].image == (i == 0 ? image : Digest{}));
        CHECK(rows[i].tags.empty() == (i > 0));
    }
    CHECK(rows[0].tags == std::vector<std::string>{"made:1", "made:2"});
}

TEST_CASE("history: images that others were committed from are named in their rows", "[history]") {
    HistoryWorld world;
    ImageConfig config;
    config.platform = platform_host();
    config.diff_ids = {world.lower.diff_id};
    config.history = {step("base", false)};
    const Digest base = world.put(config, {}, "base:1");
    config.history.push_back(step("between", true));
    const Digest between = world.put(config, base, "");
    config.diff_ids.push_back(world.upper.diff_id);
    config.history.push_back(step("top", false));
    const Digest top = world.put(config, between, "");
    const std::vector<HistoryRow> rows = must(world.history(top));
    REQUIRE(rows.size() == 3);
    CHECK(rows[0].image == top);
    CHECK(rows[1].image == between);
    CHECK(rows[1].tags.empty());
    CHECK(rows[2].image == base);
    CHECK(rows[2].tags == std::vector<std::string>{"base:1"});
}

TEST_CASE("history: a config that cannot be true", "[history]") {
    HistoryWorld world;
    ImageConfig config;
    config.platform = platform_host();
    config.diff_ids = {world.lower.diff_id};
    config.history = {step("one", false), step("two", false)};
    const auto refused = world.history(world.put(config, {}, ""));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind() == ErrorKind::corrupt);
    CHECK(refused.error().message() == "too many non-empty layers in History section");
    const auto unknown = world.history(sha256_of("nothing"));
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error().kind() == ErrorKind::not_found);
    // A history that tells nothing: the layers are there all the same.
    config.history.clear();
    CHECK(must(world.history(world.put(config, {}, ""))).empty());
}
