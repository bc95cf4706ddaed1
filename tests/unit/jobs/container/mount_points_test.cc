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

Digest digest_of(char digit) {
    return Digest::from_sha256_hex(std::string(64, digit));
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
    CHECK(bind("/src:/work:rw,cached").read_write);
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
         "invalid volume specification: '/a:b': invalid mount config for type \"bind\": invalid "
         "mount path: 'b' mount path must be absolute"},
        {"/a:/",
         "invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid "
         "specification: destination can't be '/'"},
        {"/a:/x/..",
         "invalid volume specification: '/a:/x/..': invalid mount config for type \"bind\": "
         "invalid "
         "specification: destination can't be '/'"},
        {"/a:/b:nocopy",
         "invalid volume specification: '/a:/b:nocopy': invalid mount config for type \"bind\": "
         "field VolumeOptions must not be specified"},
        {"a:/b:shared",
         "invalid volume specification: 'a:/b:shared': invalid mount config for type \"volume\": "
         "field BindOptions must not be specified"},
    }));
    CHECK(bind_refusal(spec) == "invalid_argument: " + text);
}

TEST_CASE("a source that is no path is a volume's name", "[container][mounts]") {
    const MountPoint named = bind("data:/var/lib");
    CHECK(named.type == "volume");
    CHECK(named.name == "data");
    CHECK(named.driver == "local");
    CHECK(named.mode == "z");
    CHECK(named.propagation.empty());
    CHECK(named.copy_up);
    CHECK_FALSE(named.anonymous);
    const MountPoint only = bind("data:/var/lib:ro,nocopy");
    CHECK(only.mode == "ro,nocopy");
    CHECK_FALSE(only.read_write);
    CHECK_FALSE(only.copy_up);
    const MountPoint nameless = bind("/var/lib");
    CHECK(nameless.type == "volume");
    CHECK(nameless.destination == "/var/lib");
    CHECK(nameless.name.size() == 64);
    CHECK(nameless.anonymous);
    const auto driven = resolved(R"("VolumeDriver":"odd","Binds":["a:/a","/b:/b"])");
    CHECK(driven[0].driver == "odd");
    CHECK(driven[1].driver.empty());
}

TEST_CASE("a volume mount's options are kept", "[container][mounts]") {
    const auto mounts = resolved(R"("Mounts":[{"Type":"volume","Source":"v","Target":"/t",
        "ReadOnly":true,"VolumeOptions":{"NoCopy":true,"Labels":{"l":"1"},"Subpath":"a/./b",
        "DriverConfig":{"Name":"local","Options":{"type":"tmpfs"}}}}])");
    REQUIRE(mounts.size() == 1);
    CHECK(mounts[0].name == "v");
    CHECK_FALSE(mounts[0].read_write);
    CHECK_FALSE(mounts[0].copy_up);
    CHECK(mounts[0].subpath == "a/./b");
    CHECK(mounts[0].volume_labels.at("l") == "1");
    CHECK(mounts[0].volume_options.at("type") == "tmpfs");
    CHECK(mount_is_prepared(mounts[0]));
    CHECK(mount_point_spec(mounts[0])->kind == MountKind::prepared);
}

TEST_CASE("a volume of the image's gives way to any other mount", "[container][mounts]") {
    MountLookups lookups;
    lookups.volume_path = [](const std::string& name) { return "/v/" + name + "/_data"; };
    const HostConfig config = host_config_of(R"({"Binds":["b:/b"],"Tmpfs":{"/t":""}})");
    const auto mounts = mount_points_resolve(config, {"/a/", "/b", "/t"}, lookups);
    REQUIRE(mounts);
    REQUIRE(mounts->size() == 3);
    CHECK((*mounts)[0].source == "/v/b/_data");
    CHECK((*mounts)[1].type == "tmpfs");
    CHECK((*mounts)[2].destination == "/a");
    CHECK((*mounts)[2].anonymous);
    CHECK((*mounts)[2].mode.empty());
    CHECK((*mounts)[2].source == "/v/" + (*mounts)[2].name + "/_data");
    CHECK(failure(mount_points_resolve(config, {"/x/.."}, lookups)) ==
          "invalid_argument: invalid volume specification: '/x/..': invalid specification: "
          "destination can't be '/'");
}

TEST_CASE("mounts of other containers give way to those asked for", "[container][mounts]") {
    MountLookups lookups;
    lookups.mounts_of = [](const std::string& name) -> Result<std::vector<MountPoint>> {
        if (name == "gone") {
            return Error(ErrorKind::not_found, "No such container: gone");
        }
        std::vector<MountPoint> mounts(3);
        mounts[0].type = "volume";
        mounts[0].name = name;
        mounts[0].destination = "/v";
        mounts[0].copy_up = true;
        mounts[0].mode = "z";
        mounts[1].type = "bind";
        mounts[1].source = "/" + name;
        mounts[1].destination = "/b";
        mounts[1].read_write = false;
        mounts[2].type = "tmpfs";
        mounts[2].destination = "/t";
        mounts[2].listed = false;
        return mounts;
    };
    const auto from = [&](const std::string& members) {
        return mount_points_resolve(host_config_of("{" + members + "}"), {}, lookups);
    };
    const auto both = from(R"("VolumesFrom":["one:ro","two"],"Binds":["/own:/b"])");
    REQUIRE(both);
    REQUIRE(both->size() == 2);
    CHECK((*both)[0].name == "two");
    CHECK((*both)[0].read_write);
    CHECK_FALSE((*both)[0].copy_up);
    CHECK((*both)[0].mode.empty());
    CHECK((*both)[1].source == "/own");
    const auto one = from(R"("VolumesFrom":["one:ro"])");
    REQUIRE(one);
    CHECK_FALSE((*one)[0].read_write);
    CHECK_FALSE((*from(R"("VolumesFrom":["one:rw"])"))[1].read_write);
    CHECK(failure(from(R"("VolumesFrom":["gone"])")) == "not_found: No such container: gone");
    CHECK(failure(from(R"("VolumesFrom":[""])")) ==
          "invalid_argument: volumes-from specification cannot be an empty string");
    for (const std::string mode : {"x", "ro,rw", "nocopy", "shared"}) {
        CHECK(failure(from("\"VolumesFrom\":[\"one:" + mode + "\"]")) ==
              "invalid_argument: invalid mode: " + mode);
    }
}

TEST_CASE("an image mount is read-only and made of the image's layers", "[container][mounts]") {
    MountLookups lookups;
    lookups.image = [](const std::string& name) -> Result<MountImage> {
        if (name != "tool") {
            return Error(ErrorKind::not_found, "No such image: " + name);
        }
        return MountImage{digest_of('1'), digest_of('2')};
    };
    const auto from = [&](const std::string& members) {
        return mount_points_resolve(
            host_config_of(R"({"Mounts":[{"Type":"image","Target":"/i",)" + members + "}]}"),
            {},
            lookups);
    };
    const auto mounts = from(R"("Source":"tool","ImageOptions":{"Subpath":"bin"})");
    REQUIRE(mounts);
    CHECK((*mounts)[0].name == "tool");
    CHECK((*mounts)[0].source == digest_of('1').str());
    CHECK((*mounts)[0].chain_id == digest_of('2'));
    CHECK((*mounts)[0].subpath == "bin");
    CHECK_FALSE((*mounts)[0].read_write);
    CHECK(mount_is_prepared((*mounts)[0]));
    CHECK(failure(from(R"("Source":"other")")) == "not_found: No such image: other");
    CHECK(failure(from(R"("ReadOnly":true)")) ==
          "invalid_argument: invalid mount config for type \"image\": field Source must not be "
          "empty");
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
        {R"("Type":"volume","Target":"/t","ReadOnly":true)",
         "\"volume\": must not set ReadOnly mode when using anonymous volumes"},
        {R"("Type":"volume","Target":"/t","VolumeOptions":{"Subpath":"a"})",
         "\"volume\": must not set Subpath when using anonymous volumes"},
        {R"("Type":"volume","Source":"v","Target":"/t","VolumeOptions":{"Subpath":"a/../../b"})",
         "\"volume\": subpath must be a relative path within the volume"},
        {R"("Type":"volume","Source":"v","Target":"/t","ImageOptions":{})",
         "\"volume\": field ImageOptions must not be specified"},
        {R"("Type":"swap","Target":"/t")", "\"swap\": mount type unknown"},
        {R"("Target":"/t")", "\"\": mount type unknown"},
    }));
    CHECK(refusal("\"Mounts\":[{" + mount + "}]") ==
          "invalid_argument: invalid mount config for type " + text);
}

TEST_CASE("read-only reaches as deep as it is asked to", "[container][mounts]") {
    const auto options = [](const std::string& members) {
        return R"("Mounts":[{"Type":"bind","Source":"/s","Target":"/t","BindOptions":{)" + members +
               "}";
    };
    const auto top = resolved(options(R"("ReadOnlyNonRecursive":true)") + R"(,"ReadOnly":true}])");
    CHECK_FALSE(mount_point_spec(top[0])->attributes_recursive);
    CHECK(mount_point_spec(top[0])->recursive);
    const auto whole =
        resolved(options(R"("ReadOnlyForceRecursive":true)") + R"(,"ReadOnly":true}])");
    CHECK(mount_point_spec(whole[0])->attributes_recursive);
    for (const std::string key : {"ReadOnlyNonRecursive", "ReadOnlyForceRecursive"}) {
        CHECK(refusal(options("\"" + key + "\":true") + "}]") ==
              "invalid_argument: invalid mount config for type \"bind\": " + key +
                  " needs ReadOnly");
    }
}

TEST_CASE("of tmpfs's options --mount knows two", "[container][mounts]") {
    const auto mounts = resolved(
        R"("Mounts":[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"Options":[["exec"]]}}])");
    CHECK(mounts[0].options == "exec");
    CHECK(
        refusal(
            R"("Mounts":[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"Options":[["uid","1"]]}}])") ==
        "invalid_argument: invalid mount config for type \"tmpfs\": invalid option: uid");
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
