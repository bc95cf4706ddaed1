// Goal: whatever a registry sends, a pull ends with the image or with an error and nothing left
// behind. Method: one wrong thing per case; afterwards disk and database are compared with each
// other.
#include "jobs/image/prune.h"
#include "tests/unit/drivers/graph/driver_support.h"
#include "tests/unit/jobs/image/image_support.h"

using namespace davit;
using namespace davit::test;

namespace {

const std::string archive = ArchiveBuilder().file("a", "content of a").build();

std::string noise(std::size_t bytes) {
    std::string text(bytes, 0);
    std::uint64_t state = 88172645463325252ULL;
    for (char& c : text) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        c = static_cast<char>(state);
    }
    return text;
}

Error refused(World& world) {
    const auto pulled = world.pull("1");
    REQUIRE_FALSE(pulled);
    CHECK_FALSE(world.progress.said("Digest: "));
    ImagePrune prune;
    prune.admits = [](const ImageConfig&) { return true; };
    REQUIRE(world.run(image_prune(*world.images, std::move(prune))));
    world.check_clean(0);
    return pulled.error();
}

}  // namespace

TEST_CASE("a blob with other bytes than its digest", "[hostile]") {
    World world;
    const FakeLayer layer = layer_of(archive);
    world.content.add("1", {layer});
    std::string& blob = world.content.blobs[sha256_of(layer.blob).str()];
    blob.back() = static_cast<char>(blob.back() ^ 1);
    CHECK(refused(world).kind() == ErrorKind::corrupt);
}

TEST_CASE("a good blob that is not the config's layer", "[hostile]") {
    World world;
    FakeLayer layer = layer_of(archive, Compression::none);
    layer.diff_id = sha256_of("something else");
    world.content.add("1", {layer});
    const Error error = refused(world);
    CHECK(error.kind() == ErrorKind::corrupt);
    CHECK(error.message().find("diff id") != std::string::npos);
}

TEST_CASE("good layers beside a bad one", "[hostile]") {
    World world;
    FakeLayer bad = layer_of(ArchiveBuilder().file("bad", "x").build());
    bad.diff_id = sha256_of("something else");
    world.content.add("1", {layer_of(archive), bad, layer_of(ArchiveBuilder().file("c").build())});
    CHECK(refused(world).kind() == ErrorKind::corrupt);
}

TEST_CASE("archives that are none, or climb out", "[hostile]") {
    World world;
    FakeLayer layer;
    SECTION("not gzip") {
        layer = layer_of(noise(5000), Compression::none);
        layer.media_type += "+gzip";
    }
    SECTION("gzip of noise") {
        layer = layer_of(noise(5000));
    }
    SECTION("cut short") {
        layer = layer_of(archive.substr(0, 600));
    }
    SECTION("a name that climbs out") {
        layer = layer_of(ArchiveBuilder().file("../../../outside", "x").build());
    }
    world.content.add("1", {layer});
    CHECK(refused(world).kind() == ErrorKind::corrupt);
}

TEST_CASE("a layer in a compression that no media type stands for", "[hostile]") {
    const Compression compression = GENERATE(Compression::bzip2, Compression::xz);
    World world;
    FakeLayer layer = layer_of(ArchiveBuilder().file("a", "1").build(), compression);
    SECTION("its media type says so") {
        world.content.add("1", {layer});
        const Error error = refused(world);
        CHECK(error.kind() == ErrorKind::unsupported);
        CHECK(error.message().find(layer.media_type) != std::string::npos);
    }
    SECTION("its media type says gzip") {
        layer.media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        world.content.add("1", {layer});
        const Error error = refused(world);
        CHECK(error.kind() == ErrorKind::unsupported);
        CHECK(error.message().find("cannot be compressed with") != std::string::npos);
    }
}

TEST_CASE("sizes that are lies", "[hostile]") {
    World world;
    const FakeLayer layer = layer_of(archive);
    world.content.add("1", {layer});
    std::string& blob = world.content.blobs[sha256_of(layer.blob).str()];
    SECTION("more") {
        blob += "more";
        CHECK(refused(world).kind() == ErrorKind::corrupt);
    }
    SECTION("less") {
        blob.resize(blob.size() / 2);
        const Error error = refused(world);
        CHECK(error.kind() == ErrorKind::corrupt);
    }
}

TEST_CASE("a config that does not go with its manifest", "[hostile]") {
    World world;
    const FakeLayer layer = layer_of(archive);
    world.content.add("1", {layer});
    for (auto& [digest, body] : world.content.blobs) {
        if (body.starts_with('{')) {
            std::string lie = body;
            SECTION("other bytes") {
                lie.replace(lie.find("amd64"), 5, "arm64");
            }
            SECTION("cut") {
                lie.pop_back();
            }
            body = lie;
        }
    }
    CHECK(refused(world).kind() == ErrorKind::corrupt);
}

TEST_CASE("a manifest with more layers than the config", "[hostile]") {
    World world;
    world.content.add("1", {layer_of(archive)});
    FakeImages::Document manifest = world.content.manifests.at("1");
    const std::size_t start = manifest.body.find("\"layers\":[") + 10;
    const std::string one = manifest.body.substr(start, manifest.body.find(']') - start);
    manifest.body.insert(start, one + ",");
    world.content.put_manifest("1", manifest);
    CHECK(refused(world).kind() == ErrorKind::corrupt);
}

TEST_CASE("manifests that are none", "[hostile]") {
    World world;
    FakeImages::Document manifest;
    manifest.media_type = "application/vnd.oci.image.manifest.v1+json";
    for (const char* body : {"", "{}", "[]", "not json", R"({"layers":[],"manifests":[]})"}) {
        CAPTURE(body);
        manifest.body = body;
        world.content.put_manifest("1", manifest);
        // Not invalid_argument: the request is not to blame.
        CHECK(refused(world).kind() == ErrorKind::corrupt);
    }
    manifest.media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    manifest.body = R"({"schemaVersion":1})";
    world.content.put_manifest("1", manifest);
    CHECK(refused(world).kind() == ErrorKind::unsupported);
}

TEST_CASE("other addresses are asked for foreign layers only", "[hostile]") {
    World world;
    FakeLayer layer = layer_of(archive);
    const bool foreign = GENERATE(false, true);
    if (foreign) {
        layer.media_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    }
    world.content.add("1", {layer});
    world.content.blobs.erase(sha256_of(layer.blob).str());
    FakeImages::Document manifest = world.content.manifests.at("1");
    const std::size_t layers = manifest.body.find("\"layers\":[{") + 11;
    manifest.body.insert(layers, R"("urls":[")" + world.registry.url("/other") + R"("],)");
    world.content.put_manifest("1", manifest);
    world.content.instead = [&layer](const FakeRequest& request) -> std::optional<FakeReply> {
        if (request.target == "/other") {
            return FakeReply::of(200, layer.blob);
        }
        return std::nullopt;
    };
    CHECK(world.pull("1").has_value() == foreign);
    CHECK(std::ranges::any_of(world.registry.requests, [](const FakeRequest& request) {
              return request.target == "/other";
          }) == foreign);
}

TEST_CASE("an index that goes round in circles of its own making", "[hostile]") {
    World world;
    Digest inner = world.content.add("", {layer_of(archive)}, "s390x");
    for (int depth = 0; depth < 40; ++depth) {
        inner = world.content.add_index("1", {{inner, ""}});
    }
    CHECK(refused(world).kind() == ErrorKind::resource_exhausted);
}

TEST_CASE("a registry that knows the manifest but not the blobs", "[hostile]") {
    World world;
    const FakeLayer layer = layer_of(archive);
    world.content.add("1", {layer});
    world.content.blobs.erase(sha256_of(layer.blob).str());
    CHECK(refused(world).message().find("blob unknown to registry") != std::string::npos);
}

TEST_CASE("a tag that is not there", "[hostile]") {
    World world;
    const Error error = refused(world);
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.message() == "manifest for " + world.name("1").familiar() +
                                 " not found: manifest unknown: manifest unknown");
    CHECK(world.progress.messages.empty());  // The API can still answer 404.
}

TEST_CASE("a transfer whose resumed half is of another blob is begun anew", "[hostile]") {
    World world;
    const FakeLayer layer = layer_of(ArchiveBuilder().file("a", noise(100'000)).build());
    world.content.add("1", {layer});
    int blob_requests = 0;
    world.content.instead = [&](const FakeRequest& request) -> std::optional<FakeReply> {
        if (request.target != "/v2/app/blobs/" + sha256_of(layer.blob).str()) {
            return std::nullopt;
        }
        switch (++blob_requests) {
            case 1: {
                FakeReply reply = FakeReply::of(200, layer.blob);
                reply.cut = 1000;
                return reply;
            }
            case 2:
                return FakeReply::of(206, std::string(layer.blob.size() - 1000, 'x'))
                    .with("Content-Range", "bytes 1000-x/*");
            default:
                return std::nullopt;
        }
    };
    const auto pulled = world.pull("1");
    INFO((pulled ? "" : pulled.error().message()));
    REQUIRE(pulled);
    CHECK(blob_requests == 3);
    world.check_clean(1);
}

TEST_CASE("a layer that is larger than every buffer", "[hostile]") {
    World world;
    ArchiveBuilder builder;
    const std::string big = noise(3'000'000);
    const std::string zeros(20'000'000, '\0');
    world.content.add("1", {layer_of(builder.file("big", big).file("zeros", zeros).build())});
    const auto pulled = world.pull("1");
    REQUIRE(pulled);
    const Fd root = world.root_of(pulled->image);
    CHECK(must(file_read(root.get(), "big", 1 << 23)) == big);
    CHECK(must(file_read(root.get(), "zeros", 1 << 26)) == zeros);
    CHECK(world.progress.said("Downloading"));
    world.check_clean(1);
}
