#include "graph/manifest.h"

#include <algorithm>
#include <array>

#include "http/json_reader.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

constexpr std::string_view oci_index = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view oci_manifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view docker_list =
    "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view docker_manifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view docker_schema_1_prefix =
    "application/vnd.docker.distribution.manifest.v1+";

enum class Kind { unknown, manifest, index };

Error invalid(std::string message) {
    return Error(ErrorKind::invalid_argument, "invalid manifest: " + std::move(message));
}

Error schema_1_error() {
    return Error(ErrorKind::unsupported,
                 "Docker image manifest version 2, schema 1 is not supported: its author has to "
                 "build the image anew");
}

/// "Application/JSON; charset=utf-8" -> "application/json"
std::string bare_media_type(std::string_view content_type) {
    std::string_view bare = content_type.substr(0, content_type.find(';'));
    while (bare.ends_with(' ')) {
        bare.remove_suffix(1);
    }
    std::string out(bare);
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    return out;
}

Kind kind_of(std::string_view media_type) {
    if (media_type == oci_manifest || media_type == docker_manifest) {
        return Kind::manifest;
    }
    return is_index_media_type(media_type) ? Kind::index : Kind::unknown;
}

bool is_image_config(std::string_view media_type) {
    // The last three: what old registries and tools wrote.
    constexpr std::array<std::string_view, 5> known = {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/octet-stream",
        "application/json",
        "",
    };
    return std::ranges::find(known, media_type) != known.end();
}

Result<std::optional<Platform>> parse_platform(const JsonValue& value) {
    if (!value.present()) {
        return std::optional<Platform>{};
    }
    Platform platform;
    TRY(platform.os, value.string_or("os", ""));
    TRY(platform.architecture, value.string_or("architecture", ""));
    TRY(platform.variant, value.string_or("variant", ""));
    TRY(platform.os_version, value.string_or("os.version", ""));
    TRY(platform.os_features, value.strings("os.features"));
    return std::optional<Platform>(std::move(platform));
}

Result<Descriptor> parse_descriptor(const JsonValue& value) {
    if (!value.is(JsonValue::Type::object)) {
        return invalid("a descriptor is missing");
    }
    Descriptor descriptor;
    TRY(descriptor.media_type, value.string_or("mediaType", ""));
    TRY(const std::string digest, value.string_or("digest", ""));
    TRY(descriptor.digest, Digest::parse(digest));
    TRY(const std::optional<std::int64_t> size, value.int64_if("size"));
    if (!size || *size < 0) {
        return invalid("descriptor " + digest + " has no valid size");
    }
    descriptor.size = static_cast<std::uint64_t>(*size);
    TRY(descriptor.urls, value.strings("urls"));
    TRY(const JsonValue platform, value.object("platform"));
    TRY(descriptor.platform, parse_platform(platform));
    TRY(descriptor.artifact_type, value.string_or("artifactType", ""));
    TRY(descriptor.annotations, value.string_map("annotations"));
    return descriptor;
}

Result<std::vector<Descriptor>> parse_descriptors(const JsonValue& list,
                                                  std::size_t count_max,
                                                  std::string_view what) {
    TRY(const std::vector<JsonValue> items, list.as_array());
    if (items.size() > count_max) {
        return invalid("more than " + std::to_string(count_max) + " " + std::string(what));
    }
    std::vector<Descriptor> out;
    for (const JsonValue& item : items) {
        TRY(Descriptor descriptor, parse_descriptor(item));
        out.push_back(std::move(descriptor));
    }
    return out;
}

Result<Manifest> parse_manifest(const JsonValue& root, std::string media_type) {
    ImageManifest manifest;
    manifest.media_type = std::move(media_type);
    TRY(manifest.config, parse_descriptor(root.member("config")));
    if (!is_image_config(manifest.config.media_type)) {
        return Error(
            ErrorKind::unsupported,
            "not an image but an artifact: its config is \"" + manifest.config.media_type + "\"");
    }
    if (manifest.config.size > limits::image_config_bytes_max) {
        return invalid("config of " + std::to_string(manifest.config.size) + " bytes is too large");
    }
    TRY(const JsonValue layers, root.array("layers"));
    TRY(manifest.layers, parse_descriptors(layers, limits::image_layers_max, "layers"));
    for (const Descriptor& layer : manifest.layers) {
        TRY_VOID(layer_media_type(layer.media_type));
    }
    return Manifest(std::move(manifest));
}

Result<Manifest> parse_index(const JsonValue& root, std::string media_type) {
    ImageIndex index;
    index.media_type = std::move(media_type);
    TRY(const JsonValue manifests, root.array("manifests"));
    TRY(index.manifests, parse_descriptors(manifests, limits::index_manifests_max, "manifests"));
    return Manifest(std::move(index));
}

/// What the document is; the first of the three sources that knows decides.
Result<Kind> identify(const JsonValue& root,
                      std::string_view content_type,
                      std::string_view media_type) {
    const bool has_layers = root.member("layers").present() || root.member("config").present();
    const bool has_manifests = root.member("manifests").present();
    if (has_layers && has_manifests) {
        return invalid("it is both a manifest and an index");
    }
    const Kind told = kind_of(content_type);
    const Kind tells = kind_of(media_type);
    if (told != Kind::unknown && tells != Kind::unknown && told != tells) {
        return invalid("it came as " + std::string(content_type) + " but says " +
                       std::string(media_type));
    }
    const Kind kind = told != Kind::unknown ? told : tells;
    const Kind shape = has_manifests ? Kind::index : has_layers ? Kind::manifest : Kind::unknown;
    if (shape == Kind::unknown || (kind != Kind::unknown && kind != shape)) {
        return invalid("it is neither a manifest with a config nor an index with manifests");
    }
    return shape;
}

bool is_attestation(const Descriptor& entry) {
    const auto type = entry.annotations.find("vnd.docker.reference.type");
    if (type != entry.annotations.end() && type->second == "attestation-manifest") {
        return true;
    }
    return entry.platform && entry.platform->os == "unknown" &&
           entry.platform->architecture == "unknown";
}

}  // namespace

bool is_index_media_type(std::string_view media_type) {
    return media_type == oci_index || media_type == docker_list;
}

std::string_view manifest_accept() {
    return "application/vnd.oci.image.index.v1+json, "
           "application/vnd.docker.distribution.manifest.list.v2+json, "
           "application/vnd.oci.image.manifest.v1+json, "
           "application/vnd.docker.distribution.manifest.v2+json";
}

namespace {

/// A document of which is known what it is.
struct Identified {
    JsonDocument document;
    Kind kind = Kind::unknown;
    std::string media_type;
};

Result<Identified> document_identify(std::string_view bytes, std::string_view content_type) {
    if (bytes.size() > limits::manifest_bytes_max) {
        return invalid(std::to_string(bytes.size()) + " bytes are too large");
    }
    const std::string told = bare_media_type(content_type);
    if (told.starts_with(docker_schema_1_prefix)) {
        return schema_1_error();
    }
    TRY(JsonDocument document, JsonDocument::parse(bytes));
    const JsonValue root = document.root();
    if (!root.is(JsonValue::Type::object)) {
        return invalid("it is not a JSON object");
    }
    TRY(const std::string says, root.string_or("mediaType", ""));
    TRY(const std::int64_t version, root.int64_or("schemaVersion", 2));
    if (version == 1 || says.starts_with(docker_schema_1_prefix)) {
        return schema_1_error();
    }
    if (version != 2) {
        return Error(ErrorKind::unsupported,
                     "manifest schema version " + std::to_string(version) + " is not supported");
    }
    TRY(const Kind kind, identify(root, told, says));
    std::string media_type = kind_of(told) != Kind::unknown ? told : says;
    if (media_type.empty()) {
        media_type = kind == Kind::index ? oci_index : oci_manifest;
    }
    return Identified{std::move(document), kind, std::move(media_type)};
}

}  // namespace

Result<Manifest> manifest_parse(std::string_view bytes, std::string_view content_type) {
    TRY(Identified found, document_identify(bytes, content_type));
    const JsonValue root = found.document.root();
    return found.kind == Kind::index ? parse_index(root, std::move(found.media_type))
                                     : parse_manifest(root, std::move(found.media_type));
}

Result<ManifestContents> manifest_contents(std::string_view bytes, std::string_view content_type) {
    TRY(Identified found, document_identify(bytes, content_type));
    const JsonValue root = found.document.root();
    ManifestContents contents;
    contents.media_type = std::move(found.media_type);
    TRY(contents.artifact_type, root.string_or("artifactType", ""));
    TRY(contents.annotations, root.string_map("annotations"));
    if (found.kind == Kind::index) {
        TRY(const JsonValue manifests, root.array("manifests"));
        TRY(contents.manifests,
            parse_descriptors(manifests, limits::index_manifests_max, "manifests"));
    } else {
        TRY(Descriptor config, parse_descriptor(root.member("config")));
        TRY(const JsonValue layers, root.array("layers"));
        TRY(contents.blobs, parse_descriptors(layers, limits::image_layers_max, "layers"));
        if (contents.artifact_type.empty()) {
            contents.artifact_type = config.media_type;
        }
        contents.blobs.insert(contents.blobs.begin(), std::move(config));
    }
    if (const JsonValue subject = root.member("subject"); subject.present()) {
        TRY(contents.subject, parse_descriptor(subject));
    }
    return contents;
}

Result<LayerMediaType> layer_media_type(std::string_view media_type) {
    struct Row {
        std::string_view name;
        LayerMediaType type;
    };

    using enum LayerCompression;
    constexpr std::array<Row, 12> rows = {{
        {"application/vnd.oci.image.layer.v1.tar", {none, false}},
        {"application/vnd.oci.image.layer.v1.tar+gzip", {gzip, false}},
        {"application/vnd.oci.image.layer.v1.tar+zstd", {zstd, false}},
        {"application/vnd.docker.image.rootfs.diff.tar", {none, false}},
        {"application/vnd.docker.image.rootfs.diff.tar.gzip", {gzip, false}},
        {"application/vnd.docker.image.rootfs.diff.tar.zstd", {zstd, false}},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar", {none, true}},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", {gzip, true}},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", {zstd, true}},
        {"application/vnd.docker.image.rootfs.foreign.diff.tar", {none, true}},
        {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", {gzip, true}},
        {"application/vnd.docker.image.rootfs.foreign.diff.tar.zstd", {zstd, true}},
    }};
    const auto* row = std::ranges::find(rows, media_type, &Row::name);
    if (row == rows.end()) {
        return Error(ErrorKind::unsupported,
                     "not a layer of an image: \"" + std::string(media_type) + "\"");
    }
    return row->type;
}

Result<std::vector<Descriptor>> index_candidates(const ImageIndex& index, const Platform& wanted) {
    std::vector<std::pair<int, Descriptor>> scored;
    for (const Descriptor& entry : index.manifests) {
        if (is_attestation(entry)) {
            continue;
        }
        const int score = entry.platform ? platform_match(wanted, *entry.platform) : 0;
        if (score > 0 || !entry.platform) {
            scored.emplace_back(score, entry);
        }
    }
    if (scored.empty()) {
        return Error(ErrorKind::not_found,
                     "no matching manifest for " + wanted.str() + " in the manifest list entries");
    }
    std::ranges::stable_sort(scored,
                             [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<Descriptor> out;
    for (auto& [score, entry] : scored) {
        out.push_back(std::move(entry));
    }
    return out;
}

}  // namespace davit
