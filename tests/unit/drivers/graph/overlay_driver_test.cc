// Goal: layers are staged, published, stacked and removed; nothing half-done is ever seen, and what
// a crash leaves is found. Method: a real overlay on a private data root, with both ways of
// mounting.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "drivers/graph/overlay/overlay_mount.h"
#include "graph/whiteout.h"
#include "libcontainer/mount.h"
#include "tests/unit/drivers/graph/driver_support.h"

using namespace davit;
using namespace davit::test;

namespace {

const RootNeeded root_needed;

RootfsSpec spec_of(std::vector<std::string> layers, std::string rw_name = {}) {
    RootfsSpec spec;
    spec.layers = std::move(layers);
    spec.rw_name = std::move(rw_name);
    return spec;
}

/// A lower and an upper layer that changes it in every way.
void stack_add(GraphDriver& driver) {
    ArchiveBuilder lower;
    lower.file("kept", "lower").file("gone", "lower").file("changed", "lower");
    lower.directory("hidden").file("hidden/old", "lower");
    layer_add(driver, "1", lower.build());
    ArchiveBuilder upper;
    upper.file(".wh.gone").file("changed", "upper");
    upper.directory("hidden").file("hidden/.wh..wh..opq").file("hidden/new", "upper");
    layer_add(driver, "2", upper.build());
}

}  // namespace

TEST_CASE("layers are stacked, whiteouts and all, by either mount method", "[overlay]") {
    for (const OverlayMountMethod method :
         {OverlayMountMethod::append, OverlayMountMethod::string}) {
        CAPTURE(static_cast<int>(method));
        TempDir root;
        const auto driver = must(OverlayDriver::open(root.path()));
        driver->mount_method_set(method);
        stack_add(*driver);
        REQUIRE(driver->rw_create("c1"));
        const Fd merged = must(driver->mount(spec_of({"1", "2"}, "c1")));
        CHECK(content(merged, "kept") == "lower");
        CHECK(content(merged, "gone") == "-");
        CHECK(content(merged, "changed") == "upper");
        CHECK(content(merged, "hidden/old") == "-");
        CHECK(content(merged, "hidden/new") == "upper");

        // Changes go to the container's directory, not into the layers.
        REQUIRE(file_replace(merged.get(), "made", "here"));
        const Fd changes = must(driver->rw_open("c1"));
        CHECK(content(changes, "made") == "here");
        const Fd again = must(driver->mount(spec_of({"1", "2"})));
        CHECK(content(again, "made") == "-");
        CHECK(content(again, "changed") == "upper");
        CHECK_FALSE(file_replace(again.get(), "made", "here"));
    }
}

TEST_CASE("layers in a user namespace", "[.user_namespace]") {
    REQUIRE(overlay_xattrs_are_user());
    for (const OverlayMountMethod method :
         {OverlayMountMethod::append, OverlayMountMethod::string}) {
        CAPTURE(static_cast<int>(method));
        TempDir root;
        const auto driver = must(OverlayDriver::open(root.path()));
        driver->mount_method_set(method);
        CHECK(driver->status().back() == std::pair<std::string, std::string>("userxattr", "true"));
        stack_add(*driver);
        REQUIRE(driver->rw_create("c1"));
        const Fd merged = must(driver->mount(spec_of({"1", "2"}, "c1")));
        CHECK(content(merged, "kept") == "lower");
        CHECK(content(merged, "gone") == "-");
        CHECK(content(merged, "hidden/old") == "-");
        CHECK(content(merged, "hidden/new") == "upper");
        // What a container removes and replaces is found again by those who look for changes.
        REQUIRE(::unlinkat(merged.get(), "hidden/new", 0) == 0);
        REQUIRE(::unlinkat(merged.get(), "hidden", AT_REMOVEDIR) == 0);
        REQUIRE(::mkdirat(merged.get(), "hidden", 0755) == 0);
        const Fd changes = must(driver->rw_open("c1"));
        const Fd replaced = must(Fd::openat(changes.get(), "hidden", O_RDONLY | O_DIRECTORY));
        CHECK(is_opaque(replaced.get()));
        char value = 0;
        CHECK(::fgetxattr(replaced.get(), "user.overlay.opaque", &value, 1) == 1);
        CHECK(value == 'y');
    }
}

TEST_CASE("in a user namespace overlayfs' attributes are user.overlay", "[overlay]") {
    CHECK_FALSE(overlay_xattrs_are_user());
    const TempDir directory;
    const std::string output = directory.path() + "/output";
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ::dup2(file, STDOUT_FILENO);
        ::dup2(file, STDERR_FILENO);
        ::execlp("unshare",
                 "unshare",
                 "--user",
                 "--map-root-user",
                 "--mount",
                 self.c_str(),
                 "[.user_namespace]",
                 nullptr);
        std::_Exit(127);
    }
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    const std::string said = must(file_read(output));
    INFO(said);
    CHECK(status == 0);
    CHECK(said.find("All tests passed") != std::string::npos);
}

TEST_CASE("a layer's archive comes back, and its recipe is in no mount", "[overlay]") {
    TempDir root;
    const auto driver = must(OverlayDriver::open(root.path()));
    const std::string archive =
        ArchiveBuilder().file("a", "1").file(".wh.b").file("a", "2").build();
    layer_add(*driver, "1", archive);
    layer_add(*driver, "2", ArchiveBuilder().file("c").build());
    LayerArchive packed =
        must(LayerArchive::open(must(driver->layer_open("1")), sha256_of(archive)));
    REQUIRE(packed.bytes() == archive.size());
    std::vector<std::uint8_t> buffer(archive.size() + 1);
    REQUIRE(must(packed.read(buffer)) == archive.size());
    CHECK(std::string(buffer.begin(), buffer.end() - 1) == archive);
    const Fd mounted = must(driver->mount(spec_of({"1", "2"})));
    for (const char* name : {"recipe", "replaced"}) {
        CHECK(content(mounted, name) == "-");
    }
    CHECK(driver->layer_open("3").error().kind() == ErrorKind::not_found);
}

TEST_CASE("a layer that an image has twice", "[overlay]") {
    TempDir root;
    const auto driver = must(OverlayDriver::open(root.path()));
    layer_add(*driver, "1", ArchiveBuilder().file("a", "1").file("d/x", "1").build());
    layer_add(*driver, "2", ArchiveBuilder().file("a", "2").file(".wh.d").file("b", "2").build());
    const Fd mounted = must(driver->mount(spec_of({"1", "2", "1"})));
    CHECK(content(mounted, "a") == "1");
    CHECK(content(mounted, "b") == "2");
    CHECK(content(mounted, "d/x") == "1");
    CHECK(content(must(driver->mount(spec_of({"1", "1"}))), "a") == "1");
}

TEST_CASE("one layer, and none", "[overlay]") {
    TempDir root;
    const auto driver = must(OverlayDriver::open(root.path()));
    layer_add(*driver, "1", ArchiveBuilder().file("a", "1").build());
    CHECK(content(must(driver->mount(spec_of({"1"}))), "a") == "1");
    REQUIRE(driver->rw_create("c"));
    const Fd empty = must(driver->mount(spec_of({}, "c")));
    CHECK(content(empty, "a") == "-");
    CHECK(file_replace(empty.get(), "a", "2"));
    CHECK_FALSE(driver->mount(spec_of({})));
}

TEST_CASE("many layers", "[overlay]") {
    TempDir root;
    const auto driver = must(OverlayDriver::open(root.path()));
    std::vector<std::string> ids;
    for (int i = 0; i < 120; ++i) {
        ids.push_back(std::to_string(i));
        layer_add(*driver,
                  ids.back(),
                  ArchiveBuilder().file("top", ids.back()).file("f" + ids.back(), "x").build());
    }
    for (const OverlayMountMethod method :
         {OverlayMountMethod::append, OverlayMountMethod::string}) {
        driver->mount_method_set(method);
        const Fd merged = must(driver->mount(spec_of(ids)));
        CHECK(content(merged, "top") == "119");
        CHECK(content(merged, "f0") == "x");
    }
    for (int i = 120; i < 200; ++i) {
        ids.push_back(std::to_string(i));
        layer_add(*driver, ids.back(), ArchiveBuilder().file("top", ids.back()).build());
    }
    CHECK(content(must(driver->mount(spec_of(ids))), "top") == "199");
    for (int i = 200; i < 300; ++i) {
        ids.push_back(std::to_string(i));
        layer_add(*driver, ids.back(), ArchiveBuilder().file("top", ids.back()).build());
    }
    const auto refused = driver->mount(spec_of(ids));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind() == ErrorKind::resource_exhausted);
    driver->mount_method_set(OverlayMountMethod::append);
    CHECK(content(must(driver->mount(spec_of(ids))), "top") == "299");
}

TEST_CASE("a volatile root can be mounted again", "[overlay]") {
    TempDir root;
    const auto driver = must(OverlayDriver::open(root.path()));
    layer_add(*driver, "1", ArchiveBuilder().file("a", "1").build());
    REQUIRE(driver->rw_create("c"));
    RootfsSpec spec = spec_of({"1"}, "c");
    spec.rw_volatile = true;
    for (int i = 0; i < 3; ++i) {
        const Fd merged = must(driver->mount(spec));
        CHECK(file_replace(merged.get(), "b", std::to_string(i)));
    }
}

TEST_CASE("what is not there cannot be mounted", "[overlay]") {
    TempDir root;
    const auto driver = must(OverlayDriver::open(root.path()));
    layer_add(*driver, "1", ArchiveBuilder().file("a", "1").build());
    const auto missing = driver->mount(spec_of({"nothing", "1"}));
    REQUIRE_FALSE(missing);
    CHECK(missing.error().kind() == ErrorKind::not_found);
    CHECK(missing.error().message().find("nothing") != std::string::npos);
}

TEST_CASE("a data root with odd characters", "[overlay]") {
    TempDir root;
    for (const char* name : {"a:b", "a,b", "a\\b"}) {
        CAPTURE(name);
        const auto driver = must(OverlayDriver::open(root.path() + "/" + name));
        layer_add(*driver, "1", ArchiveBuilder().file("a", "1").build());
        REQUIRE(driver->rw_create("c"));
        CHECK(content(must(driver->mount(spec_of({"1"}, "c"))), "a") == "1");
    }
    const std::string deep = root.path() + "/" + std::string(250, 'x');
    const auto driver = must(OverlayDriver::open(deep));
    layer_add(*driver, "1", ArchiveBuilder().file("a", "1").build());
    CHECK(content(must(driver->mount(spec_of({"1"}))), "a") == "1");
}

TEST_CASE("a staged layer that is dropped is thrown away", "[overlay]") {
    TempDir root;
    const auto driver = must(OverlayDriver::open(root.path()));
    {
        StagedLayer staged = must(driver->layer_stage("1"));
        REQUIRE(staged.writer->write(archive_bytes(ArchiveBuilder().file("a", "1").build())));
        CHECK(names_in(root.path() + "/overlay/staging") == std::vector<std::string>{"1"});
        CHECK_FALSE(driver->layer_exists("1"));
    }
    CHECK(names_in(root.path() + "/overlay/staging").empty());
    CHECK(names_in(root.path() + "/overlay/trash").size() == 1);
    REQUIRE(driver->trash().empty_now());
    CHECK(names_in(root.path() + "/overlay/trash").empty());
    CHECK(names_in(root.path() + "/overlay/layers").empty());
}

TEST_CASE("cache ids and container names are used once", "[overlay]") {
    TempDir root;
    const auto driver = must(OverlayDriver::open(root.path()));
    layer_add(*driver, "1", ArchiveBuilder().build());
    CHECK(driver->layer_stage("1").error().kind() == ErrorKind::conflict);
    REQUIRE(driver->rw_create("c"));
    CHECK(driver->rw_create("c").error().kind() == ErrorKind::conflict);
    REQUIRE(driver->rw_remove("c"));
    CHECK(driver->rw_remove("c").error().kind() == ErrorKind::not_found);
    CHECK(driver->rw_create("c"));
    REQUIRE(driver->layer_remove("1"));
    CHECK(driver->layer_remove("1").error().kind() == ErrorKind::not_found);
    CHECK_FALSE(driver->layer_exists("1"));
}

TEST_CASE("a root file system outlives the removal of its parts", "[overlay]") {
    TempDir root;
    const auto driver = must(OverlayDriver::open(root.path()));
    layer_add(*driver, "1", ArchiveBuilder().file("a", "1").build());
    REQUIRE(driver->rw_create("c"));
    const Fd merged = must(driver->mount(spec_of({"1"}, "c")));
    REQUIRE(driver->layer_remove("1"));
    REQUIRE(driver->rw_remove("c"));
    CHECK(content(merged, "a") == "1");
    CHECK(file_replace(merged.get(), "b", "2"));
}

TEST_CASE("recover keeps what is known and nothing else", "[overlay]") {
    TempDir root;
    {
        const auto driver = must(OverlayDriver::open(root.path()));
        layer_add(*driver, "known", ArchiveBuilder().build());
        layer_add(*driver, "unknown", ArchiveBuilder().file("a", "1").build());
        REQUIRE(driver->rw_create("known"));
        REQUIRE(driver->rw_create("unknown"));
        REQUIRE(make_directories(root.path() + "/overlay/staging/half/diff"));
        REQUIRE(make_directories(root.path() + "/overlay/trash/7/diff"));
    }
    const auto driver = must(OverlayDriver::open(root.path()));
    DriverKnown known;
    known.layer = known.rw = [](std::string_view name) { return name == "known"; };
    CHECK(must(driver->recover(known)) == 3);
    REQUIRE(driver->trash().empty_now());
    const std::string base = root.path() + "/overlay/";
    CHECK(names_in(base + "layers") == std::vector<std::string>{"known"});
    CHECK(names_in(base + "rw") == std::vector<std::string>{"known"});
    CHECK(names_in(base + "staging").empty());
    CHECK(names_in(base + "trash").empty());
    CHECK(must(driver->recover(known)) == 0);
}

TEST_CASE("a file system that overlay cannot use is named", "[overlay]") {
    TempDir root;
    const auto outer = must(OverlayDriver::open(root.path()));
    REQUIRE(outer->rw_create("c"));
    layer_add(*outer, "1", ArchiveBuilder().build());
    const Fd merged = must(outer->mount(spec_of({"1"}, "c")));
    const std::string inside = "/proc/self/fd/" + std::to_string(merged.get());
    const auto refused = OverlayDriver::open(inside);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind() == ErrorKind::unsupported);
    CHECK(refused.error().message().find("file system overlay") != std::string::npos);
    CHECK(names_in(inside + "/overlay/staging").empty());
}

TEST_CASE("mounts at once are each of their own layers, by either mount method", "[overlay]") {
    for (const OverlayMountMethod method :
         {OverlayMountMethod::append, OverlayMountMethod::string}) {
        CAPTURE(static_cast<int>(method));
        TempDir root;
        const auto driver = must(OverlayDriver::open(root.path()));
        driver->mount_method_set(method);
        constexpr int mounters = 4;
        for (int i = 0; i < mounters; ++i) {
            const std::string id = std::to_string(i);
            layer_add(*driver, id, ArchiveBuilder().file("who", id).build());
        }
        std::atomic<int> wrong = 0;
        std::vector<std::thread> threads;
        for (int i = 0; i < mounters; ++i) {
            threads.emplace_back([&, id = std::to_string(i)] {
                constexpr int mounts = 100;
                for (int round = 0; round < mounts; ++round) {
                    const auto mounted = driver->mount(spec_of({id}));
                    wrong += mounted && content(*mounted, "who") == id ? 0 : 1;
                }
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        CHECK(wrong == 0);
    }
}

TEST_CASE("what a daemon that was killed had mounted for a moment is taken away", "[overlay]") {
    TempDir root;
    must(OverlayDriver::open(root.path()));
    const std::string place = root.path() + "/overlay/mountpoint";
    REQUIRE(make_directories(place));
    const auto mounted = [&] {
        return must(file_read("/proc/self/mountinfo", 64U << 20U)).find(place) != std::string::npos;
    };
    for (int i = 0; i < 2; ++i) {
        REQUIRE(::mount("tmpfs", place.c_str(), "tmpfs", 0, nullptr) == 0);
    }
    REQUIRE(mounted());
    must(OverlayDriver::open(root.path()));
    CHECK_FALSE(mounted());
}
