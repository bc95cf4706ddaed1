// Goal: a manifest is taken for what it is or refused, whatever it says of itself.
// Method: one small document per rule, written here.
#include "graph/manifest.h"

#include "reactor/base/limits.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

const std::string hex(64, 'a');
const std::string oci_manifest = "application/vnd.oci.image.manifest.v1+json";
const std::string oci_index = "application/vnd.oci.image.index.v1+json";
const std::string docker_manifest = "application/vnd.docker.distribution.manifest.v2+json";
const std::string docker_config = "application/vnd.docker.container.image.v1+json";
const std::string gzip_layer = "application/vnd.oci.image.layer.v1.tar+gzip";

std::string descriptor(const std::string& media_type,
                       const std::string& extra = "",
                       const std::string& size = "10") {
    return R"({"mediaType":")" + media_type + R"(","digest":"sha256:)" + hex + R"(","size":)" +
           size + extra + "}";
}

std::string manifest(const std::string& layers,
                     const std::string& head = "",
                     const std::string& config = descriptor(docker_config)) {
    return R"({"schemaVersion":2,)" + head + R"("config":)" + config + R"(,"layers":[)" + layers +
           "]}";
}

std::string index_of(const std::string& entries, const std::string& head = "") {
    return R"({"schemaVersion":2,)" + head + R"("manifests":[)" + entries + "]}";
}

std::string says(const std::string& media_type) {
    return R"("mediaType":")" + media_type + R"(",)";
}

std::string entry_for(const std::string& platform, const std::string& extra = "") {
    return descriptor(oci_manifest, R"(,"platform":)" + platform + extra);
}

Error refusal(const std::string& text, const std::string& content_type = "") {
    Result<Manifest> parsed = manifest_parse(text, content_type);
    INFO(text);
    REQUIRE_FALSE(parsed);
    return std::move(parsed).error();
}

std::vector<std::string> candidate_variants(const std::string& entries, const char* wanted) {
    const Result<Manifest> parsed = manifest_parse(index_of(entries), "");
    REQUIRE(parsed);
    const auto candidates =
        index_candidates(std::get<ImageIndex>(*parsed), *platform_parse(wanted));
    std::vector<std::string> out;
    if (candidates) {
        for (const Descriptor& candidate : *candidates) {
            out.push_back(candidate.platform ? candidate.platform->str() : "none");
        }
    } else {
        CHECK(candidates.error().kind() == ErrorKind::not_found);
        out.push_back(candidates.error().message());
    }
    return out;
}

}  // namespace

TEST_CASE("manifest is identified by content type, media type, shape") {
    const std::string layers = descriptor(gzip_layer) + "," + descriptor(gzip_layer);
    for (const std::string& content_type :
         std::vector<std::string>{"",
                                  "application/json",
                                  "text/plain; charset=utf-8",
                                  oci_manifest,
                                  docker_manifest + "; charset=utf-8"}) {
        const Result<Manifest> parsed = manifest_parse(manifest(layers), content_type);
        REQUIRE(parsed);
        CHECK(std::get<ImageManifest>(*parsed).layers.size() == 2);
        CHECK(std::get<ImageManifest>(*parsed).config.digest.hex() == hex);
        CHECK(std::get<ImageManifest>(*parsed).config.size == 10);
    }
    const Result<Manifest> docker = manifest_parse(manifest(layers, says(docker_manifest)), "");
    CHECK(std::get<ImageManifest>(*docker).media_type == docker_manifest);
    const Result<Manifest> index = manifest_parse(index_of(""), "application/octet-stream");
    REQUIRE(index);
    CHECK(std::get<ImageIndex>(*index).media_type == oci_index);
}

TEST_CASE("manifest documents that are ambiguous or contradict themselves are refused") {
    const std::string both = R"({"schemaVersion":2,"config":)" + descriptor(docker_config) +
                             R"(,"layers":[],"manifests":[]})";
    CHECK(refusal(both).message() == "invalid manifest: it is both a manifest and an index");
    CHECK(refusal(both, oci_manifest).kind() == ErrorKind::invalid_argument);
    CHECK(refusal(manifest("", says(oci_index)), oci_manifest).kind() ==
          ErrorKind::invalid_argument);
    CHECK(refusal(manifest(""), oci_index).kind() == ErrorKind::invalid_argument);
    CHECK(refusal(index_of(""), oci_manifest).kind() == ErrorKind::invalid_argument);
    // Keys match without case, so this trick is seen too.
    CHECK(refusal(R"({"config":)" + descriptor(docker_config) + R"(,"Layers":[],"Manifests":[]})")
              .message() == "invalid manifest: it is both a manifest and an index");
    CHECK(refusal("{}").kind() == ErrorKind::invalid_argument);
    CHECK(refusal("[]").kind() == ErrorKind::invalid_argument);
    CHECK(refusal("").kind() == ErrorKind::invalid_argument);
}

TEST_CASE("manifest schema 1 is refused by name") {
    CHECK(refusal(R"({"schemaVersion":1,"fsLayers":[]})").kind() == ErrorKind::unsupported);
    CHECK(refusal("{}", "application/vnd.docker.distribution.manifest.v1+prettyjws").kind() ==
          ErrorKind::unsupported);
    CHECK(refusal(R"({"schemaVersion":3,"layers":[]})").kind() == ErrorKind::unsupported);
}

TEST_CASE("manifest descriptors are checked") {
    const auto with_config = [](const std::string& config) { return manifest("", "", config); };
    CHECK(refusal(with_config(descriptor(docker_config, "", "-1"))).kind() ==
          ErrorKind::invalid_argument);
    CHECK(refusal(with_config(descriptor(docker_config, "", "1.5"))).kind() ==
          ErrorKind::invalid_argument);
    CHECK(refusal(with_config(descriptor(docker_config, "", "\"1\""))).kind() ==
          ErrorKind::invalid_argument);
    CHECK(refusal(with_config(descriptor(docker_config, "", "9999999999"))).message() ==
          "invalid manifest: config of 9999999999 bytes is too large");
    CHECK(refusal(with_config(R"({"digest":"sha256:xyz","size":1})")).kind() ==
          ErrorKind::invalid_argument);
    CHECK(refusal(with_config(R"({"digest":"sha256:)" + hex + "\"}")).kind() ==
          ErrorKind::invalid_argument);
    CHECK(refusal(with_config("null")).kind() == ErrorKind::invalid_argument);
    CHECK(refusal(manifest("null")).kind() == ErrorKind::invalid_argument);
    CHECK(refusal(manifest(descriptor("text/html"))).kind() == ErrorKind::unsupported);
    CHECK(
        refusal(with_config(descriptor("application/vnd.cncf.helm.config.v1+json"))).message() ==
        "not an image but an artifact: its config is \"application/vnd.cncf.helm.config.v1+json\"");
    CHECK(manifest_parse(with_config(descriptor("application/octet-stream")), ""));
}

TEST_CASE("manifest counts are bounded") {
    std::string layers = descriptor(gzip_layer);
    for (std::size_t i = 1; i < limits::image_layers_max; ++i) {
        layers += "," + descriptor(gzip_layer);
    }
    CHECK(manifest_parse(manifest(layers), ""));
    CHECK(refusal(manifest(layers + "," + descriptor(gzip_layer))).message() ==
          "invalid manifest: more than 500 layers");
    CHECK(refusal(std::string(limits::manifest_bytes_max + 1, ' ')).kind() ==
          ErrorKind::invalid_argument);
}

TEST_CASE("layer media types") {
    struct Row {
        const char* name;
        LayerCompression compression;
        bool foreign;
    };

    using enum LayerCompression;
    for (const Row& row : {
             Row{"application/vnd.oci.image.layer.v1.tar", none, false},
             Row{"application/vnd.oci.image.layer.v1.tar+gzip", gzip, false},
             Row{"application/vnd.oci.image.layer.v1.tar+zstd", zstd, false},
             Row{"application/vnd.docker.image.rootfs.diff.tar", none, false},
             Row{"application/vnd.docker.image.rootfs.diff.tar.gzip", gzip, false},
             Row{"application/vnd.docker.image.rootfs.diff.tar.zstd", zstd, false},
             Row{"application/vnd.oci.image.layer.nondistributable.v1.tar", none, true},
             Row{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", gzip, true},
             Row{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", zstd, true},
             Row{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", gzip, true},
         }) {
        CAPTURE(row.name);
        const Result<LayerMediaType> type = layer_media_type(row.name);
        REQUIRE(type);
        CHECK(type->compression == row.compression);
        CHECK(type->foreign == row.foreign);
        CHECK(manifest_parse(manifest(descriptor(row.name)), ""));
    }
    for (const char* name : {"application/vnd.oci.empty.v1+json",
                             "application/vnd.oci.image.layer.v1.tar+xz",
                             "application/vnd.oci.image.layer.v1.tar+bzip2",
                             "application/octet-stream",
                             ""}) {
        CAPTURE(name);
        CHECK(layer_media_type(name).error().kind() == ErrorKind::unsupported);
    }
}

TEST_CASE("manifest, index and config media types") {
    for (const char* type : {"application/vnd.oci.image.manifest.v1+json",
                             "application/vnd.docker.distribution.manifest.v2+json"}) {
        const Result<Manifest> parsed = manifest_parse(manifest("", says(type)), type);
        REQUIRE(parsed);
        CHECK(std::get<ImageManifest>(*parsed).media_type == type);
    }
    for (const char* type : {"application/vnd.oci.image.index.v1+json",
                             "application/vnd.docker.distribution.manifest.list.v2+json"}) {
        const Result<Manifest> parsed = manifest_parse(index_of("", says(type)), type);
        REQUIRE(parsed);
        CHECK(std::get<ImageIndex>(*parsed).media_type == type);
    }
    for (const char* type : {"application/vnd.oci.image.config.v1+json",
                             "application/vnd.docker.container.image.v1+json",
                             "application/octet-stream",
                             "application/json",
                             ""}) {
        CAPTURE(type);
        CHECK(manifest_parse(manifest("", "", descriptor(type)), ""));
    }
    CHECK(refusal(manifest("", "", descriptor("application/vnd.oci.empty.v1+json"))).kind() ==
          ErrorKind::unsupported);
}

TEST_CASE("platform: a wanted version or feature must be offered") {
    Platform offered = *platform_parse("windows/amd64");
    offered.os_version = "10.0.17763.1";
    offered.os_features = {"win32k", "other"};
    Platform wanted = *platform_parse("windows/amd64");
    CHECK(platform_match(wanted, offered) > 0);
    wanted.os_version = offered.os_version;
    wanted.os_features = {"win32k"};
    CHECK(platform_match(wanted, offered) > 0);
    wanted.os_features = {"win32k", "hyperv"};
    CHECK(platform_match(wanted, offered) == 0);
    wanted.os_features.clear();
    wanted.os_version = "10.0.20348.1";
    CHECK(platform_match(wanted, offered) == 0);
}

TEST_CASE("index candidates: best first, attestations left out") {
    const std::string amd64 = entry_for(R"({"os":"linux","architecture":"amd64"})");
    const std::string v3 = entry_for(R"({"os":"linux","architecture":"amd64","variant":"v3"})");
    const std::string arm64 = entry_for(R"({"os":"linux","architecture":"arm64","variant":"v8"})");
    const std::string v5 = entry_for(R"({"os":"linux","architecture":"arm","variant":"v5"})");
    const std::string v6 = entry_for(R"({"os":"linux","architecture":"arm","variant":"v6"})");
    const std::string v7 = entry_for(R"({"os":"linux","architecture":"arm","variant":"v7"})");
    const std::string windows =
        entry_for(R"({"os":"windows","architecture":"amd64","os.version":"10.0.17763.1"})");
    const std::string unknown = entry_for(R"({"os":"unknown","architecture":"unknown"})");
    const std::string attestation =
        entry_for(R"({"os":"linux","architecture":"amd64"})",
                  R"(,"annotations":{"vnd.docker.reference.type":"attestation-manifest"})");
    const std::string bare = descriptor(oci_manifest);
    const std::string all = unknown + "," + attestation + "," + bare + "," + windows + "," + v5 +
                            "," + v6 + "," + v7 + "," + arm64 + "," + v3 + "," + amd64;

    using List = std::vector<std::string>;
    CHECK(candidate_variants(all, "linux/amd64") == List{"linux/amd64", "none"});
    CHECK(candidate_variants(all, "linux/amd64/v3") ==
          List{"linux/amd64/v3", "linux/amd64", "none"});
    CHECK(candidate_variants(all, "linux/arm") ==
          List{"linux/arm/v7", "linux/arm/v6", "linux/arm/v5", "none"});
    CHECK(candidate_variants(all, "linux/arm/v6") == List{"linux/arm/v6", "linux/arm/v5", "none"});
    CHECK(candidate_variants(all, "linux/arm64") ==
          List{"linux/arm64/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5", "none"});
    CHECK(candidate_variants(all, "windows/amd64") == List{"windows/amd64", "none"});
    CHECK(candidate_variants(amd64 + "," + unknown, "linux/riscv64") ==
          List{"no matching manifest for linux/riscv64 in the manifest list entries"});
}

TEST_CASE("platform spellings") {
    CHECK(platform_parse("linux/x86_64")->str() == "linux/amd64");
    CHECK(platform_parse("linux/aarch64")->str() == "linux/arm64");
    CHECK(platform_parse("linux/arm64/v8")->str() == "linux/arm64");
    CHECK(platform_parse("linux/arm")->str() == "linux/arm/v7");
    CHECK(platform_parse("linux/armhf")->str() == "linux/arm/v7");
    CHECK(platform_parse("arm64")->str() == "linux/arm64");
    CHECK(platform_parse("linux")->str() == platform_host().str());
    CHECK_FALSE(platform_parse(""));
    CHECK_FALSE(platform_parse("linux//v7"));
    CHECK_FALSE(platform_parse("linux/arm/v7/x"));
    CHECK_FALSE(platform_parse("lin ux/arm"));
}

TEST_CASE("an image for another platform is refused in Docker's words") {
    const Platform arm = *platform_parse("linux/arm/v6");
    CHECK(platform_require("app:1", *platform_parse("linux/arm/v7"), arm));
    const auto refused = platform_require("app:1", *platform_parse("linux/arm/v5"), arm);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind() == ErrorKind::not_found);
    CHECK(refused.error().message() ==
          "image with reference app:1 was found but does not match the specified platform: wanted "
          "linux/arm/v5, actual: linux/arm/v6");
}

TEST_CASE("manifest contents: what is named, of artifacts as well") {
    const std::string empty = "application/vnd.oci.empty.v1+json";
    const std::string statement = "application/vnd.in-toto+json";
    const std::string subject = R"("subject":)" + descriptor(oci_manifest, "", "7") + ",";
    const auto artifact =
        manifest_contents(manifest(descriptor(statement),
                                   says(oci_manifest) + subject + R"("annotations":{"a":"b"},)",
                                   descriptor(empty)),
                          oci_manifest);
    REQUIRE(artifact);
    CHECK(artifact->media_type == oci_manifest);
    REQUIRE(artifact->blobs.size() == 2);
    CHECK(artifact->blobs[0].media_type == empty);
    CHECK(artifact->blobs[1].media_type == statement);
    CHECK(artifact->manifests.empty());
    CHECK(artifact->artifact_type == empty);
    CHECK(artifact->annotations.at("a") == "b");
    REQUIRE(artifact->subject);
    CHECK(artifact->subject->size == 7);
    const auto typed =
        manifest_contents(manifest("", R"("artifactType":"a/b",)", descriptor(empty)), "");
    REQUIRE(typed);
    CHECK(typed->artifact_type == "a/b");
    CHECK_FALSE(typed->subject);
    const auto index = manifest_contents(index_of(descriptor(oci_manifest)), oci_index);
    REQUIRE(index);
    CHECK(index->manifests.size() == 1);
    CHECK(index->blobs.empty());
    CHECK(index->artifact_type.empty());
    CHECK_FALSE(manifest_contents("{}", ""));
    CHECK_FALSE(manifest_contents(manifest("", R"("subject":{"size":1},)"), ""));
    CHECK_FALSE(manifest_contents(manifest("", "", "7"), ""));
}
