#include "libcontainer/launch_plan.h"

#include <linux/sched.h>
#include <sys/mount.h>

#include <cstring>
#include <memory>
#include <optional>

#include "libcontainer/plan_compiler.h"
#include "libcontainer/process_plan.h"

namespace davit {

namespace {

using plan::Kind;
using Fields = PlanWriter::Fields;

Error invalid(const std::string& message) {
    return Error(ErrorKind::invalid_argument, message);
}

/// "net.ipv4.conf.eth0/1.rp_filter" to "net/ipv4/conf/eth0.1/rp_filter", as sysctl(8).
std::string sysctl_path(const std::string& key) {
    const std::size_t first = key.find_first_of("./");
    if (first == std::string::npos || key[first] == '/') {
        return key;
    }
    std::string path = key;
    for (char& c : path) {
        c = c == '.' ? '/' : (c == '/' ? '.' : c);
    }
    return path;
}

}  // namespace

Result<void> PlanCompiler::check() const {
    TRY_VOID(process_check(spec_.process));
    if (spec_.namespaces.uts == NamespaceMode::host &&
        !(spec_.hostname.empty() && spec_.domainname.empty())) {
        return invalid("a hostname cannot be set in the host's UTS namespace");
    }
    if (has_user_namespace() &&
        (wanted_host(spec_.namespaces.pid) || wanted_host(spec_.namespaces.network) ||
         wanted_host(spec_.namespaces.ipc))) {
        return invalid("a user namespace cannot go with the host's pid, network or ipc namespace");
    }
    if (dev_index()) {
        for (const Device& device : spec_.devices) {
            if (!device.path.starts_with("/dev/")) {
                return invalid("in a user namespace a device can be only below /dev: \"" +
                               device.path + "\"");
            }
        }
    }
    for (const Mount& mount : spec_.mounts) {
        if (mount.target.empty() || mount.target.front() != '/') {
            return invalid("mount target must be absolute: \"" + mount.target + "\"");
        }
        if (spec_.namespaces.pid == NamespaceMode::join && mount.fstype == "proc") {
            return invalid("a new procfs would not show the joined pid namespace");
        }
    }
    return ok;
}

void PlanCompiler::join(NamespaceMode mode,
                        RegisterKind kind,
                        std::uint64_t type,
                        const char* name) {
    if (mode != NamespaceMode::join) {
        return;
    }
    const auto reg = static_cast<std::uint16_t>(plan_.registers.size());
    plan_.registers.push_back(kind);
    writer_.add(Kind::join_namespace, Fields{.reg = reg, .a = type}, {name});
}

void PlanCompiler::namespaces() {
    const Namespaces& wanted = spec_.namespaces;
    std::uint64_t made = CLONE_NEWNS;
    if (wanted.network == NamespaceMode::own) {
        made |= CLONE_NEWNET;
    }
    if (wanted.ipc == NamespaceMode::own) {
        made |= CLONE_NEWIPC;
    }
    if (wanted.uts == NamespaceMode::own) {
        made |= CLONE_NEWUTS;
    }
    if (!has_user_namespace()) {
        plan_.clone_flags = made | (wanted.pid == NamespaceMode::own ? CLONE_NEWPID : 0U);
    }
    cgroups_join_write(writer_, spec_.cgroup);
    plan_.registers.push_back(RegisterKind::rootfs);
    plan_.forks = wanted.pid == NamespaceMode::join || has_user_namespace();
    unshared_ = has_user_namespace() ? made : 0;
    if (wanted.cgroup == NamespaceMode::own) {
        // Not in clone3: the root of a cgroup namespace is where its creator is, and that must be
        // the container's own cgroups.
        unshared_ |= CLONE_NEWCGROUP;
    }
    if (has_user_namespace()) {
        plan_.registers.push_back(RegisterKind::namespace_user);
    }
    namespaces_join();
    if (!has_user_namespace() && unshared_ != 0) {
        writer_.add(Kind::unshare, Fields{.a = unshared_}, {});
    }
}

void PlanCompiler::process_attributes() {
    if (const auto& score = spec_.process.oom_score_adjust) {
        writer_.add(Kind::oom_score_adjust, {std::to_string(*score)});
    }
    apparmor_write(writer_, spec_.process);
}

void PlanCompiler::namespaces_join() {
    const Namespaces& wanted = spec_.namespaces;
    join(wanted.network, RegisterKind::namespace_network, CLONE_NEWNET, "network");
    join(wanted.ipc, RegisterKind::namespace_ipc, CLONE_NEWIPC, "ipc");
    join(wanted.uts, RegisterKind::namespace_uts, CLONE_NEWUTS, "uts");
    join(wanted.cgroup, RegisterKind::namespace_cgroup, CLONE_NEWCGROUP, "cgroup");
    join(wanted.pid, RegisterKind::namespace_pid, CLONE_NEWPID, "pid");
}

/// From here on it has no power over anything of the host's. The mount namespace is a copy that
/// belongs to the user namespace, so all that the host has mounted is there once more, until
/// enter_root leaves it behind.
void PlanCompiler::user_namespace_enter() {
    ProcessWriter process(writer_, spec_.process);
    process.user_namespace_prepare(spec_.ids);
    writer_.add(Kind::join_namespace, Fields{.reg = 1, .a = CLONE_NEWUSER}, {"user"});
    writer_.add(Kind::become_root, {});
    writer_.add(Kind::unshare, Fields{.a = unshared_}, {});
    if (spec_.namespaces.pid == NamespaceMode::own) {
        // Now, since what it mounts shows its pid namespace. Nobody else is in there yet.
        writer_.add(Kind::session, {""});
        writer_.add(Kind::fork, Fields{.flags = plan::flag_registers, .a = CLONE_NEWPID}, {});
    }
    for (std::size_t i = 0; i < spec_.mounts.size(); ++i) {
        // The kernel gives these only to who sees them already, all of them: the host's.
        const Mount& mount = spec_.mounts[i];
        if (is_seen_before(mount)) {
            filesystem_make(mount, i);
        }
    }
}

bool PlanCompiler::is_seen_before(const Mount& mount) {
    return mount.kind == MountKind::filesystem &&
           (mount.fstype == "proc" || mount.fstype == "sysfs");
}

/// The index of the file system that is to have the devices; none: somebody else's is there.
std::optional<std::size_t> PlanCompiler::dev_index() const {
    for (std::size_t i = 0; has_user_namespace() && i < spec_.mounts.size(); ++i) {
        const Mount& mount = spec_.mounts[i];
        if (mount.target == "/dev" && mount.kind == MountKind::filesystem) {
            return i;
        }
    }
    return std::nullopt;
}

/// Device nodes are made by who may, in a tmpfs of the daemon's user namespace: in another one's no
/// device can be opened.
void PlanCompiler::dev_make() {
    const std::optional<std::size_t> index = dev_index();
    if (!index) {
        return;
    }
    Mount dev = spec_.mounts[*index];
    dev.options.emplace_back("uid", std::to_string(*spec_.ids.uid_outside(0)));
    dev.options.emplace_back("gid", std::to_string(*spec_.ids.gid_outside(0)));
    filesystem_make(dev, *index);
    writer_.add(Kind::work_in, Fields{.reg = mount_registers_[*index]}, {});
    for (const Device& device : spec_.devices) {
        device_make(device, device.path.substr(4));
    }
}

void PlanCompiler::device_make(const Device& device, const std::string& path) {
    const std::uint64_t uid = spec_.ids.uid_outside(device.uid).value_or(device.uid);
    const std::uint64_t gid = spec_.ids.gid_outside(device.gid).value_or(device.gid);
    writer_.add(
        Kind::make_device,
        Fields{.a = device.mode, .b = device.major, .c = device.minor, .d = (uid << 32) | gid},
        {path});
}

/// As a detached mount, in a register of its own.
void PlanCompiler::filesystem_make(const Mount& mount, std::size_t index) {
    mount_registers_[index] = static_cast<std::uint16_t>(register_count_++);
    writer_.begin(Kind::make_filesystem,
                  Fields{.reg = mount_registers_[index], .a = mount.attributes});
    writer_.string(mount.fstype);
    filesystem_options(mount);
}

void PlanCompiler::filesystem_options(const Mount& mount) {
    // What /proc/mounts shows as the device: the type's own name, or the volume's.
    writer_.string("source");
    writer_.string(mount.source.empty() ? mount.fstype : mount.source);
    for (const auto& [key, value] : mount.options) {
        writer_.string(key);
        writer_.string(value);
    }
}

std::uint16_t PlanCompiler::source(const std::string& path, const Mount& mount) {
    const auto reg = static_cast<std::uint16_t>(register_count_++);
    const std::uint16_t flags = mount.recursive ? plan::flag_recursive : std::uint16_t{0};
    writer_.add(Kind::open_source, Fields{.flags = flags, .reg = reg}, {path});
    source_attributes(reg, path, mount);
    return reg;
}

void PlanCompiler::source_attributes(std::uint16_t reg,
                                     const std::string& path,
                                     const Mount& mount) {
    const std::uint16_t flags = mount.recursive ? plan::flag_recursive : std::uint16_t{0};
    // Always: a copy of a shared mount would go on sharing with the host.
    std::uint64_t propagation =
        mount.propagation != 0 ? mount.propagation : std::uint64_t{MS_PRIVATE};
    if (propagation == MS_SHARED && has_user_namespace()) {
        propagation = MS_SLAVE;  // What is mounted inside is nothing for the host.
    }
    const bool apart = mount.recursive && !mount.attributes_recursive && mount.attributes != 0;
    const std::uint64_t below = apart ? 0 : mount.attributes;
    writer_.add(
        Kind::mount_attributes,
        Fields{
            .flags = flags, .reg = reg, .a = below, .b = mount.attributes_clear, .c = propagation},
        {});
    if (apart) {
        writer_.add(Kind::mount_attributes, Fields{.reg = reg, .a = mount.attributes}, {});
    }
    if (mount.maps_ids && has_user_namespace()) {
        writer_.add(Kind::map_ids, Fields{.reg = reg, .a = 1}, {path});
    }
}

void PlanCompiler::registers_assign() {
    mount_registers_.assign(spec_.mounts.size(), 0);
    for (std::size_t i = 0; i < spec_.mounts.size(); ++i) {
        if (spec_.mounts[i].kind == MountKind::prepared) {
            mount_registers_[i] = static_cast<std::uint16_t>(plan_.registers.size());
            plan_.registers.push_back(RegisterKind::mount);
        }
    }
    for (std::size_t i = 0; options_.in_sandbox && i < spec_.mounts.size(); ++i) {
        const Mount& mount = spec_.mounts[i];
        if (mount.kind == MountKind::bind) {
            mount_registers_[i] = static_cast<std::uint16_t>(plan_.registers.size());
            plan_.registers.push_back(RegisterKind::source);
            plan_.sources.push_back({mount.source, mount.recursive});
        }
    }
    if (options_.start_later) {
        start_register_ = static_cast<std::uint16_t>(plan_.registers.size());
        plan_.registers.push_back(RegisterKind::start);
    }
    register_count_ = plan_.registers.size();
}

void PlanCompiler::sources_open() {
    for (std::size_t i = 0; i < spec_.mounts.size(); ++i) {
        const Mount& mount = spec_.mounts[i];
        if (mount.kind == MountKind::bind && options_.in_sandbox) {
            source_attributes(mount_registers_[i], mount.source, mount);
        } else if (mount.kind == MountKind::bind) {
            mount_registers_[i] = source(mount.source, mount);
        }
    }
    if (!options_.in_sandbox) {
        cgroup_sources_open();
    }
}

void PlanCompiler::cgroup_sources_open() {
    for (const Mount& mount : spec_.mounts) {
        Mount own;
        own.recursive = false;
        if (mount.kind == MountKind::cgroup && binds_cgroup2()) {
            cgroup_registers_.push_back(source("/sys/fs/cgroup", own));
        }
        if (mount.kind == MountKind::cgroup && !spec_.cgroup.pure_v2) {
            for (const CgroupPlacement::Hierarchy& hierarchy : spec_.cgroup.hierarchies) {
                cgroup_registers_.push_back(hierarchy.unified ? std::uint16_t{0}
                                                              : source(hierarchy.directory, own));
            }
        }
    }
}

void PlanCompiler::cgroup_mount(const Mount& mount) {
    if (binds_cgroup2()) {
        writer_.add(Kind::attach, Fields{.reg = cgroup_registers_[0]}, {mount.target});
        writer_.add(Kind::remount, Fields{.a = mount.attributes}, {mount.target});
        return;
    }
    if (spec_.cgroup.pure_v2) {
        writer_.add(Kind::mount_filesystem,
                    Fields{.a = mount.attributes},
                    {"cgroup2", mount.target, "source", "cgroup"});
        return;
    }
    // v1: a folder of the container's own directories, then all of it read-only in one call.
    const std::uint64_t plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    writer_.add(Kind::mount_filesystem,
                Fields{.a = plain},
                {"tmpfs", mount.target, "source", "tmpfs", "mode", "755"});
    for (std::size_t i = 0; i < spec_.cgroup.hierarchies.size(); ++i) {
        const CgroupPlacement::Hierarchy& hierarchy = spec_.cgroup.hierarchies[i];
        if (hierarchy.unified) {
            continue;  // Has no controllers in a hybrid layout.
        }
        writer_.add(Kind::attach,
                    Fields{.reg = cgroup_registers_[i]},
                    {mount.target + "/" + hierarchy.mount_name});
        for (const std::string& alias : hierarchy.aliases) {
            writer_.add(Kind::make_symlink, {hierarchy.mount_name, mount.target + "/" + alias});
        }
    }
    writer_.add(Kind::remount,
                Fields{.flags = plan::flag_recursive, .a = mount.attributes | plain},
                {mount.target});
}

void PlanCompiler::attach(const Mount& mount, std::size_t index) {
    const std::uint16_t flags = mount.no_symlink ? plan::flag_no_symlink : std::uint16_t{0};
    writer_.add(
        Kind::attach, Fields{.flags = flags, .reg = mount_registers_[index]}, {mount.target});
}

void PlanCompiler::mount_one(const Mount& mount, std::size_t index) {
    const std::uint16_t flags = mount.no_symlink ? plan::flag_no_symlink : std::uint16_t{0};
    switch (mount.kind) {
        case MountKind::filesystem:
            if (mount_registers_[index] != 0) {
                attach(mount, index);
                break;
            }
            writer_.begin(Kind::mount_filesystem, Fields{.flags = flags, .a = mount.attributes});
            writer_.string(mount.fstype);
            writer_.string(mount.target);
            filesystem_options(mount);
            break;
        case MountKind::bind:
        case MountKind::prepared:
            attach(mount, index);
            break;
        case MountKind::cgroup:
            cgroup_mount(mount);
            break;
    }
}

void PlanCompiler::mounts() {
    for (std::size_t i = 0; i < spec_.mounts.size(); ++i) {
        // The sandbox's own hang below its top ones, and come with them.
        const bool comes_along =
            options_.in_sandbox && is_of_sandbox(spec_.mounts[i]) && mount_registers_[i] == 0;
        if (!comes_along) {
            mount_one(spec_.mounts[i], i);
        }
    }
}

void PlanCompiler::devices_make() {
    if (!dev_index()) {
        for (const Device& device : spec_.devices) {
            device_make(device, device.path);
        }
    }
    for (const auto& [target, path] : spec_.symlinks) {
        writer_.add(Kind::make_symlink, {target, path});
    }
}

void PlanCompiler::names_set() {
    if (!spec_.hostname.empty()) {
        writer_.add(Kind::hostname, {spec_.hostname});
    }
    if (!spec_.domainname.empty()) {
        writer_.add(Kind::domainname, {spec_.domainname});
    }
}

void PlanCompiler::kernel_tune() {
    for (const auto& [key, value] : spec_.sysctls) {
        writer_.add(Kind::sysctl, {sysctl_path(key), value});
    }
    if (spec_.namespaces.network == NamespaceMode::own) {
        writer_.add(Kind::loopback_up, {});
    }
}

void PlanCompiler::paths_protect() {
    for (const std::string& path : spec_.readonly_paths) {
        writer_.add(Kind::readonly_path, {path});
    }
    for (const std::string& path : spec_.masked_paths) {
        writer_.add(Kind::mask_path, {path});
    }
}

void PlanCompiler::root_fill() {
    devices_make();
    names_set();
    kernel_tune();
    paths_protect();
}

Result<LaunchPlan> PlanCompiler::run() {
    TRY_VOID(check());
    if (options_.in_sandbox) {
        TRY_VOID(sandbox_check());
        plan_.registers.push_back(RegisterKind::rootfs);
    } else {
        namespaces();
    }
    process_attributes();
    registers_assign();
    sources_open();
    if (options_.in_sandbox) {
        sandbox_take();
    }
    if (has_user_namespace()) {
        dev_make();
        user_namespace_enter();
    }
    if (options_.early_gate) {
        writer_.add(Kind::gate, {});
    }
    writer_.add(Kind::enter_root, {});
    mounts();
    if (options_.in_sandbox) {
        names_set();
    } else {
        root_fill();
    }
    const std::string keyring = spec_.new_session_keyring ? "_ses." + spec_.id : "";
    const bool forks_last = spec_.namespaces.pid == NamespaceMode::join;
    ProcessWriter process(writer_, spec_.process, {.forks = forks_last});
    process.session(keyring);
    process.terminal();
    process.working_directory();
    if (spec_.rootfs_readonly) {
        writer_.add(Kind::remount, Fields{.a = MOUNT_ATTR_RDONLY}, {"/"});
    }
    process.limits();
    process.credentials();
    if (options_.start_later) {
        process.find();
    }
    if (!forks_last) {
        gates();
    }
    process.confine();
    if (forks_last) {
        // What waits is what becomes the program.
        process.fork_inside(options_.start_later ? start_register_ + 1U : 0U);
        gates();
    }
    process.execute();
    return finish();
}

void PlanCompiler::gates() {
    if (options_.gate) {
        writer_.add(Kind::gate, {});
    }
    if (options_.start_later) {
        writer_.add(Kind::start_wait, Fields{.reg = start_register_}, {});
    }
}

Result<LaunchPlan> PlanCompiler::finish() {
    if (register_count_ > plan::registers_max) {
        return Error(ErrorKind::resource_exhausted,
                     "more than " + std::to_string(plan::registers_max) + " mounts");
    }
    TRY(plan_.bytes, writer_.finish(static_cast<std::uint16_t>(plan_.registers.size())));
    return std::move(plan_);
}

Result<LaunchPlan> plan_compile(const ContainerSpec& spec, PlanOptions options) {
    return PlanCompiler(spec, options).run();
}

Result<std::vector<PlanStep>> plan_decode(std::string_view bytes) {
    // The reader wants the alignment that a mapped plan has.
    const std::size_t words = (bytes.size() + 7) / 8;
    const auto aligned = std::make_unique<std::uint64_t[]>(words + 1);
    std::memcpy(aligned.get(), bytes.data(), bytes.size());
    plan::Reader reader(reinterpret_cast<const std::uint8_t*>(aligned.get()), bytes.size());
    std::vector<PlanStep> steps;
    plan::Operation operation{};
    while (reader.next(operation)) {
        const plan::OperationHeader& header = *operation.header;
        PlanStep step;
        step.name = plan::traits(header.kind).name;
        step.kind = static_cast<std::uint16_t>(header.kind);
        plan::Strings strings(operation);
        for (std::uint32_t i = 0; i < header.string_count; ++i) {
            step.strings.emplace_back(strings.next());
        }
        steps.push_back(std::move(step));
    }
    if (!reader.done()) {
        return Error(ErrorKind::corrupt,
                     "launch plan is malformed at operation " + std::to_string(reader.index()));
    }
    return steps;
}

Result<int> resource_limit_number(std::string_view name) {
    struct Named {
        std::string_view name;
        int number;
    };

    static constexpr Named known[] = {
        {"as", RLIMIT_AS},
        {"core", RLIMIT_CORE},
        {"cpu", RLIMIT_CPU},
        {"data", RLIMIT_DATA},
        {"fsize", RLIMIT_FSIZE},
        {"locks", RLIMIT_LOCKS},
        {"memlock", RLIMIT_MEMLOCK},
        {"msgqueue", RLIMIT_MSGQUEUE},
        {"nice", RLIMIT_NICE},
        {"nofile", RLIMIT_NOFILE},
        {"nproc", RLIMIT_NPROC},
        {"rss", RLIMIT_RSS},
        {"rtprio", RLIMIT_RTPRIO},
        {"rttime", RLIMIT_RTTIME},
        {"sigpending", RLIMIT_SIGPENDING},
        {"stack", RLIMIT_STACK},
    };
    for (const Named& limit : known) {
        if (limit.name == name) {
            return limit.number;
        }
    }
    return invalid("invalid ulimit type: " + std::string(name));
}

}  // namespace davit
