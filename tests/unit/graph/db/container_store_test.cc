// Goal: ids and names of containers are unique across both databases, and a container keeps what it
// runs on. Method: containers in both homes, looked up, renamed, removed.
#include "graph/container_store.h"

#include "tests/unit/graph/db/graph_fixture.h"

using namespace davit;
using davit::test::GraphFixture;
using davit::test::must;
using davit::test::nothing_pinned;
using davit::test::Words;

namespace {

struct Containers : GraphFixture {
    Containers() : store(*db, *run) {}

    ContainerId create(ContainerHome home,
                       const std::string& name,
                       const std::string& prefix = "",
                       const Digest& image = {},
                       const Digest& chain = {}) {
        ContainerEntry entry;
        const std::string hex = prefix + ContainerId::generate().str().substr(prefix.size());
        entry.id = must(ContainerId::parse(hex));
        entry.name = name;
        entry.image = image;
        entry.chain_id = chain;
        entry.record = "{\"name\":\"" + name + "\"}";
        must(store.database(home).update(
            [&](WriteTxn& txn) { return container_create(txn, home, entry); }));
        return entry.id;
    }

    std::string record_of(ContainerHome home, const ContainerId& id) {
        const auto entry = must(
            store.database(home).view([&](const ReadTxn& txn) { return container_get(txn, id); }));
        return entry ? entry->record : "<none>";
    }

    Error resolve_failure(const std::string& text) {
        auto match = store.resolve(text);
        REQUIRE_FALSE(match);
        return std::move(match).error();
    }

    ContainerStore store;
};

}  // namespace

TEST_CASE("container lookup: id, name, prefix, over both databases") {
    Containers box;
    const ContainerId web = box.create(ContainerHome::graph, "/web", "aaa1");
    const ContainerId job = box.create(ContainerHome::run, "/job", "aaa2");
    const ContainerId odd = box.create(ContainerHome::run, "/aaa1", "bbb");
    CHECK(must(box.store.resolve(web.str())).home == ContainerHome::graph);
    CHECK(must(box.store.resolve("web")).id == web);
    CHECK(must(box.store.resolve("/job")).id == job);
    CHECK(must(box.store.resolve("job")).home == ContainerHome::run);
    CHECK(must(box.store.resolve("aaa2")).id == job);
    CHECK(must(box.store.resolve("aaa1")).id == odd);  // A name wins over a prefix.
    CHECK(must(box.store.resolve(web.short_id())).id == web);
    const Error several = box.resolve_failure("aaa");
    CHECK(several.kind() == ErrorKind::invalid_argument);
    CHECK(several.message() == "multiple IDs found with provided prefix: aaa");
    CHECK(box.resolve_failure("zzz").message() == "No such container: zzz");
    CHECK(box.resolve_failure("zzz").kind() == ErrorKind::not_found);
    CHECK(box.resolve_failure("").kind() == ErrorKind::not_found);
    CHECK(box.resolve_failure("/").kind() == ErrorKind::not_found);
    CHECK(box.resolve_failure(std::string(64, 'c')).kind() == ErrorKind::not_found);
}

TEST_CASE("container names are taken once") {
    Containers box;
    const ContainerId web = box.create(ContainerHome::graph, "/web");
    const ContainerId other = ContainerId::generate();
    ContainerEntry entry;
    entry.id = other;
    entry.name = "/web";
    const auto again = box.db->update(
        [&](WriteTxn& txn) { return container_create(txn, ContainerHome::graph, entry); });
    REQUIRE_FALSE(again);
    CHECK(again.error().kind() == ErrorKind::conflict);
    CHECK(again.error().message() ==
          "Conflict. The container name \"/web\" is already in use by container \"" + web.str() +
              "\". You have to remove (or rename) that container to be able to reuse that name.");
    CHECK(box.record_of(ContainerHome::graph, other) == "<none>");
    // The same across databases, and for a name that is still being created.
    CHECK(box.store.reserve_name("/web", other).error().kind() == ErrorKind::conflict);
    box.create(ContainerHome::run, "/job");
    CHECK(box.store.reserve_name("/job", other).error().kind() == ErrorKind::conflict);
    {
        const auto reserved = must(box.store.reserve_name("/new", other));
        CHECK(box.store.reserve_name("/new", web).error().message().find(other.str()) !=
              std::string::npos);
    }
    CHECK(box.store.reserve_name("/new", web));
    box.check();
}

TEST_CASE("container records are updated, renamed, removed") {
    Containers box;
    for (const ContainerHome home : {ContainerHome::graph, ContainerHome::run}) {
        const ContainerId web = box.create(home, "/web" + std::to_string(int(home)));
        const ContainerId db = box.create(home, "/db" + std::to_string(int(home)));
        const auto update = [&](FunctionRef<Result<void>(WriteTxn&)> f) {
            return box.store.database(home).update(f);
        };
        must(update([&](WriteTxn& txn) { return container_update(txn, web, "changed"); }));
        CHECK(box.record_of(home, web) == "changed");
        const std::string db_name = "/db" + std::to_string(int(home));
        CHECK(update([&](WriteTxn& txn) { return container_rename(txn, web, db_name); })
                  .error()
                  .kind() == ErrorKind::conflict);
        must(update([&](WriteTxn& txn) { return container_rename(txn, db, db_name); }));
        const std::string fresh = "/fresh" + std::to_string(int(home));
        must(update([&](WriteTxn& txn) { return container_rename(txn, db, fresh); }));
        CHECK(must(box.store.resolve(fresh)).id == db);
        CHECK_FALSE(box.store.resolve(db_name));
        const auto erase = [&](WriteTxn& txn) -> Result<void> {
            TRY_VOID(container_erase(txn, home, db));
            return ok;
        };
        must(update(erase));
        CHECK_FALSE(box.store.resolve(fresh));
        CHECK_FALSE(box.store.resolve(db.str()));
        CHECK(update(erase).error().message() == "No such container: " + db.str());
        CHECK(
            update([&](WriteTxn& txn) { return container_update(txn, db, "x"); }).error().kind() ==
            ErrorKind::not_found);
    }
    box.check();
}

TEST_CASE("container holds its image and chain in the graph") {
    Containers box;
    const Digest image = box.pull("one", {"a", "b"});
    const Digest chain = chain_id(GraphFixture::diffs_of({"a", "b"}));
    const ContainerId web = box.create(ContainerHome::graph, "/web", "", image, chain);
    CHECK(box.view([&](const ReadTxn& txn) { return image_users(txn, image); }) ==
          std::vector<ContainerId>{web});
    const auto erased = box.db->update([&](WriteTxn& txn) { return image_erase(txn, image); });
    CHECK(erased.error().kind() == ErrorKind::conflict);
    box.check();
    box.update([&](WriteTxn& txn) -> Result<void> {
        TRY(const std::vector<Digest> held, container_erase(txn, ContainerHome::graph, web));
        CHECK(held == chain);
        TRY_VOID(image_erase(txn, image));
        TRY(const Words removed, chain_collect(txn, held, nothing_pinned));
        CHECK(removed.size() == 2);
        return ok;
    });
    box.check();
    // An image that is not there cannot be held.
    ContainerEntry entry;
    entry.id = ContainerId::generate();
    entry.image = image;
    CHECK(box.db
              ->update(
                  [&](WriteTxn& txn) { return container_create(txn, ContainerHome::graph, entry); })
              .error()
              .kind() == ErrorKind::not_found);
}

TEST_CASE("containers of the run database pin their chains") {
    Containers box;
    const Digest one = sha256_of("chain one");
    const Digest two = sha256_of("chain two");
    box.create(ContainerHome::run, "/a", "", sha256_of("image"), one);
    box.create(ContainerHome::run, "/b", "", sha256_of("image"), one);
    const ContainerId last = box.create(ContainerHome::run, "", "", sha256_of("image"), two);
    std::vector<Digest> both = {one, two};
    std::ranges::sort(both);
    CHECK(must(box.store.pinned_chains()) == both);
    must(box.run->update([&](WriteTxn& txn) -> Result<void> {
        TRY(const std::vector<Digest> held, container_erase(txn, ContainerHome::run, last));
        CHECK(chain == two);
        return ok;
    }));
    CHECK(must(box.store.pinned_chains()) == std::vector<Digest>{one});
}
