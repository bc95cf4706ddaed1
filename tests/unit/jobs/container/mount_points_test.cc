// Goal: binds, mounts and tmpfs become the mounts that Docker would make, or its error.
// Method: one request at a time, through the JSON that carries it.
#include "jobs/container/mount_points.h"

#include <sys/mount.h>

#include "jobs/container/path_clean.h"
#include "tests/unit/jobs/container/model_support.h"

using namespace davit;
using namespace davit::test;

namespace {

std::vector<MountPoint> resolved(const std::string& members) {
    auto mounts = mount_points_resolve(host_config_of("{" + members + "}"));
    INFO(failure(mounts));
    REQUIRE(mounts);
    return *std::move(mounts);
}

MountPoint bind(const std::string& spec) {
    const auto mounts = resolved("\"Binds\":[\"" + spec + "\"]");
    REQUIRE(mounts.size() == 1);
    return mounts.front();
}

std::string refusal(const std::string& members) {
    return failure(mount_points_resolve(host_config_of("{" + members + "}")));
}

std::string bind_refusal(const std::string& spec) {
    return refusal("\"Binds\":[\"" + spec + "\"]");
}

}  // namespace

TEST_CASE("a bind has a source, a target and a mode", "[container][mounts]") {
    const MountPoint plain = bind("/src/:/work//dir/");
    CHECK(plain.type == "bind");
    CHECK(plain.source == "/src");
    CHECK(plain.destination == "/work/dir");
    CHECK(plain.mode.empty());
    CHECK(plain.read_write);
    CHECK(plain.recursive);
    CHECK(plain.propagation == "rprivate");
    CHECK(plain.create_source);
    CHECK(plain.listed);

    const MountPoint full = bind("/src:/work:ro,Z,rslave");
    CHECK_FALSE(full.read_write);
    CHECK(full.mode == "ro,Z,rslave");
    CHECK(full.propagation == "rslave");
    CHECK(bind("/src:/work:rw,cached,nocopy").read_write);
}

TEST_CASE("bad binds get Docker's words", "[container][mounts]") {
    const auto [spec, text] = GENERATE(table<std::string, std::string>({
        {":/work", "invalid volume specification: ':/work'"},
        {"/a:/b:ro:x", "invalid volume specification: '/a:/b:ro:x'"},
        {"/a:ro", "invalid volume specification: '/a:ro'"},
        {"/a:/b:r", "invalid mode: r"},
        {"/a:/b:ro,rw", "invalid mode: ro,rw"},
        {"/a:/b:shared,slave", "invalid mode: shared,slave"},
        {"/a:b",
         "invalid volume specification: '/a:b': invalid mount path: 'b' mount path must be "
         "absolute"},
        {"/a:/",
         "invalid volume specification: '/a:/': invalid specification: destination can't be '/'"},
        {"/a:/x/..",
         "invalid volume specification: '/a:/x/..': invalid specification: destination can't be "
         "'/'"},
    }));
    CHECK(bind_refusal(spec) == "invalid_argument: " + text);
}

TEST_CASE("volumes are refused by name", "[container][mounts]") {
    for (const std::string spec : {"data:/var/lib", "/data", "./rel:/work"}) {
        CHECK_THAT(bind_refusal(spec),
                   Catch::StartsWith("unsupported: Binds \"" + spec + "\": volumes"));
    }
    CHECK_THAT(refusal(R"("Mounts":[{"Type":"volume","Source":"v","Target":"/x"}])"),
               Catch::StartsWith("unsupported: Mounts: type \"volume\" of /x"));
}

TEST_CASE("a bind mount's options are kept", "[container][mounts]") {
    const auto mounts = resolved(R"("Mounts":[{"Type":"bind","Source":"/s/","Target":"/t",
        "ReadOnly":true,"BindOptions":{"Propagation":"shared","NonRecursive":true}}])");
    REQUIRE(mounts.size() == 1);
    CHECK(mounts[0].source == "/s");
    CHECK_FALSE(mounts[0].read_write);
    CHECK_FALSE(mounts[0].recursive);
    CHECK_FALSE(mounts[0].create_source);
    CHECK(mounts[0].propagation == "shared");
    CHECK(mounts[0].mode.empty());
    CHECK(resolved(R"("Mounts":[{"Type":"bind","Source":"/s","Target":"/t",
        "BindOptions":{"CreateMountpoint":true}}])")[0]
              .create_source);
}

TEST_CASE("bad mounts get Docker's words", "[container][mounts]") {
    const auto [mount, text] = GENERATE(table<std::string, std::string>({
        {R"("Type":"bind","Target":"/t")", "\"bind\": field Source must not be empty"},
        {R"("Type":"bind","Source":"/s")", "\"bind\": field Target must not be empty"},
        {R"("Type":"bind","Source":"s","Target":"/t")",
         "\"bind\": invalid mount path: 's' mount path must be absolute"},
        {R"("Type":"bind","Source":"/s","Target":"t")",
         "\"bind\": invalid mount path: 't' mount path must be absolute"},
        {R"("Type":"bind","Source":"/s","Target":"/")",
         "\"bind\": invalid specification: destination can't be '/'"},
        {R"("Type":"bind","Source":"/s","Target":"/t","BindOptions":{"Propagation":"odd"})",
         "\"bind\": invalid propagation mode: odd"},
        {R"("Type":"bind","Source":"/s","Target":"/t","TmpfsOptions":{})",
         "\"bind\": field TmpfsOptions must not be specified"},
        {R"("Type":"bind","Source":"/s","Target":"/t","VolumeOptions":{})",
         "\"bind\": field VolumeOptions must not be specified"},
        {R"("Type":"tmpfs","Source":"/s","Target":"/t")",
         "\"tmpfs\": field Source must not be specified"},
        {R"("Type":"tmpfs","Target":"/t","BindOptions":{})",
         "\"tmpfs\": field BindOptions must not be specified"},
        {R"("Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":-1})",
         "\"tmpfs\": invalid tmpfs size or mode"},
        {R"("Type":"swap","Target":"/t")", "\"swap\": mount type unknown"},
        {R"("Target":"/t")", "\"\": mount type unknown"},
    }));
    CHECK(refusal("\"Mounts\":[{" + mount + "}]") ==
          "invalid_argument: invalid mount config for type " + text);
}

TEST_CASE("options that davit does not do are refused", "[container][mounts]") {
    CHECK_THAT(refusal(R"("Mounts":[{"Type":"bind","Source":"/s","Target":"/t","ReadOnly":true,
                   "BindOptions":{"ReadOnlyNonRecursive":true}}])"),
               Catch::StartsWith("unsupported: Mounts.BindOptions.ReadOnlyNonRecursive"));
    const HostConfig config = host_config_of(
        R"({"Mounts":[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"Options":[["noexec"]]}}]})");
    CHECK_THAT(failure(host_config_check(config)),
               Catch::StartsWith("unsupported: Mounts.TmpfsOptions.Options"));
}

TEST_CASE("tmpfs takes its options from both forms", "[container][mounts]") {
    const auto mounts = resolved(
        R"("Tmpfs":{"/run":"size=64m,mode=755,exec"},
           "Mounts":[{"Type":"tmpfs","Target":"/tmp","ReadOnly":true,
                      "TmpfsOptions":{"SizeBytes":4096,"Mode":1023}}])");
    REQUIRE(mounts.size() == 2);
    CHECK(mounts[0].destination == "/tmp");
    CHECK(mounts[0].options == "ro,mode=1777,size=4096");
    CHECK(mounts[0].listed);
    CHECK_FALSE(mounts[0].read_write);
    CHECK_FALSE(mounts[1].listed);

    const auto tmp = mount_point_spec(mounts[0]);
    REQUIRE(tmp);
    CHECK(tmp->options ==
          std::vector<std::pair<std::string, std::string>>{{"mode", "1777"}, {"size", "4096"}});
    CHECK(tmp->attributes ==
          (MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY));
    const auto run = mount_point_spec(mounts[1]);
    REQUIRE(run);
    CHECK(run->attributes == (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
    CHECK(refusal(R"("Tmpfs":{"/run":"size=1m,odd"})") ==
          "invalid_argument: invalid tmpfs option \"odd\" for /run");
    CHECK(refusal(R"("Tmpfs":{"run":""})") ==
          "invalid_argument: invalid mount path: 'run' mount path must be absolute");
}

TEST_CASE("one place is mounted on once", "[container][mounts]") {
    CHECK(refusal(R"("Binds":["/a:/x"],"Tmpfs":{"/x/":""})") ==
          "invalid_argument: Duplicate mount point: /x");
    CHECK(refusal(R"("Binds":["/a:/x","/b:/y/../x"])") ==
          "invalid_argument: Duplicate mount point: /x");
    CHECK(refusal(R"("Binds":["/a:/x"],"Mounts":[{"Type":"tmpfs","Target":"/x"}])") ==
          "invalid_argument: Duplicate mount point: /x");
}

TEST_CASE("outer mounts come before inner ones", "[container][mounts]") {
    const auto mounts = resolved(R"("Binds":["/a:/x/y/z","/b:/x"],"Tmpfs":{"/x/y":""})");
    REQUIRE(mounts.size() == 3);
    CHECK(mounts[0].destination == "/x");
    CHECK(mounts[1].destination == "/x/y");
    CHECK(mounts[2].destination == "/x/y/z");
}

TEST_CASE("a bind becomes what the kernel is told", "[container][mounts]") {
    const auto spec = mount_point_spec(bind("/s:/t:ro,rshared"));
    REQUIRE(spec);
    CHECK(spec->kind == MountKind::bind);
    CHECK(spec->source == "/s");
    CHECK(spec->target == "/t");
    CHECK(spec->recursive);
    CHECK(spec->attributes == MOUNT_ATTR_RDONLY);
    CHECK(spec->propagation == MS_SHARED);  // One of the four, as mount_setattr(2) wants it.
    CHECK(mount_point_spec(bind("/s:/t"))->propagation == MS_PRIVATE);
    CHECK(mount_point_spec(bind("/s:/t:slave"))->propagation == MS_SLAVE);
}

TEST_CASE("paths are cleaned by name", "[container][mounts]") {
    CHECK(path_clean("/") == "/");
    CHECK(path_clean("") == "/");
    CHECK(path_clean("//a/./b//") == "/a/b");
    CHECK(path_clean("/a/../../b") == "/b");
    CHECK(path_clean("/a/b/..") == "/a");
    CHECK(path_clean("/...") == "/...");
}
