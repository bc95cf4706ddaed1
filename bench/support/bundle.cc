#include "bench/support/bundle.h"

#include <fmt/format.h>

#include "bench/bench.h"
#include "reactor/base/fd.h"

namespace davit::bench {
namespace {

constexpr const char* capabilities =
    R"(["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_FSETID","CAP_FOWNER","CAP_MKNOD","CAP_NET_RAW",)"
    R"("CAP_SETGID","CAP_SETUID","CAP_SETFCAP","CAP_SETPCAP","CAP_NET_BIND_SERVICE",)"
    R"("CAP_SYS_CHROOT","CAP_KILL","CAP_AUDIT_WRITE"])";

constexpr const char* mounts = R"([
 {"destination":"/proc","type":"proc","source":"proc","options":["nosuid","noexec","nodev"]},
 {"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","strictatime","mode=755","size=65536k"]},
 {"destination":"/dev/pts","type":"devpts","source":"devpts","options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620","gid=5"]},
 {"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["nosuid","noexec","nodev","mode=1777","size=65536k"]},
 {"destination":"/dev/mqueue","type":"mqueue","source":"mqueue","options":["nosuid","noexec","nodev"]},
 {"destination":"/sys","type":"sysfs","source":"sysfs","options":["nosuid","noexec","nodev","ro"]}])";

/// NETWORK stands for the network's namespace, if it has one.
constexpr std::string_view linux_section = R"({
 "namespaces":[NETWORK{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}],
 "resources":{"devices":[{"allow":false,"access":"rwm"}]},
 "maskedPaths":["/proc/acpi","/proc/asound","/proc/kcore","/proc/keys","/proc/latency_stats","/proc/timer_list","/proc/timer_stats","/proc/sched_debug","/proc/scsi","/sys/firmware"],
 "readonlyPaths":["/proc/bus","/proc/fs","/proc/irq","/proc/sys","/proc/sysrq-trigger"]})";

}  // namespace

Result<std::string> bundle_make(const Workspace& workspace,
                                const std::string& name,
                                const std::string& rootfs,
                                const std::vector<std::string>& argv,
                                bool host_network) {
    TRY(std::string bundle, workspace.directory(name));
    std::string words;
    for (const std::string& word : argv) {
        words += (words.empty() ? "" : ",") + json_quote(word);
    }
    std::string linux_part(linux_section);
    linux_part.replace(linux_part.find("NETWORK"), 7, host_network ? "" : R"({"type":"network"},)");
    const std::string config = fmt::format(
        R"({{"ociVersion":"1.0.2","hostname":"bench","root":{{"path":{},"readonly":false}},)"
        R"("process":{{"terminal":false,"user":{{"uid":0,"gid":0}},"args":[{}],)"
        R"("env":["PATH=/bin"],"cwd":"/","noNewPrivileges":false,)"
        R"("capabilities":{{"bounding":{},"effective":{},"permitted":{}}}}},)"
        R"("mounts":{},"linux":{}}})",
        json_quote(rootfs),
        words,
        capabilities,
        capabilities,
        capabilities,
        mounts,
        linux_part);
    TRY_VOID(file_replace(AT_FDCWD, bundle + "/config.json", config));
    return bundle;
}

}  // namespace davit::bench
