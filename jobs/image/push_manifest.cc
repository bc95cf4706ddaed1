#include "jobs/image/push_manifest.h"

#include <algorithm>

#include "http/json_writer.h"

namespace davit {

namespace {

struct ManifestTypes {
    std::string_view manifest;
    std::string_view config;
    std::string_view layer_plain;
    std::string_view layer_gzip;
    std::string_view layer_zstd;
};

constexpr ManifestTypes docker_types = {
    .manifest = "application/vnd.docker.distribution.manifest.v2+json",
    .config = "application/vnd.docker.container.image.v1+json",
    .layer_plain = "application/vnd.docker.image.rootfs.diff.tar",
    .layer_gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip",
    .layer_zstd = {},
};
constexpr ManifestTypes oci_types = {
    .manifest = "application/vnd.oci.image.manifest.v1+json",
    .config = "application/vnd.oci.image.config.v1+json",
    .layer_plain = "application/vnd.oci.image.layer.v1.tar",
    .layer_gzip = "application/vnd.oci.image.layer.v1.tar+gzip",
    .layer_zstd = "application/vnd.oci.image.layer.v1.tar+zstd",
};

std::string_view layer_type(const ManifestTypes& types, LayerCompression compression) {
    switch (compression) {
        case LayerCompression::none:
            return types.layer_plain;
        case LayerCompression::gzip:
            return types.layer_gzip;
        case LayerCompression::zstd:
            return types.layer_zstd;
    }
    return {};
}

struct PushCandidate {
    StoredManifest stored;
    ImageManifest parsed;
    /// Layers that some registry is known to have in just this form.
    std::size_t known = 0;
};

bool is_origin_of(const LayerOrigin& origin, const Descriptor& layer) {
    return origin.blob.digest == layer.digest;
}

/// Of the manifests that the image came with, the one with the most layers that can be had.
Result<std::optional<PushCandidate>> manifest_choose(
    const ReadTxn& txn,
    const ImageRecord& image,
    const std::vector<std::vector<LayerOrigin>>& origins) {
    std::optional<PushCandidate> best;
    for (const Digest& digest : image.manifests) {
        TRY(StoredManifest stored, manifest_get(txn, digest));
        Result<Manifest> parsed = manifest_parse(stored.bytes, stored.media_type);
        if (!parsed || !std::holds_alternative<ImageManifest>(*parsed)) {
            continue;
        }
        PushCandidate candidate{std::move(stored), std::get<ImageManifest>(*std::move(parsed))};
        const std::vector<Descriptor>& layers = candidate.parsed.layers;
        if (candidate.parsed.config.digest != image.id || layers.size() != origins.size()) {
            continue;
        }
        for (std::size_t i = 0; i < layers.size(); ++i) {
            const auto is_known = [&](const LayerOrigin& origin) {
                return is_origin_of(origin, layers[i]);
            };
            candidate.known += std::ranges::any_of(origins[i], is_known) ? 1 : 0;
        }
        // Of equals the newest.
        if (!best || candidate.known >= best->known) {
            best = std::move(candidate);
        }
    }
    return best;
}

/// Add an origin to the form it is of.
void form_add(std::vector<PushForm>& forms, const LayerBlob& blob, const LayerOrigin* origin) {
    auto form = std::ranges::find_if(
        forms, [&](const PushForm& other) { return other.blob.digest == blob.digest; });
    if (form == forms.end()) {
        PushForm added;
        added.blob = blob;
        form = forms.insert(forms.end(), std::move(added));
    }
    if (origin != nullptr) {
        form->origins.push_back(*origin);
    }
}

Result<PushLayer> layer_read(const ReadTxn& txn,
                             const LayerPlace& place,
                             const std::vector<LayerOrigin>& origins,
                             const Descriptor* wanted) {
    PushLayer layer;
    layer.place = place;
    if (wanted != nullptr) {
        form_add(layer.forms, LayerBlob{wanted->digest, wanted->media_type, wanted->size}, nullptr);
        const Result<LayerMediaType> type = layer_media_type(wanted->media_type);
        if (type && type->foreign) {
            layer.forms.front().urls = wanted->urls;
        }
    }
    for (const LayerOrigin& origin : origins) {
        form_add(layer.forms, origin.blob, &origin);
    }
    TRY(const std::optional<LayerRecord> record, layer_find(txn, place));
    for (const LayerBlob& blob : record ? record->blobs : std::vector<LayerBlob>()) {
        if (layer_media_type(blob.media_type)) {
            form_add(layer.forms, blob, nullptr);
        }
    }
    return layer;
}

}  // namespace

Result<PushImage> push_image_read(const ReadTxn& txn, const Digest& id) {
    TRY(const std::optional<ImageRecord> record, image_get(txn, id));
    if (!record) {
        return Error(ErrorKind::not_found, "No such image: " + id.str());
    }
    PushImage image;
    image.id = id;
    TRY(image.config_bytes, image_config_bytes(txn, id));
    TRY(image.config, image_config_parse(image.config_bytes));
    std::vector<std::vector<LayerOrigin>> origins;
    for (const Digest& diff_id : image.config.diff_ids) {
        TRY(std::vector<LayerOrigin> known, layer_origins(txn, diff_id));
        origins.push_back(std::move(known));
    }
    TRY(const std::optional<PushCandidate> chosen, manifest_choose(txn, *record, origins));
    image.config_media_type = std::string(docker_types.config);
    if (chosen) {
        image.manifest = chosen->stored;
        image.config_media_type = chosen->parsed.config.media_type;
        for (const Descriptor& layer : chosen->parsed.layers) {
            image.manifest_blobs.push_back(LayerBlob{layer.digest, layer.media_type, layer.size});
        }
    }
    const std::vector<LayerPlace> places = layer_places(image.config.diff_ids);
    for (std::size_t i = 0; i < places.size(); ++i) {
        const Descriptor* wanted = chosen ? &chosen->parsed.layers[i] : nullptr;
        TRY(PushLayer layer, layer_read(txn, places[i], origins[i], wanted));
        image.layers.push_back(std::move(layer));
    }
    return image;
}

Result<StoredManifest> push_manifest_make(const PushImage& image,
                                          const std::vector<LayerBlob>& blobs) {
    std::vector<LayerCompression> compressions;
    const ManifestTypes* types = &docker_types;
    for (const LayerBlob& blob : blobs) {
        TRY(const LayerMediaType type, layer_media_type(blob.media_type));
        compressions.push_back(type.compression);
        if (layer_type(docker_types, type.compression).empty()) {
            types = &oci_types;
        }
    }
    StoredManifest manifest;
    manifest.media_type = std::string(types->manifest);
    JsonWriter json(manifest.bytes);
    const auto descriptor = [&json](std::string_view type, const Digest& digest, std::size_t size) {
        json.begin_object().key("mediaType").string(type).key("size").number(size);
        json.key("digest").string(digest.str()).end_object();
    };
    json.begin_object().key("schemaVersion").number(2);
    json.key("mediaType").string(manifest.media_type).key("config");
    descriptor(types->config, image.id, image.config_bytes.size());
    json.key("layers").begin_array();
    for (std::size_t i = 0; i < blobs.size(); ++i) {
        descriptor(layer_type(*types, compressions[i]), blobs[i].digest, blobs[i].size);
    }
    json.end_array().end_object();
    manifest.digest = sha256_of(manifest.bytes);
    return manifest;
}

}  // namespace davit
