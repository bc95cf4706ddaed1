#pragma once
/// Archives through a layer and back: unpacked with a recipe, packed again from recipe and files.
#include <string>
#include <string_view>

#include "graph/layer_archive.h"
#include "tests/unit/graph/tar/layer_support.h"

namespace davit::test {

/// A layer's directory with its recipe beside it, as a driver has them.
class RecipeDir {
  public:
    LayerFiles files() const;

    std::string root() const { return dir_.root(); }

    const std::string& path() const { return dir_.path(); }

  private:
    LayerDir dir_;
};

/// Unpack the archive, given in slices, with a recipe.
Extraction extract_recorded(const RecipeDir& dir,
                            std::string_view archive,
                            std::size_t slice = SIZE_MAX,
                            LayerExtractOptions options = {});

struct Repacked {
    std::string archive;
    std::optional<Error> error;

    std::string error_text() const { return error ? error->message() : ""; }
};

/// Pack it again, read in slices. The digest must be that of expected.
Repacked repack(const RecipeDir& dir, std::string_view expected, std::size_t slice = 65536);

}  // namespace davit::test
