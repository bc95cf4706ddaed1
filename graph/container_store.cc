#include "graph/container_store.h"

#include <algorithm>

#include "graph/edges.h"
#include "graph/record.h"

namespace davit {

namespace {

constexpr std::uint8_t container_version = 1;
/// As above, with the chains of mounted images.
constexpr std::uint8_t container_version_mounts = 2;

Entity container_entity(const ContainerId& id) {
    return Entity{EntityKind::container, id.str()};
}

std::string encode(const ContainerEntry& entry) {
    const bool mounts = !entry.mounted_chains.empty();
    RecordWriter writer(mounts ? container_version_mounts : container_version);
    writer.text(entry.name).digest(entry.image).digest(entry.chain_id).text(entry.record);
    if (mounts) {
        writer.digests(entry.mounted_chains);
    }
    return writer.take();
}

Result<ContainerEntry> decode(std::string_view id, std::string_view bytes) {
    const std::string what = "container " + std::string(id);
    const bool mounts =
        !bytes.empty() && static_cast<std::uint8_t>(bytes.front()) == container_version_mounts;
    RecordReader reader(bytes, what, mounts ? container_version_mounts : container_version);
    ContainerEntry entry;
    TRY(entry.id, ContainerId::parse(id));
    entry.name = std::string(reader.text());
    entry.image = reader.digest();
    entry.chain_id = reader.digest();
    entry.record = std::string(reader.text());
    if (mounts) {
        entry.mounted_chains = reader.digests();
    }
    TRY_VOID(reader.finish());
    return entry;
}

Error no_such_container(std::string_view text) {
    return Error(ErrorKind::not_found, "No such container: " + std::string(text));
}

Result<ContainerEntry> require(const ReadTxn& txn, const ContainerId& id) {
    TRY(std::optional<ContainerEntry> entry, container_get(txn, id));
    if (!entry) {
        return no_such_container(id.str());
    }
    return *std::move(entry);
}

Result<void> take_name(WriteTxn& txn, const std::string& name, const ContainerId& id) {
    if (name.empty()) {
        return ok;
    }
    TRY(const bool taken, txn.insert(Table::container_names, name, id.str()));
    if (!taken) {
        TRY(const std::optional<ContainerId> owner, container_name_owner(txn, name));
        return container_name_conflict(name, owner.value_or(ContainerId{}));
    }
    return ok;
}

Result<void> hold_image(WriteTxn& txn, const ContainerEntry& entry) {
    const Entity container = container_entity(entry.id);
    TRY_VOID(entity_add(txn, container));
    if (!entry.image.empty()) {
        const Entity image{EntityKind::image, entry.image.str()};
        TRY_VOID(edge_add(txn, Edge{container, "image", image}));
    }
    if (!entry.chain_id.empty()) {
        const Entity chain{EntityKind::chain, entry.chain_id.str()};
        TRY_VOID(edge_add(txn, Edge{container, "rootfs", chain}));
    }
    for (const Digest& mounted : entry.mounted_chains) {
        const Entity chain{EntityKind::chain, mounted.str()};
        TRY_VOID(edge_add(txn, Edge{container, "mount " + mounted.str(), chain}));
    }
    return ok;
}

/// Full id, name, or prefix in one database; `several` if the prefix is not unique there.
struct Lookup {
    std::optional<ContainerId> exact;
    std::optional<ContainerId> by_name;
    std::optional<ContainerId> by_prefix;
    bool several = false;
};

Result<Lookup> look_up(const ReadTxn& txn, std::string_view text) {
    Lookup found;
    if (Result<ContainerId> id = ContainerId::parse(text)) {
        TRY(const bool exists, txn.contains(Table::containers, text));
        if (exists) {
            found.exact = *std::move(id);
            return found;
        }
    }
    const std::string name = text.starts_with('/') ? std::string(text) : "/" + std::string(text);
    TRY(found.by_name, container_name_owner(txn, name));
    if (text.empty()) {
        return found;
    }
    TRY_VOID(txn.scan(Table::containers, text, [&](std::string_view key, auto) -> Result<bool> {
        found.several = found.by_prefix.has_value();
        TRY(found.by_prefix, ContainerId::parse(key));
        return !found.several;
    }));
    return found;
}

}  // namespace

Error container_name_conflict(std::string_view name, const ContainerId& owner) {
    return Error(ErrorKind::conflict,
                 "Conflict. The container name \"" + std::string(name) +
                     "\" is already in use by container \"" + owner.str() +
                     "\". You have to remove (or rename) that container to be able to reuse that "
                     "name.");
}

Result<void> container_create(WriteTxn& txn, ContainerHome home, const ContainerEntry& entry) {
    TRY_VOID(take_name(txn, entry.name, entry.id));
    TRY(const bool is_new, txn.insert(Table::containers, entry.id.str(), encode(entry)));
    if (!is_new) {
        return Error(ErrorKind::conflict, "container " + entry.id.str() + " exists already");
    }
    if (home == ContainerHome::graph) {
        TRY_VOID(hold_image(txn, entry));
    }
    return ok;
}

Result<std::optional<ContainerEntry>> container_get(const ReadTxn& txn, const ContainerId& id) {
    TRY(const std::optional<std::string_view> bytes, txn.get(Table::containers, id.str()));
    if (!bytes) {
        return std::optional<ContainerEntry>{};
    }
    TRY(ContainerEntry entry, decode(id.str(), *bytes));
    return std::optional<ContainerEntry>(std::move(entry));
}

Result<std::vector<ContainerEntry>> container_list(const ReadTxn& txn) {
    std::vector<ContainerEntry> entries;
    TRY_VOID(txn.scan(
        Table::containers, {}, [&](std::string_view key, std::string_view bytes) -> Result<bool> {
            TRY(ContainerEntry entry, decode(key, bytes));
            entries.push_back(std::move(entry));
            return true;
        }));
    return entries;
}

Result<void> container_update(WriteTxn& txn, const ContainerId& id, std::string_view record) {
    TRY(ContainerEntry entry, require(txn, id));
    entry.record = std::string(record);
    return txn.put(Table::containers, id.str(), encode(entry));
}

Result<void> container_rename(WriteTxn& txn, const ContainerId& id, const std::string& name) {
    TRY(ContainerEntry entry, require(txn, id));
    if (entry.name == name) {
        return ok;
    }
    TRY_VOID(take_name(txn, name, id));
    if (!entry.name.empty()) {
        TRY_VOID(txn.erase(Table::container_names, entry.name));
    }
    entry.name = name;
    return txn.put(Table::containers, id.str(), encode(entry));
}

Result<std::vector<Digest>> container_erase(WriteTxn& txn,
                                            ContainerHome home,
                                            const ContainerId& id) {
    TRY(ContainerEntry entry, require(txn, id));
    if (!entry.name.empty()) {
        TRY_VOID(txn.erase(Table::container_names, entry.name));
    }
    TRY_VOID(txn.erase(Table::containers, id.str()));
    if (home == ContainerHome::graph) {
        TRY_VOID(entity_remove(txn, container_entity(id)));
    }
    if (!entry.chain_id.empty()) {
        entry.mounted_chains.push_back(entry.chain_id);
    }
    return std::move(entry.mounted_chains);
}

Result<std::vector<ContainerId>> image_users(const ReadTxn& txn, const Digest& image) {
    TRY(const std::vector<Edge> edges, edges_to(txn, Entity{EntityKind::image, image.str()}));
    std::vector<ContainerId> users;
    for (const Edge& edge : edges) {
        if (edge.parent.kind == EntityKind::container) {
            TRY(ContainerId id, ContainerId::parse(edge.parent.id));
            users.push_back(std::move(id));
        }
    }
    return users;
}

Result<std::optional<ContainerId>> container_name_owner(const ReadTxn& txn, std::string_view name) {
    TRY(const std::optional<std::string_view> owner, txn.get(Table::container_names, name));
    if (!owner) {
        return std::optional<ContainerId>{};
    }
    TRY(ContainerId id, ContainerId::parse(*owner));
    return std::optional<ContainerId>(std::move(id));
}

Result<ContainerMatch> ContainerStore::resolve(std::string_view text) const {
    const auto look = [text](const ReadTxn& txn) { return look_up(txn, text); };
    TRY(const Lookup durable, graph_->view(look));
    TRY(const Lookup running, run_->view(look));
    for (const auto member : {&Lookup::exact, &Lookup::by_name}) {
        if (durable.*member) {
            return ContainerMatch{*(durable.*member), ContainerHome::graph};
        }
        if (running.*member) {
            return ContainerMatch{*(running.*member), ContainerHome::run};
        }
    }
    if (durable.several || running.several || (durable.by_prefix && running.by_prefix)) {
        return Error(ErrorKind::invalid_argument,
                     "multiple IDs found with provided prefix: " + std::string(text));
    }
    if (durable.by_prefix) {
        return ContainerMatch{*durable.by_prefix, ContainerHome::graph};
    }
    if (running.by_prefix) {
        return ContainerMatch{*running.by_prefix, ContainerHome::run};
    }
    return no_such_container(text);
}

Result<ContainerStore::NameReservation> ContainerStore::reserve_name(const std::string& name,
                                                                     const ContainerId& id) {
    if (const auto other = reserved_.find(name); other != reserved_.end()) {
        return container_name_conflict(name, other->second);
    }
    const auto owner_in = [&name](const ReadTxn& txn) { return container_name_owner(txn, name); };
    for (const GraphDb* db : {graph_, run_}) {
        TRY(const std::optional<ContainerId> owner, db->view(owner_in));
        if (owner) {
            return container_name_conflict(name, *owner);
        }
    }
    reserved_.emplace(name, id);
    return NameReservation(*this, name);
}

Result<std::vector<Digest>> ContainerStore::pinned_chains() const {
    TRY(const std::vector<ContainerEntry> entries, run_->view(container_list));
    std::vector<Digest> chains;
    for (const ContainerEntry& entry : entries) {
        if (!entry.chain_id.empty()) {
            chains.push_back(entry.chain_id);
        }
        chains.insert(chains.end(), entry.mounted_chains.begin(), entry.mounted_chains.end());
    }
    std::ranges::sort(chains);
    chains.erase(std::ranges::unique(chains).begin(), chains.end());
    return chains;
}

}  // namespace davit
