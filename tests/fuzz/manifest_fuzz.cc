// Promises: a manifest, index or config from anywhere is read within its bounds or refused with a
// reason; what was chosen from an index was in it; a config that was read reads back as written;
// and records of the database are read or found damaged, whatever their bytes.
#include "graph/image_config.h"
#include "graph/manifest.h"
#include "graph/record.h"
#include "reactor/base/limits.h"
#include "tests/fuzz/fuzz.h"

namespace davit::fuzz {

namespace {

void check_manifest(const ImageManifest& manifest) {
    require(manifest.layers.size() <= limits::image_layers_max, "layers are bounded");
    require(manifest.config.size <= limits::image_config_bytes_max, "the config is bounded");
    require(!manifest.config.digest.empty(), "the config has a digest");
    for (const Descriptor& layer : manifest.layers) {
        require(layer_media_type(layer.media_type).has_value(), "every layer's type is known");
        require(!layer.digest.empty(), "every layer has a digest");
    }
}

void check_index(const ImageIndex& index) {
    require(index.manifests.size() <= limits::index_manifests_max, "entries are bounded");
    for (const char* wanted : {"linux/amd64", "linux/arm64", "linux/arm/v6", "windows/amd64"}) {
        const auto candidates = index_candidates(index, *platform_parse(wanted));
        require(
            !candidates || (!candidates->empty() && candidates->size() <= index.manifests.size()),
            "candidates come from the index");
    }
}

void manifest(std::string_view input) {
    for (const char* content_type :
         {"",
          "application/vnd.oci.image.index.v1+json",
          "application/vnd.docker.distribution.manifest.v2+json; charset=utf-8"}) {
        const auto parsed = manifest_parse(input, content_type);
        const auto contents = manifest_contents(input, content_type);
        require(contents || !parsed, "what is an image's can be carried elsewhere");
        if (contents) {
            require(contents->manifests.size() <= limits::index_manifests_max &&
                        contents->blobs.size() <= limits::image_layers_max + 1,
                    "what is carried is bounded");
            require(contents->manifests.empty() || contents->blobs.empty(), "it is one of the two");
        }
        if (!parsed) {
            const ErrorKind kind = parsed.error().kind();
            require(kind == ErrorKind::invalid_argument || kind == ErrorKind::unsupported,
                    "refusals have a reason");
            continue;
        }
        if (const auto* image = std::get_if<ImageManifest>(&*parsed)) {
            check_manifest(*image);
        } else {
            check_index(std::get<ImageIndex>(*parsed));
        }
    }
}

void config(std::string_view input) {
    const auto parsed = image_config_parse(input);
    if (!parsed) {
        require(parsed.error().kind() == ErrorKind::invalid_argument, "refusals have a reason");
        return;
    }
    require(chain_ids(parsed->diff_ids).size() == parsed->diff_ids.size(), "each layer is chained");
    const auto again = image_config_parse(image_config_json(*parsed));
    require(again && *again == *parsed, "a config reads back as written");
}

void record(std::string_view input) {
    RecordReader reader(input, "fuzz", 1);
    static_cast<void>(reader.u64());
    const std::string_view text = reader.text();
    require(text.size() <= input.size(), "a text lies within its record");
    static_cast<void>(reader.digests());
    static_cast<void>(reader.texts());
    static_cast<void>(reader.finish());
}

const std::string digest = "\"sha256:" + std::string(64, 'a') + "\"";
const std::string descriptor =
    R"({"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":)" + digest +
    R"(,"size":10})";
const std::string config_descriptor =
    R"({"mediaType":"application/vnd.oci.image.config.v1+json","digest":)" + digest +
    R"(,"size":7})";

const std::vector<std::string> words = {digest,
                                        "\"layers\":[]",
                                        "\"manifests\":[]",
                                        "\"mediaType\":\"application/json\"",
                                        "null",
                                        "-1",
                                        "9223372036854775808",
                                        "\"schemaVersion\":1",
                                        ",",
                                        "{",
                                        "}",
                                        "[",
                                        "]",
                                        "\"config\":" + descriptor,
                                        R"("platform":{"os":"unknown","architecture":"unknown"})",
                                        "v7",
                                        "\"arm\"",
                                        "\"subject\":" + descriptor,
                                        "\"artifactType\":\"a/b\""};

const bool registered =
    add({"manifest",
         manifest,
         {R"({"schemaVersion":2,"config":)" + config_descriptor + R"(,"layers":[)" + descriptor +
              "," + descriptor + "]}",
          R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
          R"("digest":)" +
              digest +
              R"(,"size":1,"platform":{"os":"linux","architecture":"arm","variant":"v7"},)"
              R"("annotations":{"vnd.docker.reference.type":"attestation-manifest"}}]})"},
         words,
         10'000}) &&
    add({"image_config",
         config,
         {R"({"architecture":"amd64","os":"linux","config":{"Env":["A=1"],"Cmd":"x","Labels":{"a":"b"},)"
          R"("ExposedPorts":{"80/tcp":{}},"Healthcheck":{"Test":["NONE"],"Interval":5}},)"
          R"("rootfs":{"type":"layers","diff_ids":[)" +
          digest + R"(]},"history":[{"created_by":"x","empty_layer":true}]})"},
         words,
         10'000}) &&
    add({"record",
         record,
         {RecordWriter(1).u64(5).text("text").digests({sha256_of("a")}).texts({"a", ""}).take()},
         {"\xFF", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", std::string(1, '\0')},
         20'000});

}  // namespace

}  // namespace davit::fuzz
