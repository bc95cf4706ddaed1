// Goal: removed images take along what only they needed, and a restart clears up after a crash.
// Method: pulled images, real directories; a crash is a service that is made anew over what is
// left.
#include "tests/unit/drivers/graph/driver_support.h"
#include "tests/unit/jobs/image/image_support.h"

using namespace davit;
using namespace davit::test;

namespace {

Result<ImageRemoved> remove(World& world, const std::string& text, bool force = false) {
    ImageRemove request;
    request.text = text;
    request.force = force;
    request.pinned = [](const Digest&) { return false; };
    return world.run(image_remove(*world.images, std::move(request)));
}

}  // namespace

TEST_CASE("an image goes with the layers that only it needed", "[remove]") {
    World world;
    const FakeLayer shared = layer_of(ArchiveBuilder().file("a", "1").build());
    world.content.add("1", {shared, layer_of(ArchiveBuilder().file("b", "1").build())});
    world.content.add("2", {shared});
    REQUIRE(world.pull("1"));
    REQUIRE(world.pull("2"));
    world.check_clean(2);
    const auto removed = remove(world, world.name("1").familiar());
    INFO((removed ? "" : removed.error().message()));
    REQUIRE(removed);
    CHECK(removed->entries.front().text == world.name("1").familiar());
    CHECK(removed->directories.size() == 1);
    world.check_clean(1);
    REQUIRE(remove(world, world.name("2").familiar()));
    world.check_clean(0);
    CHECK(remove(world, world.name("2").familiar()).error().kind() == ErrorKind::not_found);
    // Gone means gone: the next pull fetches it all again.
    REQUIRE(world.pull("1"));
    world.check_clean(2);
}

TEST_CASE("an image of a container is not removed", "[remove]") {
    World world;
    world.content.add("1", {layer_of(ArchiveBuilder().file("a", "1").build())});
    const auto pulled = world.pull("1");
    REQUIRE(pulled);
    ImageRemove request;
    request.text = world.name("1").familiar();
    request.users.push_back(ImageUser{std::string(64, 'a'), pulled->image, true});
    request.pinned = [](const Digest&) { return false; };
    const auto refused = world.run(image_remove(*world.images, std::move(request)));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind() == ErrorKind::conflict);
    world.check_clean(1);
}

TEST_CASE("a start after a crash keeps what was recorded and nothing else", "[remove]") {
    World world;
    world.content.add("1", {layer_of(ArchiveBuilder().file("a", "1").build())});
    const auto pulled = world.pull("1");
    REQUIRE(pulled);
    world.check_clean(1);
    // What a kill leaves: a staged layer with its row and lease, a renamed one whose commit never
    // came, one without any row, a container's directory.
    const auto begin = [](WriteTxn& txn) -> Result<std::string> {
        TRY_VOID(lease_create(txn));
        return layer_stage(txn);
    };
    const std::string base = world.directory.path() + "/overlay/";
    REQUIRE(make_directories(base + "staging/" + must(world.db->update(begin)) + "/diff/a"));
    REQUIRE(make_directories(base + "layers/" + must(world.db->update(begin)) + "/diff/a"));
    REQUIRE(make_directories(base + "layers/zz9/diff"));
    REQUIRE(make_directories(base + "rw/dead/diff"));
    REQUIRE(make_directories(base + "rw/alive/diff"));

    auto alive = [](std::string_view name) { return name == "alive"; };
    REQUIRE(world.run(image_recover(*world.images, alive)));
    CHECK(names_in(base + "rw") == std::vector<std::string>{"alive"});
    CHECK(content(world.root_of(pulled->image), "a") == "1");
    world.check_clean(1);
    REQUIRE(world.driver->trash().empty_now());
    CHECK(names_in(base + "trash").empty());
}
