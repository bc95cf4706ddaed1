#pragma once
/// Layers: what is unpacked on disk, who needs it, and which directory holds it.
///
/// A layer's directory is named by its cache id, a short name that is used once. Every directory
/// has a row from before it is made until after it is removed:
///
///     layer_stage -> (unpack, sync) -> layer_publish -> ready -> nobody needs it -> deleting
///         |                                                                            |
///         +-> layer_discard -----------------------------------------------------------+
///                                               (remove the directory) -> layer_forget
///
/// so a crash leaves only directories that the next start knows to remove: graph_recover().
///
/// A layer is one diff, unpacked once, whatever lies below it: whiteouts are markers that overlay
/// interprets, so images that share a diff at different heights share its directory. An image's
/// file system is its chain: the list of directories, lowest first. Two cases do depend on what is
/// below, and are kept by chain id instead of diff id: a layer with a hard link to a file of a
/// lower layer, and all layers of a driver that snapshots (btrfs, vfs). The publisher says which it
/// is.
///
/// A layer that can be had again (from a registry) may be published before it is synced: its row
/// in layers_unsynced then names the boot. The page cache has it until that boot ends, so a crash
/// of the daemon loses nothing; after a power cut it may be in pieces, and is forgotten:
/// layers_unsynced_elsewhere().
///
/// Who needs a layer is in the graph: chains, and leases. A lease is held by a pull (load, build)
/// in progress, for the layers that it found or made and that no image holds yet; one more holds
/// what unfinished pulls left (graph/layer_unfinished.h).
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graph/txn.h"
#include "reactor/base/clock.h"
#include "reactor/base/digest.h"

namespace davit {

/// Where a layer stands in an image.
struct LayerPlace {
    Digest diff_id;
    Digest chain_id;
};

/// The places of an image's layers, lowest first.
std::vector<LayerPlace> layer_places(std::span<const Digest> diff_ids);

/// A layer as a registry has it.
struct LayerBlob {
    Digest digest;
    std::string media_type;
    std::uint64_t size = 0;
};

struct LayerRecord {
    /// "sha256:<diff id>", or "@sha256:<chain id>" if it depends on the layers below.
    std::string key;
    Digest diff_id;
    std::string cache_id;
    std::uint64_t unpacked_bytes = 0;
    WallTime created{};
    /// The compressed forms that are known to unpack to it.
    std::vector<LayerBlob> blobs;

    bool depends_on_parent() const { return key.starts_with('@'); }
};

enum class LayerDirectoryState : std::uint8_t { staged, ready, deleting };

struct LayerDirectory {
    std::string cache_id;
    LayerDirectoryState state = LayerDirectoryState::staged;
    /// The layer's key; only if ready.
    std::string layer;
};

/// The layer that serves at this place, if it is there.
Result<std::optional<LayerRecord>> layer_find(const ReadTxn& txn, const LayerPlace& place);
Result<std::vector<LayerRecord>> layer_list(const ReadTxn& txn);
Result<std::vector<LayerDirectory>> layer_directories(const ReadTxn& txn);

/// What a compressed blob unpacks to, if that was once verified and the layer is still there.
Result<std::optional<Digest>> blob_diff_id(const ReadTxn& txn, const Digest& blob);

// --- a pull -------------------------------------------------------------------------------------

/// Gives: the id of a new lease.
Result<std::string> lease_create(WriteTxn& txn);

/// Keep the layer at this place until the lease is released. Gives: nothing if it is not there.
Result<std::optional<LayerRecord>> lease_hold(WriteTxn& txn,
                                              std::string_view lease,
                                              const LayerPlace& place);

/// Record the intent to unpack a layer. Gives: the cache id; the caller makes that directory.
Result<std::string> layer_stage(WriteTxn& txn);

struct LayerPublish {
    std::string cache_id;
    std::string lease;
    LayerPlace place;
    bool depends_on_parent = false;
    std::uint64_t unpacked_bytes = 0;
    std::optional<LayerBlob> blob;
    WallTime created{};
    /// The directory is not synced: the boot in which it was written; else "".
    std::string unsynced_boot;
};

/// The staged directory is whole, verified and, unless the request says otherwise, synced: make it
/// the layer, held by the lease. If another pull was faster, its layer is given (and held) and this
/// directory becomes `deleting`.
/// Errors: not_found (no such staged directory, or lease).
Result<LayerRecord> layer_publish(WriteTxn& txn, const LayerPublish& publish);

/// Layers whose directories are not known to be on disk.
Result<std::vector<std::string>> layers_unsynced(const ReadTxn& txn);

/// They are on disk: the file system was synced after these rows were read. Gone ones are fine.
Result<void> layers_synced(WriteTxn& txn, std::span<const std::string> cache_ids);

/// Layers that were not synced when another boot ended: nobody knows what is left of them.
Result<std::vector<std::string>> layers_unsynced_elsewhere(const ReadTxn& txn,
                                                           std::string_view boot);

/// The directory is not wanted: staged becomes deleting.
Result<void> layer_discard(WriteTxn& txn, std::string_view cache_id);

/// The directory of a deleting row has been removed.
Result<void> layer_forget(WriteTxn& txn, std::string_view cache_id);

/// If nothing needs the layer, its record goes and its directory is `deleting`. Gives: whether.
/// Errors: not_found, if it is not ready.
Result<bool> layer_collect(WriteTxn& txn, std::string_view cache_id);

/// Give the lease back. Gives: the cache ids that nobody needs any more, now `deleting`.
Result<std::vector<std::string>> lease_release(WriteTxn& txn, std::string_view lease);

// --- chains -------------------------------------------------------------------------------------

/// Make the chain of these layers, if it is not there, so that an image or container can hold it.
/// Gives:  its id; empty for no layers.
/// Errors: not_found, if a layer is not ready.
Result<Digest> chain_put(WriteTxn& txn, std::span<const Digest> diff_ids);

/// The cache ids of a chain, lowest first: overlay's list of lower directories, reversed.
/// Errors: not_found.
Result<std::vector<std::string>> chain_directories(const ReadTxn& txn, const Digest& chain_id);

/// Bytes of all layers of a chain.
Result<std::uint64_t> chain_bytes(const ReadTxn& txn, const Digest& chain_id);

/// Chains that something outside this database holds: containers of the run database.
using ChainPinned = std::function<bool(const Digest& chain_id)>;

/// If nothing needs the chain, remove it, and the layers that only it needed.
/// Gives: their cache ids, now `deleting`; the caller removes the directories, then forgets them.
Result<std::vector<std::string>> chain_collect(WriteTxn& txn,
                                               const Digest& chain_id,
                                               const ChainPinned& pinned);

/// Remove a chain whatever needs it, and the layers that only it needed. A holder keeps its own
/// record: when the same layers come back, so does the chain, under the same id.
/// Gives: as chain_collect().
Result<std::vector<std::string>> chain_purge(WriteTxn& txn, const Digest& chain_id);

/// The chains that a layer is part of.
Result<std::vector<Digest>> layer_chains(const ReadTxn& txn, std::string_view cache_id);

/// After a crash or a restart: end all leases but that of unfinished layers, give up what was
/// staged, collect what nobody needs. Gives: every cache id whose directory is to be removed, then
/// forgotten.
Result<std::vector<std::string>> graph_recover(WriteTxn& txn, const ChainPinned& pinned);

}  // namespace davit
