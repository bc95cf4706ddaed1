// Promises: a CDI spec is read within its bounds or refused as an invalid argument; what was read
// has names that stay where they are meant to be: absolute paths without a zero byte, devices whose
// names are no paths.
#include <algorithm>

#include "jobs/container/cdi_spec.h"
#include "tests/fuzz/fuzz.h"

namespace davit::fuzz {

namespace {

void check_path(const std::string& path, bool may_be_empty) {
    require(path.empty() ? may_be_empty : path.front() == '/', "paths are absolute");
    require(path.find('\0') == std::string::npos, "paths end where the kernel thinks");
}

void check_edits(const CdiEdits& edits) {
    for (const std::string& variable : edits.env) {
        require(variable.find('\0') == std::string::npos, "variables are whole");
        require(variable.find('=') != std::string::npos && variable.front() != '=',
                "variables have a name and a value");
    }
    for (const CdiDeviceNode& node : edits.device_nodes) {
        check_path(node.path, false);
        check_path(node.host_path, true);
        require(node.type.size() <= 1, "a type is a letter");
        require(node.permissions.find_first_not_of("rwm") == std::string::npos, "permissions");
    }
    for (const CdiMount& mount : edits.mounts) {
        check_path(mount.host_path, false);
        check_path(mount.container_path, false);
    }
}

void cdi(std::string_view input) {
    const auto spec = cdi_spec_parse(input);
    if (!spec) {
        require(spec.error().kind() == ErrorKind::invalid_argument, "refusals have a reason");
        return;
    }
    require(std::ranges::count(spec->kind, '/') == 1, "a kind is a vendor and a class");
    check_edits(spec->edits);
    for (const CdiDevice& device : spec->devices) {
        require(device.name.find_first_of("/=,") == std::string::npos, "a device's name is plain");
        require(!device.edits.empty(), "a device is for something");
        check_edits(device.edits);
    }
}

const bool registered =
    add({"cdi",
         cdi,
         {R"({"cdiVersion":"0.6.0","kind":"vendor.com/gpu","annotations":{"a":"b"},"devices":[)"
          R"({"name":"0","containerEdits":{"env":["A=1"],"deviceNodes":[{"path":"/dev/x",)"
          R"("hostPath":"/dev/y","type":"c","major":1,"minor":5,"fileMode":438,)"
          R"("permissions":"rw","uid":1,"gid":2}]}}],"containerEdits":{"mounts":[)"
          R"({"hostPath":"/a","containerPath":"/b","options":["ro","rbind"],"type":"bind"}]}})",
          R"({"cdiVersion":"1.1.0","kind":"a.b/c","devices":[{"name":"all","containerEdits":)"
          R"({"hooks":[{"hookName":"createContainer","path":"/h","args":["a"],"timeout":3}],)"
          R"("netDevices":[{"hostInterfaceName":"e","name":"f"}],"additionalGids":[5,44],)"
          R"("intelRdt":{"closID":"x"}}}]})"},
         {"\"path\":\"\"",
          "\"hostPath\":\"relative\"",
          "\"\\u0000\"",
          "\"name\":\"../x\"",
          "\"kind\":\"a/b/c\"",
          "\"env\":[\"=\"]",
          "null",
          "-1",
          "4294967296",
          "[",
          "{",
          "}",
          "]",
          ","},
         5000});

}  // namespace

}  // namespace davit::fuzz
