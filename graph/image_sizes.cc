#include "graph/image_sizes.h"

#include <algorithm>

#include "graph/image_store.h"

namespace davit {

Result<GraphSizes> graph_sizes(const ReadTxn& txn) {
    GraphSizes sizes;
    TRY(const std::vector<LayerRecord> records, layer_list(txn));
    std::map<std::string, ImageLayer> layers;
    for (const LayerRecord& record : records) {
        ImageLayer& layer = layers[record.cache_id];
        layer.cache_id = record.cache_id;
        layer.diff_id = record.diff_id;
        layer.bytes = record.unpacked_bytes;
        sizes.layers += record.unpacked_bytes;
    }
    TRY(const std::vector<ImageRecord> images, image_list(txn));
    std::map<Digest, std::vector<std::string>> chains;
    for (const ImageRecord& image : images) {
        std::vector<std::string>& chain = chains[image.id];
        if (!image.chain_id.empty()) {
            TRY(chain, chain_directories(txn, image.chain_id));
        }
        for (const std::string& cache_id : chain) {
            std::vector<Digest>& users = layers[cache_id].images;
            if (users.empty() || users.back() != image.id) {
                users.push_back(image.id);
            }
        }
    }
    for (const auto& [id, chain] : chains) {
        ImageSizes& image = sizes.images[id];
        for (const std::string& cache_id : chain) {
            const ImageLayer& layer = layers[cache_id];
            (layer.is_shared() ? image.shared : image.unique) += layer.bytes;
            image.layers.push_back(layer);
        }
    }
    return sizes;
}

}  // namespace davit
