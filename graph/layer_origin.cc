#include "graph/layer_origin.h"

#include <algorithm>
#include <set>

#include "graph/record.h"

namespace davit {

namespace {

constexpr std::uint8_t origins_version = 1;

std::string encode(const std::vector<LayerOrigin>& origins) {
    RecordWriter writer(origins_version);
    writer.u64(origins.size());
    for (const LayerOrigin& origin : origins) {
        writer.digest(origin.blob.digest).text(origin.blob.media_type).u64(origin.blob.size);
        writer.text(origin.domain).text(origin.path);
    }
    return writer.take();
}

}  // namespace

Result<std::vector<LayerOrigin>> layer_origins(const ReadTxn& txn, const Digest& diff_id) {
    std::vector<LayerOrigin> origins;
    TRY(const std::optional<std::string_view> bytes, txn.get(Table::layer_origins, diff_id.str()));
    if (!bytes) {
        return origins;
    }
    const std::string what = "the origins of layer " + diff_id.str();
    RecordReader reader(*bytes, what, origins_version);
    const std::uint64_t count = std::min<std::uint64_t>(reader.u64(), layer_origins_max);
    for (std::uint64_t i = 0; i < count; ++i) {
        LayerOrigin origin;
        origin.blob.digest = reader.digest();
        origin.blob.media_type = std::string(reader.text());
        origin.blob.size = reader.u64();
        origin.domain = std::string(reader.text());
        origin.path = std::string(reader.text());
        origins.push_back(std::move(origin));
    }
    TRY_VOID(reader.finish());
    return origins;
}

Result<void> layer_origin_add(WriteTxn& txn, const LayerPlace& place, const LayerOrigin& origin) {
    TRY(const std::optional<LayerRecord> layer, layer_find(txn, place));
    if (!layer) {
        return ok;
    }
    TRY(std::vector<LayerOrigin> origins, layer_origins(txn, place.diff_id));
    if (!origins.empty() && origins.front() == origin) {
        return ok;
    }
    std::erase(origins, origin);
    origins.insert(origins.begin(), origin);
    origins.resize(std::min(origins.size(), layer_origins_max));
    return txn.put(Table::layer_origins, place.diff_id.str(), encode(origins));
}

Result<void> layer_origins_erase(WriteTxn& txn, const Digest& diff_id) {
    TRY_VOID(txn.erase(Table::layer_origins, diff_id.str()));
    return ok;
}

Result<std::vector<std::string>> layer_origins_check(const ReadTxn& txn) {
    std::vector<std::string> wrong;
    std::set<std::string, std::less<>> known;
    TRY(const std::vector<LayerRecord> layers, layer_list(txn));
    for (const LayerRecord& layer : layers) {
        known.insert(layer.diff_id.str());
    }
    TRY_VOID(txn.scan(Table::layer_origins, {}, [&](std::string_view key, auto) -> Result<bool> {
        TRY(const Digest diff_id, Digest::parse(key));
        TRY_VOID(layer_origins(txn, diff_id));
        if (!known.contains(key)) {
            wrong.push_back("there are origins of a layer that is not here: " + std::string(key));
        }
        return true;
    }));
    return wrong;
}

}  // namespace davit
