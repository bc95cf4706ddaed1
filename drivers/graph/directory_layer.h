#pragma once
/// A layer as a directory: its archive extracted, with whiteouts as overlayfs wants them, and
/// beside it the recipe that makes the archive again (graph/layer_recipe.h).
#include <memory>

#include "drivers/graph/driver.h"
#include "reactor/base/fd.h"

namespace davit {

/// Takes: the layer's empty root directory, and the directory for its recipe (none: no recipe is
/// kept, and the layer cannot be packed again).
Result<std::unique_ptr<LayerWriter>> directory_layer_writer(Fd root, Fd beside = Fd());

}  // namespace davit
