#pragma once
/// References: names of images. A tag can be moved from one image to another; a digest reference
/// (name@sha256:...) says under which digest a registry gave the image, and never moves.
#include <optional>
#include <utility>
#include <vector>

#include "graph/reference.h"
#include "graph/txn.h"

namespace davit {

/// The image this names, if any. A name alone is taken as :latest; of a name with tag and digest
/// the digest counts.
Result<std::optional<Digest>> reference_get(const ReadTxn& txn, const Reference& reference);

/// Make the reference name this image. The one it named before, if another, keeps its other names.
/// Takes:  a reference with a tag or a digest; a name alone is :latest.
/// Gives:  the image it named before, if any.
/// Errors: not_found (no such image); conflict (a digest reference that names another image).
Result<std::optional<Digest>> reference_set(WriteTxn& txn,
                                            const Reference& reference,
                                            const Digest& image);

/// Gives: the image it named; nothing if it named none.
Result<std::optional<Digest>> reference_remove(WriteTxn& txn, const Reference& reference);

/// All names of an image, sorted.
Result<std::vector<Reference>> image_references(const ReadTxn& txn, const Digest& image);

/// All names there are, sorted, with the image of each.
Result<std::vector<std::pair<Reference, Digest>>> reference_list(const ReadTxn& txn);

/// Names of images that are not there go, and each image's list of names is made again from the
/// names. Gives: what was done, in words.
Result<std::vector<std::string>> references_repair(WriteTxn& txn);

}  // namespace davit
