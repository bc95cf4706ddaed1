#pragma once
/// Images: a config, the manifests it came with, and a chain of layers. The id is the config's
/// digest.
///
/// Configs and manifests are kept byte for byte: their digests, annotations and unknown fields must
/// come out of a push as they came in. An image holds its chain in the graph, and its parent (the
/// image of the instruction before it, in a classic build) if it has one.
#include <optional>
#include <string>
#include <vector>

#include "graph/image_config.h"
#include "graph/reference.h"
#include "graph/txn.h"
#include "reactor/base/clock.h"

namespace davit {

struct ImageRecord {
    Digest id;
    Platform platform;
    /// Empty for an image without layers.
    Digest chain_id;
    std::size_t layer_count = 0;
    /// Unpacked bytes of all layers.
    std::uint64_t size = 0;
    /// RFC 3339 of the config; "" if it has none.
    std::string created;
    /// When it came to this host.
    WallTime stored{};
    /// Empty if there is none.
    Digest parent;
    /// Of the manifests and indexes it came with.
    std::vector<Digest> manifests;
};

struct StoredManifest {
    Digest digest;
    std::string media_type;
    std::string bytes;
};

struct ImagePut {
    std::string config;
    /// The image's manifest, and the index it was chosen from, if there were any.
    std::vector<StoredManifest> manifests;
    Digest parent;
    WallTime stored{};
};

/// Store an image whose layers are all there. One that is there already keeps its record and gains
/// the manifests. Release the lease that holds the layers in the same update. Errors:
/// invalid_argument (the config or a manifest's digest is wrong); not_found (a layer, or the
///         parent, is not there).
Result<ImageRecord> image_put(WriteTxn& txn, const ImagePut& put);

Result<std::optional<ImageRecord>> image_get(const ReadTxn& txn, const Digest& id);

/// Sorted by id.
Result<std::vector<ImageRecord>> image_list(const ReadTxn& txn);
Result<std::uint64_t> image_count(const ReadTxn& txn);

/// The config byte for byte. Errors: not_found.
Result<std::string> image_config_bytes(const ReadTxn& txn, const Digest& id);

/// Errors: not_found.
Result<StoredManifest> manifest_get(const ReadTxn& txn, const Digest& digest);

/// The images that were built on this one.
Result<std::vector<Digest>> image_children(const ReadTxn& txn, const Digest& id);

/// Remember when a container was last made from the image; a row of its own, so that it costs
/// little.
Result<void> image_touch(WriteTxn& txn, const Digest& id, WallTime when);
Result<std::optional<WallTime>> image_last_used(const ReadTxn& txn, const Digest& id);

/// Keep the image whatever is collected; or no longer. Errors: not_found.
Result<void> image_pin(WriteTxn& txn, const Digest& id, bool pinned);
Result<bool> image_is_pinned(const ReadTxn& txn, const Digest& id);

struct ImageMatch {
    Digest id;
    /// The stored reference that matched; nothing if it was an id or a prefix of one.
    std::optional<Reference> reference;
};

/// Find an image as the API names it: full id with or without "sha256:", reference, name@digest,
/// unique prefix of an id; in this order.
/// Errors: not_found "No such image: name:tag"; invalid_argument (several ids have the prefix, or
/// the
///         text is no reference).
Result<ImageMatch> image_resolve(const ReadTxn& txn, std::string_view text);

/// Remove the image's record, its documents and its holds. Its references must be gone.
/// Gives:  the chain that it held (empty: none), to be given to chain_collect().
/// Errors: not_found; conflict (something in the graph needs it, or it still has references).
Result<Digest> image_erase(WriteTxn& txn, const Digest& id);

}  // namespace davit
