#include "graph/layer_store.h"

#include <algorithm>

#include "graph/edges.h"
#include "graph/image_config.h"
#include "graph/layer_origin.h"
#include "graph/layer_unfinished.h"
#include "graph/record.h"
#include "reactor/base/ids.h"

namespace davit {

namespace {

constexpr std::uint8_t layer_version = 1;
constexpr std::uint8_t directory_version = 1;
constexpr std::uint8_t chain_version = 1;
constexpr std::uint8_t sequence_version = 1;
constexpr std::string_view sequence_key = "layer_sequence";

Entity layer_entity(std::string_view cache_id) {
    return Entity{EntityKind::layer, std::string(cache_id)};
}

Entity chain_entity(const Digest& chain_id) {
    return Entity{EntityKind::chain, chain_id.str()};
}

Entity lease_entity(std::string_view lease) {
    return Entity{EntityKind::lease, std::string(lease)};
}

std::string layer_key(const LayerPlace& place, bool depends_on_parent) {
    return depends_on_parent ? "@" + place.chain_id.str() : place.diff_id.str();
}

std::string encode(const LayerRecord& layer) {
    RecordWriter writer(layer_version);
    writer.digest(layer.diff_id).text(layer.cache_id).u64(layer.unpacked_bytes);
    writer.i64(unix_nanoseconds(layer.created)).u64(layer.blobs.size());
    for (const LayerBlob& blob : layer.blobs) {
        writer.digest(blob.digest).text(blob.media_type).u64(blob.size);
    }
    return writer.take();
}

Result<LayerRecord> decode_layer(std::string_view key, std::string_view bytes) {
    const std::string what = "layer " + std::string(key);
    RecordReader reader(bytes, what, layer_version);
    LayerRecord layer;
    layer.key = std::string(key);
    layer.diff_id = reader.digest();
    layer.cache_id = std::string(reader.text());
    layer.unpacked_bytes = reader.u64();
    layer.created = wall_from_unix_nanoseconds(reader.i64());
    const std::uint64_t blobs = std::min<std::uint64_t>(reader.u64(), bytes.size());
    for (std::uint64_t i = 0; i < blobs; ++i) {
        LayerBlob blob;
        blob.digest = reader.digest();
        blob.media_type = std::string(reader.text());
        blob.size = reader.u64();
        layer.blobs.push_back(std::move(blob));
    }
    TRY_VOID(reader.finish());
    return layer;
}

Result<LayerDirectory> decode_directory(std::string_view cache_id, std::string_view bytes) {
    const std::string what = "layer directory " + std::string(cache_id);
    RecordReader reader(bytes, what, directory_version);
    LayerDirectory directory;
    directory.cache_id = std::string(cache_id);
    const std::uint64_t state = reader.u64();
    directory.layer = std::string(reader.text());
    TRY_VOID(reader.finish());
    if (state > static_cast<std::uint64_t>(LayerDirectoryState::deleting)) {
        return Error(ErrorKind::corrupt, "record of " + what + " is damaged");
    }
    directory.state = static_cast<LayerDirectoryState>(state);
    return directory;
}

Result<void> set_directory(WriteTxn& txn, const LayerDirectory& directory) {
    return txn.put(Table::layer_directories,
                   directory.cache_id,
                   RecordWriter(directory_version)
                       .u64(static_cast<std::uint64_t>(directory.state))
                       .text(directory.layer)
                       .take());
}

Result<LayerDirectory> get_directory(const ReadTxn& txn,
                                     std::string_view cache_id,
                                     LayerDirectoryState state) {
    TRY(const std::optional<std::string_view> bytes, txn.get(Table::layer_directories, cache_id));
    if (bytes) {
        TRY(LayerDirectory directory, decode_directory(cache_id, *bytes));
        if (directory.state == state) {
            return directory;
        }
    }
    return Error(ErrorKind::not_found,
                 "layer directory " + std::string(cache_id) + " is not in the expected state");
}

Result<std::optional<LayerRecord>> layer_by_key(const ReadTxn& txn, std::string_view key) {
    TRY(const std::optional<std::string_view> bytes, txn.get(Table::layers, key));
    if (!bytes) {
        return std::optional<LayerRecord>{};
    }
    TRY(LayerRecord layer, decode_layer(key, *bytes));
    return std::optional<LayerRecord>(std::move(layer));
}

/// Lower-case letters and digits without those that look alike; overlay's option string holds one
/// such name per layer, so they are kept short.
std::string sequence_text(std::uint64_t number) {
    constexpr std::string_view digits = "0123456789abcdefghjkmnpqrstvwxyz";
    std::string text;
    do {
        text.insert(text.begin(), digits[number % digits.size()]);
        number /= digits.size();
    } while (number > 0);
    return text;
}

Result<void> hold(WriteTxn& txn, std::string_view lease, const LayerRecord& layer) {
    const Edge edge{lease_entity(lease), layer.cache_id, layer_entity(layer.cache_id)};
    Result<void> added = edge_add(txn, edge);
    if (!added && added.error().kind() == ErrorKind::conflict) {
        return ok;  // Held already: two of the image's layers are the same.
    }
    return added;
}

Result<void> add_blob(WriteTxn& txn, LayerRecord& layer, const LayerBlob& blob) {
    if (std::ranges::find(layer.blobs, blob.digest, &LayerBlob::digest) == layer.blobs.end()) {
        layer.blobs.push_back(blob);
    }
    return txn.put(Table::blobs, blob.digest.str(), layer.diff_id.str());
}

/// Remove the entity; give the cache ids of those layers below it that nobody needs now.
Result<std::vector<std::string>> remove_holder(WriteTxn& txn, const Entity& holder) {
    TRY(std::vector<Entity> layers, entity_remove(txn, holder));
    std::ranges::sort(layers);
    layers.erase(std::ranges::unique(layers).begin(), layers.end());
    std::vector<std::string> unneeded;
    for (const Entity& layer : layers) {
        TRY(const bool collected, layer_collect(txn, layer.id));
        if (collected) {
            unneeded.push_back(layer.id);
        }
    }
    return unneeded;
}

/// The edge to the i-th layer; in the order of names they are in the order of layers.
std::string layer_edge_name(std::size_t index) {
    std::string digits = std::to_string(index);
    return std::string(4 - std::min<std::size_t>(digits.size(), 4), '0') + digits;
}

Result<std::vector<std::string>> entity_ids(const ReadTxn& txn, EntityKind kind) {
    std::vector<std::string> ids;
    const std::string prefix(1, static_cast<char>(kind));
    TRY_VOID(txn.scan(Table::entities, prefix, [&](std::string_view key, auto) -> Result<bool> {
        ids.emplace_back(key.substr(1));
        return true;
    }));
    return ids;
}

}  // namespace

Result<bool> layer_collect(WriteTxn& txn, std::string_view cache_id) {
    TRY(const std::uint64_t count, refcount(txn, layer_entity(cache_id)));
    if (count > 0) {
        return false;
    }
    TRY(LayerDirectory directory, get_directory(txn, cache_id, LayerDirectoryState::ready));
    TRY(const std::optional<LayerRecord> layer, layer_by_key(txn, directory.layer));
    if (layer) {
        for (const LayerBlob& blob : layer->blobs) {
            TRY_VOID(txn.erase(Table::blobs, blob.digest.str()));
        }
        TRY_VOID(layer_origins_erase(txn, layer->diff_id));
    }
    TRY_VOID(txn.erase(Table::layers, directory.layer));
    TRY_VOID(txn.erase(Table::layers_unsynced, cache_id));
    TRY_VOID(entity_remove(txn, layer_entity(cache_id)));
    directory.state = LayerDirectoryState::deleting;
    directory.layer.clear();
    TRY_VOID(set_directory(txn, directory));
    return true;
}

std::vector<LayerPlace> layer_places(std::span<const Digest> diff_ids) {
    const std::vector<Digest> chain = chain_ids(diff_ids);
    std::vector<LayerPlace> places;
    for (std::size_t i = 0; i < chain.size(); ++i) {
        places.push_back(LayerPlace{diff_ids[i], chain[i]});
    }
    return places;
}

Result<std::optional<LayerRecord>> layer_find(const ReadTxn& txn, const LayerPlace& place) {
    TRY(std::optional<LayerRecord> own, layer_by_key(txn, layer_key(place, true)));
    if (own) {
        return own;
    }
    return layer_by_key(txn, layer_key(place, false));
}

Result<std::vector<LayerRecord>> layer_list(const ReadTxn& txn) {
    std::vector<LayerRecord> layers;
    TRY_VOID(txn.scan(
        Table::layers, {}, [&](std::string_view key, std::string_view bytes) -> Result<bool> {
            TRY(LayerRecord layer, decode_layer(key, bytes));
            layers.push_back(std::move(layer));
            return true;
        }));
    return layers;
}

Result<std::vector<LayerDirectory>> layer_directories(const ReadTxn& txn) {
    std::vector<LayerDirectory> directories;
    TRY_VOID(txn.scan(Table::layer_directories,
                      {},
                      [&](std::string_view key, std::string_view bytes) -> Result<bool> {
                          TRY(LayerDirectory directory, decode_directory(key, bytes));
                          directories.push_back(std::move(directory));
                          return true;
                      }));
    return directories;
}

Result<std::optional<Digest>> blob_diff_id(const ReadTxn& txn, const Digest& blob) {
    TRY(const std::optional<std::string_view> text, txn.get(Table::blobs, blob.str()));
    if (!text) {
        return std::optional<Digest>{};
    }
    TRY(Digest diff_id, Digest::parse(*text));
    return std::optional<Digest>(std::move(diff_id));
}

Result<std::string> lease_create(WriteTxn& txn) {
    std::string lease = random_hex(16);
    TRY_VOID(entity_add(txn, lease_entity(lease)));
    return lease;
}

Result<std::optional<LayerRecord>> lease_hold(WriteTxn& txn,
                                              std::string_view lease,
                                              const LayerPlace& place) {
    TRY(std::optional<LayerRecord> layer, layer_find(txn, place));
    if (layer) {
        TRY_VOID(hold(txn, lease, *layer));
    }
    return layer;
}

Result<std::string> layer_stage(WriteTxn& txn) {
    TRY(const std::optional<std::string_view> bytes, txn.get(Table::meta, sequence_key));
    std::uint64_t next = 1;
    if (bytes) {
        RecordReader reader(*bytes, "the layer sequence", sequence_version);
        next = reader.u64();
        TRY_VOID(reader.finish());
    }
    TRY_VOID(
        txn.put(Table::meta, sequence_key, RecordWriter(sequence_version).u64(next + 1).take()));
    LayerDirectory directory;
    directory.cache_id = sequence_text(next);
    TRY_VOID(set_directory(txn, directory));
    return std::move(directory.cache_id);
}

Result<LayerRecord> layer_publish(WriteTxn& txn, const LayerPublish& publish) {
    TRY(LayerDirectory directory,
        get_directory(txn, publish.cache_id, LayerDirectoryState::staged));
    TRY(std::optional<LayerRecord> layer, layer_find(txn, publish.place));
    if (layer) {
        TRY_VOID(layer_discard(txn, publish.cache_id));
    } else {
        layer.emplace();
        layer->key = layer_key(publish.place, publish.depends_on_parent);
        layer->diff_id = publish.place.diff_id;
        layer->cache_id = publish.cache_id;
        layer->unpacked_bytes = publish.unpacked_bytes;
        layer->created = publish.created;
        directory.state = LayerDirectoryState::ready;
        directory.layer = layer->key;
        TRY_VOID(set_directory(txn, directory));
        TRY_VOID(entity_add(txn, layer_entity(layer->cache_id)));
        if (!publish.unsynced_boot.empty()) {
            TRY_VOID(txn.put(Table::layers_unsynced, layer->cache_id, publish.unsynced_boot));
        }
    }
    if (publish.blob) {
        TRY_VOID(add_blob(txn, *layer, *publish.blob));
    }
    TRY_VOID(txn.put(Table::layers, layer->key, encode(*layer)));
    TRY_VOID(hold(txn, publish.lease, *layer));
    return *std::move(layer);
}

Result<std::vector<std::string>> layers_unsynced(const ReadTxn& txn) {
    return layers_unsynced_elsewhere(txn, "");  // No boot has that name.
}

Result<std::vector<std::string>> layers_unsynced_elsewhere(const ReadTxn& txn,
                                                           std::string_view boot) {
    std::vector<std::string> cache_ids;
    const auto row = [&](std::string_view cache_id, std::string_view of) -> Result<bool> {
        if (of != boot) {
            cache_ids.emplace_back(cache_id);
        }
        return true;
    };
    TRY_VOID(txn.scan(Table::layers_unsynced, {}, row));
    return cache_ids;
}

Result<void> layers_synced(WriteTxn& txn, std::span<const std::string> cache_ids) {
    for (const std::string& cache_id : cache_ids) {
        TRY_VOID(txn.erase(Table::layers_unsynced, cache_id));
    }
    return ok;
}

Result<void> layer_discard(WriteTxn& txn, std::string_view cache_id) {
    TRY(LayerDirectory directory, get_directory(txn, cache_id, LayerDirectoryState::staged));
    directory.state = LayerDirectoryState::deleting;
    return set_directory(txn, directory);
}

Result<void> layer_forget(WriteTxn& txn, std::string_view cache_id) {
    TRY_VOID(get_directory(txn, cache_id, LayerDirectoryState::deleting));
    TRY_VOID(txn.erase(Table::layer_directories, cache_id));
    return ok;
}

Result<std::vector<std::string>> lease_release(WriteTxn& txn, std::string_view lease) {
    return remove_holder(txn, lease_entity(lease));
}

Result<Digest> chain_put(WriteTxn& txn, std::span<const Digest> diff_ids) {
    const std::vector<LayerPlace> places = layer_places(diff_ids);
    if (places.empty()) {
        return Digest{};
    }
    const Digest& id = places.back().chain_id;
    TRY(const bool is_new, entity_add(txn, chain_entity(id)));
    if (!is_new) {
        return id;
    }
    std::vector<std::string> directories;
    for (const LayerPlace& place : places) {
        TRY(const std::optional<LayerRecord> layer, layer_find(txn, place));
        if (!layer) {
            return Error(ErrorKind::not_found, "layer " + place.diff_id.str() + " is not here");
        }
        const Edge edge{
            chain_entity(id), layer_edge_name(directories.size()), layer_entity(layer->cache_id)};
        TRY_VOID(edge_add(txn, edge));
        directories.push_back(layer->cache_id);
    }
    TRY_VOID(
        txn.put(Table::chains, id.str(), RecordWriter(chain_version).texts(directories).take()));
    TRY_VOID(layers_finished(txn, directories));
    return id;
}

Result<std::vector<std::string>> chain_directories(const ReadTxn& txn, const Digest& chain_id) {
    TRY(const std::optional<std::string_view> bytes, txn.get(Table::chains, chain_id.str()));
    if (!bytes) {
        return Error(ErrorKind::not_found, "chain " + chain_id.str() + " is not here");
    }
    const std::string what = "chain " + chain_id.str();
    RecordReader reader(*bytes, what, chain_version);
    std::vector<std::string> directories = reader.texts();
    TRY_VOID(reader.finish());
    return directories;
}

Result<std::uint64_t> chain_bytes(const ReadTxn& txn, const Digest& chain_id) {
    TRY(const std::vector<std::string> cache_ids, chain_directories(txn, chain_id));
    std::uint64_t bytes = 0;
    for (const std::string& cache_id : cache_ids) {
        TRY(const LayerDirectory directory,
            get_directory(txn, cache_id, LayerDirectoryState::ready));
        TRY(const std::optional<LayerRecord> layer, layer_by_key(txn, directory.layer));
        bytes += layer ? layer->unpacked_bytes : 0;
    }
    return bytes;
}

Result<std::vector<std::string>> chain_collect(WriteTxn& txn,
                                               const Digest& chain_id,
                                               const ChainPinned& pinned) {
    const Entity chain = chain_entity(chain_id);
    TRY(const bool exists, entity_exists(txn, chain));
    TRY(const std::uint64_t count, refcount(txn, chain));
    if (!exists || count > 0 || pinned(chain_id)) {
        return std::vector<std::string>{};
    }
    TRY_VOID(txn.erase(Table::chains, chain_id.str()));
    return remove_holder(txn, chain);
}

Result<std::vector<std::string>> chain_purge(WriteTxn& txn, const Digest& chain_id) {
    const Entity chain = chain_entity(chain_id);
    TRY(const std::vector<Edge> holds, edges_to(txn, chain));
    for (const Edge& edge : holds) {
        TRY_VOID(edge_remove(txn, edge.parent, edge.name));
    }
    TRY_VOID(txn.erase(Table::chains, chain_id.str()));
    return remove_holder(txn, chain);
}

Result<std::vector<Digest>> layer_chains(const ReadTxn& txn, std::string_view cache_id) {
    TRY(const std::vector<Edge> edges, edges_to(txn, layer_entity(cache_id)));
    std::vector<Digest> chains;
    for (const Edge& edge : edges) {
        if (edge.parent.kind == EntityKind::chain) {
            TRY(Digest chain, Digest::parse(edge.parent.id));
            chains.push_back(std::move(chain));
        }
    }
    std::ranges::sort(chains);
    chains.erase(std::ranges::unique(chains).begin(), chains.end());
    return chains;
}

Result<std::vector<std::string>> graph_recover(WriteTxn& txn, const ChainPinned& pinned) {
    TRY(const std::vector<std::string> leases, entity_ids(txn, EntityKind::lease));
    for (const std::string& lease : leases) {
        if (!is_unfinished_lease(lease)) {
            TRY_VOID(lease_release(txn, lease));
        }
    }
    TRY(const std::vector<std::string> chains, entity_ids(txn, EntityKind::chain));
    for (const std::string& text : chains) {
        TRY(const Digest chain_id, Digest::parse(text));
        TRY_VOID(chain_collect(txn, chain_id, pinned));
    }
    TRY(const std::vector<LayerDirectory> directories, layer_directories(txn));
    std::vector<std::string> to_remove;
    for (const LayerDirectory& directory : directories) {
        if (directory.state == LayerDirectoryState::ready) {
            TRY(const bool collected, layer_collect(txn, directory.cache_id));
            if (!collected) {
                continue;
            }
        } else if (directory.state == LayerDirectoryState::staged) {
            TRY_VOID(layer_discard(txn, directory.cache_id));
        }
        to_remove.push_back(directory.cache_id);
    }
    return to_remove;
}

}  // namespace davit
