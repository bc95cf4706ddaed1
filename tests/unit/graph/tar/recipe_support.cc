#include "tests/unit/graph/tar/recipe_support.h"

#include "tests/unit/graph/tar/tar_support.h"

namespace davit::test {

LayerFiles RecipeDir::files() const {
    LayerFiles files;
    files.root = dir_.root_fd();
    files.directory = *Fd::open(dir_.path(), O_RDONLY | O_DIRECTORY);
    return files;
}

Extraction extract_recorded(const RecipeDir& dir,
                            std::string_view archive,
                            std::size_t slice,
                            LayerExtractOptions options) {
    Extraction extraction;
    LayerFiles files = dir.files();
    auto opened = LayerExtract::open(std::move(files.root), options);
    auto recipe = LayerRecipeWriter::create(std::move(files.directory));
    if (!opened || !recipe) {
        extraction.error = opened ? recipe.error() : opened.error();
        return extraction;
    }
    opened->record(*std::move(recipe));
    while (!archive.empty()) {
        if (auto fed = opened->feed(bytes_of(archive.substr(0, slice))); !fed) {
            extraction.error = fed.error();
            return extraction;
        }
        archive.remove_prefix(std::min(slice, archive.size()));
    }
    if (auto finished = opened->finish(); finished) {
        extraction.result = *finished;
    } else {
        extraction.error = finished.error();
    }
    return extraction;
}

Repacked repack(const RecipeDir& dir, std::string_view expected, std::size_t slice) {
    Repacked repacked;
    auto opened = LayerArchive::open(dir.files(), sha256_of(expected));
    if (!opened) {
        repacked.error = opened.error();
        return repacked;
    }
    std::vector<std::uint8_t> buffer(slice);
    for (;;) {
        auto got = opened->read(buffer);
        if (!got) {
            repacked.error = got.error();
            return repacked;
        }
        if (*got == 0) {
            return repacked;
        }
        repacked.archive.append(reinterpret_cast<const char*>(buffer.data()), *got);
    }
}

}  // namespace davit::test
