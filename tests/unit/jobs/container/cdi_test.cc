// Goal: a CDI spec gives a container exactly what it says, and what is wrong with a spec or a
// request is told in the words of moby and of CDI's library.
// Method: specs in temporary directories; nodes that every host has.
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "jobs/container/cdi_registry.h"
#include "jobs/container/device_requests.h"
#include "tests/support/catch.h"
#include "tests/unit/graph/db/temp_dir.h"

using namespace davit;
using namespace davit::test;

namespace {

std::string spec(const std::string& kind,
                 const std::string& devices,
                 const std::string& rest = "") {
    return R"({"cdiVersion":"0.6.0","kind":")" + kind + R"(","devices":[)" + devices + "]" + rest +
           "}";
}

std::string device(const std::string& name, const std::string& edits = R"("env":["A=1"])") {
    return R"({"name":")" + name + R"(","containerEdits":{)" + edits + "}}";
}

std::string refusal(const std::string& text) {
    const auto parsed = cdi_spec_parse(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().kind() == ErrorKind::invalid_argument);
    return parsed.error().message();
}

std::string edits_refusal(const std::string& edits) {
    return refusal(spec("v.com/c", device("one", edits)));
}

struct Directories {
    TempDir temp;
    std::vector<std::string> paths{temp.path() + "/static", temp.path() + "/dynamic"};

    Directories() {
        for (const std::string& path : paths) {
            std::filesystem::create_directory(path);
        }
    }

    void write(std::size_t directory, const std::string& name, const std::string& text) const {
        std::ofstream(paths.at(directory) + "/" + name) << text;
    }

    Result<CdiEdits> resolve(const DeviceRequest& request) const {
        return device_requests_resolve({request}, paths);
    }

    Result<CdiEdits> cdi(std::vector<std::string> names) const {
        DeviceRequest request;
        request.driver = "cdi";
        request.device_ids = std::move(names);
        return resolve(request);
    }
};

template <typename T>
std::string failure(const Result<T>& result) {
    return result ? "" : result.error().message();
}

ContainerDevices applied(const std::string& edits) {
    const auto parsed = cdi_spec_parse(spec("v.com/c", device("one", edits)));
    INFO(failure(parsed));
    REQUIRE(parsed);
    ContainerDevices all;
    const auto done = cdi_edits_apply(all, parsed->devices.at(0).edits, 1000, 100);
    INFO((done ? "" : done.error().message()));
    REQUIRE(done);
    return all;
}

std::string apply_refusal(const std::string& edits) {
    const auto parsed = cdi_spec_parse(spec("v.com/c", device("one", edits)));
    REQUIRE(parsed);
    ContainerDevices all;
    const auto done = cdi_edits_apply(all, parsed->devices.at(0).edits, 0, 0);
    REQUIRE_FALSE(done);
    return done.error().message();
}

}  // namespace

TEST_CASE("a spec that breaks the specification is refused with the place", "[container][cdi]") {
    CHECK(refusal(R"({"kind":"a/b","devices":[]})") == R"(invalid CDI version "")");
    CHECK(refusal(R"({"cdiVersion":"9.0.0","kind":"a/b"})") == R"(invalid CDI version "9.0.0")");
    CHECK(refusal(spec("a", "")) == R"(invalid kind "a": expected vendor/class)");
    CHECK(refusal(spec("1a/b", "")) == R"(invalid vendor "1a")");
    CHECK(refusal(spec("a/b/c", "")) == R"(invalid class "b/c")");
    CHECK(refusal(spec("a/b", "", R"(,"more":1)")) == R"(unknown field "more" in the spec)");
    CHECK(refusal(spec("a/b", device("../x"))) == R"(invalid device name "../x")");
    CHECK(refusal(spec("a/b", device("x") + "," + device("x"))) ==
          R"(invalid spec, multiple device "x")");
    CHECK(edits_refusal("") == R"(invalid device "one", empty device edits)");
    CHECK(edits_refusal(R"("env":["=x"])") == R"(invalid environment variable "=x")");
    CHECK(edits_refusal(R"("env":["A=\u0000"])") == R"(a zero byte in "env")");
    CHECK(edits_refusal(R"("deviceNodes":[{}])") == "invalid (empty) device path");
    CHECK(edits_refusal(R"("deviceNodes":[{"path":"dev/x"}])") ==
          R"(path "dev/x" is not an absolute path)");
    CHECK(edits_refusal(R"("deviceNodes":[{"path":"/x","type":"z"}])") ==
          R"(device "/x": invalid type "z")");
    CHECK(edits_refusal(R"("deviceNodes":[{"path":"/x","permissions":"rx"}])") ==
          R"(device "/x": invalid permissions "rx")");
    CHECK(edits_refusal(R"("deviceNodes":[{"path":"/x","major":-1}])") ==
          "major is out of range: -1");
    CHECK(edits_refusal(R"("mounts":[{"containerPath":"/x"}])") ==
          "invalid mount, empty host path");
    CHECK(edits_refusal(R"("mounts":[{"hostPath":"/x"}])") ==
          "invalid mount, empty container path");
    CHECK(edits_refusal(R"("hooks":[{"hookName":"x","path":"/y"}])") == R"(invalid hook name "x")");
    CHECK(edits_refusal(R"("additionalGids":[4294967296])") ==
          "additionalGids is out of range: 4294967296");
}

TEST_CASE("a node is what the spec says, else what the host has", "[container][cdi]") {
    const ContainerDevices all = applied(
        R"("deviceNodes":[{"path":"/dev/a","hostPath":"/dev/zero","permissions":"r"},)"
        R"({"path":"/dev/b","type":"b","major":7,"minor":9,"fileMode":384,"uid":5,"gid":6},)"
        R"({"path":"/dev/p","type":"p"}])");
    REQUIRE(all.nodes.size() == 3);
    CHECK(all.nodes[0].path == "/dev/a");
    CHECK(std::pair(all.nodes[0].major, all.nodes[0].minor) == std::pair(1U, 5U));
    CHECK(all.nodes[0].mode == (S_IFCHR | 0666));
    CHECK(std::pair(all.nodes[0].uid, all.nodes[0].gid) == std::pair(1000U, 100U));
    CHECK(all.nodes[1].mode == (S_IFBLK | 0600));
    CHECK(std::pair(all.nodes[1].uid, all.nodes[1].gid) == std::pair(5U, 6U));
    CHECK(all.nodes[2].mode == (S_IFIFO | 0666));
    REQUIRE(all.rules.size() == 2);
    CHECK(all.rules[0].text() == "c 1:5 r");
    CHECK(all.rules[1].text() == "b 7:9 rwm");

    CHECK(apply_refusal(R"("deviceNodes":[{"path":"/dev/no-such"}])") ==
          "CDI device injection failed: failed to stat CDI host device \"/dev/no-such\": no such "
          "file or directory");
    CHECK_THAT(apply_refusal(R"("deviceNodes":[{"path":"/dev/zero","type":"b"}])"),
               Catch::EndsWith("host type mismatch (b, c)"));
    CHECK_THAT(apply_refusal(R"("deviceNodes":[{"path":"/etc"}])"),
               Catch::EndsWith("not a device node"));
}

TEST_CASE("mounts and groups of a spec", "[container][cdi]") {
    const ContainerDevices all = applied(
        R"("mounts":[{"hostPath":"/a","containerPath":"/b","options":["ro","nosuid","rbind",)"
        R"("rslave"]},{"hostPath":"/c","containerPath":"/d","type":"bind"}],)"
        R"("additionalGids":[0,44])");
    REQUIRE(all.mounts.size() == 2);
    CHECK(all.mounts[0].source == "/a");
    CHECK(all.mounts[0].target == "/b");
    CHECK(all.mounts[0].attributes == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID));
    CHECK(all.mounts[0].recursive);
    CHECK(all.mounts[0].propagation == MS_SLAVE);
    CHECK_FALSE(all.mounts[1].recursive);
    CHECK(all.additional_gids == std::vector<std::uint32_t>{44});
    CHECK_THAT(apply_refusal(R"("mounts":[{"hostPath":"/a","containerPath":"/b","type":"nfs"}])"),
               Catch::Contains("davit does bind mounts only"));
    CHECK_THAT(
        apply_refusal(R"("mounts":[{"hostPath":"/a","containerPath":"/b","options":["x"]}])"),
        Catch::Contains("has the option \"x\""));
}

TEST_CASE("a later directory wins, and two specs of one take each other's", "[container][cdi]") {
    const Directories directories;
    directories.write(0, "a.json", spec("v.com/c", device("one", R"("env":["A=static"])")));
    directories.write(1, "a.json", spec("v.com/c", device("one", R"("env":["A=dynamic"])")));
    const auto won = directories.cdi({"v.com/c=one"});
    REQUIRE(won);
    CHECK(won->env == std::vector<std::string>{"A=dynamic"});

    directories.write(1, "b.json", spec("v.com/c", device("one")));
    const std::string text = failure(directories.cdi({"v.com/c=one"}));
    CHECK_THAT(text,
               Catch::StartsWith("CDI device injection failed: unresolvable CDI devices "
                                 "v.com/c=one (conflicting device \"v.com/c=one\" (specs \""));
}

TEST_CASE("what is for all devices of a spec is given once", "[container][cdi]") {
    const Directories directories;
    directories.write(
        0,
        "a.json",
        spec("v.com/c",
             device("one", R"("env":["B=1"])") + "," + device("two", R"("env":["C=1"])"),
             R"(,"containerEdits":{"env":["ALL=1"]})"));
    const auto edits = directories.cdi({"v.com/c=one", "v.com/c=two"});
    REQUIRE(edits);
    CHECK(edits->env == std::vector<std::string>{"ALL=1", "B=1", "C=1"});
    CHECK(CdiRegistry::read(directories.paths).device_names() ==
          std::vector<std::string>{"v.com/c=one", "v.com/c=two"});
}

TEST_CASE("what cannot be had is named, with the reason", "[container][cdi]") {
    const Directories directories;
    CHECK(failure(directories.cdi({"v.com/c=x", "y"})) ==
          "CDI device injection failed: unresolvable CDI devices v.com/c=x, y");
    directories.write(0, "bad.json", "{");
    directories.write(0, "gpu.yaml", "cdiVersion: 0.6.0");
    const std::string text = failure(directories.cdi({"v.com/c=x"}));
    CHECK_THAT(text, Catch::Contains("/static/bad.json: "));
    CHECK_THAT(text,
               Catch::Contains("/static/gpu.yaml: davit reads specs in JSON only: write it as "
                               "gpu.json"));
    directories.write(
        0,
        "hook.json",
        spec("v.com/c", device("x", R"("hooks":[{"hookName":"createContainer","path":"/h"}])")));
    const auto hook = directories.cdi({"v.com/c=x"});
    REQUIRE_FALSE(hook);
    CHECK(hook.error().kind() == ErrorKind::unsupported);
    CHECK_THAT(hook.error().message(), Catch::Contains("needs a createContainer hook (/h)"));
}

TEST_CASE("GPUs are the CDI devices of a vendor", "[container][cdi]") {
    const Directories directories;
    DeviceRequest request;
    request.count = -1;
    request.capabilities = {{"gpu"}};
    const std::string none = "could not select device driver \"\" with capabilities: [[gpu]]";
    CHECK(failure(directories.resolve(request)) == none);

    const auto gpu = [](const std::string& name) {
        return device(name, R"("env":["GPU_)" + name + R"(=1"])");
    };
    directories.write(
        0, "n.json", spec("nvidia.com/gpu", gpu("0") + "," + gpu("1") + "," + gpu("all")));
    CHECK(directories.resolve(request)->env == std::vector<std::string>{"GPU_all=1"});
    request.count = 2;
    CHECK(directories.resolve(request)->env == std::vector<std::string>{"GPU_0=1", "GPU_1=1"});
    request.capabilities = {{"utility", "gpu"}};
    CHECK(directories.resolve(request)->env.back() == "NVIDIA_DRIVER_CAPABILITIES=utility");
    request.count = 3;
    CHECK_THAT(failure(directories.resolve(request)), Catch::EndsWith("nvidia.com/gpu=2"));
    request.device_ids = {"1"};
    CHECK(failure(directories.resolve(request)) ==
          "cannot set both Count and DeviceIDs on device request");
    request.count = 0;
    CHECK(directories.resolve(request)->env.front() == "GPU_1=1");
    request.driver = "amd";
    request.capabilities = {{"gpu"}, {"tpu", "x"}};
    CHECK(failure(directories.resolve(request)) ==
          "could not select device driver \"amd\" with capabilities: [[gpu] [tpu x]]");
}

TEST_CASE("a request that no driver does", "[container][cdi]") {
    const Directories directories;
    DeviceRequest request;
    request.driver = "fpga";
    CHECK(failure(directories.resolve(request)) ==
          "could not select device driver \"fpga\" with capabilities: []");
    request.driver = "cdi";
    CHECK(failure(device_requests_resolve({request}, {})) ==
          "could not select device driver \"cdi\" with capabilities: []");
    request.count = 1;
    CHECK(failure(directories.resolve(request)) == "unexpected count in CDI device request");
    request.count = 0;
    request.options = {{"a", "b"}};
    CHECK(failure(directories.resolve(request)) == "unexpected options in CDI device request");
}
