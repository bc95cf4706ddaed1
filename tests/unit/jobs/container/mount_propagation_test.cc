// Goal: only what is in a shared mount can be shared. Method: mountinfo as the kernel writes it.
#include "jobs/container/mount_propagation.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

const std::string mountinfo =
    "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "30 22 0:30 / /shared rw shared:5 - tmpfs tmpfs rw\n"
    "31 30 0:31 / /shared/own rw - tmpfs tmpfs rw\n"
    "32 22 0:32 / /slave rw master:5 - tmpfs tmpfs rw\n"
    "33 22 0:33 / /both rw shared:7 master:5 - tmpfs tmpfs rw\n"
    "34 22 0:34 / /a\\040space rw shared:8 - tmpfs tmpfs rw\n"
    "35 22 0:35 / /top rw - tmpfs tmpfs rw\n"
    "36 22 0:36 / /top rw shared:9 - tmpfs tmpfs rw\n";

std::string said(const std::string& path, const std::string& propagation) {
    const Result<void> checked = mount_propagation_check(path, propagation, mountinfo);
    return checked ? "" : checked.error().message();
}

}  // namespace

TEST_CASE("shared needs a shared mount", "[container][mounts]") {
    CHECK(said("/shared/x", "rshared").empty());
    CHECK(said("/both", "shared").empty());
    CHECK(said("/a space/x", "shared").empty());
    CHECK(said("/top", "shared").empty());
    CHECK(said("/shared/own/x", "shared") ==
          "path /shared/own/x is mounted on /shared/own but it is not a shared mount");
    CHECK(said("/slave/x", "rshared") ==
          "path /slave/x is mounted on /slave but it is not a shared mount");
    CHECK(said("/sharedx", "shared") ==
          "path /sharedx is mounted on / but it is not a shared mount");
}

TEST_CASE("a slave needs a master", "[container][mounts]") {
    CHECK(said("/shared", "rslave").empty());
    CHECK(said("/slave/x", "slave").empty());
    CHECK(said("/home", "slave") ==
          "path /home is mounted on / but it is not a shared or slave mount");
}

TEST_CASE("private needs nothing", "[container][mounts]") {
    CHECK(said("/home", "private").empty());
    CHECK(said("/home", "rprivate").empty());
}
