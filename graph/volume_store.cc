#include "graph/volume_store.h"

#include "graph/record.h"

namespace davit {

namespace {

constexpr std::uint8_t volume_version = 1;

/// Key, value, key, value.
std::vector<std::string> pairs_flat(const std::map<std::string, std::string>& pairs) {
    std::vector<std::string> flat;
    for (const auto& [key, value] : pairs) {
        flat.push_back(key);
        flat.push_back(value);
    }
    return flat;
}

std::map<std::string, std::string> pairs_of(std::vector<std::string> flat) {
    std::map<std::string, std::string> pairs;
    for (std::size_t i = 0; i + 1 < flat.size(); i += 2) {
        pairs[flat[i]] = std::move(flat[i + 1]);
    }
    return pairs;
}

Result<VolumeRecord> decode(std::string_view name, std::string_view bytes) {
    const std::string what = "volume " + std::string(name);
    RecordReader reader(bytes, what, volume_version);
    VolumeRecord volume;
    volume.name = std::string(name);
    volume.driver = std::string(reader.text());
    volume.created = wall_from_unix_nanoseconds(reader.i64());
    volume.labels = pairs_of(reader.texts());
    volume.options = pairs_of(reader.texts());
    TRY_VOID(reader.finish());
    return volume;
}

}  // namespace

Result<void> volume_put(WriteTxn& txn, const VolumeRecord& volume) {
    const std::string bytes = RecordWriter(volume_version)
                                  .text(volume.driver)
                                  .i64(unix_nanoseconds(volume.created))
                                  .texts(pairs_flat(volume.labels))
                                  .texts(pairs_flat(volume.options))
                                  .take();
    return txn.put(Table::volumes, volume.name, bytes);
}

Result<bool> volume_erase(WriteTxn& txn, std::string_view name) {
    return txn.erase(Table::volumes, name);
}

Result<std::vector<VolumeRecord>> volume_list(const ReadTxn& txn) {
    std::vector<VolumeRecord> volumes;
    TRY_VOID(txn.scan(
        Table::volumes, {}, [&](std::string_view name, std::string_view bytes) -> Result<bool> {
            TRY(VolumeRecord volume, decode(name, bytes));
            volumes.push_back(std::move(volume));
            return true;
        }));
    return volumes;
}

}  // namespace davit
