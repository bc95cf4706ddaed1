#include "jobs/image/image_names.h"

#include <cassert>

#include "graph/tag_store.h"

namespace davit {

Result<void> digest_name_set(WriteTxn& txn,
                             const Reference& name,
                             const Digest& root,
                             const Digest& image) {
    const Reference by_digest = name.with_digest(root);
    TRY(const std::optional<Digest> named, reference_get(txn, by_digest));
    if (named && *named != image) {
        TRY_VOID(reference_remove(txn, by_digest));
    }
    TRY_VOID(reference_set(txn, by_digest, image));
    return ok;
}

Result<void> origins_note(WriteTxn& txn,
                          const Reference& repository,
                          std::span<const Digest> diff_ids,
                          std::span<const LayerBlob> blobs) {
    assert(diff_ids.size() == blobs.size());
    const std::vector<LayerPlace> places = layer_places(diff_ids);
    for (std::size_t i = 0; i < places.size(); ++i) {
        const LayerOrigin origin{blobs[i], repository.domain(), repository.path()};
        TRY_VOID(layer_origin_add(txn, places[i], origin));
    }
    return ok;
}

}  // namespace davit
