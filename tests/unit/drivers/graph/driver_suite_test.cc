// Goal: whatever the driver, the same layers give the same root file system, what a container
// changes stays its own and is found, and nothing half-made is ever seen. Method: one suite over
// overlay, vfs and btrfs, the last on a loop-mounted file; what overlayfs makes of a stack is what
// the others are compared with. The process is killed at each step, and another takes over.
#include "tests/unit/drivers/graph/driver_suite.h"

#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <functional>

using namespace davit;
using namespace davit::test;

namespace {

const bool private_mounts = [] {
    mounts_are_private();
    return true;
}();

TarEntry with_xattr(TarEntry entry, std::string name, std::string value) {
    entry.xattrs.push_back({std::move(name), std::move(value)});
    return entry;
}

TarEntry device(std::string path, TarType type) {
    TarEntry entry = entry_of(type, std::move(path), 0600);
    entry.dev_major = 1;
    entry.dev_minor = 3;
    return entry;
}

/// vfs_cap_data: version 2, CAP_NET_RAW effective and permitted.
const std::string capability_value(
    "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    "\x00\x00\x00\x00",
    20);

/// Everything that a layer may have (each directory with an entry, so that its time is known), and
/// a layer that changes it in every way.
void rich_stack_add(GraphDriver& driver) {
    ArchiveBuilder lower;
    lower.file("kept", "lower").file("gone", "lower").file("changed", "lower");
    lower.directory("hidden", 0700).file("hidden/old", "lower").directory("hidden/deep");
    lower.directory("merged", 0750).file("merged/a", "1").file("merged/b", "2");
    lower.directory("to-file").file("to-file/inside", "x").file("to-directory", "x");
    lower.symlink("link", "kept").symlink("link-to-directory", "merged").symlink("dangling", "no");
    lower.directory("names").file("names/one", "two names").hardlink("names/two", "names/one");
    lower.add(entry_of(TarType::fifo, "fifo", 0640));
    lower.add(device("null", TarType::char_device)).add(device("block", TarType::block_device));
    lower.add(entry_of(TarType::file, "setuid", 04755), "x");
    lower.add(entry_of(TarType::directory, "sticky", 01777));
    TarEntry owned = entry_of(TarType::file, "owned", 02750);
    owned.uid = 1000;
    owned.gid = 2000;
    lower.add(owned, "x");
    lower.add(
        with_xattr(entry_of(TarType::file, "ping", 0755), "security.capability", capability_value),
        "x");
    lower.add(with_xattr(entry_of(TarType::file, "noted", 0644), "user.note", "lower"), "x");
    lower.add(with_xattr(entry_of(TarType::directory, "noted-dir", 0755), "user.a", "lower"));
    lower.directory("whole").file("whole/x", "x").directory("whole/y").file("whole/y/z", "z");
    layer_add(driver, "1", lower.build());

    ArchiveBuilder upper;
    upper.file(".wh.gone").file("changed", "upper").file(".wh.whole");
    upper.directory("hidden").file("hidden/.wh..wh..opq").file("hidden/new", "upper");
    upper.directory("merged").file("merged/b", "upper").file("merged/c", "upper");
    upper.file("to-file", "now a file").directory("to-directory").file("to-directory/in", "y");
    upper.file("link", "now a file");
    upper.directory("link-to-directory").file("link-to-directory/own", "not in merged");
    upper.add(with_xattr(entry_of(TarType::directory, "noted-dir", 0711), "user.b", "upper"));
    layer_add(driver, "2", upper.build());

    ArchiveBuilder top;
    top.file("gone", "back")
        .directory("hidden")
        .file("hidden/.wh.new")
        .directory("whole")
        .file("whole/fresh", "w");
    layer_add(driver, "3", top.build());
}

Listing rich_listing(DriverKind kind, const std::vector<std::string>& layers) {
    DriverWorld world(kind);
    rich_stack_add(world.driver());
    REQUIRE(world.driver().rw_create("c"));
    const Fd merged = must(world.mount(layers, "c"));
    return listing(path_of(merged));
}

}  // namespace

TEST_CASE("the same layers give the same files with every driver", "[drivers]") {
    static_cast<void>(private_mounts);
    for (const std::vector<std::string>& layers :
         {std::vector<std::string>{"1"}, {"1", "2"}, {"1", "2", "3"}, {"2"}}) {
        CAPTURE(layers.size());
        const Listing expected = rich_listing(DriverKind::overlay, layers);
        REQUIRE(expected.size() > 5);
        for (const DriverKind kind : driver_kinds) {
            CAPTURE(static_cast<int>(kind));
            const Listing found = rich_listing(kind, layers);
            for (const auto& [path, line] : expected) {
                CAPTURE(path);
                CHECK((found.contains(path) ? found.at(path) : "-") == line);
            }
            CHECK(found.size() == expected.size());
        }
    }
}

TEST_CASE("a container's changes are its own, and what rw_changes() tells", "[drivers]") {
    for (const DriverKind kind : driver_kinds) {
        CAPTURE(static_cast<int>(kind));
        DriverWorld world(kind);
        rich_stack_add(world.driver());
        const std::vector<std::string> layers = {"1", "2"};
        REQUIRE(world.driver().rw_create("c"));
        {
            const RwChanges untouched = world.changes(layers, "c");
            CHECK(names_in(path_of(untouched.directory())).empty());
        }
        const Fd merged = must(world.mount(layers, "c"));
        CHECK(names_in(path_of(world.changes(layers, "c").directory())).empty());
        REQUIRE(file_replace(merged.get(), "made", "here"));
        REQUIRE(file_replace(merged.get(), "kept", "changed"));
        REQUIRE(::unlinkat(merged.get(), "merged/a", 0) == 0);
        REQUIRE(remove_tree(merged.get(), "hidden"));
        REQUIRE(::mkdirat(merged.get(), "new-dir", 0751) == 0);
        REQUIRE(file_replace(merged.get(), "new-dir/file", "deep"));
        REQUIRE(::linkat(merged.get(), "new-dir/file", merged.get(), "new-dir/again", 0) == 0);
        REQUIRE(::fchmodat(merged.get(), "sticky", 0700, 0) == 0);
        {
            const RwChanges changes = world.changes(layers, "c");
            const Listing found = listing(path_of(changes.directory()));
            CHECK(
                names_in(path_of(changes.directory())) ==
                std::vector<std::string>{"hidden", "kept", "made", "merged", "new-dir", "sticky"});
            for (const char* whiteout : {"hidden", "merged/a"}) {
                CHECK(found.at(whiteout).starts_with("020000 "));
                CHECK(found.at(whiteout).find("rdev=0,0") != std::string::npos);
            }
            CHECK(found.at("new-dir").starts_with("040751"));
            CHECK(found.at("sticky").starts_with("040700"));
            CHECK(content(changes.directory(), "made") == "here");
            CHECK(content(changes.directory(), "new-dir/again") == "deep");
        }
        CHECK(names_in(world.base() + "/staging").empty());

        // Neither the layers nor another container have any of it.
        REQUIRE(world.driver().rw_create("d"));
        const Fd other = must(world.mount(layers, "d"));
        CHECK(content(other, "made") == "-");
        CHECK(content(other, "kept") == "lower");
        CHECK(content(other, "merged/a") == "1");
        const Fd image = must(world.mount(layers));
        CHECK(content(image, "kept") == "lower");
        CHECK_FALSE(file_replace(image.get(), "made", "here"));
        // The first is as it was left when it is mounted again.
        CHECK(content(must(world.mount(layers, "c")), "made") == "here");
    }
}

TEST_CASE("one layer, none, and more than 128", "[drivers]") {
    for (const DriverKind kind : driver_kinds) {
        CAPTURE(static_cast<int>(kind));
        DriverWorld world(kind);
        REQUIRE(world.driver().rw_create("empty"));
        const Fd empty = must(world.mount({}, "empty"));
        CHECK(file_replace(empty.get(), "a", "2"));
        CHECK(names_in(path_of(world.changes({}, "empty").directory())) ==
              std::vector<std::string>{"a"});
        CHECK_FALSE(world.mount({}));

        std::vector<std::string> ids;
        for (int i = 0; i < 150; ++i) {
            ids.push_back(std::to_string(i));
            ArchiveBuilder archive;
            archive.file("top", ids.back()).file("f" + ids.back(), "x");
            if (i > 0) {
                archive.file(".wh.f" + ids[static_cast<std::size_t>(i - 1)]);
            }
            layer_add(world.driver(), ids.back(), archive.build());
        }
        const Fd merged = must(world.mount(ids));
        CHECK(content(merged, "top") == "149");
        CHECK(names_in(path_of(merged)) == std::vector<std::string>{"f149", "top"});
        // And any prefix of it.
        ids.resize(1);
        CHECK(names_in(path_of(must(world.mount(ids)))) == std::vector<std::string>{"f0", "top"});
    }
}

TEST_CASE("many want the same root at once", "[drivers]") {
    for (const DriverKind kind : driver_kinds) {
        CAPTURE(static_cast<int>(kind));
        DriverWorld world(kind);
        rich_stack_add(world.driver());
        auto all = [](GraphDriver& driver) -> Task<void> {
            TaskGroup group;
            // A container's root is prepared twice at once, but mounted once: overlayfs makes its
            // work directory anew with every mount, also below one that is being made.
            auto one = [](GraphDriver& there, std::string name, bool mounts) -> Task<void> {
                RootfsSpec spec = DriverWorld::spec_of({"1", "2", "3"}, std::move(name));
                CO_CHECK(co_await there.prepare(spec));
                if (mounts) {
                    CO_TRY(const Fd root, co_await rootfs_mount(there, std::move(spec)));
                    CO_CHECK(file_read(root.get(), "whole/fresh"));
                }
                co_return ok;
            };
            for (const char* name : {"a", "b", "c"}) {
                CO_CHECK(driver.rw_create(name));
                group.spawn(one(driver, name, true));
                group.spawn(one(driver, name, false));
            }
            co_return co_await group.join();
        };
        const Result<void> done = world.run(all(world.driver()));
        INFO((done ? std::string() : done.error().message()));
        CHECK(done);
        CHECK(names_in(world.base() + "/staging").empty());
    }
}

TEST_CASE("what is not there cannot be mounted by any driver", "[drivers]") {
    for (const DriverKind kind : driver_kinds) {
        CAPTURE(static_cast<int>(kind));
        DriverWorld world(kind);
        layer_add(world.driver(), "1", ArchiveBuilder().file("a", "1").build());
        const auto missing = world.mount({"nothing", "1"});
        REQUIRE_FALSE(missing);
        CHECK(missing.error().kind() == ErrorKind::not_found);
        CHECK(missing.error().message().find("nothing") != std::string::npos);
        const auto nobody = world.mount({"1"}, "nobody");
        REQUIRE_FALSE(nobody);
        CHECK(nobody.error().kind() == ErrorKind::not_found);
        CHECK(world.driver().layer_stage("1").error().kind() == ErrorKind::conflict);
        REQUIRE(world.driver().rw_create("c"));
        CHECK(world.driver().rw_create("c").error().kind() == ErrorKind::conflict);
        CHECK(names_in(world.base() + "/staging").empty());
    }
}

TEST_CASE("removing takes everything, nested subvolumes too", "[drivers]") {
    for (const DriverKind kind : driver_kinds) {
        CAPTURE(static_cast<int>(kind));
        DriverWorld world(kind);
        rich_stack_add(world.driver());
        REQUIRE(world.driver().rw_create("c"));
        const std::vector<std::string> layers = {"1", "2"};
        {
            const Fd merged = must(world.mount(layers, "c"));
            if (kind == DriverKind::btrfs) {
                // As anybody may who can write there.
                REQUIRE(subvolume_create(merged.get(), "inner"));
                REQUIRE(subvolume_create(merged.get(), "inner/most"));
                REQUIRE(file_replace(merged.get(), "inner/most/file", "x"));
                REQUIRE(subvolume_snapshot(merged.get(), "inner", "snapshot"));
            }
            world.touch({"1", "2", "3"});
        }
        REQUIRE(world.driver().rw_remove("c"));
        CHECK(world.driver().rw_remove("c").error().kind() == ErrorKind::not_found);
        // The chains that lose a layer go with it; the others stay.
        world.touch({"1"});
        REQUIRE(world.driver().layer_remove("2"));
        CHECK_FALSE(world.driver().layer_exists("2"));
        CHECK_FALSE(world.mount(layers));
        if (world.is_flat()) {
            CHECK(names_in(world.base() + "/chains").size() == 1);
        }
        CHECK(content(must(world.mount({"1"})), "kept") == "lower");
        REQUIRE(world.driver().trash().empty_now());
        CHECK(names_in(world.base() + "/trash").empty());
        CHECK(names_in(world.base() + "/layers") == std::vector<std::string>{"1", "3"});
        CHECK(names_in(world.base() + "/rw").empty());
    }
}

namespace {

/// The life of a layer and a container, step by step.
struct Life {
    DriverWorld& world;
    std::optional<StagedLayer> staged;

    std::vector<std::function<void()>> steps() {
        GraphDriver& driver = world.driver();
        const std::string archive = ArchiveBuilder().file("a", "1").directory("d").build();
        return {
            [this, &driver] { staged.emplace(must(driver.layer_stage("new"))); },
            [this, archive] { REQUIRE(staged->writer->write(archive_bytes(archive))); },
            [this] {
                REQUIRE(staged->writer->finish());
                staged->writer.reset();
            },
            [this, &driver] { REQUIRE(driver.layer_publish(*staged)); },
            [&driver] { REQUIRE(driver.rw_create("new")); },
            [this] {
                world.touch({"old", "new"});
            },
            [this] {
                const Fd root = must(world.mount({"old", "new"}, "new"));
                REQUIRE(file_replace(root.get(), "b", "2"));
            },
            [this] {
                static_cast<void>(world.changes({"old", "new"}, "new"));
            },
            [&driver] { REQUIRE(driver.rw_remove("new")); },
            [&driver] { REQUIRE(driver.layer_remove("new")); },
        };
    }
};

/// Run f in a process that is then killed. Gives: false if f failed.
bool killed_after(const std::function<void()>& f) {
    const pid_t child = ::fork();
    if (child == 0) {
        f();
        ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    return ::waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGKILL;
}

void check_only_old(DriverWorld& world) {
    DriverKnown known;
    known.layer = known.rw = [](std::string_view name) { return name == "old"; };
    must(world.driver().recover(known));
    CHECK(must(world.driver().recover(known)) == 0);
    REQUIRE(world.driver().trash().empty_now());
    for (const char* directory : {"layers", "rw"}) {
        CHECK(names_in(world.base() + "/" + directory) == std::vector<std::string>{"old"});
    }
    for (const char* directory : {"staging", "trash"}) {
        CHECK(names_in(world.base() + "/" + directory).empty());
    }
    if (world.is_flat()) {
        CHECK(names_in(world.base() + "/chains").size() == 1);
    }
    const Fd root = must(world.mount({"old"}, "old"));
    CHECK(content(root, "kept") == "old");
    CHECK(content(root, "own") == "mine");
}

void old_add(DriverWorld& world) {
    layer_add(world.driver(), "old", ArchiveBuilder().file("kept", "old").build());
    REQUIRE(world.driver().rw_create("old"));
    const Fd root = must(world.mount({"old"}, "old"));
    REQUIRE(file_replace(root.get(), "own", "mine"));
}

}  // namespace

TEST_CASE("a kill after any step leaves nothing that recover() does not find", "[drivers]") {
    for (const DriverKind kind : driver_kinds) {
        for (std::size_t count = 0; count <= 10; ++count) {
            CAPTURE(static_cast<int>(kind), count);
            DriverWorld world(kind);
            old_add(world);
            REQUIRE(killed_after([&world, count] {
                Life life{world, std::nullopt};
                const auto steps = life.steps();
                REQUIRE(steps.size() == 10);
                for (std::size_t i = 0; i < count; ++i) {
                    steps[i]();
                }
            }));
            world.reopen();
            check_only_old(world);
        }
    }
}

TEST_CASE("a kill while a tree is being made leaves no tree", "[drivers]") {
    ArchiveBuilder many;
    for (int i = 0; i < 3000; ++i) {
        many.file("d" + std::to_string(i % 50) + "/" + std::to_string(i), "content");
    }
    const std::string archive = many.build();
    for (const DriverKind kind : driver_kinds) {
        DriverWorld world(kind);
        if (!world.is_flat()) {
            continue;
        }
        CAPTURE(static_cast<int>(kind));
        old_add(world);
        layer_add(world.driver(), "new", archive);
        const Fd events(::inotify_init1(IN_CLOEXEC));
        REQUIRE(::inotify_add_watch(events.get(), (world.base() + "/staging").c_str(), IN_CREATE) >=
                0);
        const pid_t child = ::fork();
        if (child == 0) {
            static_cast<void>(world.mount({"old", "new"}));
            ::_exit(0);
        }
        char buffer[4096];
        REQUIRE(::read(events.get(), buffer, sizeof(buffer)) > 0);
        ::kill(child, SIGKILL);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFSIGNALED(status));
        world.reopen();
        check_only_old(world);
    }
}

TEST_CASE("a cancelled prepare() gives everything back", "[drivers]") {
    for (const DriverKind kind : driver_kinds) {
        CAPTURE(static_cast<int>(kind));
        DriverWorld world(kind);
        rich_stack_add(world.driver());
        auto cancelled = [](GraphDriver& driver) -> Task<void> {
            CancelScope scope(nullptr);
            scope.cancel();
            RootfsSpec spec = DriverWorld::spec_of({"1", "2"}, {});
            Result<void> prepared = co_await driver.prepare(std::move(spec)).under(&scope);
            co_return prepared;
        };
        const Result<void> done = world.run(cancelled(world.driver()));
        if (world.is_flat()) {
            REQUIRE_FALSE(done);
            CHECK(done.error().kind() == ErrorKind::cancelled);
            CHECK(names_in(world.base() + "/chains").empty());
        }
        CHECK(names_in(world.base() + "/staging").empty());
        CHECK(content(must(world.mount({"1", "2"})), "changed") == "upper");
    }
}

TEST_CASE("a chain that is damaged is made again", "[drivers]") {
    for (const DriverKind kind : {DriverKind::vfs, DriverKind::btrfs}) {
        DriverWorld world(kind);
        rich_stack_add(world.driver());
        world.touch({"1", "2"});
        const std::string key = names_in(world.base() + "/chains").at(0);
        REQUIRE(file_replace(AT_FDCWD, world.base() + "/chains/" + key + "/layers", "1\n"));
        world.reopen();
        CHECK(names_in(world.base() + "/chains").empty());
        CHECK(content(must(world.mount({"1", "2"})), "changed") == "upper");
    }
}

TEST_CASE("btrfs is refused elsewhere", "[drivers]") {
    TempDir root;
    const auto refused = BtrfsDriver::open(root.path());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind() == ErrorKind::unsupported);
    CHECK(refused.error().message().find("needs a data root on btrfs") != std::string::npos);
}
