#include "graph/graph_check.h"

#include <algorithm>
#include <map>
#include <set>

#include "graph/container_store.h"
#include "graph/edges.h"
#include "graph/image_store.h"
#include "graph/layer_origin.h"
#include "graph/layer_store.h"
#include "graph/layer_unfinished.h"
#include "graph/tag_store.h"

namespace davit {

namespace {

using Findings = std::vector<std::string>;

Result<void> check_images(const ReadTxn& txn, Findings& wrong) {
    TRY(const std::vector<ImageRecord> images, image_list(txn));
    for (const ImageRecord& image : images) {
        const std::string name = "image " + image.id.str();
        TRY(const bool is_entity, entity_exists(txn, Entity{EntityKind::image, image.id.str()}));
        if (!is_entity) {
            wrong.push_back(name + " is not in the graph");
        }
        const Result<std::string> config = image_config_bytes(txn, image.id);
        if (!config || sha256_of(*config) != image.id) {
            wrong.push_back(name + " has no config of that digest");
        }
        for (const Digest& manifest : image.manifests) {
            if (!manifest_get(txn, manifest)) {
                wrong.push_back(name + " misses its manifest " + manifest.str());
            }
        }
        if (!image.chain_id.empty()) {
            TRY(const std::vector<Edge> edges,
                edges_from(txn, Entity{EntityKind::image, image.id.str()}));
            const Entity chain{EntityKind::chain, image.chain_id.str()};
            if (std::ranges::find(edges, chain, &Edge::child) == edges.end()) {
                wrong.push_back(name + " does not hold its chain");
            }
        }
    }
    return ok;
}

Result<void> check_references(const ReadTxn& txn, Findings& wrong) {
    TRY(const auto references, reference_list(txn));
    std::uint64_t known_to_images = 0;
    TRY(const std::vector<ImageRecord> images, image_list(txn));
    for (const ImageRecord& image : images) {
        TRY(const std::vector<Reference> names, image_references(txn, image.id));
        known_to_images += names.size();
        for (const Reference& name : names) {
            if (std::ranges::find(references, std::pair(name, image.id)) == references.end()) {
                wrong.push_back("image " + image.id.str() + " has the name " + name.str() +
                                ", which is not its");
            }
        }
    }
    if (known_to_images != references.size()) {
        wrong.push_back("there are " + std::to_string(references.size()) +
                        " references, but images have " + std::to_string(known_to_images) +
                        " names");
    }
    return ok;
}

Result<void> check_layers(const ReadTxn& txn, Findings& wrong) {
    TRY(const std::vector<LayerDirectory> directories, layer_directories(txn));
    std::map<std::string, const LayerDirectory*> by_cache_id;
    std::size_t ready = 0;
    for (const LayerDirectory& directory : directories) {
        by_cache_id[directory.cache_id] = &directory;
        const bool is_ready = directory.state == LayerDirectoryState::ready;
        ready += is_ready ? 1 : 0;
        const Entity entity{EntityKind::layer, directory.cache_id};
        TRY(const bool is_entity, entity_exists(txn, entity));
        if (is_entity != is_ready) {
            wrong.push_back(entity.describe() + (is_ready ? " is not" : " is still") +
                            " in the graph");
        }
    }
    TRY(const std::vector<LayerRecord> layers, layer_list(txn));
    for (const LayerRecord& layer : layers) {
        const auto directory = by_cache_id.find(layer.cache_id);
        if (directory == by_cache_id.end() || directory->second->layer != layer.key) {
            wrong.push_back("layer " + layer.key + " has no ready directory");
        }
    }
    if (layers.size() != ready) {
        wrong.push_back("there are " + std::to_string(layers.size()) + " layers in " +
                        std::to_string(ready) + " ready directories");
    }
    TRY(const std::vector<std::string> unsynced, layers_unsynced(txn));
    for (const std::string& cache_id : unsynced) {
        const auto directory = by_cache_id.find(cache_id);
        if (directory == by_cache_id.end() ||
            directory->second->state != LayerDirectoryState::ready) {
            wrong.push_back("layer directory " + cache_id + " is to be synced, but is no layer's");
        }
    }
    TRY(const Findings origins, layer_origins_check(txn));
    wrong.insert(wrong.end(), origins.begin(), origins.end());
    return ok;
}

Result<void> check_chains(const ReadTxn& txn, Findings& wrong) {
    std::size_t entities = 0;
    TRY_VOID(txn.scan(Table::entities,
                      std::string(1, static_cast<char>(EntityKind::chain)),
                      [&](auto, auto) -> Result<bool> {
                          ++entities;
                          return true;
                      }));
    TRY(const std::uint64_t rows, txn.count(Table::chains));
    if (entities != rows) {
        wrong.push_back(std::to_string(rows) + " chains, but " + std::to_string(entities) +
                        " in the graph");
    }
    TRY_VOID(txn.scan(Table::chains, {}, [&](std::string_view key, auto) -> Result<bool> {
        TRY(const Digest chain_id, Digest::parse(key));
        TRY(const std::vector<std::string> listed, chain_directories(txn, chain_id));
        TRY(const std::vector<Edge> edges,
            edges_from(txn, Entity{EntityKind::chain, chain_id.str()}));
        const auto same = [](const Edge& edge, const std::string& cache_id) {
            return edge.child == Entity{EntityKind::layer, cache_id};
        };
        if (!std::ranges::equal(edges, listed, same)) {
            wrong.push_back("chain " + chain_id.str() + " lists other layers than it holds");
        }
        return true;
    }));
    return ok;
}

Result<void> check_containers(const ReadTxn& txn, Findings& wrong) {
    TRY(const std::vector<ContainerEntry> entries, container_list(txn));
    std::uint64_t names = 0;
    for (const ContainerEntry& entry : entries) {
        if (entry.name.empty()) {
            continue;
        }
        ++names;
        TRY(const std::optional<ContainerId> owner, container_name_owner(txn, entry.name));
        if (owner != entry.id) {
            wrong.push_back("container " + entry.id.str() + " does not own its name " + entry.name);
        }
    }
    TRY(const std::uint64_t rows, txn.count(Table::container_names));
    if (rows != names) {
        wrong.push_back(std::to_string(rows) + " names for " + std::to_string(names) +
                        " named containers");
    }
    return ok;
}

}  // namespace

Result<std::vector<std::string>> graph_check(const ReadTxn& txn) {
    TRY(Findings wrong, edges_check(txn));
    TRY_VOID(check_images(txn, wrong));
    TRY_VOID(check_references(txn, wrong));
    TRY_VOID(check_layers(txn, wrong));
    TRY_VOID(check_chains(txn, wrong));
    TRY_VOID(check_containers(txn, wrong));
    return wrong;
}

Result<std::vector<std::string>> layer_directories_unknown(const ReadTxn& txn,
                                                           std::span<const std::string> names) {
    std::vector<std::string> unknown;
    for (const std::string& name : names) {
        TRY(const bool known, txn.contains(Table::layer_directories, name));
        if (!known) {
            unknown.push_back(name);
        }
    }
    return unknown;
}

Result<std::vector<std::string>> graph_repair(WriteTxn& txn) {
    TRY(Findings done, edges_repair(txn));
    TRY(Findings names, references_repair(txn));
    done.insert(done.end(), names.begin(), names.end());
    TRY(const std::vector<ContainerEntry> entries, container_list(txn));
    std::map<std::string, std::string> owners;
    for (const ContainerEntry& entry : entries) {
        owners.emplace(entry.name, entry.id.str());
    }
    std::vector<std::string> ownerless;
    const auto check = [&](std::string_view name, std::string_view id) -> Result<bool> {
        const auto owner = owners.find(std::string(name));
        if (owner == owners.end() || owner->second != id) {
            ownerless.emplace_back(name);
        }
        return true;
    };
    TRY_VOID(txn.scan(Table::container_names, {}, check));
    for (const std::string& name : ownerless) {
        TRY_VOID(txn.erase(Table::container_names, name));
        done.push_back("removed the name " + name + ", whose container is not there");
    }
    for (const auto& [name, id] : owners) {
        if (name.empty()) {
            continue;
        }
        TRY(const bool added, txn.insert(Table::container_names, name, id));
        if (added) {
            done.push_back("gave container " + id + " its name " + name);
        }
    }
    return done;
}

Result<std::vector<std::string>> lease_list(const ReadTxn& txn) {
    std::vector<std::string> leases;
    const std::string prefix(1, static_cast<char>(EntityKind::lease));
    TRY_VOID(txn.scan(Table::entities, prefix, [&](std::string_view key, auto) -> Result<bool> {
        if (!is_unfinished_lease(key.substr(1))) {
            leases.emplace_back(key.substr(1));
        }
        return true;
    }));
    return leases;
}

Result<GraphCounts> graph_counts(const ReadTxn& txn) {
    GraphCounts counts;
    TRY(counts.images, txn.count(Table::images));
    TRY(counts.references, txn.count(Table::references));
    TRY(counts.layers, txn.count(Table::layers));
    TRY(counts.chains, txn.count(Table::chains));
    TRY(counts.containers, txn.count(Table::containers));
    TRY(const std::vector<std::string> leases, lease_list(txn));
    counts.leases = leases.size();
    return counts;
}

}  // namespace davit
