#include "graph/image_store.h"

#include <algorithm>

#include "graph/edges.h"
#include "graph/layer_store.h"
#include "graph/record.h"
#include "graph/tag_store.h"

namespace davit {

namespace {

constexpr std::uint8_t image_version = 1;
constexpr std::uint8_t manifest_version = 1;
constexpr std::uint8_t used_version = 1;
constexpr std::string_view rootfs_edge = "rootfs";
constexpr std::string_view parent_edge = "parent";

Entity image_entity(const Digest& id) {
    return Entity{EntityKind::image, id.str()};
}

std::string encode(const ImageRecord& image) {
    return RecordWriter(image_version)
        .text(image.platform.os)
        .text(image.platform.architecture)
        .text(image.platform.variant)
        .text(image.platform.os_version)
        .texts(image.platform.os_features)
        .digest(image.chain_id)
        .u64(image.layer_count)
        .u64(image.size)
        .text(image.created)
        .i64(unix_nanoseconds(image.stored))
        .digest(image.parent)
        .digests(image.manifests)
        .take();
}

Result<ImageRecord> decode(std::string_view id, std::string_view bytes) {
    const std::string what = "image " + std::string(id);
    RecordReader reader(bytes, what, image_version);
    ImageRecord image;
    TRY(image.id, Digest::parse(id));
    image.platform.os = std::string(reader.text());
    image.platform.architecture = std::string(reader.text());
    image.platform.variant = std::string(reader.text());
    image.platform.os_version = std::string(reader.text());
    image.platform.os_features = reader.texts();
    image.chain_id = reader.digest();
    image.layer_count = reader.u64();
    image.size = reader.u64();
    image.created = std::string(reader.text());
    image.stored = wall_from_unix_nanoseconds(reader.i64());
    image.parent = reader.digest();
    image.manifests = reader.digests();
    TRY_VOID(reader.finish());
    return image;
}

Error no_such_image(std::string_view text) {
    return Error(ErrorKind::not_found, "No such image: " + std::string(text));
}

Result<void> put_manifests(WriteTxn& txn, ImageRecord& image, const ImagePut& put) {
    for (const StoredManifest& manifest : put.manifests) {
        Hasher hasher(manifest.digest.algorithm());
        hasher.update(std::string_view(manifest.bytes));
        if (hasher.finish() != manifest.digest) {
            return Error(ErrorKind::invalid_argument,
                         "manifest does not match its digest " + manifest.digest.str());
        }
        if (std::ranges::find(image.manifests, manifest.digest) == image.manifests.end()) {
            image.manifests.push_back(manifest.digest);
        }
        TRY_VOID(txn.put(
            Table::manifests,
            manifest.digest.str(),
            RecordWriter(manifest_version).text(manifest.media_type).text(manifest.bytes).take()));
    }
    return ok;
}

/// A new image: its entity, and what it holds.
Result<ImageRecord> make_image(WriteTxn& txn, const Digest& id, const ImagePut& put) {
    TRY(ImageConfig config, image_config_parse(put.config));
    ImageRecord image;
    image.id = id;
    image.platform = config.platform;
    image.layer_count = config.diff_ids.size();
    image.created = config.created;
    image.stored = put.stored;
    image.parent = put.parent;
    TRY_VOID(entity_add(txn, image_entity(id)));
    TRY(image.chain_id, chain_put(txn, config.diff_ids));
    if (!image.chain_id.empty()) {
        const Entity chain{EntityKind::chain, image.chain_id.str()};
        TRY_VOID(edge_add(txn, Edge{image_entity(id), std::string(rootfs_edge), chain}));
        TRY(image.size, chain_bytes(txn, image.chain_id));
    }
    if (!put.parent.empty()) {
        const Entity parent = image_entity(put.parent);
        TRY_VOID(edge_add(txn, Edge{image_entity(id), std::string(parent_edge), parent}));
    }
    TRY_VOID(txn.put(Table::image_configs, id.str(), put.config));
    return image;
}

/// The one image whose id starts with this; nothing if none does.
Result<std::optional<Digest>> find_by_prefix(const ReadTxn& txn, std::string_view text) {
    const std::string_view hex = text.starts_with("sha256:") ? text.substr(7) : text;
    const bool is_hex = !hex.empty() && std::ranges::all_of(hex, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    });
    std::optional<Digest> found;
    bool ambiguous = false;
    if (!is_hex) {
        return found;
    }
    const std::string prefix = "sha256:" + std::string(hex);
    TRY_VOID(txn.scan(Table::images, prefix, [&](std::string_view key, auto) -> Result<bool> {
        ambiguous = found.has_value();
        TRY(found, Digest::parse(key));
        return !ambiguous;
    }));
    if (ambiguous) {
        return Error(ErrorKind::invalid_argument,
                     "multiple IDs found with provided prefix: " + std::string(text));
    }
    return found;
}

/// True if another image came with this document: the images of several platforms share an index.
Result<bool> manifest_is_shared(const ReadTxn& txn, const Digest& manifest, const Digest& image) {
    bool shared = false;
    TRY_VOID(txn.scan(
        Table::images, {}, [&](std::string_view key, std::string_view bytes) -> Result<bool> {
            TRY(const ImageRecord other, decode(key, bytes));
            shared = other.id != image &&
                     std::ranges::find(other.manifests, manifest) != other.manifests.end();
            return !shared;
        }));
    return shared;
}

}  // namespace

Result<ImageRecord> image_put(WriteTxn& txn, const ImagePut& put) {
    const Digest id = sha256_of(put.config);
    TRY(std::optional<ImageRecord> image, image_get(txn, id));
    if (!image) {
        TRY(image, make_image(txn, id, put));
    }
    TRY_VOID(put_manifests(txn, *image, put));
    TRY_VOID(txn.put(Table::images, id.str(), encode(*image)));
    return *std::move(image);
}

Result<std::optional<ImageRecord>> image_get(const ReadTxn& txn, const Digest& id) {
    TRY(const std::optional<std::string_view> bytes, txn.get(Table::images, id.str()));
    if (!bytes) {
        return std::optional<ImageRecord>{};
    }
    TRY(ImageRecord image, decode(id.str(), *bytes));
    return std::optional<ImageRecord>(std::move(image));
}

Result<std::vector<ImageRecord>> image_list(const ReadTxn& txn) {
    std::vector<ImageRecord> images;
    TRY_VOID(txn.scan(
        Table::images, {}, [&](std::string_view key, std::string_view bytes) -> Result<bool> {
            TRY(ImageRecord image, decode(key, bytes));
            images.push_back(std::move(image));
            return true;
        }));
    return images;
}

Result<std::uint64_t> image_count(const ReadTxn& txn) {
    return txn.count(Table::images);
}

Result<std::string> image_config_bytes(const ReadTxn& txn, const Digest& id) {
    TRY(const std::optional<std::string_view> bytes, txn.get(Table::image_configs, id.str()));
    if (!bytes) {
        return no_such_image(id.str());
    }
    return std::string(*bytes);
}

Result<StoredManifest> manifest_get(const ReadTxn& txn, const Digest& digest) {
    TRY(const std::optional<std::string_view> bytes, txn.get(Table::manifests, digest.str()));
    if (!bytes) {
        return Error(ErrorKind::not_found, "No such manifest: " + digest.str());
    }
    const std::string what = "manifest " + digest.str();
    RecordReader reader(*bytes, what, manifest_version);
    StoredManifest manifest;
    manifest.digest = digest;
    manifest.media_type = std::string(reader.text());
    manifest.bytes = std::string(reader.text());
    TRY_VOID(reader.finish());
    return manifest;
}

Result<std::vector<Digest>> image_children(const ReadTxn& txn, const Digest& id) {
    TRY(const std::vector<Edge> edges, edges_to(txn, image_entity(id)));
    std::vector<Digest> children;
    for (const Edge& edge : edges) {
        if (edge.parent.kind == EntityKind::image) {
            TRY(Digest child, Digest::parse(edge.parent.id));
            children.push_back(std::move(child));
        }
    }
    return children;
}

Result<void> image_touch(WriteTxn& txn, const Digest& id, WallTime when) {
    TRY(const bool exists, txn.contains(Table::images, id.str()));
    if (!exists) {
        return no_such_image(id.str());
    }
    return txn.put(
        Table::image_used, id.str(), RecordWriter(used_version).i64(unix_nanoseconds(when)).take());
}

Result<std::optional<WallTime>> image_last_used(const ReadTxn& txn, const Digest& id) {
    TRY(const std::optional<std::string_view> bytes, txn.get(Table::image_used, id.str()));
    if (!bytes) {
        return std::optional<WallTime>{};
    }
    RecordReader reader(*bytes, "last use of an image", used_version);
    const WallTime when = wall_from_unix_nanoseconds(reader.i64());
    TRY_VOID(reader.finish());
    return std::optional<WallTime>(when);
}

Result<void> image_pin(WriteTxn& txn, const Digest& id, bool pinned) {
    TRY(const bool exists, txn.contains(Table::images, id.str()));
    if (!exists) {
        return no_such_image(id.str());
    }
    if (pinned) {
        return txn.put(Table::image_pinned, id.str(), {});
    }
    TRY_VOID(txn.erase(Table::image_pinned, id.str()));
    return ok;
}

Result<bool> image_is_pinned(const ReadTxn& txn, const Digest& id) {
    return txn.contains(Table::image_pinned, id.str());
}

Result<ImageMatch> image_resolve(const ReadTxn& txn, std::string_view text) {
    const bool has_algorithm = text.starts_with("sha256:");
    Result<Digest> id =
        Digest::parse(has_algorithm ? std::string(text) : "sha256:" + std::string(text));
    if (id) {
        TRY(const bool exists, txn.contains(Table::images, id->str()));
        if (!exists) {
            return no_such_image(text);
        }
        return ImageMatch{*std::move(id), std::nullopt};
    }
    Result<Reference> reference = Reference::parse(text);
    if (reference) {
        const Reference complete = reference->with_default_tag();
        TRY(std::optional<Digest> named, reference_get(txn, complete));
        if (named) {
            return ImageMatch{*std::move(named), complete};
        }
    }
    TRY(std::optional<Digest> by_prefix, find_by_prefix(txn, text));
    if (by_prefix) {
        return ImageMatch{*std::move(by_prefix), std::nullopt};
    }
    if (!reference) {
        return std::move(reference).error();
    }
    return no_such_image(reference->with_default_tag().familiar());
}

Result<Digest> image_erase(WriteTxn& txn, const Digest& id) {
    TRY(const std::optional<ImageRecord> image, image_get(txn, id));
    if (!image) {
        return no_such_image(id.str());
    }
    TRY(const bool named, txn.contains(Table::image_references, id.str()));
    if (named) {
        return Error(ErrorKind::conflict, "image " + id.short_hex() + " still has references");
    }
    TRY_VOID(entity_remove(txn, image_entity(id)));
    for (const Digest& manifest : image->manifests) {
        TRY(const bool shared, manifest_is_shared(txn, manifest, id));
        if (!shared) {
            TRY_VOID(txn.erase(Table::manifests, manifest.str()));
        }
    }
    TRY_VOID(txn.erase(Table::images, id.str()));
    TRY_VOID(txn.erase(Table::image_configs, id.str()));
    TRY_VOID(txn.erase(Table::image_used, id.str()));
    TRY_VOID(txn.erase(Table::image_pinned, id.str()));
    return image->chain_id;
}

}  // namespace davit
