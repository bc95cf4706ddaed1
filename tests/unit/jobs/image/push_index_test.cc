// Goal: a whole index gets into another registry as it was, with what it names for platforms that
// were never here. Method: pulled from one registry in the test, pushed to another that stores what
// it gets.
#include "jobs/image/push_index.h"

#include "graph/layer_origin.h"
#include "graph/tag_store.h"
#include "jobs/image/push.h"
#include "tests/unit/http/registry/upload_registry.h"
#include "tests/unit/jobs/image/image_support.h"

using namespace davit;
using namespace davit::test;

namespace {

const std::string manifest_type = "application/vnd.oci.image.manifest.v1+json";
const std::string index_type = "application/vnd.oci.image.index.v1+json";

FakeLayer layer(const std::string& word) {
    return layer_of(ArchiveBuilder().file(word, word).build(), Compression::gzip);
}

/// What BuildKit puts beside an image: a manifest whose layer is no layer.
Digest add_attestation(FakeImages& content) {
    const std::string config = R"({"architecture":"unknown","os":"unknown"})";
    const std::string statement = R"({"_type":"https://in-toto.io/Statement/v0.1"})";
    content.blobs[sha256_of(config).str()] = config;
    content.blobs[sha256_of(statement).str()] = statement;
    const std::string body =
        R"({"schemaVersion":2,"mediaType":")" + manifest_type +
        R"(","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" +
        sha256_of(config).str() + R"(","size":)" + std::to_string(config.size()) +
        R"(},"layers":[{"mediaType":"application/vnd.in-toto+json","digest":")" +
        sha256_of(statement).str() + R"(","size":)" + std::to_string(statement.size()) + "}]}";
    content.put_manifest("", FakeImages::Document{manifest_type, body});
    return sha256_of(body);
}

struct IndexWorld : World {
    UploadRegistry target;

    /// Pull a tag, and name the image for the target.
    void pulled(const std::string& tag) {
        const auto result = pull(tag);
        INFO((result ? "" : result.error().message()));
        REQUIRE(result);
        const auto name = [&](WriteTxn& txn) {
            return reference_set(txn, target_name(tag), result->image);
        };
        REQUIRE(db->update(name).has_value());
        progress.messages.clear();
    }

    Reference target_name(const std::string& tag) const {
        return *Reference::parse(target.registry.domain() + "/team/app:" + tag);
    }

    Result<void> push(const std::string& tag, std::optional<Platform> platform = {}) {
        PushRequest wanted;
        wanted.reference = target_name(tag);
        wanted.platform = std::move(platform);
        wanted.all_platforms = true;
        return run_beside(
            loop, {&registry, &target.registry}, image_push(*images, std::move(wanted), progress));
    }

    /// The manifests in the order in which they were stored.
    std::vector<std::string> stored() const {
        std::vector<std::string> names;
        for (const FakeRequest& request : target.registry.requests) {
            const std::size_t at = request.target.find("/manifests/");
            if (request.method == "PUT" && at != std::string::npos) {
                names.push_back(request.target.substr(at + 11));
            }
        }
        return names;
    }
};

}  // namespace

TEST_CASE("push: an index goes with all that it names, children first", "[push]") {
    IndexWorld world;
    const Digest here = world.content.add("", {layer("a"), layer("common")}, "amd64");
    const Digest other = world.content.add("", {layer("b"), layer("common")}, "arm64");
    const Digest statement = add_attestation(world.content);
    const Digest inner = world.content.add_index("", {{other, "arm64"}});
    const Digest root =
        world.content.add_index("1", {{here, "amd64"}, {inner, ""}, {statement, "unknown"}});
    world.pulled("1");
    const auto done = world.push("1");
    INFO((done ? "" : done.error().message()));
    REQUIRE(done);
    CHECK(world.stored() ==
          std::vector<std::string>{here.str(), other.str(), inner.str(), statement.str(), "1"});
    for (const Digest& digest : {here, other, inner, statement}) {
        CHECK(world.target.manifests.at(digest.str()).body ==
              world.content.manifests.at(digest.str()).body);
    }
    CHECK(sha256_of(world.target.manifests.at("1").body) == root);
    CHECK(world.target.manifests.at("1").headers.get("Content-Type") == index_type);
    CHECK(world.target.blobs == world.content.blobs);
    const auto named = [&](const ReadTxn& txn) {
        return reference_get(txn, world.target_name("1").with_digest(root));
    };
    const auto found = world.db->view(named);
    REQUIRE(found);
    CHECK(found->has_value());
    const auto origins = [&](const ReadTxn& txn) { return layer_origins(txn, layer("a").diff_id); };
    const auto known = world.db->view(origins);
    REQUIRE(known);
    CHECK(known->front().path == "team/app");
    world.check_clean(2);
}

TEST_CASE("push: of an index what is there already is not sent again", "[push]") {
    IndexWorld world;
    const Digest here = world.content.add("", {layer("a")}, "amd64");
    const Digest other = world.content.add("", {layer("b")}, "arm64");
    world.content.add_index("1", {{here, "amd64"}, {other, "arm64"}});
    world.pulled("1");
    world.target.blobs = world.content.blobs;
    world.target.instead = [&](const FakeRequest& request) -> std::optional<FakeReply> {
        if (request.method == "HEAD" && request.target.ends_with("/manifests/" + here.str())) {
            return FakeReply::of(200).with("Docker-Content-Digest", here.str());
        }
        return std::nullopt;
    };
    REQUIRE(world.push("1"));
    CHECK(world.stored() == std::vector<std::string>{other.str(), "1"});
    CHECK(world.target.begun == 0);
}

TEST_CASE("push: an index whose registry has lost a part is not half pushed", "[push]") {
    IndexWorld world;
    const Digest here = world.content.add("", {layer("a")}, "amd64");
    const Digest other = world.content.add("", {layer("b")}, "arm64");
    world.content.add_index("1", {{here, "amd64"}, {other, "arm64"}});
    world.pulled("1");
    SECTION("a manifest") {
        world.content.manifests.erase(other.str());
    }
    SECTION("a blob") {
        world.content.blobs.erase(sha256_of(layer("b").blob).str());
    }
    SECTION("a manifest of another length") {
        world.content.manifests[other.str()].body += " ";
    }
    const auto done = world.push("1");
    REQUIRE_FALSE(done);
    CHECK_FALSE(world.target.manifests.contains("1"));
    CHECK_FALSE(world.target.manifests.contains(other.str()));
}

TEST_CASE("push: an image without an index has no other platforms", "[push]") {
    IndexWorld world;
    world.content.add("1", {layer("a")});
    world.pulled("1");
    const auto done = world.push("1");
    REQUIRE_FALSE(done);
    CHECK(done.error().kind() == ErrorKind::not_found);
    CHECK(done.error().message().find("was not pulled by an index") != std::string::npos);
    const auto both = world.push("1", platform_host());
    REQUIRE_FALSE(both);
    CHECK(both.error().kind() == ErrorKind::invalid_argument);
}
