// Promises: a config.json from anywhere is read or refused with a reason; what was read becomes a
// plan that davit-init takes, or is refused with a reason, too.
#include "libcontainer/launch_plan.h"
#include "tests/fuzz/fuzz.h"

#include "runtime/oci_config.h"

namespace davit::fuzz {

namespace {

bool has_reason(const Error& error) {
    return error.kind() == ErrorKind::invalid_argument || error.kind() == ErrorKind::unsupported ||
           error.kind() == ErrorKind::resource_exhausted;
}

void oci_config(std::string_view input) {
    auto config = oci_config_parse(input);
    if (!config) {
        require(has_reason(config.error()), "refusals have a reason");
        return;
    }
    config->spec.id = "fuzz";
    PlanOptions options;
    options.gate = true;
    options.early_gate = config->hooks.has_early();
    options.start_later = true;
    const auto plan = plan_compile(config->spec, options);
    if (!plan) {
        require(has_reason(plan.error()), "what cannot be planned has a reason");
        return;
    }
    require(plan_decode(plan->bytes).has_value(), "davit-init takes the plan");
    require(plan->registers.back() == RegisterKind::start, "and waits for its start");
}

const bool registered = add(
    {"oci_config",
     oci_config,
     {R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"args":["sh"],"cwd":"/",)"
      R"("user":{"uid":1,"gid":1,"additionalGids":[2]},"rlimits":[{"type":"RLIMIT_CORE",)"
      R"("soft":1,"hard":2}],"capabilities":{"bounding":["CAP_KILL"]},"terminal":true},)"
      R"("mounts":[{"destination":"/proc","type":"proc"},{"destination":"/a","source":"/b",)"
      R"("options":["rbind","ro","rslave"]},{"destination":"/dev","type":"tmpfs","options":)"
      R"(["nosuid","mode=755"]},{"destination":"/sys/fs/cgroup","type":"cgroup"}],)"
      R"("linux":{"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"uts","path":"/x"}],)"
      R"("devices":[{"path":"/dev/fuse","type":"c","major":10,"minor":229}],"resources":)"
      R"({"devices":[{"allow":false},{"allow":true,"type":"c","major":10}],"pids":{"limit":9}},)"
      R"("sysctl":{"net.core.somaxconn":"9"},"maskedPaths":["/proc/keys"]}})",
      R"({"ociVersion":"1.1.0","root":{"path":"/r","readonly":true},"hostname":"h",)"
      R"("process":{"args":["/a","b"],"cwd":"/w","env":["PATH=/bin"],"noNewPrivileges":true},)"
      R"("hooks":{"createRuntime":[{"path":"/h","timeout":1}]},"linux":{"namespaces":)"
      R"([{"type":"mount"},{"type":"user"},{"type":"pid"},{"type":"network"},{"type":"ipc"}],)"
      R"("uidMappings":[{"containerID":0,"hostID":9,"size":5}],"gidMappings":)"
      R"([{"containerID":0,"hostID":9,"size":5}],"seccomp":{"defaultAction":"SCMP_ACT_ALLOW",)"
      R"("syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}}})"},
     {"\"options\":[\"bind\"]",
      "\"type\":\"bind\"",
      "\"path\":\"\"",
      "\"time\"",
      "\"RLIMIT_NOFILE\"",
      "\"hostID\":4294967295",
      "\"..\"",
      "\\u0000",
      "null",
      "-1",
      "18446744073709551615",
      "{",
      "}",
      "[",
      "]",
      ","},
     20000});

}  // namespace

}  // namespace davit::fuzz
