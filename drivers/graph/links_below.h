#pragma once
/// Hard links of a layer to files of the layers below it (LayerExtractResult::links_below).
#include <cstdint>
#include <span>

#include "graph/layer_extract.h"
#include "reactor/base/result.h"

namespace davit {

/// Make them, as link(2) does in a mounted overlay: the file and its parents are copied up first,
/// so that it stays one file with two names. What the layer itself has or hides at the file's own
/// name stays as it is; then only the link's name gets the copy.
///
/// Takes:  the file system of the layers below, mounted; the layer's own root.
/// Gives:  the bytes that the copies hold.
/// Errors: corrupt (no such file below; a directory; behind a symbolic link), naming the link;
///         what the system calls say.
/// Blocks: for the disk. Call through offload().
Result<std::uint64_t> links_below_make(int below, int layer_root, std::span<const LinkBelow> links);

}  // namespace davit
