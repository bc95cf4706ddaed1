#include "jobs/image/prune.h"

#include <algorithm>
#include <map>

#include "graph/graph_writer.h"
#include "graph/layer_store.h"
#include "graph/layer_unfinished.h"
#include "graph/tag_store.h"
#include "jobs/image/image_service.h"
#include "jobs/image/remove.h"

namespace davit {

namespace {

struct PruneCandidate {
    Digest id;
    /// What to remove, one after the other: its names, or else its id.
    std::vector<std::string> names;
};

Result<std::vector<PruneCandidate>> candidates(const ReadTxn& txn, const ImagePrune& prune) {
    std::vector<PruneCandidate> found;
    TRY(const std::vector<ImageRecord> images, image_list(txn));
    for (const ImageRecord& image : images) {
        TRY(const std::vector<Reference> names, image_references(txn, image.id));
        const bool tagged =
            std::ranges::any_of(names, [](const Reference& name) { return !name.tag().empty(); });
        TRY(const std::string bytes, image_config_bytes(txn, image.id));
        TRY(const ImageConfig config, image_config_parse(bytes));
        if ((prune.dangling_only && tagged) || !prune.admits(config)) {
            continue;
        }
        PruneCandidate candidate;
        candidate.id = image.id;
        for (const Reference& name : names) {
            candidate.names.push_back(name.familiar());
        }
        if (names.empty()) {
            candidate.names.push_back(image.id.str());
        }
        found.push_back(std::move(candidate));
    }
    return found;
}

using LayerSizes = std::map<std::string, std::uint64_t>;

Result<LayerSizes> layer_sizes(const ReadTxn& txn) {
    LayerSizes sizes;
    TRY(const std::vector<LayerRecord> layers, layer_list(txn));
    for (const LayerRecord& layer : layers) {
        sizes[layer.cache_id] = layer.unpacked_bytes;
    }
    return sizes;
}

/// Somebody needs it, or it went meanwhile: neither stops the others.
bool is_kept(const Error& error) {
    return error.kind() == ErrorKind::conflict || error.kind() == ErrorKind::not_found;
}

Task<void> candidate_remove(ImageService& images,
                            const ImagePrune& prune,
                            const PruneCandidate& candidate,
                            ImagesPruned& pruned) {
    for (const std::string& name : candidate.names) {
        CO_TRY(ImageRemove request, prune.request());
        // By one of several names even an image that is used would lose it.
        if (std::ranges::find(request.users, candidate.id, &ImageUser::image) !=
            request.users.end()) {
            co_return ok;
        }
        request.text = name;
        Result<ImageRemoved> removed = co_await image_remove(images, std::move(request));
        if (removed) {
            std::ranges::move(removed->entries, std::back_inserter(pruned.entries));
        } else if (!is_kept(removed.error())) {
            co_return std::move(removed).error();
        }
    }
    co_return ok;
}

}  // namespace

Task<ImagesPruned> image_prune(ImageService& images, ImagePrune prune) {
    const auto find = [&prune](const ReadTxn& txn) { return candidates(txn, prune); };
    CO_TRY(const std::vector<PruneCandidate> found, images.db().view(find));
    CO_TRY(const LayerSizes before, images.db().view(layer_sizes));
    ImagesPruned pruned;
    for (const PruneCandidate& candidate : found) {
        CO_CHECK(co_await candidate_remove(images, prune, candidate, pruned));
    }
    // What pulls left that did not end well: the room is wanted.
    auto drop = [](WriteTxn& txn) { return layers_unfinished_drop(txn); };
    CO_TRY(std::vector<std::string> unneeded, co_await images.writer().update(std::move(drop)));
    CO_CHECK(co_await shielded(images.layers().directories_delete(std::move(unneeded))));
    CO_TRY(const LayerSizes after, images.db().view(layer_sizes));
    for (const auto& [cache_id, bytes] : before) {
        pruned.bytes += after.contains(cache_id) ? 0 : bytes;
    }
    co_return std::move(pruned);
}

}  // namespace davit
