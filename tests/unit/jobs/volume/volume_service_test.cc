// Goal: volumes are made once, kept as long as they are used, and known again to the next daemon.
// Method: the service on databases and directories of its own; a second service over the same ones
// is the next daemon.
#include "jobs/volume/volume_service.h"

#include <unistd.h>

#include "reactor/loop.h"
#include "reactor/task_group.h"
#include "tests/support/catch.h"
#include "tests/unit/graph/db/temp_dir.h"

using namespace davit;
using davit::test::must;
using davit::test::TempDir;

namespace {

struct World {
    World() { open(); }

    void open() {
        service.reset();
        writer.reset();
        graph.reset();
        run.reset();
        GraphDbOptions options;
        options.durability = Durability::volatile_;
        options.directory = dir.path() + "/graph";
        graph = must(GraphDb::open(options));
        options.directory = dir.path() + "/run";
        run = must(GraphDb::open(options));
        writer = std::make_unique<GraphWriter>(*graph);
        service = std::make_unique<VolumeService>(*graph, *writer, *run, events);
        must(loop.run(service->load(dir.path() + "/volumes")));
    }

    std::shared_ptr<Volume> create(const std::string& name, const std::string& user = "") {
        VolumeRequest request;
        request.name = name;
        return must(loop.run(service->create(std::move(request), user)));
    }

    std::string refusal(VolumeRequest request) {
        auto made = loop.run(service->create(std::move(request), ""));
        REQUIRE_FALSE(made);
        return std::string(error_kind_name(made.error().kind())) + ": " + made.error().message();
    }

    std::string remove(const std::string& name) {
        const auto removed = loop.run(service->remove(name));
        return removed ? "" : removed.error().message();
    }

    std::vector<std::string> names() const {
        std::vector<std::string> names;
        for (const auto& volume : service->list()) {
            names.push_back(volume->record.name);
        }
        return names;
    }

    std::vector<std::string> actions() const {
        std::vector<std::string> actions;
        for (std::uint64_t number = 1; number < events.next_sequence(); ++number) {
            const Event* event = must(events.find(number));
            actions.push_back(event->action + " " + event->actor_id);
        }
        return actions;
    }

    bool has(const std::string& below) const {
        return ::access((dir.path() + "/volumes/" + below).c_str(), F_OK) == 0;
    }

    TempDir dir;
    Loop loop;
    EventBus events;
    std::unique_ptr<GraphDb> graph;
    std::unique_ptr<GraphDb> run;
    std::unique_ptr<GraphWriter> writer;
    std::unique_ptr<VolumeService> service;
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("the same volume is made once", "[volumes]") {
    World world;
    const auto first = world.create("vol");
    CHECK(world.create("vol") == first);
    CHECK(world.has("vol/_data"));
    CHECK(world.actions() == Names{"create vol"});
    VolumeRequest other;
    other.name = "vol";
    other.driver = "odd";
    CHECK(world.refusal(other) ==
          "not_found: create vol: error looking up volume plugin odd: plugin \"odd\" not found");
    other.driver = "local";
    other.options = {{"type", "tmpfs"}, {"device", "tmpfs"}};
    CHECK_THAT(world.refusal(other), Catch::StartsWith("conflict: create vol: "));
    other.name = "a/b";
    CHECK_THAT(world.refusal(other), Catch::StartsWith("invalid_argument: create a/b: \"a/b\""));
    CHECK(world.names() == Names{"vol"});
}

TEST_CASE("many who want the same volume get one", "[volumes]") {
    World world;
    std::set<Volume*> made;
    auto all = [](World& w, std::set<Volume*>& found) -> Task<void> {
        auto one = [](World& inner, std::set<Volume*>& seen) -> Task<void> {
            VolumeRequest request;
            request.name = "vol";
            CO_TRY(const auto volume, co_await inner.service->create(std::move(request), "user"));
            seen.insert(volume.get());
            co_return ok;
        };
        TaskGroup group;
        for (int i = 0; i < 20; ++i) {
            group.spawn(one(w, found));
        }
        co_return co_await group.join();
    };
    must(world.loop.run(all(world, made)));
    CHECK(made.size() == 1);
    CHECK(world.actions() == Names{"create vol"});
}

TEST_CASE("what is used stays", "[volumes]") {
    World world;
    const auto volume = world.create("vol", "container");
    CHECK(world.remove("vol") == "remove vol: volume is in use - [container]");
    volume->users.clear();
    CHECK(world.remove("vol").empty());
    CHECK(world.remove("vol") == "get vol: no such volume");
    CHECK_FALSE(world.has("vol"));
    CHECK(world.names().empty());
    CHECK(world.create("vol") != volume);
}

TEST_CASE("the next daemon knows them all", "[volumes]") {
    World world;
    VolumeRequest request;
    request.name = "full";
    request.labels = {{"l", "1"}};
    request.options = {{"type", "tmpfs"}, {"device", "tmpfs"}};
    must(world.loop.run(world.service->create(request, "")));
    const std::string made_up = world.create("")->record.name;
    CHECK(made_up.size() == 64);
    const VolumeRecord before = must(world.service->find("full"))->record;
    world.open();
    CHECK(must(world.service->find("full"))->record == before);
    CHECK(
        must(world.service->find(made_up))->record.labels.contains("com.docker.volume.anonymous"));
}

TEST_CASE("an anonymous volume is seen when its record is committed", "[volumes]") {
    World world;
    const auto volume = must(world.service->stage({}, "container", ContainerHome::graph));
    const std::string name = volume->record.name;
    CHECK(world.names().empty());
    SECTION("the daemon dies before") {
        world.open();
        CHECK(world.names().empty());
        CHECK_FALSE(world.has(name));
    }
    SECTION("the daemon dies after") {
        must(world.graph->update(
            [&](WriteTxn& txn) { return VolumeService::record_insert(txn, *volume); }));
        world.open();
        CHECK(world.names() == Names{name});
        CHECK(world.has(name + "/_data"));
    }
    SECTION("nobody dies") {
        must(world.graph->update(
            [&](WriteTxn& txn) { return VolumeService::record_insert(txn, *volume); }));
        must(world.service->published(volume));
        CHECK(world.names() == Names{name});
        CHECK(world.remove(name) == "remove " + name + ": volume is in use - [container]");
    }
}

TEST_CASE("a removal that was begun is finished", "[volumes]") {
    World world;
    world.create("vol");
    must(world.service->directory().retire("vol"));
    world.open();
    CHECK(world.names().empty());
    CHECK_FALSE(world.has(".removed/vol"));
    world.create("vol");
    CHECK(world.names() == Names{"vol"});
}

TEST_CASE("volumes of a boot go with it, unless others have come to use them", "[volumes]") {
    World world;
    for (const std::string name : {"gone", "kept"}) {
        VolumeRequest request;
        request.name = name;
        const auto volume = must(world.service->stage(request, "c", ContainerHome::run));
        must(world.run->update(
            [&](WriteTxn& txn) { return VolumeService::record_insert(txn, *volume); }));
        must(world.service->published(volume));
    }
    must(world.loop.run(world.service->keep(must(world.service->find("kept")))));
    world.open();
    CHECK(world.names() == Names{"gone", "kept"});
    must(remove_tree(AT_FDCWD, world.dir.path() + "/run"));
    world.open();
    CHECK(world.names() == Names{"kept"});
    CHECK_FALSE(world.has("gone"));
}

TEST_CASE("a prune takes what nobody uses and the filter admits", "[volumes]") {
    World world;
    for (const std::string name : {"one", "two", "used"}) {
        world.create(name, name == "used" ? "container" : "");
        must(file_replace(AT_FDCWD, world.dir.path() + "/volumes/" + name + "/_data/f", "12345"));
    }
    std::function<bool(const VolumeRecord&)> admits = [](const VolumeRecord& record) {
        return record.name != "two";
    };
    const VolumesPruned pruned = must(world.loop.run(world.service->prune(admits)));
    CHECK(pruned.names == Names{"one"});
    CHECK(pruned.bytes == 5);
    CHECK(world.names() == Names{"two", "used"});
}
