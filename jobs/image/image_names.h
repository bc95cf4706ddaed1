#pragma once
/// What a pull and a push note of an image when they have ended well.
#include <span>

#include "graph/image_store.h"
#include "graph/layer_origin.h"
#include "graph/reference.h"

namespace davit {

/// Let NAME@root find the image. The same index, pulled for another platform, may have had that
/// name: the newer one has it, as with Docker.
Result<void> digest_name_set(WriteTxn& txn,
                             const Reference& name,
                             const Digest& root,
                             const Digest& image);

/// Note that a repository has the image's layers. Takes: blobs, one for each of the diff ids.
Result<void> origins_note(WriteTxn& txn,
                          const Reference& repository,
                          std::span<const Digest> diff_ids,
                          std::span<const LayerBlob> blobs);

}  // namespace davit
