// Goal: a pull without a tag brings every tag, tells of each, and ends with one status. Method: a
// registry in the test that lists its tags in pages, and a real data root.
#include <algorithm>

#include "graph/tag_store.h"
#include "tests/unit/jobs/image/image_support.h"

using namespace davit;
using namespace davit::test;

namespace {

/// Two tags of one image, one of another; and one that the list alone has, if broken.
void fill(World& world, bool broken) {
    const FakeLayer layer = layer_of(ArchiveBuilder().file("a", "1").build());
    world.content.add("1", {layer});
    world.content.add("2", {layer});
    world.content.add("3", {layer, layer_of(ArchiveBuilder().file("b", "2").build())});
    world.content.instead = [broken](const FakeRequest& request) -> std::optional<FakeReply> {
        if (request.target == "/v2/app/tags/list?n=100") {
            return FakeReply::of(200, R"({"tags":["1","2"]})")
                .with("Link", "</v2/app/tags/list?last=2>; rel=\"next\"");
        }
        if (request.target == "/v2/app/tags/list?last=2") {
            return FakeReply::of(200, broken ? R"({"tags":["gone","3"]})" : R"({"tags":["3"]})");
        }
        return std::nullopt;
    };
}

Result<bool> pull_all(World& world) {
    PullRequest request = world.request("1");
    request.reference = *Reference::parse(request.reference.name());
    return world.run(image_pull_all(*world.images, std::move(request), world.progress));
}

std::size_t names(World& world) {
    const auto list = [](const ReadTxn& txn) { return reference_list(txn); };
    std::size_t tags = 0;
    const auto all = world.db->view(list);
    REQUIRE(all);
    for (const auto& [reference, image] : *all) {
        tags += reference.has_digest() ? 0 : 1;
    }
    return tags;
}

std::size_t statuses(const World& world) {
    return static_cast<std::size_t>(std::count_if(
        world.progress.messages.begin(), world.progress.messages.end(), [](const auto& message) {
            return message.status.starts_with("Status: ");
        }));
}

}  // namespace

TEST_CASE("every tag is pulled, and the status is told once", "[pull]") {
    World world;
    fill(world, false);
    const auto newer = pull_all(world);
    INFO((newer ? "" : newer.error().message()));
    REQUIRE(newer);
    CHECK(*newer);
    CHECK(names(world) == 3);
    for (const char* tag : {"1", "2", "3"}) {
        CHECK(world.progress.said("Pulling from app", tag));
    }
    CHECK(statuses(world) == 1);
    CHECK(world.progress.messages.back().status ==
          "Status: Downloaded newer image for " + world.registry.domain() + "/app");
    const auto again = pull_all(world);
    REQUIRE(again);
    CHECK_FALSE(*again);
    CHECK(world.progress.messages.back().status ==
          "Status: Image is up to date for " + world.registry.domain() + "/app");
    world.check_clean(2);
}

TEST_CASE("a tag that fails ends the pull; what came before stays", "[pull]") {
    World world;
    fill(world, true);
    const auto newer = pull_all(world);
    REQUIRE_FALSE(newer);
    CHECK(newer.error().kind() == ErrorKind::not_found);
    CHECK(newer.error().message().find("app:gone not found") != std::string::npos);
    CHECK(names(world) == 2);
    CHECK(statuses(world) == 0);
    world.check_clean(1);
}
