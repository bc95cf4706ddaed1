#include "drivers/graph/directory_layer.h"

#include "graph/layer_extract.h"

namespace davit {

namespace {

class DirectoryLayerWriter final : public LayerWriter {
  public:
    explicit DirectoryLayerWriter(LayerExtract extract) : extract_(std::move(extract)) {}

    using LayerWriter::write;

    Result<void> write(std::span<const std::uint8_t> archive,
                       const std::function<void()>& beside) override {
        return extract_.feed(archive, beside);
    }

    Result<LayerContents> finish() override {
        TRY(LayerExtractResult extracted, extract_.finish());
        LayerContents contents;
        contents.bytes = extracted.bytes;
        contents.entries = extracted.entries;
        contents.links_below = std::move(extracted.links_below);
        return contents;
    }

  private:
    LayerExtract extract_;
};

}  // namespace

Result<std::unique_ptr<LayerWriter>> directory_layer_writer(Fd root, Fd beside) {
    TRY(LayerExtract extract, LayerExtract::open(std::move(root)));
    if (beside) {
        TRY(std::unique_ptr<LayerRecipeWriter> recipe,
            LayerRecipeWriter::create(std::move(beside)));
        extract.record(std::move(recipe));
    }
    return std::unique_ptr<LayerWriter>(std::make_unique<DirectoryLayerWriter>(std::move(extract)));
}

}  // namespace davit
