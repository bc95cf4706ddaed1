#pragma once
/// LayerReader: a layer of this host as the bytes that others know it by: its archive, plain or
/// compressed. The inverse of layer_pipeline().
#include <memory>
#include <string>
#include <vector>

#include "graph/compression.h"
#include "graph/layer_store.h"
#include "jobs/image/layer_pipeline.h"

namespace davit {

class ImageService;

/// Layers that nobody can remove until they are given back.
struct LayersHeld {
    std::string lease;
    /// In the order of the places that were asked for.
    std::vector<LayerRecord> layers;
};

/// Errors: not_found (a layer is not here).
Task<LayersHeld> layers_hold(ImageService& images, std::vector<LayerPlace> places);

/// The end of a hold; not cancelled. The layers that nobody else needs are removed.
Task<void> layers_give_back(ImageService& images, LayersHeld held);

class LayerReader final : public LayerSource {
  public:
    /// Takes:  a layer that is held; gzip, zstd or none. Equal layers give equal bytes.
    /// Errors: those of GraphDriver::layer_open() and LayerArchive::open().
    static Result<std::unique_ptr<LayerReader>> open(ImageService& images,
                                                     const LayerRecord& layer,
                                                     Compression compression = Compression::none);
    ~LayerReader() override;

    /// How long the archive is; what read() gives as a whole, if it is not compressed.
    std::uint64_t archive_bytes() const;

    /// Works on a worker thread, as far as the buffer goes: 64 KiB to 1 MiB are good sizes.
    /// Errors: those of LayerArchive::read(): the last bytes come only if all of them are right.
    /// Cancel: a running worker call is waited for.
    Task<std::size_t> read(std::span<char> buffer) override;

  private:
    struct State;

    explicit LayerReader(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

}  // namespace davit
