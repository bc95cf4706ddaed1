// Goal: gc takes the images that were not used for longest, as few as it needs, and none that
// anything speaks for. Method: plans over made-up images; layers are words of 100 bytes.
#include "jobs/image_gc.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

struct Images {
    GcInput input;

    /// In the order of their last use.
    Images& add(const std::string& name,
                const std::vector<std::string>& layers,
                const std::string& kept_because = {},
                const std::string& parent = {}) {
        GcCandidate image;
        image.id = sha256_of(name);
        image.name = name;
        image.used = WallTime(std::chrono::seconds(1000 + input.images.size()));
        for (const std::string& layer : layers) {
            image.layers.emplace_back(layer, 100);
        }
        image.kept_because = kept_because;
        image.parent = parent.empty() ? Digest() : sha256_of(parent);
        // The order in which they are told must not matter.
        input.images.insert(input.images.begin(), std::move(image));
        return *this;
    }

    GcPlan plan(std::uint64_t bytes_wanted) const {
        GcInput wanted = input;
        wanted.bytes_wanted = bytes_wanted;
        return gc_plan(std::move(wanted));
    }

    std::string removed(std::uint64_t bytes_wanted) const {
        std::string names;
        for (const GcStep& step : plan(bytes_wanted).remove) {
            names += step.name + "=" + std::to_string(step.bytes) + " ";
        }
        return names;
    }

    std::string reason(const std::string& name, std::uint64_t bytes_wanted) const {
        for (const GcStep& step : plan(bytes_wanted).keep) {
            if (step.name == name) {
                return step.reason;
            }
        }
        return "goes";
    }
};

}  // namespace

TEST_CASE("as few as are needed, least recently used first", "[image_gc]") {
    Images images;
    images.add("old", {"a"}).add("middle", {"b"}).add("new", {"c"});
    CHECK(images.removed(0).empty());
    CHECK(images.reason("old", 0) == "the disk is not above the high mark");
    CHECK(images.removed(1) == "old=100 ");
    CHECK(images.removed(100) == "old=100 ");
    CHECK(images.removed(101) == "old=100 middle=100 ");
    CHECK(images.reason("new", 101) == "it was used after those that go");
    CHECK(images.removed(5000) == "old=100 middle=100 new=100 ");
}

TEST_CASE("what is in use or pinned stays", "[image_gc]") {
    Images images;
    images.add("used", {"a"}, "container web uses it").add("pinned", {"b"}, "it is pinned");
    images.add("free", {"c"});
    CHECK(images.removed(5000) == "free=100 ");
    CHECK(images.reason("used", 5000) == "container web uses it");
    CHECK(images.reason("pinned", 5000) == "it is pinned");
}

TEST_CASE("shared layers are freed by the last that has them", "[image_gc]") {
    Images images;
    images.add("alias", {"base"}).add("app", {"base", "app"}).add("user", {"top", "top"});
    // The alias alone frees nothing; when the app has gone it frees the base.
    CHECK(images.removed(5000) == "app=100 alias=100 user=100 ");
    Images held = images;
    held.input.held_layers.insert("base");
    CHECK(held.removed(5000) == "app=100 user=100 ");
    CHECK(held.reason("alias", 5000) == "others need all of its layers");
}

TEST_CASE("an image goes after those that were built on it", "[image_gc]") {
    Images images;
    images.add("parent", {"a"}).add("child", {"a", "b"}, {}, "parent");
    CHECK(images.removed(5000) == "child=100 parent=100 ");
    Images kept;
    kept.add("parent", {"a", "own"}).add("child", {"a"}, "it is pinned", "parent");
    CHECK(kept.removed(5000).empty());
    CHECK(kept.reason("parent", 5000) == "others were built on it");
}
