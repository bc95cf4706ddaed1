#pragma once
/// A configuration as engines write them, with changes.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/catch.h"

#include "runtime/oci_config.h"

namespace davit::test {

/// Takes: texts that are replaced, each of which must be there.
inline std::string bundle_config(
    const std::vector<std::pair<std::string, std::string>>& changes = {}) {
    std::string text =
        R"({"ociVersion":"1.0.2","hostname":"box","annotations":{"org.example":"yes"},)"
        R"("root":{"path":"rootfs","readonly":true},)"
        R"("process":{"user":{"uid":5,"gid":6,"umask":23,"additionalGids":[7,8]},)"
        R"("args":["sh","-c","id"],"env":["PATH=/bin"],"cwd":"/tmp","noNewPrivileges":true,)"
        R"("oomScoreAdj":100,"rlimits":[{"type":"RLIMIT_NOFILE","soft":512,"hard":1024}],)"
        R"("capabilities":{"bounding":["CAP_KILL","CAP_OF_TOMORROW"],"effective":["CAP_KILL"],)"
        R"("permitted":["CAP_KILL"]}},)"
        R"("mounts":[{"destination":"/proc","type":"proc","source":"proc"}],)"
        R"("hooks":{"poststop":[{"path":"/bin/true","timeout":3}]},)"
        R"("linux":{"namespaces":[{"type":"mount"},{"type":"pid"},)"
        R"({"type":"network","path":"/run/netns/x"}],"cgroupsPath":"/parent/box",)"
        R"("devices":[{"path":"/dev/null","type":"c","major":1,"minor":3,"fileMode":384,"uid":3}],)"
        R"("resources":{"pids":{"limit":99}},"sysctl":{"net.ipv4.ip_forward":"1"},)"
        R"("rootfsPropagation":"rslave","maskedPaths":["/proc/kcore"],)"
        R"("readonlyPaths":["/proc/sys"],"seccomp":{"defaultAction":"SCMP_ACT_ALLOW",)"
        R"("syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}}})";
    for (const auto& [from, to] : changes) {
        const std::size_t at = text.find(from);
        REQUIRE(at != std::string::npos);
        text.replace(at, from.size(), to);
    }
    return text;
}

/// "kind: message" of a failure, "" of a success.
template <typename T>
std::string failure(const Result<T>& result) {
    if (result) {
        return "";
    }
    return std::string(error_kind_name(result.error().kind())) + ": " + result.error().message();
}

inline OciConfig config_of(const std::string& text) {
    auto config = oci_config_parse(text);
    INFO(failure(config));
    REQUIRE(config);
    return *std::move(config);
}

}  // namespace davit::test
