#pragma once
/// Manifests and indexes of images: parsed and checked, before anything they name is fetched.
///
/// The bytes stay the truth: digests, annotations and unknown fields live there and are stored as
/// they came. What is here is what the engine needs to know.
///
/// Follows: OCI image-spec manifest.md, image-index.md, descriptor.md; Docker's manifest v2
/// schema 2.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "graph/platform.h"
#include "reactor/base/digest.h"
#include "reactor/base/result.h"

namespace davit {

struct Descriptor {
    std::string media_type;
    Digest digest;
    std::uint64_t size = 0;
    std::vector<std::string> urls;
    std::optional<Platform> platform;
    std::string artifact_type;
    std::map<std::string, std::string> annotations;
};

struct ImageManifest {
    std::string media_type;
    Descriptor config;
    /// Lowest first.
    std::vector<Descriptor> layers;
};

struct ImageIndex {
    std::string media_type;
    std::vector<Descriptor> manifests;
};

using Manifest = std::variant<ImageManifest, ImageIndex>;

/// Identify the document by its Content-Type, else by its mediaType, else by its shape, and parse
/// it. Takes:  content_type as it came, possibly with parameters, or "". Errors: invalid_argument
/// (not JSON, neither or both of manifest and index, bad digests or sizes,
///         too many layers); unsupported (schema 1, unknown layer types, artifacts that are no
///         image).
/// Limits: manifest_bytes_max, image_layers_max, index_manifests_max, image_config_bytes_max.
Result<Manifest> manifest_parse(std::string_view bytes, std::string_view content_type);

/// What a manifest or an index names, be it an image's, an attestation's or another artifact's:
/// enough to carry it from one registry to another, and to say what it refers to.
struct ManifestContents {
    std::string media_type;
    /// Of an index.
    std::vector<Descriptor> manifests;
    /// Of a manifest: its config, then its layers, whatever their types.
    std::vector<Descriptor> blobs;
    /// The manifest that this one is about (a signature, a list of parts).
    std::optional<Descriptor> subject;
    /// artifactType; where a manifest has none, its config's type.
    std::string artifact_type;
    std::map<std::string, std::string> annotations;
};

/// Takes and limits as manifest_parse(). Errors: as manifest_parse(), but no artifact is refused.
/// Follows: OCI image-spec 1.1 manifest.md, image-index.md.
Result<ManifestContents> manifest_contents(std::string_view bytes, std::string_view content_type);

/// The media types of manifests and indexes that manifest_parse takes, for an Accept header.
std::string_view manifest_accept();

bool is_index_media_type(std::string_view media_type);

enum class LayerCompression : std::uint8_t { none, gzip, zstd };

struct LayerMediaType {
    LayerCompression compression = LayerCompression::none;
    /// Not in every registry: Descriptor::urls say where else.
    bool foreign = false;
};

/// Errors: unsupported, for what is no layer of an image.
Result<LayerMediaType> layer_media_type(std::string_view media_type);

/// The entries of an index that suit the platform, best first. Entries that name no platform come
/// last: their config (or, for a nested index, its entries) must be looked at. Attestations and
/// unknown/unknown are left out.
/// Errors: not_found "no matching manifest for linux/arm64 in the manifest list entries".
Result<std::vector<Descriptor>> index_candidates(const ImageIndex& index, const Platform& wanted);

}  // namespace davit
