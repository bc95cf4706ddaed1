#pragma once
/// The graph: entities, and named edges from a parent to a child.
///
/// What an edge means is that the parent needs the child: an image its chain, a chain its layers, a
/// container its image. So an entity may go when nothing points at it, and what it alone pointed at
/// may go with it. This is the GraphDB of classic Docker (entities, edges, refcount, walk, purge)
/// with one difference: an edge is removed by its name, and entities never vanish by themselves.
///
/// Names are unique below a parent. There are no cycles. Every edge is stored twice, once by parent
/// and once by child; edges_check() tells whether the two agree.
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graph/txn.h"

namespace davit {

enum class EntityKind : char {
    image = 'i',      ///< id: config digest
    chain = 'c',      ///< id: chain id
    layer = 'l',      ///< id: cache id
    container = 'k',  ///< id: container id
    lease = 'e',      ///< id: of a pull, load or build in progress
};

struct Entity {
    EntityKind kind = EntityKind::image;
    std::string id;

    /// "image sha256:...", for messages.
    std::string describe() const;

    auto operator<=>(const Entity&) const = default;
};

struct Edge {
    Entity parent;
    std::string name;
    Entity child;

    auto operator<=>(const Edge&) const = default;
};

/// Errors of all below: invalid_argument (an id or name that is empty, too long, or has a zero
/// byte); not_found (an entity that is not there); those of the transaction.

/// False if it is there already.
Result<bool> entity_add(WriteTxn& txn, const Entity& entity);
Result<bool> entity_exists(const ReadTxn& txn, const Entity& entity);

/// Errors: conflict, if the parent has a child of this name already, or the edge would close a
/// cycle.
Result<void> edge_add(WriteTxn& txn, const Edge& edge);

/// False if there is no such edge.
Result<bool> edge_remove(WriteTxn& txn, const Entity& parent, std::string_view name);

/// In the order of names.
Result<std::vector<Edge>> edges_from(const ReadTxn& txn, const Entity& parent);

/// In the order of parents, then names.
Result<std::vector<Edge>> edges_to(const ReadTxn& txn, const Entity& child);

/// The number of edges that point at the entity.
Result<std::uint64_t> refcount(const ReadTxn& txn, const Entity& entity);

/// Visit every edge below parent, depth first, children in the order of names; an entity that is
/// reached twice is visited twice. Stops when the visitor returns false.
/// Limits: graph_depth_max; deeper is corrupt.
using EdgeVisitor = FunctionRef<Result<bool>(const Edge& edge, std::size_t depth)>;
Result<void> edges_walk(const ReadTxn& txn, const Entity& parent, EdgeVisitor visit);

/// Remove an entity with the edges from it.
/// Gives:  its former children, in the order of names.
/// Errors: conflict, if something still points at it.
Result<std::vector<Entity>> entity_remove(WriteTxn& txn, const Entity& entity);

/// Remove an entity with every edge from it and to it. Gives: the number of edges removed.
Result<std::uint64_t> entity_purge(WriteTxn& txn, const Entity& entity);

/// What is wrong with the stored graph, in words; empty if nothing is.
Result<std::vector<std::string>> edges_check(const ReadTxn& txn);

/// Make edges_check() find nothing: edges to or from what does not exist go, and what a child knows
/// of its parents is made again from what the parents know. Gives: what was done, in words.
Result<std::vector<std::string>> edges_repair(WriteTxn& txn);

}  // namespace davit
