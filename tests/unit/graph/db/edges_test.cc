// Goal: the graph keeps its promises: unique names, no cycles, both directions agree, removal takes
// what it should. Method: small graphs by hand; random operations against a model held in memory.
#include "graph/edges.h"

#include <map>
#include <random>
#include <set>

#include "tests/unit/graph/db/graph_fixture.h"

using namespace davit;
using davit::test::GraphFixture;
using davit::test::must;

namespace {

Entity image(const std::string& id) {
    return Entity{EntityKind::image, id};
}

Entity layer(const std::string& id) {
    return Entity{EntityKind::layer, id};
}

ErrorKind failure(GraphFixture& graph, FunctionRef<Result<void>(WriteTxn&)> f) {
    const Result<void> result = graph.db->update(f);
    REQUIRE_FALSE(result);
    return result.error().kind();
}

}  // namespace

TEST_CASE("edges: names, both directions, counts") {
    GraphFixture graph;
    graph.update([](WriteTxn& txn) -> Result<void> {
        for (const Entity& entity : {image("a"), image("b"), layer("x"), layer("y")}) {
            CHECK(must(entity_add(txn, entity)));
        }
        CHECK_FALSE(must(entity_add(txn, image("a"))));
        TRY_VOID(edge_add(txn, Edge{image("a"), "1", layer("y")}));
        TRY_VOID(edge_add(txn, Edge{image("a"), "0", layer("x")}));
        return edge_add(txn, Edge{image("b"), "0", layer("x")});
    });
    graph.view([](const ReadTxn& txn) -> Result<void> {
        CHECK(must(edges_from(txn, image("a"))) ==
              std::vector<Edge>{{image("a"), "0", layer("x")}, {image("a"), "1", layer("y")}});
        CHECK(must(edges_to(txn, layer("x"))) ==
              std::vector<Edge>{{image("a"), "0", layer("x")}, {image("b"), "0", layer("x")}});
        CHECK(must(refcount(txn, layer("x"))) == 2);
        CHECK(must(refcount(txn, image("a"))) == 0);
        CHECK(must(edges_check(txn)).empty());
        return ok;
    });
    CHECK(failure(graph, [](WriteTxn& txn) {
              return edge_add(txn, Edge{image("a"), "0", layer("y")});
          }) == ErrorKind::conflict);
    CHECK(failure(graph, [](WriteTxn& txn) {
              return edge_add(txn, Edge{image("none"), "0", layer("y")});
          }) == ErrorKind::not_found);
    CHECK(failure(graph, [](WriteTxn& txn) {
              return edge_add(txn, Edge{image("a"), "9", layer("none")});
          }) == ErrorKind::not_found);
    CHECK(failure(graph, [](WriteTxn& txn) {
              return edge_add(txn, Edge{image("a"), std::string("z\0", 2), layer("y")});
          }) == ErrorKind::invalid_argument);
}

TEST_CASE("edges: an id that begins like another is another") {
    GraphFixture graph;
    graph.update([](WriteTxn& txn) -> Result<void> {
        TRY_VOID(entity_add(txn, image("a")));
        TRY_VOID(entity_add(txn, image("ab")));
        TRY_VOID(entity_add(txn, layer("x")));
        return edge_add(txn, Edge{image("ab"), "0", layer("x")});
    });
    graph.view([](const ReadTxn& txn) -> Result<void> {
        CHECK(must(edges_from(txn, image("a"))).empty());
        return ok;
    });
}

TEST_CASE("edges: cycles are refused") {
    GraphFixture graph;
    graph.update([](WriteTxn& txn) -> Result<void> {
        for (const char* id : {"a", "b", "c"}) {
            TRY_VOID(entity_add(txn, image(id)));
        }
        TRY_VOID(edge_add(txn, Edge{image("a"), "e", image("b")}));
        return edge_add(txn, Edge{image("b"), "e", image("c")});
    });
    CHECK(failure(graph, [](WriteTxn& txn) {
              return edge_add(txn, Edge{image("c"), "e", image("a")});
          }) == ErrorKind::conflict);
    CHECK(failure(graph, [](WriteTxn& txn) {
              return edge_add(txn, Edge{image("a"), "self", image("a")});
          }) == ErrorKind::conflict);
}

TEST_CASE("edges: walk is depth first and can be stopped") {
    GraphFixture graph;
    graph.update([](WriteTxn& txn) -> Result<void> {
        for (const char* id : {"a", "b", "c", "d"}) {
            TRY_VOID(entity_add(txn, image(id)));
        }
        TRY_VOID(edge_add(txn, Edge{image("a"), "1", image("b")}));
        TRY_VOID(edge_add(txn, Edge{image("a"), "2", image("d")}));
        return edge_add(txn, Edge{image("b"), "1", image("c")});
    });
    graph.view([](const ReadTxn& txn) -> Result<void> {
        std::string seen;
        TRY_VOID(
            edges_walk(txn, image("a"), [&](const Edge& edge, std::size_t depth) -> Result<bool> {
                seen += edge.child.id + std::to_string(depth);
                return true;
            }));
        CHECK(seen == "b1c2d1");
        seen.clear();
        TRY_VOID(edges_walk(txn, image("a"), [&](const Edge& edge, std::size_t) -> Result<bool> {
            seen += edge.child.id;
            return edge.child.id != "c";
        }));
        CHECK(seen == "bc");
        return ok;
    });
}

TEST_CASE("edges: the checker sees each kind of damage") {
    GraphFixture graph;
    const auto set_up = [&graph] {
        graph.update([](WriteTxn& txn) -> Result<void> {
            TRY_VOID(entity_add(txn, image("a")));
            TRY_VOID(entity_add(txn, layer("x")));
            return edge_add(txn, Edge{image("a"), "0", layer("x")});
        });
    };
    set_up();
    const auto damaged = [&](Table table, const std::string& key) {
        graph.update([&](WriteTxn& txn) -> Result<void> {
            CHECK(must(txn.erase(table, key)));
            return ok;
        });
        const auto wrong = graph.view(edges_check);
        graph.update([](WriteTxn& txn) -> Result<void> {
            for (const Entity& entity : {image("a"), layer("x")}) {
                if (must(entity_exists(txn, entity))) {
                    TRY_VOID(entity_purge(txn, entity));
                }
            }
            // Damage may have hidden one direction from the purge.
            TRY_VOID(txn.erase(Table::edges_out,
                               std::string("ia\0"
                                           "0",
                                           4)));
            TRY_VOID(txn.erase(Table::edges_in,
                               std::string("lx\0ia\0"
                                           "0",
                                           7)));
            return ok;
        });
        set_up();
        return wrong;
    };
    CHECK(damaged(Table::entities, "ia") ==
          std::vector<std::string>{"edge 0 of image a: image a does not exist"});
    CHECK(damaged(Table::entities, "lx") ==
          std::vector<std::string>{"edge 0 of image a: layer x does not exist"});
    CHECK(damaged(Table::edges_in,
                  std::string("lx\0ia\0"
                              "0",
                              7)) ==
          std::vector<std::string>{"edge 0 of image a is not known to layer x"});
    CHECK(damaged(Table::edges_out,
                  std::string("ia\0"
                              "0",
                              4)) ==
          std::vector<std::string>{"an edge to layer x is not known to its parent"});
    CHECK(graph.view(edges_check).empty());
}

namespace {

/// The graph as it should be: parent -> name -> child.
struct Model {
    std::set<Entity> entities;
    std::map<Entity, std::map<std::string, Entity>> out;

    bool reaches(const Entity& from, const Entity& to) const {
        if (from == to) {
            return true;
        }
        const auto edges = out.find(from);
        if (edges == out.end()) {
            return false;
        }
        for (const auto& [name, child] : edges->second) {
            if (reaches(child, to)) {
                return true;
            }
        }
        return false;
    }

    std::size_t count_to(const Entity& entity) const {
        std::size_t count = 0;
        for (const auto& [parent, edges] : out) {
            for (const auto& [name, child] : edges) {
                count += child == entity ? 1 : 0;
            }
        }
        return count;
    }

    void purge(const Entity& entity) {
        out.erase(entity);
        for (auto& [parent, edges] : out) {
            std::erase_if(edges, [&](const auto& edge) { return edge.second == entity; });
        }
        entities.erase(entity);
    }
};

void random_step(GraphFixture& graph, Model& model, std::mt19937& random) {
    const auto pick = [&] {
        const auto number = random() % 8;
        return number < 4 ? image(std::to_string(number)) : layer(std::to_string(number));
    };
    const Entity a = pick();
    const Entity b = pick();
    const std::string name = std::to_string(random() % 3);
    switch (random() % 5) {
        case 0: {
            const bool added = graph.update([&](WriteTxn& txn) { return entity_add(txn, a); });
            REQUIRE(added == model.entities.insert(a).second);
            break;
        }
        case 1: {
            const bool possible = model.entities.contains(a) && model.entities.contains(b) &&
                                  !model.reaches(b, a) && !model.out[a].contains(name);
            const Result<void> added = graph.db->update([&](WriteTxn& txn) {
                return edge_add(txn, Edge{a, name, b});
            });
            REQUIRE(added.has_value() == possible);
            if (possible) {
                model.out[a][name] = b;
            }
            break;
        }
        case 2: {
            const bool removed =
                graph.update([&](WriteTxn& txn) { return edge_remove(txn, a, name); });
            REQUIRE(removed == (model.out[a].erase(name) == 1));
            break;
        }
        case 3: {
            const bool possible = model.entities.contains(a) && model.count_to(a) == 0;
            const auto removed =
                graph.db->update([&](WriteTxn& txn) { return entity_remove(txn, a); });
            REQUIRE(removed.has_value() == possible);
            if (possible) {
                model.purge(a);
            }
            break;
        }
        default: {
            const auto purged =
                graph.db->update([&](WriteTxn& txn) { return entity_purge(txn, a); });
            REQUIRE(purged.has_value() == model.entities.contains(a));
            model.purge(a);
            break;
        }
    }
}

}  // namespace

TEST_CASE("edges: random operations agree with a model") {
    GraphFixture graph;
    Model model;
    std::mt19937 random(7);
    for (int step = 0; step < 1500; ++step) {
        random_step(graph, model, random);
        if (step % 50 != 0) {
            continue;
        }
        graph.view([&](const ReadTxn& txn) -> Result<void> {
            REQUIRE(must(edges_check(txn)).empty());
            for (const Entity& entity : model.entities) {
                REQUIRE(must(refcount(txn, entity)) == model.count_to(entity));
                std::map<std::string, Entity> stored;
                for (const Edge& edge : must(edges_from(txn, entity))) {
                    stored[edge.name] = edge.child;
                }
                REQUIRE(stored == model.out[entity]);
            }
            return ok;
        });
    }
}
