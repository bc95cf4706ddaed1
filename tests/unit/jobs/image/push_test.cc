// Goal: an image gets into another registry as it was, with Docker's words for each step; what
// cannot be had is said. Method: pulled from one registry in the test, pushed to another that
// stores what it gets.
#include "jobs/image/push.h"

#include <filesystem>

#include "graph/layer_origin.h"
#include "graph/layer_recipe.h"
#include "graph/manifest.h"
#include "graph/tag_store.h"
#include "jobs/image/layer_decode.h"
#include "tests/unit/http/registry/upload_registry.h"
#include "tests/unit/jobs/image/image_support.h"

using namespace davit;
using namespace davit::test;

namespace {

/// Where images are pulled from, and where they are pushed to.
struct PushWorld : World {
    UploadRegistry target;

    /// Pull a tag, and name the image for the target.
    Digest pulled(const std::string& tag) {
        const auto result = pull(tag);
        INFO((result ? "" : result.error().message()));
        REQUIRE(result);
        const auto name = [&](WriteTxn& txn) {
            return reference_set(txn, target_name(tag), result->image);
        };
        REQUIRE(db->update(name).has_value());
        progress.messages.clear();
        return result->image;
    }

    Reference target_name(const std::string& tag) const {
        return *Reference::parse(target.registry.domain() + "/team/app:" + tag);
    }

    Result<void> push(const Reference& name) {
        PushRequest wanted;
        wanted.reference = name;
        return run_beside(
            loop, {&registry, &target.registry}, image_push(*images, std::move(wanted), progress));
    }

    std::size_t said_count(std::string_view status) const {
        std::size_t count = 0;
        for (const ProgressMessage& message : progress.messages) {
            count += message.status == status ? 1 : 0;
        }
        return count;
    }
};

FakeLayer layer(const std::string& word, Compression compression = Compression::gzip) {
    return layer_of(ArchiveBuilder().file(word, word).build(), compression);
}

}  // namespace

TEST_CASE("an image is the same in both registries", "[push]") {
    PushWorld world;
    const Digest digest = world.content.add(
        "1",
        {layer("a"), layer("b", Compression::zstd), layer("c", Compression::none), layer("a")});
    world.pulled("1");
    const auto done = world.push(world.target_name("1"));
    INFO((done ? "" : done.error().message()));
    REQUIRE(done);
    REQUIRE(world.target.manifests.contains("1"));
    CHECK(sha256_of(world.target.manifests["1"].body) == digest);
    CHECK(world.target.manifests["1"].headers.get("Content-Type") ==
          "application/vnd.oci.image.manifest.v1+json");
    CHECK(world.target.blobs == world.content.blobs);
    const std::vector<ProgressMessage>& said = world.progress.messages;
    CHECK(said.front().status ==
          "The push refers to repository [" + world.target_name("1").name() + "]");
    for (const char* word : {"a", "b", "c"}) {
        CHECK(world.progress.said("Preparing", layer(word).diff_id.short_hex()));
        CHECK(world.progress.said("Pushed", layer(word).diff_id.short_hex()));
    }
    const std::size_t bytes = world.target.manifests["1"].body.size();
    CHECK(said[said.size() - 2].status ==
          "1: digest: " + digest.str() + " size: " + std::to_string(bytes));
    CHECK(progress_json(said.back()) == R"({"progressDetail":{},"aux":{"Tag":"1","Digest":")" +
                                            digest.str() + R"(","Size":)" + std::to_string(bytes) +
                                            "}}");
    // It is known by its digest there, and where its layers are now.
    const auto named = [&](const ReadTxn& txn) {
        return reference_get(txn, world.target_name("1").with_digest(digest));
    };
    const auto found = world.db->view(named);
    REQUIRE(found);
    CHECK(found->has_value());
    const auto origins = [&](const ReadTxn& txn) { return layer_origins(txn, layer("a").diff_id); };
    const auto known = world.db->view(origins);
    REQUIRE(known);
    REQUIRE(known->size() == 2);
    CHECK(known->front().path == "team/app");

    world.progress.messages.clear();
    REQUIRE(world.push(world.target_name("1")));
    CHECK(world.said_count("Layer already exists") == 3);
    CHECK(world.said_count("Pushed") == 0);
    world.check_clean(3);
}

TEST_CASE("what a manifest says that no engine reads goes as it came", "[push]") {
    PushWorld world;
    world.content.add("1", {layer("a")});
    FakeImages::Document manifest = world.content.manifests.at("1");
    // Odd spacing, too: the bytes are kept, not what they mean.
    const std::string more =
        " ,\n\t\"annotations\" : {\"org.example.note\":\"\\u00e9\"},"
        "\"artifactType\":\"application/x.example\","
        "\"subject\":{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
        "\"digest\":\"" +
        sha256_of("subject").str() + "\",\"size\":7}";
    manifest.body.insert(manifest.body.rfind('}'), more);
    world.content.put_manifest("1", manifest);
    world.pulled("1");
    const auto done = world.push(world.target_name("1"));
    INFO((done ? "" : done.error().message()));
    REQUIRE(done);
    CHECK(world.target.manifests["1"].body == manifest.body);
}

TEST_CASE("a foreign layer is pushed like any other", "[push]") {
    PushWorld world;
    FakeLayer foreign = layer("a");
    foreign.media_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    const Digest digest = world.content.add("1", {foreign});
    world.pulled("1");
    const auto done = world.push(world.target_name("1"));
    INFO((done ? "" : done.error().message()));
    REQUIRE(done);
    CHECK(sha256_of(world.target.manifests["1"].body) == digest);
    CHECK(world.target.blobs[sha256_of(foreign.blob).str()] == foreign.blob);
}

TEST_CASE("a layer of another repository there is mounted", "[push]") {
    PushWorld world;
    world.content.add("1", {layer("a")});
    world.pulled("1");
    REQUIRE(world.push(world.target_name("1")));
    const Reference other = *Reference::parse(world.target.registry.domain() + "/team/other:2");
    const auto name = [&](WriteTxn& txn) -> Result<void> {
        TRY(const std::optional<Digest> image, reference_get(txn, world.target_name("1")));
        TRY_VOID(reference_set(txn, other, *image));
        return ok;
    };
    REQUIRE(world.db->update(name));
    const std::string blob = sha256_of(layer("a").blob).str();
    world.target.blobs.erase(blob);  // Of the other repository, that is.
    world.target.mountable[blob] = "team/app";
    REQUIRE(world.push(other));
    CHECK(world.said_count("Mounted from team/app") == 1);
    CHECK_FALSE(world.target.blobs.contains(blob));
}

TEST_CASE("a layer in another form makes another manifest", "[push]") {
    PushWorld world;
    const FakeLayer packed = layer("a");
    const FakeLayer plain = layer("a", Compression::none);
    const Digest digest = world.content.add("1", {packed});
    world.pulled("1");
    const std::string packed_blob = sha256_of(packed.blob).str();
    world.content.blobs.erase(packed_blob);
    world.content.blobs[sha256_of(plain.blob).str()] = plain.blob;
    const auto note = [&](WriteTxn& txn) {
        LayerOrigin origin;
        origin.blob = LayerBlob{sha256_of(plain.blob), plain.media_type, plain.blob.size()};
        origin.domain = world.registry.domain();
        origin.path = "app";
        return layer_origin_add(txn, LayerPlace{plain.diff_id, plain.diff_id}, origin);
    };
    REQUIRE(world.db->update(note));
    const auto done = world.push(world.target_name("1"));
    INFO((done ? "" : done.error().message()));
    REQUIRE(done);
    const std::string body = world.target.manifests["1"].body;
    CHECK(sha256_of(body) != digest);
    CHECK(body.find(sha256_of(plain.blob).str()) != std::string::npos);
    CHECK(world.target.manifests["1"].headers.get("Content-Type") ==
          "application/vnd.docker.distribution.manifest.v2+json");
    const auto parsed =
        manifest_parse(body, "application/vnd.docker.distribution.manifest.v2+json");
    REQUIRE(parsed);
    CHECK(world.target.blobs[sha256_of(plain.blob).str()] == plain.blob);
    CHECK(world.target.uploads.empty());
}

TEST_CASE("the form that was pulled goes, though the registry has another one", "[push]") {
    PushWorld world;
    const FakeLayer packed = layer("a");
    const FakeLayer plain = layer("a", Compression::none);
    world.content.add("1", {packed});
    world.pulled("1");
    REQUIRE(world.push(world.target_name("1")));
    const Digest digest = world.content.add("2", {plain});
    world.pulled("2");
    REQUIRE(world.push(world.target_name("2")));
    CHECK(sha256_of(world.target.manifests["2"].body) == digest);
    CHECK(world.target.blobs.contains(sha256_of(plain.blob).str()));
}

TEST_CASE("a layer that no registry has any more is packed again", "[push]") {
    PushWorld world;
    const FakeLayer kept = layer("a");
    const FakeLayer lost = layer("b");
    world.content.add("1", {kept, lost});
    world.pulled("1");
    world.content.blobs.erase(sha256_of(lost.blob).str());

    SECTION("from its files") {
        const auto done = world.push(world.target_name("1"));
        INFO((done ? "" : done.error().message()));
        REQUIRE(done);
        const auto parsed = manifest_parse(world.target.manifests["1"].body, "");
        REQUIRE(parsed);
        const std::vector<Descriptor> layers = std::get<ImageManifest>(*parsed).layers;
        REQUIRE(layers.size() == 2);
        CHECK(layers[0].digest == sha256_of(kept.blob));
        const std::string& blob = world.target.blobs[layers[1].digest.str()];
        LayerDecode decode(LayerExpected{sha256_of(blob), lost.diff_id});
        std::vector<std::uint8_t> archive(1 << 20);
        const std::span<const std::uint8_t> input(
            reinterpret_cast<const std::uint8_t*>(blob.data()), blob.size());
        decode.hash_blob(input);
        const Result<InflateProgress> inflated = decode.inflate(input, archive);
        REQUIRE(inflated);
        decode.hash_archive(std::span(archive).first(inflated->produced));
        CHECK(decode.finish());
        CHECK(world.target.uploads.empty());
    }
    SECTION("and named, if it cannot be") {
        for (const auto& entry :
             std::filesystem::recursive_directory_iterator(world.directory.path())) {
            if (entry.path().filename() == layer_recipe_name) {
                std::filesystem::remove(entry.path());
            }
        }
        const auto done = world.push(world.target_name("1"));
        REQUIRE_FALSE(done);
        const std::string text = done.error().message();
        CHECK(text.find("layer " + lost.diff_id.short_hex() + " cannot be pushed") == 0);
        CHECK(text.find(world.registry.domain() + "/app has it no more") != std::string::npos);
        CHECK(world.target.manifests.empty());
        // The other layer's, if the push ended before the registry had said where it goes: nobody
        // can take that one back.
        CHECK(world.target.uploads.size() <= 1);
    }
    world.check_clean(2);
}

TEST_CASE("five layers go at a time", "[push]") {
    PushWorld world;
    std::vector<FakeLayer> layers;
    for (const char* word : {"a", "b", "c", "d", "e", "f", "g"}) {
        layers.push_back(layer(word));
    }
    world.content.add("1", layers);
    world.pulled("1");
    REQUIRE(world.push(world.target_name("1")));
    CHECK(world.said_count("Preparing") == 7);
    CHECK(world.said_count("Waiting") == 2);
    CHECK(world.said_count("Pushed") == 7);
}

TEST_CASE("all tags of a name, and what is no tag", "[push]") {
    PushWorld world;
    world.content.add("1", {layer("a")});
    world.content.add("2", {layer("a"), layer("b")});
    world.pulled("1");
    world.pulled("2");
    const Reference all = *Reference::parse(world.target_name("1").name());
    REQUIRE(world.push(all));
    CHECK(world.target.manifests.size() == 2);
    const auto refusal = [&](const Reference& name) {
        const auto done = world.push(name);
        return done ? std::string() : done.error().message();
    };
    const std::string familiar = all.familiar_name();
    CHECK(refusal(world.target_name("3")) == "tag does not exist: " + familiar + ":3");
    CHECK(refusal(all.with_digest(sha256_of("x"))) == "cannot push a digest reference");
    CHECK(refusal(*Reference::parse("nothing.example/here")) ==
          "An image does not exist locally with the tag: nothing.example/here");
}
