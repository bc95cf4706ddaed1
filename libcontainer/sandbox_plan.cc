// The plan of a sandbox that is made ahead of its container.
#include "libcontainer/plan_compiler.h"

namespace davit {

namespace {

using plan::Kind;
using Fields = PlanWriter::Fields;

bool is_below(std::string_view path, std::string_view top) {
    return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

}  // namespace

bool PlanCompiler::is_of_sandbox(const Mount& mount) {
    return (mount.kind == MountKind::filesystem || mount.kind == MountKind::cgroup) &&
           is_sandbox_path(mount.target);
}

Result<void> PlanCompiler::sandbox_check() const {
    const auto unsupported = [](const char* why) {
        return Error(ErrorKind::unsupported, std::string("no sandbox can be made ahead: ") + why);
    };
    const Namespaces& wanted = spec_.namespaces;
    for (const NamespaceMode mode : {wanted.pid, wanted.network, wanted.ipc, wanted.cgroup}) {
        if (mode != NamespaceMode::own) {
            return unsupported("namespaces are shared");
        }
    }
    if (wanted.uts == NamespaceMode::join || has_user_namespace()) {
        return unsupported("namespaces are given");
    }
    bool begun = false;  // Its mounts come first, so that what comes over them is the same.
    for (const Mount& mount : spec_.mounts) {
        if (is_of_sandbox(mount) ? begun : is_sandbox_path(mount.target) || mount.target == "/") {
            return unsupported("mounts below /proc, /dev or /sys");
        }
        begun = begun || !is_of_sandbox(mount);
    }
    for (const Device& device : spec_.devices) {
        if (!is_below(device.path, "/dev")) {
            return unsupported("devices outside of /dev");
        }
    }
    for (const auto* paths : {&spec_.masked_paths, &spec_.readonly_paths}) {
        for (const std::string& path : *paths) {
            if (!is_sandbox_path(path)) {
                return unsupported("paths are masked or read-only outside of /proc, /dev and /sys");
            }
        }
    }
    return ok;
}

Result<LaunchPlan> PlanCompiler::sandbox() {
    TRY_VOID(sandbox_check());
    namespaces();
    plan_.registers.clear();  // No root comes along.
    mount_registers_.assign(spec_.mounts.size(), 0);
    const auto root = static_cast<std::uint16_t>(register_count_++);
    cgroup_sources_open();
    // A root of its own: neither is the host's mounted there for as long as it waits, nor can it
    // get at anything of the host's.
    writer_.begin(Kind::make_filesystem, Fields{.reg = root});
    for (const char* text : {"tmpfs", "mode", "755"}) {
        writer_.string(text);
    }
    writer_.add(Kind::enter_root, Fields{.reg = root}, {});
    for (std::size_t i = 0; i < spec_.mounts.size(); ++i) {
        if (is_of_sandbox(spec_.mounts[i])) {
            mount_one(spec_.mounts[i], i);
        }
    }
    devices_make();
    kernel_tune();
    paths_protect();
    writer_.add(Kind::hand_over, {});
    return finish();
}

/// The sandbox's own file systems with all that is below them, out of the root that is left.
void PlanCompiler::sandbox_take() {
    for (std::size_t i = 0; i < spec_.mounts.size(); ++i) {
        const Mount& mount = spec_.mounts[i];
        if (is_of_sandbox(mount) && mount.target.find('/', 1) == std::string::npos) {
            mount_registers_[i] = static_cast<std::uint16_t>(register_count_++);
            writer_.add(Kind::open_source,
                        Fields{.flags = plan::flag_recursive, .reg = mount_registers_[i]},
                        {mount.target});
        }
    }
}

bool is_sandbox_path(std::string_view path) {
    return is_below(path, "/proc") || is_below(path, "/dev") || is_below(path, "/sys");
}

Result<LaunchPlan> sandbox_plan_compile(const ContainerSpec& spec) {
    return PlanCompiler(spec, {}).sandbox();
}

}  // namespace davit
