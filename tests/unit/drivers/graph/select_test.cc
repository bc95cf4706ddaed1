// Goal: a data root keeps its storage driver, and what cannot be had is refused with what to use
// instead. Method: real data roots, on ext4 or whatever /tmp is, on a loop-mounted btrfs, and on
// overlayfs, where overlayfs cannot be mounted.
#include "drivers/graph/select.h"

#include "tests/unit/drivers/graph/driver_suite.h"

using namespace davit;
using namespace davit::test;

namespace {

const bool private_mounts = [] {
    mounts_are_private();
    return true;
}();

std::string driver_of(const std::string& wanted, const std::string& data_root) {
    const auto choice = graph_driver_open(wanted, data_root);
    return choice ? std::string(choice->driver->name()) : choice.error().message();
}

void use(const std::string& wanted, const std::string& data_root) {
    const GraphDriverChoice choice = must(graph_driver_open(wanted, data_root));
    REQUIRE(choice.driver->rw_create("c"));
}

}  // namespace

TEST_CASE("names of storage drivers", "[select]") {
    static_cast<void>(private_mounts);
    CHECK(must(graph_driver_name("overlay")) == "overlay2");
    CHECK(must(graph_driver_name("overlay2")) == "overlay2");
    CHECK(must(graph_driver_name("btrfs")) == "btrfs");
    CHECK(must(graph_driver_name("vfs")) == "vfs");
    for (const char* name : {"aufs", "devicemapper", "zfs", "fuse-overlayfs", "windowsfilter"}) {
        const auto refused = graph_driver_name(name);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind() == ErrorKind::unsupported);
        const std::string text = refused.error().message();
        CHECK(text.starts_with("storage driver " + std::string(name) + " is not supported: "));
        CHECK(text.find("use overlay2") != std::string::npos);
    }
    const auto unknown = graph_driver_name("stone");
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error().message() ==
          "storage driver stone is unknown: use overlay2, btrfs or vfs");
}

TEST_CASE("a new data root gets overlay2, on btrfs, too", "[select]") {
    TempDir root;
    CHECK(driver_of("", root.path()) == "overlay2");
    CHECK(driver_of("vfs", root.path()) == "vfs");
    const std::string there = btrfs_path() + "/new";
    REQUIRE(make_directories(there));
    CHECK(driver_of("", there) == "overlay2");
    CHECK(driver_of("btrfs", there) == "btrfs");
}

TEST_CASE("a data root keeps its driver, and another one is told of it", "[select]") {
    const std::string root = btrfs_path() + "/kept";
    REQUIRE(make_directories(root));
    use("btrfs", root);
    CHECK(driver_of("", root) == "btrfs");
    const GraphDriverChoice other = must(graph_driver_open("overlay2", root));
    REQUIRE(other.warnings.size() == 1);
    CHECK(other.warnings[0].find("images and containers of btrfs") != std::string::npos);
    CHECK(graph_driver_state_root(*other.driver, root) == root);
    const GraphDriverChoice again = must(graph_driver_open("", root));
    CHECK(again.warnings.empty());
    CHECK(graph_driver_state_root(*again.driver, root) == root + "/btrfs");

    use("overlay2", root);
    const auto several = graph_driver_open("", root);
    REQUIRE_FALSE(several);
    CHECK(several.error().kind() == ErrorKind::conflict);
    CHECK(several.error().message().find("(overlay2, btrfs)") != std::string::npos);
    CHECK(driver_of("btrfs", root) == "btrfs");
}

TEST_CASE("vfs is the last resort, and says so", "[select]") {
    TempDir lower;
    const auto overlay = must(OverlayDriver::open(lower.path()));
    layer_add(*overlay, "1", ArchiveBuilder().file("a", "1").build());
    REQUIRE(overlay->rw_create("c"));
    RootfsSpec spec;
    spec.layers = {"1"};
    spec.rw_name = "c";
    const Fd merged = must(overlay->mount(spec));
    const std::string inside = "/proc/self/fd/" + std::to_string(merged.get()) + "/root";
    REQUIRE(make_directories(inside));
    const GraphDriverChoice choice = must(graph_driver_open("", inside));
    CHECK(choice.driver->name() == "vfs");
    REQUIRE(choice.warnings.size() == 1);
    CHECK(choice.warnings[0].find("overlayfs does not work on") != std::string::npos);
    // Where overlayfs works, what was made by vfs does not bind.
    TempDir root;
    use("vfs", root.path());
    CHECK(driver_of("", root.path()) == "overlay2");
}
