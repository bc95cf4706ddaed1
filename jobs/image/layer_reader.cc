#include "jobs/image/layer_reader.h"

#include <optional>

#include "graph/deflate.h"
#include "graph/graph_writer.h"
#include "graph/layer_archive.h"
#include "jobs/image/image_service.h"
#include "reactor/base/limits.h"
#include "reactor/offload.h"

namespace davit {

struct LayerReader::State {
    explicit State(LayerArchive opened) : archive(std::move(opened)) {}

    LayerArchive archive;
    std::optional<Deflate> deflate;
    std::vector<std::uint8_t> plain;
    std::span<const std::uint8_t> rest;  ///< Of plain, not compressed yet.
    bool archive_ended = false;
    bool ended = false;

    Result<std::size_t> read(std::span<std::uint8_t> out);
};

/// On a worker. At least one byte unless it is the end.
Result<std::size_t> LayerReader::State::read(std::span<std::uint8_t> out) {
    if (!deflate) {
        return archive.read(out);
    }
    std::size_t filled = 0;
    while (filled < out.size() && !ended) {
        if (rest.empty() && !archive_ended) {
            TRY(const std::size_t got, archive.read(plain));
            rest = std::span<const std::uint8_t>(plain).first(got);
            archive_ended = got == 0;
        }
        const DeflateProgress progress = deflate->step(rest, out.subspan(filled), archive_ended);
        rest = rest.subspan(progress.consumed);
        filled += progress.produced;
        ended = progress.done;
    }
    return filled;
}

LayerReader::LayerReader(std::unique_ptr<State> state) : state_(std::move(state)) {}

LayerReader::~LayerReader() = default;

Result<std::unique_ptr<LayerReader>> LayerReader::open(ImageService& images,
                                                       const LayerRecord& layer,
                                                       Compression compression) {
    TRY(LayerFiles files, images.driver().layer_open(layer.cache_id));
    TRY(LayerArchive archive, LayerArchive::open(std::move(files), layer.diff_id));
    auto state = std::make_unique<State>(std::move(archive));
    if (compression != Compression::none) {
        state->deflate.emplace(compression);
        state->plain.resize(limits::layer_chunk_bytes);
    }
    return std::unique_ptr<LayerReader>(new LayerReader(std::move(state)));
}

std::uint64_t LayerReader::archive_bytes() const {
    return state_->archive.bytes();
}

Task<std::size_t> LayerReader::read(std::span<char> buffer) {
    const std::span<std::uint8_t> out(static_cast<std::uint8_t*>(static_cast<void*>(buffer.data())),
                                      buffer.size());
    auto step = [state = state_.get(), out] { return state->read(out); };
    co_return co_await offload_bulk(std::move(step));
}

Task<LayersHeld> layers_hold(ImageService& images, std::vector<LayerPlace> places) {
    auto held = std::make_shared<LayersHeld>();
    auto hold = [places = std::move(places), held](WriteTxn& txn) -> Result<void> {
        held->layers.clear();  // It may be run again.
        TRY(held->lease, lease_create(txn));
        for (const LayerPlace& place : places) {
            TRY(std::optional<LayerRecord> layer, lease_hold(txn, held->lease, place));
            if (!layer) {
                return Error(ErrorKind::not_found, "No such layer: " + place.diff_id.str());
            }
            held->layers.push_back(*std::move(layer));
        }
        return ok;
    };
    CO_CHECK(co_await images.writer().update(std::move(hold)));
    co_return std::move(*held);
}

Task<void> layers_give_back(ImageService& images, LayersHeld held) {
    co_return co_await shielded(images.layers().give_back(std::move(held.lease)));
}

}  // namespace davit
