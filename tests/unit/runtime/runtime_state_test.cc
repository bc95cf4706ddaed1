// Goal: what one command of the runtime writes the next one reads; one container has one directory.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "tests/unit/runtime/runtime_support.h"

#include "runtime/state.h"

using namespace davit;
using namespace davit::test;

namespace {

struct Root {
    std::string path = "/tmp/davit-runtime-XXXXXX";

    Root() { REQUIRE(::mkdtemp(path.data()) != nullptr); }

    ~Root() { static_cast<void>(remove_tree(AT_FDCWD, path)); }

    Root(const Root&) = delete;
    Root& operator=(const Root&) = delete;
};

RuntimeState some_state() {
    RuntimeState state;
    state.id = "box";
    state.bundle = "/b";
    state.rootfs = "/b/rootfs";
    state.cgroup = "/c/box";
    state.created = "2026-01-02T03:04:05Z";
    state.owner = "root";
    state.annotations = {{"a", "b\n"}};
    state.pid = ::getpid();
    state.pid_started = process_started(state.pid);
    state.has_keyring = false;
    return state;
}

}  // namespace

TEST_CASE("a state is read as it was written", "[runtime]") {
    const Root root;
    const auto made = RuntimeDirectory::make(root.path, "box");
    REQUIRE(made);
    CHECK(failure(made->load()).starts_with("not_found"));
    const RuntimeState state = some_state();
    REQUIRE(made->store(state));
    const auto read = made->load();
    REQUIRE(read);
    CHECK(runtime_state_json(*read, RuntimeStatus::running, true) ==
          runtime_state_json(state, RuntimeStatus::running, true));
    CHECK(read->cgroup == "/c/box");
    CHECK(read->pid_started == state.pid_started);
    CHECK_FALSE(read->has_keyring);
    CHECK(runtime_state_json(state, RuntimeStatus::stopped, false) ==
          R"({"ociVersion":"1.2.0","id":"box","pid":0,"status":"stopped","bundle":"/b",)"
          R"("annotations":{"a":"b\n"}})");
    REQUIRE(file_replace(AT_FDCWD, root.path + "/box/state.json", "{\"pid\":\"x\"}"));
    CHECK(failure(made->load()).starts_with("corrupt: "));
}

TEST_CASE("an id is one container's", "[runtime]") {
    const Root root;
    CHECK(failure(RuntimeDirectory::open(root.path, "box")) ==
          "not_found: container does not exist");
    const auto made = RuntimeDirectory::make(root.path, "box");
    REQUIRE(made);
    CHECK(failure(RuntimeDirectory::make(root.path, "box")) ==
          "conflict: container with given ID already exists");
    const auto list = RuntimeDirectory::list(root.path);
    REQUIRE(list);
    CHECK(*list == std::vector<std::string>{"box"});
    REQUIRE(made->remove());
    CHECK(RuntimeDirectory::list(root.path)->empty());
    CHECK(RuntimeDirectory::list(root.path + "/none")->empty());
    for (const std::string& id :
         {std::string(), std::string(".."), std::string("a/b"), std::string("a b")}) {
        CHECK(failure(RuntimeDirectory::make(root.path, id)).starts_with("invalid_argument"));
    }
}

TEST_CASE("while it is made, a container is locked", "[runtime]") {
    const Root root;
    auto made = RuntimeDirectory::make(root.path, "box");
    REQUIRE(made);
    const auto other = RuntimeDirectory::open(root.path, "box");
    REQUIRE(other);
    CHECK(other->is_locked());
    made->unlock();
    CHECK_FALSE(other->is_locked());
}

TEST_CASE("a start is for who waits for it, once", "[runtime]") {
    const Root root;
    const auto made = RuntimeDirectory::make(root.path, "box");
    REQUIRE(made);
    CHECK_FALSE(made->start_waits());
    {
        const auto fifo = made->start_make();
        REQUIRE(fifo);
        CHECK(made->start_waits());
        REQUIRE(made->start_release());
        char byte = 0;
        CHECK(::read(fifo->get(), &byte, 1) == 1);
        CHECK_FALSE(made->start_waits());
    }
    REQUIRE(made->start_make());  // And closed again: its init has died.
    CHECK(failure(made->start_release()) == "conflict: cannot start a container that has stopped");
}

TEST_CASE("a pid that is somebody else's now", "[runtime]") {
    RuntimeState state = some_state();
    CHECK(runtime_init(state));
    ++state.pid_started;
    CHECK(failure(runtime_init(state)) == "not_found: container not running");
    state.pid = 0;
    CHECK(failure(runtime_init(state)) == "not_found: container not running");
    const pid_t child = ::fork();
    if (child == 0) {
        ::_exit(0);
    }
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
    CHECK(process_started(child) == 0);  // A zombie.
    REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED) == 0);
}
