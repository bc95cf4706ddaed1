// Goal: what a container asks for of the host's devices is what it gets, or an error that names it.
// Method: nodes that every host has, links and directories in a temporary directory.
#include "jobs/container/devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "tests/support/catch.h"
#include "tests/unit/graph/db/temp_dir.h"

using namespace davit;
using namespace davit::test;

namespace {

ContainerDevices found(const DeviceMapping& mapping) {
    HostConfig config;
    config.devices = {mapping};
    auto devices = container_devices(config);
    INFO((devices ? "" : devices.error().message()));
    REQUIRE(devices);
    return *std::move(devices);
}

std::string refusal(const HostConfig& config) {
    const auto devices = container_devices(config);
    REQUIRE_FALSE(devices);
    CHECK(devices.error().kind() == ErrorKind::invalid_argument);
    return devices.error().message();
}

std::string refusal(const std::string& path) {
    HostConfig config;
    config.devices = {{path, path, "rwm"}};
    return refusal(config);
}

bool has(const ContainerDevices& devices, std::string_view path) {
    return std::ranges::find(devices.nodes, path, &Device::path) != devices.nodes.end();
}

}  // namespace

TEST_CASE("a device is its host's, under the name that was asked for", "[container][devices]") {
    const ContainerDevices devices = found({"/dev/zero", "/dev/nothing", "r"});
    REQUIRE(devices.nodes.size() == 1);
    const Device& device = devices.nodes.front();
    CHECK(device.path == "/dev/nothing");
    CHECK(std::pair(device.major, device.minor) == std::pair(1U, 5U));
    CHECK((device.mode & S_IFMT) == S_IFCHR);
    const std::vector<DeviceRule> rules{{.major = 1, .minor = 5, .read = true}};
    CHECK(devices.rules == rules);
    CHECK(found({"/dev/zero", "", ""}).nodes.front().path == "/dev/zero");
    CHECK(found({"/dev/zero", "", ""}).rules.front().text() == "c 1:5 rwm");
}

TEST_CASE("a link and a directory lead to devices", "[container][devices]") {
    const TempDir temp;
    const std::string link = temp.path() + "/link";
    REQUIRE(::symlink("/dev/null", link.c_str()) == 0);
    CHECK(found({link, "/dev/x", "rwm"}).nodes.front().minor == 3);
    const std::string directory = temp.path() + "/d";
    REQUIRE(::mkdir(directory.c_str(), 0755) == 0);
    REQUIRE(::mkdir((directory + "/e").c_str(), 0755) == 0);
    if (::mknod((directory + "/e/null").c_str(), S_IFCHR | 0640, makedev(1, 3)) != 0) {
        WARN("not permitted to make device nodes: not tested");
        return;
    }
    REQUIRE(::mknod((directory + "/zero").c_str(), S_IFCHR | 0640, makedev(1, 5)) == 0);
    const ContainerDevices devices = found({directory, "/dev/all", "rw"});
    CHECK(devices.nodes.size() == 2);
    CHECK(has(devices, "/dev/all/e/null"));
    CHECK(has(devices, "/dev/all/zero"));
    CHECK(devices.nodes.front().mode == (S_IFCHR | (0640 & devices.nodes.front().mode)));
}

TEST_CASE("what is no device is named", "[container][devices]") {
    const std::string begin = "error gathering device information while adding custom device ";
    CHECK(refusal("/dev/none-such") == begin + "\"/dev/none-such\": no such file or directory");
    CHECK(refusal("/proc/version") == begin + "\"/proc/version\": not a device node");
    const TempDir temp;
    CHECK(refusal(temp.path()) == begin + "\"" + temp.path() + "\": not a device node");
    HostConfig config;
    config.blkio_device_read_bps = {{"/dev/null", 1000}};
    CHECK(refusal(config) == begin + "\"/dev/null\": not a block device");
}

TEST_CASE("a privileged container has the host's devices", "[container][devices]") {
    HostConfig config;
    CHECK_FALSE(container_has_devices(config));
    config.privileged = true;
    CHECK(container_has_devices(config));
    const auto devices = container_devices(config);
    REQUIRE(devices);
    CHECK(has(*devices, "/dev/null"));
    CHECK_FALSE(has(*devices, "/dev/ptmx"));
    CHECK(std::ranges::none_of(devices->nodes, [](const Device& device) {
        return device.path.starts_with("/dev/pts/") || device.path.starts_with("/dev/shm/");
    }));
}
