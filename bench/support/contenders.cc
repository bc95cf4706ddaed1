#include "bench/support/contenders.h"

#include <unistd.h>

#include <atomic>

#include <fmt/format.h>

#include "bench/support/bundle.h"
#include "bench/support/podman.h"

namespace davit::bench {
namespace {

constexpr const char* image = "davit-bench:latest";
/// Every 4th round is enough for what takes half a second a time.
constexpr int stride_slow = 4;

Contender command_contender(std::string name, SpawnOptions options, int stride) {
    auto client = [options = std::move(options)]() -> Result<Cycle> {
        return Cycle([options]() -> Result<Nanoseconds> {
            const MonotonicTime begun = monotonic_now();
            TRY_VOID(process_run(options));
            return monotonic_now() - begun;
        });
    };
    return {std::move(name), stride, std::move(client)};
}

}  // namespace

Result<std::unique_ptr<Field>> Field::make(const Workspace& workspace, ContenderOptions options) {
    std::unique_ptr<Field> field(new Field(workspace, std::move(options)));
    TRY(std::string rootfs, workspace.busybox_rootfs());
    TRY(std::string tar, Workspace::busybox_tar());
    TRY(std::string bundle, bundle_make(workspace, rootfs));
    const std::string tar_path = workspace.path() + "/image.tar";
    TRY_VOID(file_replace(AT_FDCWD, tar_path, tar));
    TRY(field->plain_cgroups_, mount_namespace_without_unified());

    TRY_VOID(field->add_floors(rootfs));
    field->add_davit(tar);
    field->add_dockerd(tar);
    field->add_runtime("crun", bundle);
    field->add_runtime("runc", bundle);
    field->add_podman("crun", tar_path);
    field->add_podman("runc", tar_path);
    return field;
}

Field::~Field() {
    davit_.reset();
    dockerd_.reset();
    cgroup_parent_remove();
}

void Field::admit(Contender contender) {
    Result<Cycle> client = contender.client_make();
    Result<Nanoseconds> tried = client ? (*client)() : Result<Nanoseconds>(client.error());
    if (tried) {
        contenders_.push_back(std::move(contender));
    } else {
        unavailable_.push_back({contender.name, tried.error().message()});
    }
}

Result<void> Field::add_floors(const std::string& rootfs) {
    TRY(std::string scratch, workspace_.directory("floor"));
    for (const FloorIsolation isolation : {FloorIsolation::bare, FloorIsolation::full}) {
        const Floor::Config config = {rootfs, scratch, isolation};
        auto client = [config]() -> Result<Cycle> {
            TRY(Floor made, Floor::make(config));
            // std::function wants something copyable.
            auto floor = std::make_shared<Floor>(std::move(made));
            return Cycle([floor]() -> Result<Nanoseconds> {
                TRY(FloorTimes times, floor->run());
                return times.whole;
            });
        };
        admit({isolation == FloorIsolation::bare ? "floor, bare" : "floor", 1, std::move(client)});
    }
    return ok;
}

Contender Field::api_contender(const std::string& name,
                               const std::string& socket,
                               int stride) const {
    const bool auto_remove = !options_.explicit_remove;
    auto client = [socket, auto_remove]() -> Result<Cycle> {
        TRY(ApiClient made, ApiClient::connect(socket, image));
        auto api = std::make_shared<ApiClient>(std::move(made));
        return Cycle([api, auto_remove]() -> Result<Nanoseconds> {
            TRY(CycleTimes times, api->run_true(auto_remove));
            return times.whole;
        });
    };
    return {name, stride, std::move(client)};
}

void Field::add_docker_cli(const std::string& name, const std::string& socket) {
    const SpawnOptions options = {
        {"docker", "run", "--rm", "--network", "none", image, "true"},
        {"DOCKER_HOST=unix://" + socket, "DOCKER_CONFIG=" + workspace_.path()},
        workspace_.path() + "/docker.log",
        -1};
    admit(command_contender(name, options, stride_slow));
}

void Field::add_davit(const std::string& tar) {
    Result<std::string> directory = workspace_.directory("davit");
    if (directory) {
        Result<Engine> engine = Engine::start_davit({options_.davit, *directory, "", ""});
        Result<void> imported = engine ? engine->import_image(tar, image) : engine.error();
        if (imported) {
            davit_.emplace(*std::move(engine));
        } else {
            const std::string reason = imported.error().message();
            for (const char* name : {"davit API", "davit CLI", "docker CLI to davit"}) {
                unavailable_.push_back({name, reason});
            }
            return;
        }
    }
    const std::string& socket = davit_->socket();
    admit(api_contender("davit API", socket, 1));
    const SpawnOptions cli = {{options_.davit,
                               "--host",
                               "unix://" + socket,
                               "run",
                               "--rm",
                               "--network",
                               "none",
                               image,
                               "true"},
                              {},
                              workspace_.path() + "/davit-cli.log",
                              -1};
    admit(command_contender("davit CLI", cli, 1));
    add_docker_cli("docker CLI to davit", socket);
}

void Field::add_dockerd(const std::string& tar) {
    Result<std::string> directory = workspace_.directory("dockerd");
    if (directory) {
        Result<Engine> engine = Engine::start_dockerd({"dockerd", *directory, "", cgroup_parent()});
        Result<void> imported = engine ? engine->import_image(tar, image) : engine.error();
        if (imported) {
            dockerd_.emplace(*std::move(engine));
        } else {
            const std::string reason = imported.error().message();
            for (const char* name : {"dockerd API", "docker CLI to dockerd"}) {
                unavailable_.push_back({name, reason});
            }
            return;
        }
    }
    admit(api_contender("dockerd API", dockerd_->socket(), 1));
    add_docker_cli("docker CLI to dockerd", dockerd_->socket());
}

void Field::add_runtime(const std::string& program, const std::string& bundle) {
    const std::string root = fmt::format("{}/{}-root", workspace_.path(), program);
    const std::string log = fmt::format("{}/{}.log", workspace_.path(), program);
    const int mounts = program == "crun" ? plain_cgroups_.get() : -1;
    auto serial = std::make_shared<std::atomic<unsigned>>(0);
    auto client = [=]() -> Result<Cycle> {
        return Cycle([=]() -> Result<Nanoseconds> {
            const SpawnOptions options = {{program,
                                           "--root",
                                           root,
                                           "run",
                                           "--bundle",
                                           bundle,
                                           fmt::format("davit-bench-{}", serial->fetch_add(1))},
                                          {},
                                          log,
                                          mounts};
            const MonotonicTime begun = monotonic_now();
            TRY_VOID(process_run(options));
            return monotonic_now() - begun;
        });
    };
    admit({program + ", prepared bundle", 1, std::move(client)});
}

void Field::add_podman(const std::string& runtime, const std::string& tar_path) {
    const std::string name = "podman + " + runtime;
    const std::string base = fmt::format("{}/{}", workspace_.path(), runtime);
    const std::string log = base + ".log";
    // podman with runc accepts a hybrid hierarchy, but both get the same surroundings.
    const int mounts = plain_cgroups_.get();
    const std::vector<std::string> global = podman_argv(base, runtime);
    std::vector<std::string> import = global;
    import.insert(import.end(), {"import", "--quiet", tar_path, image});
    if (Result<void> imported = process_run({import, {}, log, mounts}); !imported) {
        unavailable_.push_back({name, imported.error().message()});
        return;
    }
    std::vector<std::string> run = global;
    // Its default limits of a million files need CAP_SYS_RESOURCE, which virtual machines may lack.
    run.insert(run.end(),
               {"run",
                "--rm",
                "--network",
                "none",
                "--cgroup-parent",
                cgroup_parent(),
                "--ulimit",
                "nofile=1024:1024",
                "--ulimit",
                "nproc=1024:1024",
                image,
                "true"});
    admit(command_contender(name, {run, {}, log, mounts}, stride_slow));
}

std::vector<std::pair<std::string, long>> Field::daemons_rss() const {
    std::vector<std::pair<std::string, long>> all;
    if (davit_) {
        all.emplace_back("davit", davit_->rss_kib());
    }
    if (dockerd_) {
        all.emplace_back("dockerd + containerd", dockerd_->rss_kib());
    }
    return all;
}

}  // namespace davit::bench
