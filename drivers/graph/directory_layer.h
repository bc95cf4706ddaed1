#pragma once
/// A layer as a directory: its archive extracted, with whiteouts as overlayfs wants them.
#include <memory>

#include "drivers/graph/driver.h"
#include "reactor/base/fd.h"

namespace davit {

/// Takes: the layer's empty root directory.
Result<std::unique_ptr<LayerWriter>> directory_layer_writer(Fd root);

}  // namespace davit
