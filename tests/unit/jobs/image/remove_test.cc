// Goal: removed images take along what only they needed, and a restart clears up after a crash.
// Method: pulled images, real directories; a crash is a service that is made anew over what is
// left.
#include "graph/container_store.h"
#include "reactor/timer.h"
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

TEST_CASE("a container that a removal under way does not know loses its image", "[remove]") {
    World world;
    world.content.add("1", {layer_of(ArchiveBuilder().file("a", "1").build())});
    world.content.add("2", {layer_of(ArchiveBuilder().file("b", "1").build())});
    const auto doomed = world.pull("1");
    const auto kept = world.pull("2");
    REQUIRE(doomed);
    REQUIRE(kept);
    REQUIRE(world.loop.run(world.images->close()));  // The pulls' leases are given back.
    const std::uint64_t commits = world.writer->commits();
    CHECK(world.run(image_hold_check(*world.images, doomed->image)));
    CHECK(world.writer->commits() == commits);  // Nobody removes anything: no work.

    struct Held {
        Result<void> doomed = ok;
        Result<void> kept = ok;
    };

    Held held;
    auto beside = [](World& there, Held& results, Digest gone, Digest left) -> Task<void> {
        TaskGroup group;
        auto remove_it = [](World& here) -> Task<void> {
            ImageRemove request;
            request.text = here.name("1").familiar();
            request.pinned = [](const Digest&) { return false; };
            CO_TRY(const ImageRemoved removed,
                   co_await image_remove(*here.images, std::move(request)));
            co_return ok;
        };
        group.spawn(remove_it(there));
        while (!there.images->is_removing()) {
            co_await yield_now();
        }
        // The graph still shows the image, so a container can be made of it now.
        results.doomed = co_await image_hold_check(*there.images, gone);
        results.kept = co_await image_hold_check(*there.images, left);
        co_return co_await group.join();
    };
    REQUIRE(world.run(beside(world, held, doomed->image, kept->image)));
    REQUIRE_FALSE(held.doomed);
    CHECK(held.doomed.error().kind() == ErrorKind::not_found);
    CHECK(held.doomed.error().message().starts_with("No such image: "));
    CHECK(held.kept);
    CHECK_FALSE(world.images->is_removing());
    world.check_clean(1);
}

TEST_CASE("an image whose layer's directory is gone is pulled again", "[remove]") {
    World world;
    const FakeLayer shared = layer_of(ArchiveBuilder().file("a", "1").build());
    world.content.add("1", {shared, layer_of(ArchiveBuilder().file("b", "1").build())});
    world.content.add("2", {layer_of(ArchiveBuilder().file("c", "1").build())});
    world.content.add("3", {shared});
    const auto broken = world.pull("1");
    REQUIRE(broken);
    REQUIRE(world.pull("2"));
    REQUIRE(world.pull("3"));
    const auto layers = [&](const ReadTxn& txn) -> Result<std::vector<std::string>> {
        TRY(const auto image, image_get(txn, broken->image));
        return chain_directories(txn, image->chain_id);
    };
    // A container of it, which keeps its record.
    const auto contain = [&](WriteTxn& txn) -> Result<void> {
        TRY(const auto image, image_get(txn, broken->image));
        ContainerEntry entry;
        entry.id = ContainerId::generate();
        entry.name = "/c";
        entry.image = broken->image;
        entry.chain_id = image->chain_id;
        return container_create(txn, ContainerHome::graph, entry);
    };
    REQUIRE(world.db->update(contain));
    const std::string lost = must(world.db->view(layers)).front();
    REQUIRE(world.driver->layer_remove(lost));
    REQUIRE(world.run(image_recover(*world.images, [](std::string_view) { return false; })));
    world.check_clean(1);
    REQUIRE(world.pull("2"));
    CHECK(world.progress.said("Status: Image is up to date for " + world.name("2").familiar()));
    const auto again = world.pull("1");
    INFO((again ? "" : again.error().message()));
    REQUIRE(again);
    CHECK(again->newer);
    CHECK(content(world.root_of(again->image), "a") == "1");
    REQUIRE(world.pull("3"));
    world.check_clean(3);
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
