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

constexpr const char* linux_section = R"({
 "namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}],
 "resources":{"devices":[{"allow":false,"access":"rwm"}]},
 "maskedPaths":["/proc/acpi","/proc/asound","/proc/kcore","/proc/keys","/proc/latency_stats","/proc/timer_list","/proc/timer_stats","/proc/sched_debug","/proc/scsi","/sys/firmware"],
 "readonlyPaths":["/proc/bus","/proc/fs","/proc/irq","/proc/sys","/proc/sysrq-trigger"]})";

}  // namespace

Result<std::string> bundle_make(const Workspace& workspace, const std::string& rootfs) {
    TRY(std::string bundle, workspace.directory("bundle"));
    const std::string config = fmt::format(
        R"({{"ociVersion":"1.0.2","hostname":"bench","root":{{"path":{},"readonly":false}},)"
        R"("process":{{"terminal":false,"user":{{"uid":0,"gid":0}},"args":["true"],)"
        R"("env":["PATH=/bin"],"cwd":"/","noNewPrivileges":false,)"
        R"("capabilities":{{"bounding":{},"effective":{},"permitted":{}}}}},)"
        R"("mounts":{},"linux":{}}})",
        json_quote(rootfs),
        capabilities,
        capabilities,
        capabilities,
        mounts,
        linux_section);
    TRY_VOID(file_replace(AT_FDCWD, bundle + "/config.json", config));
    return bundle;
}

}  // namespace davit::bench
