#include <fcntl.h>
#include <pwd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <optional>

#include "libcontainer/mount.h"
#include "libcontainer/mount_borrow.h"
#include "libcontainer/user_namespace.h"
#include "reactor/base/clock.h"

#include "runtime/cgroup_end.h"
#include "runtime/copy_up.h"
#include "runtime/hooks.h"
#include "runtime/runtime.h"

namespace davit {

namespace {

constexpr std::size_t bundle_config_bytes_max = 16 << 20;

Result<std::string> absolute_path(const std::string& path) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                           std::free);
    if (!real) {
        return Error::from_errno(errno, "realpath", path);
    }
    return std::string(real.get());
}

/// "/a/b", without dots; what a cgroup manager of runc's makes of a path.
Result<std::string> cgroup_path_of(const std::string& given, const std::string& id) {
    if (given.empty()) {
        return "/davit-runc/" + id;
    }
    std::string path;
    std::size_t at = 0;
    while (at < given.size()) {
        const std::size_t end = std::min(given.find('/', at), given.size());
        const std::string part = given.substr(at, end - at);
        if (part == "..") {
            return Error(ErrorKind::invalid_argument,
                         "linux.cgroupsPath: \"" + given + "\" leads out of its hierarchy");
        }
        if (!part.empty() && part != ".") {
            path += "/" + part;
        }
        at = end + 1;
    }
    if (path.empty()) {
        return Error(ErrorKind::invalid_argument,
                     "linux.cgroupsPath: the root is not a container's");
    }
    return path;
}

std::string user_name() {
    const passwd* user = ::getpwuid(::geteuid());
    return user != nullptr ? user->pw_name : std::to_string(::geteuid());
}

/// Takes a container into being step by step; what it took is given back unless it is kept.
class Creator {
  public:
    Creator(const RuntimeCreate& request, std::vector<std::string>& warnings)
        : request_(request), warnings_(warnings) {}

    Result<RuntimeContainer> run() {
        Result<void> made = make();
        if (made) {
            return RuntimeContainer{
                *std::move(directory_), std::move(state_), std::move(launching_)};
        }
        launching_abort(launching_);
        if (cgroup_) {
            static_cast<void>(cgroup_end(*cgroup_));
        }
        if (directory_) {
            static_cast<void>(directory_->remove());
        }
        return std::move(made).error();
    }

  private:
    Result<void> make() {
        TRY(state_.bundle, absolute_path(request_.bundle));
        TRY(const std::string text,
            file_read(state_.bundle + "/config.json", bundle_config_bytes_max));
        TRY(config_, oci_config_parse(text));
        warnings_.insert(warnings_.end(), config_.warnings.begin(), config_.warnings.end());
        TRY_VOID(console_check());
        TRY(state_.rootfs,
            absolute_path(config_.root.starts_with('/') ? config_.root
                                                        : state_.bundle + "/" + config_.root));
        state_.id = request_.id;
        state_.annotations = config_.annotations;
        state_.created = rfc3339_nano(wall_now());
        state_.owner = user_name();
        state_.has_keyring = request_.new_keyring;
        TRY(state_.cgroup, cgroup_path_of(config_.cgroups_path, request_.id));
        TRY(RuntimeDirectory directory, RuntimeDirectory::make(request_.root, request_.id));
        directory_ = std::move(directory);
        TRY_VOID(directory_->config_store(text));
        TRY_VOID(directory_->store(state_));
        TRY_VOID(cgroup_make());
        TRY_VOID(init_start());
        return init_follow();
    }

    Result<void> console_check() const {
        const bool terminal = config_.spec.process.terminal;
        if (terminal && request_.console_socket.empty() && !request_.attached) {
            return Error(ErrorKind::invalid_argument,
                         "cannot allocate tty if runc will detach without setting console socket");
        }
        if (!terminal && !request_.console_socket.empty()) {
            return Error(ErrorKind::invalid_argument,
                         "cannot use console socket if runc will not detach or allocate tty");
        }
        return ok;
    }

    Result<void> cgroup_make() {
        TRY(const CgroupLayout layout, CgroupLayout::detect());
        TRY(Cgroup cgroup, Cgroup::create(layout, state_.cgroup, config_.resources, warnings_));
        cgroup_ = std::move(cgroup);
        config_.spec.cgroup = cgroup_->placement();
        return ok;
    }

    /// What the bundle has at its root, with all that is mounted there, and shared with nobody.
    Result<Fd> root_open() const {
        TRY(Fd root, open_tree_clone(AT_FDCWD, state_.rootfs, true));
        MountAttributes apart;
        apart.propagation = MS_PRIVATE;
        apart.recursive = true;
        TRY_VOID(mount_attributes_change(root.get(), apart));
        return root;
    }

    Result<Fd> register_open(RegisterKind kind) {
        switch (kind) {
            case RegisterKind::rootfs:
                return root_open();
            case RegisterKind::namespace_user: {
                TRY(UserNamespace made, user_namespace_make(config_.spec.ids, false));
                return std::move(made.user);
            }
            case RegisterKind::namespace_network:
                return Fd::open(config_.paths.network, O_RDONLY);
            case RegisterKind::namespace_ipc:
                return Fd::open(config_.paths.ipc, O_RDONLY);
            case RegisterKind::namespace_uts:
                return Fd::open(config_.paths.uts, O_RDONLY);
            case RegisterKind::namespace_cgroup:
                return Fd::open(config_.paths.cgroup, O_RDONLY);
            case RegisterKind::start:
                return directory_->start_make();
            case RegisterKind::mount:
                return mount_next();
            case RegisterKind::namespace_pid:
                return pid_joined();
            case RegisterKind::process:
            case RegisterKind::source:
                break;
        }
        return Error(ErrorKind::internal, "a plan of a bundle has a register that none has");
    }

    /// The prepared mounts, in their order.
    Result<Fd> mount_next() {
        const Mount& mount = config_.prepared.at(mounts_made_++);
        if (mount.fstype == "proc") {
            return proc_joined();
        }
        TRY(const Fd root, Fd::open(state_.rootfs, O_RDONLY | O_DIRECTORY));
        return tmpfs_copied_up(root.get(), mount);
    }

    /// The process whose namespace it is.
    Result<PidRef> pid_donor() const {
        constexpr std::string_view head = "/proc/";
        const std::string& path = config_.paths.pid;
        pid_t pid = 0;
        const char* const end = path.data() + path.size();
        if (path.starts_with(head)) {
            const auto [rest, error] = std::from_chars(path.data() + head.size(), end, pid);
            if (error != std::errc{} || std::string_view(rest, end) != "/ns/pid") {
                pid = 0;
            }
        }
        if (pid <= 0) {
            return Error(
                ErrorKind::unsupported,
                "linux.namespaces: pid: davit joins one by /proc/PID/ns/pid alone, not by " + path);
        }
        return PidRef::open(pid);
    }

    Result<Fd> pid_joined() const {
        TRY(const PidRef donor, pid_donor());
        return Fd::duplicate(donor.pidfd());
    }

    Result<Fd> proc_joined() const {
        TRY(const PidRef donor, pid_donor());
        return mount_borrow_proc(donor);
    }

    Result<void> init_start() {
        ContainerSpec& spec = config_.spec;
        spec.id = request_.id;
        spec.new_session_keyring = request_.new_keyring;
        PlanOptions options;
        options.gate = true;
        options.early_gate = config_.hooks.has_early();
        options.start_later = true;
        TRY(const LaunchPlan plan, plan_compile(spec, options));
        std::vector<Fd> registers;
        for (const RegisterKind kind : plan.registers) {
            TRY(Fd fd, register_open(kind));
            registers.push_back(std::move(fd));
        }
        TRY(launching_,
            launching_begin(
                plan, std::move(registers), cgroup_->unified_fd(), spec.process.terminal));
        return ok;
    }

    /// Who asks while a hook runs is told that it is being made, by which process.
    Result<void> state_store() {
        state_.pid = launching_.program().pid();
        state_.pid_started = process_started(state_.pid);
        return directory_->store(state_);
    }

    Result<void> gate_pass() {
        TRY(const bool waits, launching_follow(launching_));
        if (!waits) {
            return Error(ErrorKind::unavailable, "davit-init was killed");
        }
        launching_forked(launching_);
        return state_store();
    }

    Result<void> init_follow() {
        if (config_.hooks.has_early()) {
            TRY_VOID(gate_pass());
            TRY_VOID(early_hooks_run());
            TRY_VOID(launch_release(launching_.launched.channel.get()));
        }
        TRY_VOID(gate_pass());
        warnings_.insert(warnings_.end(), launching_.warnings.begin(), launching_.warnings.end());
        if (launching_.console && !request_.attached) {
            TRY_VOID(console_hand_over(request_.console_socket, launching_.console.get()));
            launching_.console.reset();
        }
        if (!request_.pid_file.empty()) {
            TRY_VOID(file_replace(AT_FDCWD, request_.pid_file, std::to_string(state_.pid)));
        }
        TRY_VOID(launch_release(launching_.launched.channel.get()));
        directory_->unlock();
        return ok;
    }

    Result<void> early_hooks_run() {
        const OciHooks& hooks = config_.hooks;
        const std::string state = runtime_state_json(state_, RuntimeStatus::creating, false);
        TRY_VOID(hooks_run(hooks.prestart, "prestart", state));
        TRY_VOID(hooks_run(hooks.create_runtime, "createRuntime", state));
        return hooks_run(hooks.create_container, "createContainer", state, &launching_.program());
    }

    const RuntimeCreate& request_;
    std::vector<std::string>& warnings_;
    OciConfig config_;
    RuntimeState state_;
    std::optional<RuntimeDirectory> directory_;
    std::optional<Cgroup> cgroup_;
    std::size_t mounts_made_ = 0;
    Launching launching_;
};

}  // namespace

Result<RuntimeContainer> runtime_create(const RuntimeCreate& request,
                                        std::vector<std::string>& warnings) {
    return Creator(request, warnings).run();
}

}  // namespace davit
