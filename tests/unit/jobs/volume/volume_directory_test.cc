// Goal: whatever step a daemon dies after, the next one makes the disk agree with the records and
// throws away nothing that may be somebody's data. Method: the steps by hand, and a look.
#include "jobs/volume/volume_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/catch.h"
#include "tests/unit/graph/db/temp_dir.h"

using namespace davit;
using davit::test::must;
using davit::test::TempDir;

namespace {

struct World {
    World() : volumes(must(VolumeDirectory::open(dir.path() + "/volumes"))) {}

    std::string path(const std::string& below) const { return dir.path() + "/volumes/" + below; }

    bool has(const std::string& below) const { return ::access(path(below).c_str(), F_OK) == 0; }

    void write(const std::string& below) const {
        must(file_replace(AT_FDCWD, path(below), "data"));
    }

    void make(const std::string& name, bool ephemeral = false) const {
        must(volumes->stage(name, ephemeral));
        must(volumes->publish(name));
        write(name + "/_data/file");
    }

    /// As the next daemon does it.
    VolumesOnDisk reconcile(const std::set<std::string>& recorded) {
        volumes = must(VolumeDirectory::open(dir.path() + "/volumes"));
        return must(volumes->reconcile(recorded));
    }

    TempDir dir;
    std::unique_ptr<VolumeDirectory> volumes;
};

mode_t mode_of(const std::string& path) {
    struct stat status {};

    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("a volume is made and removed", "[volumes]") {
    World world;
    must(world.volumes->stage("vol", false));
    CHECK_FALSE(world.has("vol"));
    CHECK(world.volumes->staged_data_path("vol") == world.path(".staged/vol/_data"));
    must(world.volumes->publish("vol"));
    CHECK(world.volumes->data_path("vol") == world.path("vol/_data"));
    CHECK(mode_of(world.path("vol/_data")) == 0755);
    CHECK(mode_of(world.path("vol")) == 0701);
    CHECK(must(world.volumes->is_empty("vol")));
    world.write("vol/_data/file");
    CHECK_FALSE(must(world.volumes->is_empty("vol")));
    CHECK(world.volumes->is_empty("other").error().kind() == ErrorKind::not_found);
    must(world.volumes->retire("vol"));
    CHECK_FALSE(world.has("vol"));
    CHECK(world.has(".removed/vol/_data/file"));
    must(world.volumes->discard("vol"));
    CHECK_FALSE(world.has(".removed/vol"));
    must(world.volumes->retire("vol"));
    must(world.volumes->discard("vol"));
}

TEST_CASE("a name is taken once", "[volumes]") {
    World world;
    world.make("vol");
    must(world.volumes->stage("vol", false));
    CHECK(world.volumes->stage("vol", false).error().kind() == ErrorKind::conflict);
    CHECK(world.volumes->publish("vol").error().kind() == ErrorKind::conflict);
    world.volumes->unstage("vol");
    CHECK(world.has("vol/_data/file"));
}

TEST_CASE("the record decides what becomes of what was staged", "[volumes]") {
    World world;
    must(world.volumes->stage("committed", false));
    must(world.volumes->stage("rolled-back", false));
    const VolumesOnDisk found = world.reconcile({"committed"});
    CHECK(found.adopted.empty());
    CHECK(world.has("committed/_data"));
    CHECK_FALSE(world.has("rolled-back"));
    CHECK_FALSE(world.has(".staged/rolled-back"));
}

TEST_CASE("a removal that was begun is told", "[volumes]") {
    World world;
    world.make("vol");
    must(world.volumes->retire("vol"));
    const VolumesOnDisk found = world.reconcile({"vol"});
    CHECK(found.removed == std::vector<std::string>{"vol"});
    CHECK_FALSE(world.has("vol"));
}

TEST_CASE("data without a record are kept, but for those of a boot", "[volumes]") {
    World world;
    world.make("found");
    world.make("of-the-boot", true);
    world.make("kept", true);
    must(world.volumes->keep("kept"));
    const VolumesOnDisk found = world.reconcile({});
    CHECK(std::set<std::string>(found.adopted.begin(), found.adopted.end()) ==
          std::set<std::string>{"found", "kept"});
    CHECK_FALSE(world.has("of-the-boot"));
    CHECK(world.has("found/_data/file"));
    world.make("of-this-boot", true);
    world.reconcile({"of-this-boot"});
    CHECK(world.has("of-this-boot/_data/file"));
}

TEST_CASE("a record without data gets an empty directory", "[volumes]") {
    World world;
    world.reconcile({"lost"});
    CHECK(must(world.volumes->is_empty("lost")));
}

TEST_CASE("a copy takes its place at once, or not at all", "[volumes]") {
    World world;
    must(world.volumes->stage("vol", false));
    must(world.volumes->publish("vol"));
    must(world.volumes->filling_make("vol"));
    world.write("vol/_filling/half");
    world.reconcile({"vol"});
    CHECK_FALSE(world.has("vol/_filling"));
    CHECK(must(world.volumes->is_empty("vol")));
    must(world.volumes->filling_make("vol"));
    world.write("vol/_filling/file");
    must(world.volumes->filling_take("vol"));
    CHECK(world.has("vol/_data/file"));
    CHECK_FALSE(world.has("vol/_filling"));
}

TEST_CASE("a copy for a volume in use goes among what is there", "[volumes]") {
    World world;
    world.make("vol");
    const Fd open = must(world.volumes->data_open("vol"));
    must(world.volumes->filling_make("vol"));
    must(file_replace(AT_FDCWD, world.path("vol/_filling/file"), "of the image"));
    world.write("vol/_filling/other");
    REQUIRE(::chmod(world.path("vol/_filling").c_str(), 02750) == 0);
    must(world.volumes->filling_spread("vol"));
    CHECK(must(file_read(open.get(), "file")) == "data");
    CHECK(must(file_read(open.get(), "other")) == "data");
    CHECK(mode_of(world.path("vol/_data")) == 02750);
    CHECK_FALSE(world.has("vol/_filling"));
}
