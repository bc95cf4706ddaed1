// Goal: a pull brings in the right image, once, and says what it does in Docker's words. Method: a
// registry in the test, a real data root and overlay; roots are mounted and looked into.
#include <sys/resource.h>

#include <csignal>

#include "graph/tag_store.h"
#include "reactor/timer.h"
#include "tests/unit/drivers/graph/driver_support.h"
#include "tests/unit/jobs/image/image_support.h"

using namespace davit;
using namespace davit::test;

namespace {

/// No file of this process can be written, as on a full disk.
class WritesFail {
  public:
    WritesFail() : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        rlimit none = before_;
        none.rlim_cur = 0;
        ::setrlimit(RLIMIT_FSIZE, &none);
    }

    ~WritesFail() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, handler_);
    }

    WritesFail(const WritesFail&) = delete;
    WritesFail& operator=(const WritesFail&) = delete;

  private:
    void (*handler_)(int);
    rlimit before_{};
};

std::string blob_id(const FakeLayer& layer) {
    return sha256_of(layer.blob).short_hex();
}

}  // namespace

TEST_CASE("an image with layers of every compression", "[pull]") {
    World world;
    const FakeLayer one = layer_of(ArchiveBuilder().file("a", "1").file("b", "1").build());
    const FakeLayer two =
        layer_of(ArchiveBuilder().file("b", "2").file("c", "2").build(), Compression::zstd);
    const FakeLayer three =
        layer_of(ArchiveBuilder().file(".wh.c").file("d", "3").build(), Compression::none);
    const Digest manifest = world.content.add("1", {one, two, three});
    const auto pulled = world.pull("1");
    INFO((pulled ? "" : pulled.error().message()));
    REQUIRE(pulled);
    CHECK(pulled->newer);
    CHECK(pulled->manifest == manifest);
    {
        const Fd root = world.root_of(pulled->image);
        CHECK(content(root, "a") == "1");
        CHECK(content(root, "b") == "2");
        CHECK(content(root, "c") == "-");
        CHECK(content(root, "d") == "3");
    }
    const Recorded& said = world.progress;
    CHECK(said.messages.front().status == "Pulling from app");
    CHECK(said.messages.front().id == "1");
    for (const FakeLayer& layer : {one, two, three}) {
        CHECK(said.said("Pulling fs layer", blob_id(layer)));
        CHECK(said.said("Download complete", blob_id(layer)));
        CHECK(said.said("Pull complete", blob_id(layer)));
    }
    REQUIRE(said.messages.size() > 2);
    CHECK(said.messages[said.messages.size() - 2].status == "Digest: " + manifest.str());
    CHECK(said.messages.back().status ==
          "Status: Downloaded newer image for " + world.name("1").familiar());
    world.check_clean(3);
}

TEST_CASE("a second pull asks for the digest only", "[pull]") {
    World world;
    world.content.add("1", {layer_of(ArchiveBuilder().file("a", "1").build())});
    REQUIRE(world.pull("1"));
    world.registry.requests.clear();
    const auto again = world.pull("1");
    REQUIRE(again);
    CHECK_FALSE(again->newer);
    REQUIRE(world.registry.requests.size() == 1);
    CHECK(world.registry.requests[0].method == "HEAD");
    CHECK(world.progress.messages.back().status ==
          "Status: Image is up to date for " + world.name("1").familiar());
    world.check_clean(1);
}

TEST_CASE("layers that are here already are not fetched", "[pull]") {
    World world;
    const FakeLayer shared = layer_of(ArchiveBuilder().file("a", "1").build());
    const FakeLayer added = layer_of(ArchiveBuilder().file("b", "1").build());
    world.content.add("1", {shared});
    world.content.add("2", {shared, added, shared});
    REQUIRE(world.pull("1"));
    world.registry.requests.clear();
    REQUIRE(world.pull("2"));
    CHECK(world.progress.said("Already exists", blob_id(shared)));
    const std::string target = "/v2/app/blobs/" + sha256_of(shared.blob).str();
    CHECK(world.registry.count("GET", target) == 0);
    world.check_clean(2);
}

TEST_CASE("a tag that moved names the newer image; the older one stays by digest", "[pull]") {
    World world;
    const Digest old_manifest =
        world.content.add("1", {layer_of(ArchiveBuilder().file("a", "1").build())});
    const auto before = world.pull("1");
    REQUIRE(before);
    world.content.add("1", {layer_of(ArchiveBuilder().file("a", "2").build())});
    const auto after = world.pull("1");
    REQUIRE(after);
    CHECK(after->newer);
    CHECK(after->image != before->image);
    const auto names = [&](const ReadTxn& txn) { return image_references(txn, before->image); };
    const auto left = must(world.db->view(names));
    REQUIRE(left.size() == 1);
    CHECK(left[0].digest() == old_manifest);
    world.check_clean(2);
}

TEST_CASE("by digest, and without a name", "[pull]") {
    World world;
    const Digest manifest =
        world.content.add("", {layer_of(ArchiveBuilder().file("a", "1").build())});
    const auto pulled = world.pull(manifest.str());
    REQUIRE(pulled);
    CHECK(pulled->newer);
    world.registry.requests.clear();
    const auto again = world.pull(manifest.str());
    REQUIRE(again);
    CHECK_FALSE(again->newer);
    CHECK(world.registry.requests.empty());
    world.check_clean(1);
}

TEST_CASE("an index: the host's platform, another one, none", "[pull]") {
    World world;
    const Digest amd = world.content.add("", {layer_of(ArchiveBuilder().file("a", "amd").build())});
    const Digest arm =
        world.content.add("", {layer_of(ArchiveBuilder().file("a", "arm").build())}, "arm64");
    const Digest index = world.content.add_index("1", {{arm, "arm64"}, {amd, "amd64"}});
    PullRequest request = world.request("1");
    request.platform = must(platform_parse("linux/amd64"));
    const auto host = world.run(image_pull(*world.images, request, world.progress));
    REQUIRE(host);
    CHECK(host->manifest == index);
    CHECK(content(world.root_of(host->image), "a") == "amd");

    request.platform = must(platform_parse("linux/arm64"));
    const auto other = world.run(image_pull(*world.images, request, world.progress));
    INFO((other ? "" : other.error().message()));
    REQUIRE(other);
    CHECK(content(world.root_of(other->image), "a") == "arm");

    request.platform = must(platform_parse("linux/s390x"));
    const auto none = world.run(image_pull(*world.images, request, world.progress));
    REQUIRE_FALSE(none);
    CHECK(none.error().kind() == ErrorKind::not_found);
    CHECK(none.error().message() ==
          "no matching manifest for linux/s390x in the manifest list entries");
    world.check_clean(2);
}

TEST_CASE("an index within an index", "[pull]") {
    World world;
    const Digest amd = world.content.add("", {layer_of(ArchiveBuilder().file("a", "amd").build())});
    const Digest inner = world.content.add_index("", {{amd, "amd64"}});
    const Digest outer = world.content.add_index("1", {{inner, ""}});
    PullRequest request = world.request("1");
    request.platform = must(platform_parse("linux/amd64"));
    const auto pulled = world.run(image_pull(*world.images, request, world.progress));
    INFO((pulled ? "" : pulled.error().message()));
    REQUIRE(pulled);
    CHECK(pulled->manifest == outer);
    CHECK(content(world.root_of(pulled->image), "a") == "amd");
    world.check_clean(1);
}

TEST_CASE("a blob named by its SHA-512", "[pull]") {
    World world;
    const FakeLayer layer = layer_of(ArchiveBuilder().file("a", "1").build());
    world.content.add("1", {layer});
    Hasher hasher("sha512");
    hasher.update(layer.blob);
    const std::string longer = hasher.finish().str();
    FakeImages::Document manifest = world.content.manifests.at("1");
    const std::string shorter = sha256_of(layer.blob).str();
    manifest.body.replace(manifest.body.find(shorter), shorter.size(), longer);
    world.content.put_manifest("1", manifest);
    SECTION("and right") {
        world.content.blobs[longer] = layer.blob;
        const auto pulled = world.pull("1");
        INFO((pulled ? "" : pulled.error().message()));
        REQUIRE(pulled);
        CHECK(content(world.root_of(pulled->image), "a") == "1");
    }
    SECTION("and wrong") {
        std::string other = layer.blob;
        other.back() = static_cast<char>(other.back() ^ 1);
        world.content.blobs[longer] = other;
        const auto pulled = world.pull("1");
        REQUIRE_FALSE(pulled);
        CHECK(pulled.error().kind() == ErrorKind::corrupt);
        world.check_clean(0);
    }
}

TEST_CASE("an image without layers", "[pull]") {
    World world;
    world.content.add("1", {});
    REQUIRE(world.pull("1"));
    world.check_clean(0);
}

TEST_CASE("two pulls of one layer fetch it once, and both watch", "[pull]") {
    World world;
    const FakeLayer shared = layer_of(ArchiveBuilder().file("a", "1").build());
    world.content.add("1", {shared});
    world.content.add("2", {shared, layer_of(ArchiveBuilder().file("b", "1").build())});
    Recorded second;
    const auto both =
        world.run(when_both(image_pull(*world.images, world.request("1"), world.progress),
                            image_pull(*world.images, world.request("2"), second)));
    INFO((both ? "" : both.error().message()));
    REQUIRE(both);
    CHECK(world.registry.count("GET", "/v2/app/blobs/" + sha256_of(shared.blob).str()) == 1);
    CHECK(world.progress.said("Pull complete", blob_id(shared)));
    CHECK(second.said("Pull complete", blob_id(shared)));
    world.check_clean(2);
}

TEST_CASE("few layers are in memory at a time, however many an image has", "[pull]") {
    World world;
    std::vector<FakeLayer> layers;
    for (int number = 0; number < 40; ++number) {
        ArchiveBuilder archive;
        for (int file = 0; file < 50; ++file) {
            archive.file(std::to_string(number) + "-" + std::to_string(file), "x");
        }
        layers.push_back(layer_of(archive.build()));
    }
    world.content.add("1", layers);
    REQUIRE(world.pull("1"));
    // Downloaded, and not yet unpacked.
    std::size_t unpacking = 0;
    std::size_t most = 0;
    for (const ProgressMessage& message : world.progress.messages) {
        if (message.status == "Download complete") {
            most = std::max(most, ++unpacking);
        } else if (message.status == "Pull complete") {
            --unpacking;
        }
    }
    CHECK(unpacking == 0);
    CHECK(most >= 1);
    CHECK(most <= limits::layers_unpacking_max);
    CHECK(world.progress.said("Waiting"));
    world.check_clean(40);
}

TEST_CASE("a lease that a full disk keeps is given back with the next update", "[pull]") {
    World world;
    world.content.add("1", {layer_of(ArchiveBuilder().file("a", "1").build())});
    world.content.add("2", {layer_of(ArchiveBuilder().file("b", "1").build())});
    REQUIRE(world.pull("1"));
    REQUIRE(world.loop.run(world.images->close()));  // Its own lease is given back.
    const auto hold = [](WriteTxn& txn) -> Result<std::string> {
        TRY(const std::string lease, lease_create(txn));
        TRY(const std::vector<LayerRecord> layers, layer_list(txn));
        const LayerPlace place{layers.at(0).diff_id, layers.at(0).diff_id};
        TRY_VOID(lease_hold(txn, lease, place));
        return lease;
    };
    const std::string lease = must(world.db->update(hold));
    {
        const WritesFail full;
        REQUIRE(world.run(world.images->layers().give_back(lease)));
    }
    CHECK(world.images->layers().owed() == 1);
    SECTION("of a pull") {
        REQUIRE(world.pull("2"));
        world.check_clean(2);
    }
    SECTION("of a removal, which frees what it held") {
        ImageRemove request;
        request.text = world.name("1").familiar();
        request.pinned = [](const Digest&) { return false; };
        REQUIRE(world.run(image_remove(*world.images, std::move(request))));
        world.check_clean(0);
    }
    CHECK(world.images->layers().owed() == 0);
}

TEST_CASE("a cancelled pull leaves nothing, and does not stop another one", "[pull]") {
    World world;
    const FakeLayer shared = layer_of(ArchiveBuilder().file("a", "1").build());
    world.content.add("1", {shared});
    AsyncEvent stalled;
    bool stall = true;
    const std::string target = "/v2/app/blobs/" + sha256_of(shared.blob).str();
    world.content.instead = [&](const FakeRequest& request) -> std::optional<FakeReply> {
        if (request.target != target || !std::exchange(stall, false)) {
            return std::nullopt;
        }
        stalled.set();
        FakeReply reply = FakeReply::of(200, shared.blob);
        reply.cut = 10;
        reply.stall = true;
        return reply;
    };

    struct Parts {
        World& world;
        AsyncEvent& stalled;
        bool other;
    };

    auto cancel_one = [](Parts parts) -> Task<void> {
        TaskGroup doomed;
        TaskGroup kept;
        Recorded second;
        auto pull = [](World& there, ProgressSink& sink) -> Task<void> {
            CO_TRY(const PullResult result,
                   co_await image_pull(*there.images, there.request("1"), sink));
            co_return ok;
        };
        doomed.spawn(pull(parts.world, parts.world.progress));
        if (parts.other) {
            kept.spawn(pull(parts.world, second));
        }
        CO_CHECK(co_await parts.stalled.wait());
        while (parts.other && !second.said("Pulling fs layer") && !second.said("Downloading")) {
            co_await yield_now();
        }
        doomed.cancel();
        static_cast<void>(co_await doomed.join());
        co_return co_await kept.join();
    };
    SECTION("alone") {
        CHECK(world.run(cancel_one(Parts{world, stalled, false})));
        world.check_clean(0);
        CHECK(world.pull("1"));
    }
    SECTION("with another that wants the same") {
        const auto done = world.run(cancel_one(Parts{world, stalled, true}));
        INFO((done ? "" : done.error().message()));
        CHECK(done);
    }
    world.check_clean(1);
}
