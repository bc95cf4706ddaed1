#include "bench/support/field.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

#include "bench/support/adversity.h"
#include "bench/support/bundle.h"
#include "bench/support/podman.h"

namespace davit::bench {
namespace {

/// Where engines keep files outside of what they are given: shim sockets, locks, leases.
constexpr const char* shared_directories[] = {
    "/dev/shm", "/run/containerd", "/run/netns", "/var/lib/cni"};

/// A lock of our own before iptables' one: its rules are those of our own network, and it may be
/// held without holding up the machine.
Result<void> own_xtables_lock(const std::string& file) {
    TRY_VOID(file_replace(AT_FDCWD, file, "", 0600));
    TRY(const Fd place, Fd::open(xtables_lock, O_RDONLY | O_CREAT, 0600));
    if (mount(file.c_str(), xtables_lock, nullptr, MS_BIND, nullptr) != 0) {
        return Error::from_errno(errno, "mount", xtables_lock);
    }
    return ok;
}

/// Networks, mounts and whatever an engine forgets are then ours alone, and end with us.
Result<void> own_namespaces(const std::string& workspace) {
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
        return Error::from_errno(errno, "unshare(CLONE_NEWNET | CLONE_NEWNS)");
    }
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        return Error::from_errno(errno, "mount", "private");
    }
    for (const char* directory : shared_directories) {
        TRY_VOID(make_directories(directory));
        if (mount("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") != 0) {
            return Error::from_errno(errno, "mount", directory);
        }
    }
    TRY_VOID(own_xtables_lock(workspace + "/xtables.lock"));
    return process_run({{"ip", "link", "set", "lo", "up"}, {}, "", -1});
}

}  // namespace

Result<std::unique_ptr<Field>> Field::make(const Workspace& workspace,
                                           Setting& setting,
                                           FieldOptions options) {
    std::unique_ptr<Field> field(new Field(workspace, setting, std::move(options)));
    TRY_VOID(orphans_adopt());
    if (geteuid() == 0) {
        TRY_VOID(own_namespaces(workspace.path()));
        TRY(field->plain_cgroups_, mount_namespace_without_unified());
    }
    TRY(field->rootfs_, workspace.busybox_rootfs());
    TRY(field->tar_, Workspace::busybox_tar());
    field->tar_path_ = workspace.path() + "/image.tar";
    TRY_VOID(file_replace(AT_FDCWD, field->tar_path_, field->tar_));
    field->add_floors();
    field->add_davit();
    field->add_dockerd();
    const std::string directory = std::filesystem::path(field->options_.davit).parent_path();
    field->add_runtime("davit-runc", directory + "/davit-runc");
    field->add_runtime("crun", "crun");
    field->add_runtime("runc", "runc");
    field->add_podman("crun");
    field->add_podman("runc");
    field->add_ctr();
    for (const std::string& extra : field->options_.extra) {
        const std::size_t equal = extra.find('=');
        field->add_extra(extra.substr(0, equal), extra.substr(equal + 1));
    }
    if (field->entrants_.empty()) {
        return Error(ErrorKind::invalid_argument,
                     "--only: no contender's name has any of these texts in it");
    }
    return field;
}

Field::~Field() {
    std::set<Steward*> cleaned;
    for (Entrant& entrant : entrants_) {
        Result<int> left = entrant.contender ? entrant.contender->clean() : Result<int>(0);
        if (!left) {
            fmt::print(stderr, "{}: {}, ignoring\n", entrant.name, left.error().message());
        }
        if (!entrant.steward || !cleaned.insert(entrant.steward.get()).second) {
            continue;
        }
        if (Result<void> done = entrant.steward->clean(); !done) {
            fmt::print(stderr, "{}: {}, ignoring\n", entrant.name, done.error().message());
        }
    }
    entrants_.clear();
    davit_.reset();
    dockerd_.reset();
    containerd_.reset();
    children_kill({});
    if (geteuid() == 0) {
        mounts_detach(workspace_.path());
        cgroup_parent_remove();
    }
}

bool Field::chosen(const std::string& name) const {
    return options_.only.empty() ||
           std::any_of(options_.only.begin(), options_.only.end(), [&name](const auto& part) {
               return name.find(part) != std::string::npos;
           });
}

bool Field::chosen_any(const std::vector<std::string>& names) const {
    return std::any_of(
        names.begin(), names.end(), [this](const auto& name) { return chosen(name); });
}

void Field::enter(const std::string& name,
                  Result<std::unique_ptr<Contender>> contender,
                  std::shared_ptr<Steward> steward,
                  Engine* daemon) {
    if (!chosen(name)) {
        return;
    }
    if (contender) {
        entrants_.push_back({name, *std::move(contender), "", daemon, std::move(steward)});
    } else {
        entrants_.push_back({name, nullptr, contender.error().message(), nullptr, nullptr});
    }
}

void Field::enter_absent(const std::vector<std::string>& names, const Error& reason) {
    for (const std::string& name : names) {
        enter(name, reason, nullptr);
    }
}

void Field::add_floors() {
    for (const FloorIsolation isolation : {FloorIsolation::bare, FloorIsolation::full}) {
        const char* name = isolation == FloorIsolation::bare ? "floor, bare" : "floor";
        Result<std::string> scratch = workspace_.directory("floor");
        if (scratch && chosen(name)) {
            enter(name, floor_contender({rootfs_, *scratch, isolation}), nullptr);
        }
    }
}

/// Keep a daemon that has started and knows the image.
Result<void> Field::ready(Result<Engine> started, std::optional<Engine>& engine) {
    TRY(Engine living, std::move(started));
    engine.emplace(std::move(living));
    return engine->import_image(tar_, setting_.image);
}

std::unique_ptr<Contender> Field::docker_cli(const std::string& socket) {
    return command_contender(
        setting_,
        {{{"docker"},
          {"DOCKER_HOST=unix://" + socket, "DOCKER_CONFIG=" + workspace_.path()},
          workspace_.path() + "/docker.log",
          -1},
         {}});
}

void Field::add_davit() {
    const std::vector<std::string> names = {"davit API", "davit CLI", "docker CLI to davit"};
    Result<std::string> directory = workspace_.directory("davit");
    if (!chosen_any(names) || !directory) {
        return;
    }
    EngineConfig config = {options_.davit, *directory, "", cgroup_parent()};
    config.keeper = true;
    if (Result<void> made = ready(Engine::start_davit(config), davit_); !made) {
        enter_absent(names, made.error());
        return;
    }
    const std::string& socket = davit_->socket();
    const std::shared_ptr<Steward> steward = api_steward("davit", setting_, *davit_);
    enter(names[0], api_contender(setting_, socket), steward, &*davit_);
    enter(names[1],
          command_contender(setting_,
                            {{{options_.davit, "--host", "unix://" + socket},
                              {},
                              workspace_.path() + "/davit-cli.log",
                              -1},
                             {}}),
          steward);
    enter(names[2], docker_cli(socket), steward);
}

void Field::add_dockerd() {
    const std::vector<std::string> names = {"dockerd API", "docker CLI to dockerd"};
    Result<std::string> directory = workspace_.directory("dockerd");
    if (!chosen_any(names) || !directory) {
        return;
    }
    EngineConfig config = {"dockerd", *directory, "", cgroup_parent()};
    config.network = true;
    if (Result<void> made = ready(Engine::start_dockerd(config), dockerd_); !made) {
        enter_absent(names, made.error());
        return;
    }
    const std::shared_ptr<Steward> steward = api_steward("dockerd", setting_, *dockerd_);
    enter(names[0], api_contender(setting_, dockerd_->socket()), steward, &*dockerd_);
    enter(names[1], docker_cli(dockerd_->socket()), steward);
}

void Field::add_runtime(const std::string& name, const std::string& program) {
    if (!chosen(name)) {
        return;
    }
    std::shared_ptr<Steward> steward;
    const auto make = [&, this]() -> Result<std::unique_ptr<Contender>> {
        if (program_find(program).empty()) {
            return Error(ErrorKind::not_found, program + " is not installed");
        }
        RuntimeConfig config;
        TRY(config.scratch, workspace_.directory(name));
        config.base = {{program, "--root", config.scratch + "/root"},
                       {},
                       config.scratch + "/log",
                       name == "crun" ? plain_cgroups_.get() : -1};
        const std::vector<std::string> payload = setting_.payload();
        const std::vector<std::string> sleep = {"sleep", "1000000"};
        TRY(config.bundle_none, bundle_make(workspace_, name + "/none", rootfs_, payload, false));
        TRY(config.bundle_host, bundle_make(workspace_, name + "/host", rootfs_, payload, true));
        TRY(config.bundle_sleep, bundle_make(workspace_, name + "/sleep", rootfs_, sleep, false));
        steward = runtime_steward(name, setting_, config);
        return runtime_contender(setting_, std::move(config));
    };
    Result<std::unique_ptr<Contender>> made = make();
    enter(name, std::move(made), std::move(steward));
}

/// If its program takes the image.
void Field::add_imported(const std::string& name,
                         CommandConfig config,
                         const std::string& directory,
                         Nanoseconds limit) {
    SpawnOptions import = config.base;
    import.argv.insert(import.argv.end(), {"import", tar_path_, setting_.image});
    import.limit = limit;
    if (Result<void> imported = process_run(import); !imported) {
        enter(name, std::move(imported).error(), nullptr);
        return;
    }
    std::shared_ptr<Steward> steward = command_steward(name, setting_, config, directory);
    enter(name, command_contender(setting_, std::move(config)), std::move(steward));
}

void Field::add_podman(const std::string& runtime) {
    const std::string name = "podman + " + runtime;
    if (!chosen(name)) {
        return;
    }
    // The run root's path may have 50 characters only.
    const std::string base = fmt::format("{}/{}", workspace_.path(), runtime[0]);
    // podman with runc accepts a hybrid hierarchy, but both get the same surroundings.
    CommandConfig config = {{podman_argv(base, runtime), {}, base + ".log", plain_cgroups_.get()},
                            // Its default limits of a million files need CAP_SYS_RESOURCE, which
                            // virtual machines may lack.
                            {"--cgroup-parent",
                             cgroup_parent(),
                             "--ulimit",
                             "nofile=1024:1024",
                             "--ulimit",
                             "nproc=1024:1024"},
                            {"--tls-verify=false"}};
    add_imported(name, std::move(config), base, std::chrono::minutes(1));
}

void Field::add_ctr() {
    Result<std::string> directory = workspace_.directory("containerd");
    if (!chosen("ctr") || !directory) {
        return;
    }
    std::shared_ptr<Steward> steward;
    const auto make = [&, this]() -> Result<std::unique_ptr<Contender>> {
        TRY(Engine living, Engine::start_containerd({"containerd", *directory, "", ""}));
        containerd_.emplace(std::move(living));
        const std::string archive = *directory + "/image.tar";
        TRY_VOID(file_replace(
            AT_FDCWD, archive, Workspace::image_archive(tar_, setting_.image, setting_.payload())));
        const SpawnOptions base = {
            // The namespace is the cgroup's name, too.
            {"ctr", "--address", containerd_->socket(), "--namespace", cgroup_parent().substr(1)},
            {},
            *directory + "/ctr.log",
            -1};
        SpawnOptions import = base;
        import.argv.insert(import.argv.end(), {"image", "import", archive});
        TRY_VOID(process_run(import));
        steward = ctr_steward("ctr", setting_, base, *containerd_);
        return ctr_contender(setting_, base);
    };
    Result<std::unique_ptr<Contender>> made = make();
    enter("ctr", std::move(made), std::move(steward), containerd_ ? &*containerd_ : nullptr);
}

void Field::add_extra(const std::string& name, const std::string& program) {
    if (chosen(name)) {
        add_imported(name,
                     {{{program}, {}, workspace_.path() + "/extra.log", -1}, {}},
                     program,
                     setting_.limit);
    }
}

std::set<pid_t> Field::daemons() const {
    std::set<pid_t> all;
    for (const auto* engine : {&davit_, &dockerd_, &containerd_}) {
        if (*engine) {
            all.insert((*engine)->pid());
        }
    }
    return all;
}

std::vector<std::pair<std::string, long>> Field::daemons_rss() const {
    std::vector<std::pair<std::string, long>> all;
    if (davit_) {
        all.emplace_back("davit", davit_->rss_kib());
    }
    if (dockerd_) {
        all.emplace_back("dockerd + containerd", dockerd_->rss_kib());
    }
    if (containerd_) {
        all.emplace_back("containerd", containerd_->rss_kib());
    }
    return all;
}

}  // namespace davit::bench
