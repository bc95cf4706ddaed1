#pragma once
/// Layers of images that are not complete yet: what a pull that failed or was killed half-way
/// leaves to the next one.
///
/// A layer that is unpacked and verified while others of its image are still on their way is
/// published at once and held by a lease of its own kind, which outlives the daemon. It ends when a
/// chain holds the layer, or when somebody wants the room: image prune, gc.
#include <string>
#include <string_view>
#include <vector>

#include "graph/layer_store.h"

namespace davit {

/// Hold the layer at this place until its image is here. Errors: not_found, if it is not ready.
Result<void> layer_unfinished_put(WriteTxn& txn, const LayerPlace& place);

/// A chain needs these layers now.
Result<void> layers_finished(WriteTxn& txn, const std::vector<std::string>& cache_ids);

/// Those that are waiting for their image.
Result<std::vector<std::string>> layers_unfinished(const ReadTxn& txn);

/// Give them all up.
/// Gives: the cache ids that nobody needs now, `deleting`: the caller removes the directories.
Result<std::vector<std::string>> layers_unfinished_drop(WriteTxn& txn);

/// Give up one. Gives: whether nobody needs it now; it is `deleting` then.
Result<bool> layer_unfinished_drop(WriteTxn& txn, std::string_view cache_id);

/// Whether a lease is the one of this file.
bool is_unfinished_lease(std::string_view lease);

}  // namespace davit
