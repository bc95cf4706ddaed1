#include "graph/edges.h"

#include "reactor/base/limits.h"

namespace davit {

namespace {

/// Keys: entities "iID"; edges_out "iPARENT\0NAME" -> "lCHILD"; edges_in "lCHILD\0iPARENT\0NAME".
std::string key_of(const Entity& entity) {
    return static_cast<char>(entity.kind) + entity.id;
}

Entity entity_of(std::string_view key) {
    return Entity{static_cast<EntityKind>(key.empty() ? '?' : key.front()),
                  std::string(key.substr(key.empty() ? 0 : 1))};
}

std::string out_prefix(const Entity& parent) {
    return key_of(parent) + '\0';
}

std::string out_key(const Entity& parent, std::string_view name) {
    return out_prefix(parent).append(name);
}

std::string in_prefix(const Entity& child) {
    return key_of(child) + '\0';
}

std::string in_key(const Edge& edge) {
    return in_prefix(edge.child).append(out_key(edge.parent, edge.name));
}

Result<void> check_word(std::string_view word, std::string_view what) {
    if (word.empty() || word.find('\0') != std::string_view::npos) {
        return Error(ErrorKind::invalid_argument,
                     std::string(what) + " is empty or has a zero byte");
    }
    return ok;
}

Result<void> require(const ReadTxn& txn, const Entity& entity) {
    TRY(const bool exists, entity_exists(txn, entity));
    if (!exists) {
        return Error(ErrorKind::not_found, entity.describe() + " is not in the graph");
    }
    return ok;
}

/// True if target is from, or below it.
Result<bool> reaches(const ReadTxn& txn, const Entity& from, const Entity& target) {
    if (from == target) {
        return true;
    }
    bool found = false;
    TRY_VOID(edges_walk(txn, from, [&](const Edge& edge, std::size_t) -> Result<bool> {
        found = edge.child == target;
        return !found;
    }));
    return found;
}

Result<bool> walk_below(const ReadTxn& txn,
                        const Entity& parent,
                        std::size_t depth,
                        EdgeVisitor visit) {
    if (depth > limits::graph_depth_max) {
        return Error(ErrorKind::corrupt, "the graph is deeper than it can be: a cycle");
    }
    TRY(const std::vector<Edge> edges, edges_from(txn, parent));
    for (const Edge& edge : edges) {
        TRY(const bool go_on, visit(edge, depth));
        if (!go_on) {
            return false;
        }
        TRY(const bool below_done, walk_below(txn, edge.child, depth + 1, visit));
        if (!below_done) {
            return false;
        }
    }
    return true;
}

Result<void> erase_both(WriteTxn& txn, const Edge& edge) {
    TRY_VOID(txn.erase(Table::edges_out, out_key(edge.parent, edge.name)));
    TRY_VOID(txn.erase(Table::edges_in, in_key(edge)));
    return ok;
}

}  // namespace

std::string Entity::describe() const {
    switch (kind) {
        case EntityKind::image:
            return "image " + id;
        case EntityKind::chain:
            return "chain " + id;
        case EntityKind::layer:
            return "layer " + id;
        case EntityKind::container:
            return "container " + id;
        case EntityKind::lease:
            return "lease " + id;
    }
    return "unknown entity " + id;
}

Result<bool> entity_add(WriteTxn& txn, const Entity& entity) {
    TRY_VOID(check_word(entity.id, "id of an entity"));
    return txn.insert(Table::entities, key_of(entity), {});
}

Result<bool> entity_exists(const ReadTxn& txn, const Entity& entity) {
    return txn.contains(Table::entities, key_of(entity));
}

Result<void> edge_add(WriteTxn& txn, const Edge& edge) {
    TRY_VOID(check_word(edge.name, "name of an edge"));
    TRY_VOID(require(txn, edge.parent));
    TRY_VOID(require(txn, edge.child));
    TRY(const bool cycle, reaches(txn, edge.child, edge.parent));
    if (cycle) {
        return Error(ErrorKind::conflict,
                     edge.parent.describe() + " cannot hold " + edge.child.describe() +
                         ": it is below that itself");
    }
    TRY(const bool added,
        txn.insert(Table::edges_out, out_key(edge.parent, edge.name), key_of(edge.child)));
    if (!added) {
        return Error(ErrorKind::conflict,
                     edge.parent.describe() + " holds a " + edge.name + " already");
    }
    return txn.put(Table::edges_in, in_key(edge), {});
}

Result<bool> edge_remove(WriteTxn& txn, const Entity& parent, std::string_view name) {
    TRY(const std::optional<std::string_view> child,
        txn.get(Table::edges_out, out_key(parent, name)));
    if (!child) {
        return false;
    }
    const Edge edge{parent, std::string(name), entity_of(*child)};
    TRY_VOID(erase_both(txn, edge));
    return true;
}

Result<std::vector<Edge>> edges_from(const ReadTxn& txn, const Entity& parent) {
    std::vector<Edge> edges;
    const std::string prefix = out_prefix(parent);
    TRY_VOID(txn.scan(
        Table::edges_out,
        prefix,
        [&](std::string_view key, std::string_view value) -> Result<bool> {
            edges.push_back(Edge{parent, std::string(key.substr(prefix.size())), entity_of(value)});
            return true;
        }));
    return edges;
}

Result<std::vector<Edge>> edges_to(const ReadTxn& txn, const Entity& child) {
    std::vector<Edge> edges;
    const std::string prefix = in_prefix(child);
    TRY_VOID(txn.scan(Table::edges_in, prefix, [&](std::string_view key, auto) -> Result<bool> {
        const std::string_view rest = key.substr(prefix.size());
        const std::size_t zero = rest.find('\0');
        if (zero == std::string_view::npos) {
            return Error(ErrorKind::corrupt, "edge to " + child.describe() + " is damaged");
        }
        edges.push_back(
            Edge{entity_of(rest.substr(0, zero)), std::string(rest.substr(zero + 1)), child});
        return true;
    }));
    return edges;
}

Result<std::uint64_t> refcount(const ReadTxn& txn, const Entity& entity) {
    std::uint64_t count = 0;
    TRY_VOID(txn.scan(Table::edges_in, in_prefix(entity), [&](auto, auto) -> Result<bool> {
        ++count;
        return true;
    }));
    return count;
}

Result<void> edges_walk(const ReadTxn& txn, const Entity& parent, EdgeVisitor visit) {
    TRY_VOID(walk_below(txn, parent, 1, visit));
    return ok;
}

Result<std::vector<Entity>> entity_remove(WriteTxn& txn, const Entity& entity) {
    TRY_VOID(require(txn, entity));
    TRY(const std::uint64_t count, refcount(txn, entity));
    if (count > 0) {
        return Error(ErrorKind::conflict,
                     entity.describe() + " is still needed by " + std::to_string(count) +
                         (count == 1 ? " other" : " others"));
    }
    TRY(const std::vector<Edge> edges, edges_from(txn, entity));
    std::vector<Entity> children;
    for (const Edge& edge : edges) {
        TRY_VOID(erase_both(txn, edge));
        children.push_back(edge.child);
    }
    TRY_VOID(txn.erase(Table::entities, key_of(entity)));
    return children;
}

Result<std::uint64_t> entity_purge(WriteTxn& txn, const Entity& entity) {
    TRY_VOID(require(txn, entity));
    TRY(const std::vector<Edge> from, edges_from(txn, entity));
    TRY(const std::vector<Edge> to, edges_to(txn, entity));
    for (const Edge& edge : from) {
        TRY_VOID(erase_both(txn, edge));
    }
    for (const Edge& edge : to) {
        TRY_VOID(erase_both(txn, edge));
    }
    TRY_VOID(txn.erase(Table::entities, key_of(entity)));
    return std::uint64_t{from.size() + to.size()};
}

Result<std::vector<std::string>> edges_check(const ReadTxn& txn) {
    std::vector<std::string> wrong;
    const auto check_end = [&](const Entity& entity, const std::string& edge) -> Result<void> {
        TRY(const bool exists, entity_exists(txn, entity));
        if (!exists) {
            wrong.push_back(edge + ": " + entity.describe() + " does not exist");
        }
        return ok;
    };
    const auto check_out = [&](std::string_view key, std::string_view value) -> Result<bool> {
        const std::size_t zero = key.find('\0');
        const Edge edge{entity_of(key.substr(0, zero)),
                        std::string(zero == std::string_view::npos ? "" : key.substr(zero + 1)),
                        entity_of(value)};
        const std::string text = "edge " + edge.name + " of " + edge.parent.describe();
        TRY_VOID(check_end(edge.parent, text));
        TRY_VOID(check_end(edge.child, text));
        TRY(const bool mirrored, txn.contains(Table::edges_in, in_key(edge)));
        if (!mirrored) {
            wrong.push_back(text + " is not known to " + edge.child.describe());
        }
        return true;
    };
    TRY_VOID(txn.scan(Table::edges_out, {}, check_out));
    const auto check_in = [&](std::string_view key, std::string_view) -> Result<bool> {
        const std::size_t zero = key.find('\0');
        const std::string_view child = key.substr(0, zero);
        const std::string_view out =
            zero == std::string_view::npos ? std::string_view{} : key.substr(zero + 1);
        TRY(const std::optional<std::string_view> target, txn.get(Table::edges_out, out));
        if (!target || *target != child) {
            wrong.push_back("an edge to " + entity_of(child).describe() +
                            " is not known to its parent");
        }
        return true;
    };
    TRY_VOID(txn.scan(Table::edges_in, {}, check_in));
    return wrong;
}

namespace {

/// As check_out of edges_check() reads it.
Edge edge_of(std::string_view key, std::string_view value) {
    const std::size_t zero = key.find('\0');
    return Edge{entity_of(key.substr(0, zero)),
                std::string(zero == std::string_view::npos ? "" : key.substr(zero + 1)),
                entity_of(value)};
}

Result<std::vector<std::string>> keys_of(const ReadTxn& txn, Table table) {
    std::vector<std::string> keys;
    TRY_VOID(txn.scan(table, {}, [&](std::string_view key, auto) -> Result<bool> {
        keys.emplace_back(key);
        return true;
    }));
    return keys;
}

}  // namespace

Result<std::vector<std::string>> edges_repair(WriteTxn& txn) {
    std::vector<std::string> done;
    TRY(const std::vector<std::string> out_keys, keys_of(txn, Table::edges_out));
    for (const std::string& key : out_keys) {
        TRY(const std::optional<std::string_view> value, txn.get(Table::edges_out, key));
        const Edge edge = edge_of(key, value.value_or(std::string_view{}));
        const std::string text = "edge " + edge.name + " of " + edge.parent.describe();
        TRY(const bool from, entity_exists(txn, edge.parent));
        TRY(const bool to, entity_exists(txn, edge.child));
        if (!from || !to) {
            TRY_VOID(txn.erase(Table::edges_out, key));
            TRY_VOID(txn.erase(Table::edges_in, in_key(edge)));
            done.push_back("removed " + text + " to " + edge.child.describe());
            continue;
        }
        TRY(const bool added, txn.insert(Table::edges_in, in_key(edge), {}));
        if (added) {
            done.push_back("told " + edge.child.describe() + " of " + text);
        }
    }
    TRY(const std::vector<std::string> in_keys, keys_of(txn, Table::edges_in));
    for (const std::string& key : in_keys) {
        const std::size_t zero = key.find('\0');
        const std::string child = key.substr(0, zero);
        const std::string out = zero == std::string::npos ? std::string() : key.substr(zero + 1);
        TRY(const std::optional<std::string_view> target, txn.get(Table::edges_out, out));
        if (!target || *target != child) {
            TRY_VOID(txn.erase(Table::edges_in, key));
            done.push_back("removed an edge to " + entity_of(child).describe() +
                           " that its parent does not know");
        }
    }
    return done;
}

}  // namespace davit
