// Goal: a pull need not wait for the disk, and a power cut still leaves nothing half written.
// Method: rows of layers_unsynced as a pull leaves them; a power cut is a row of another boot.
#include "jobs/image/layer_sync.h"

#include "graph/graph_check.h"
#include "graph/tag_store.h"
#include "jobs/image/import.h"
#include "tests/unit/drivers/graph/driver_support.h"
#include "tests/unit/jobs/image/image_support.h"

using namespace davit;
using namespace davit::test;

namespace {

std::vector<std::string> due(World& world) {
    return must(world.images->layers().sync().due());
}

/// As if every layer had been published in that boot, and nothing synced since.
void mark_unsynced(World& world, const std::string& boot) {
    const auto mark = [&boot](WriteTxn& txn) -> Result<void> {
        TRY(const std::vector<LayerDirectory> directories, layer_directories(txn));
        for (const LayerDirectory& directory : directories) {
            TRY_VOID(txn.put(Table::layers_unsynced, directory.cache_id, boot));
        }
        return ok;
    };
    REQUIRE(world.db->update(mark));
}

void recover(World& world) {
    const auto none = [](std::string_view) { return false; };
    REQUIRE(world.run(image_recover(*world.images, none, [](const Digest&) { return false; })));
}

std::optional<Digest> named(World& world, const std::string& tag) {
    const Reference name = world.name(tag);
    return must(world.db->view([&](const ReadTxn& txn) { return reference_get(txn, name); }));
}

class OnceSource final : public LayerSource {
  public:
    explicit OnceSource(std::string text) : text_(std::move(text)) {}

    Task<std::size_t> read(std::span<char> buffer) override {
        const std::size_t count = std::min(buffer.size(), text_.size() - at_);
        text_.copy(buffer.data(), count, at_);
        at_ += count;
        co_return count;
    }

  private:
    std::string text_;
    std::size_t at_ = 0;
};

}  // namespace

TEST_CASE("what a pull published is on disk when the service ends", "[layer_sync]") {
    World world;
    world.content.add("1", {layer_of(ArchiveBuilder().file("a", "1").build())});
    REQUIRE_FALSE(world.images->layers().sync().boot().empty());
    REQUIRE(world.pull("1"));
    REQUIRE(world.loop.run(world.images->close()));
    CHECK(due(world).empty());
    world.check_clean(1);
}

TEST_CASE("a power cut takes the layers that were not on disk, and their images", "[layer_sync]") {
    World world;
    const FakeLayer first = layer_of(ArchiveBuilder().file("a", "1").build());
    world.content.add("1", {first, layer_of(ArchiveBuilder().file("b", "1").build())});
    REQUIRE(world.pull("1"));
    world.check_clean(2);
    mark_unsynced(world, "another boot");
    recover(world);
    CHECK_FALSE(named(world, "1"));
    CHECK(due(world).empty());
    world.check_clean(0);
    REQUIRE(world.pull("1"));
    world.check_clean(2);
}

TEST_CASE("a crash of the daemon takes nothing: the next one syncs", "[layer_sync]") {
    World world;
    world.content.add("1", {layer_of(ArchiveBuilder().file("a", "1").build())});
    REQUIRE(world.pull("1"));
    world.check_clean(1);
    mark_unsynced(world, world.images->layers().sync().boot());
    recover(world);
    CHECK(named(world, "1"));
    CHECK(due(world).size() == 1);
    world.images->layers().sync().soon();
    world.images->layers().sync().soon();  // While it runs.
    REQUIRE(world.loop.run(world.images->close()));
    CHECK(due(world).empty());
    world.check_clean(1);
}

TEST_CASE("an import syncs what pulls left, before it answers", "[layer_sync]") {
    World world;
    world.content.add("1", {layer_of(ArchiveBuilder().file("a", "1").build())});
    REQUIRE(world.pull("1"));
    REQUIRE(world.loop.run(world.images->close()));
    mark_unsynced(world, world.images->layers().sync().boot());
    OnceSource source(ArchiveBuilder().file("b", "2").build());
    ImportRequest request;
    request.reference = must(Reference::parse("made:1"));
    REQUIRE(world.run(image_import(*world.images, request, source, world.progress)));
    CHECK(due(world).empty());
    world.check_clean(2);
}

TEST_CASE("an image that goes takes its rows along", "[layer_sync]") {
    World world;
    world.content.add("1", {layer_of(ArchiveBuilder().file("a", "1").build())});
    REQUIRE(world.pull("1"));
    REQUIRE(world.loop.run(world.images->close()));
    mark_unsynced(world, "another boot");
    ImageRemove request;
    request.text = world.name("1").familiar();
    request.pinned = [](const Digest&) { return false; };
    REQUIRE(world.run(image_remove(*world.images, std::move(request))));
    CHECK(due(world).empty());
    world.check_clean(0);
}

TEST_CASE("a row without a layer is a finding", "[layer_sync]") {
    World world;
    const auto stray = [](WriteTxn& txn) { return txn.put(Table::layers_unsynced, "x", "boot"); };
    REQUIRE(world.db->update(stray));
    const auto problems = [](const ReadTxn& txn) { return graph_check(txn); };
    CHECK(must(world.db->view(problems)) ==
          std::vector<std::string>{"layer directory x is to be synced, but is no layer's"});
}
