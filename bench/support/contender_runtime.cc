#include <algorithm>

#include <fmt/format.h>

#include "bench/support/contender_command.h"
#include "bench/support/contender_kinds.h"
#include "bench/support/interrupt.h"

namespace davit::bench {
namespace {

using Words = std::vector<std::string>;

class RuntimeContender final : public Contender {
  public:
    RuntimeContender(Setting& setting, RuntimeConfig config)
        : commands_(setting, config.base), config_(std::move(config)) {}

    Result<Cycle> client_make(const Work& work) override {
        if (work.network != Network::none && work.network != Network::host) {
            return Error(ErrorKind::unsupported, "a runtime alone has no networks");
        }
        Setting& setting = commands_.setting();
        const std::string& bundle =
            work.network == Network::none ? config_.bundle_none : config_.bundle_host;
        if (work.scenario == Scenario::exec && host_.empty()) {
            const std::string name = commands_.names().next();
            TRY_VOID(commands_.run({"run", "--detach", "--bundle", config_.bundle_sleep, name}));
            host_ = name;
        }
        switch (work.scenario) {
            case Scenario::run:
                return Cycle([this, &setting, bundle] {
                    return commands_.whole({"run", "--bundle", bundle, commands_.names().next()});
                });
            case Scenario::steps:
                return Cycle([this, bundle] { return steps(bundle); });
            case Scenario::exec:
                return Cycle([this, &setting, host = host_] {
                    Words words = {"exec", host};
                    const Words payload = setting.payload();
                    words.insert(words.end(), payload.begin(), payload.end());
                    return commands_.whole(words);
                });
        }
        return Error(ErrorKind::unsupported, "no such scenario");
    }

    Result<int> clean() override {
        TRY(Words ids, commands_.list({"list", "--quiet"}));
        commands_.names().keep(ids);
        for (const std::string& id : ids) {
            TRY_VOID(commands_.run({"delete", "--force", id}));
        }
        const bool host = !std::exchange(host_, "").empty() && !ids.empty();
        return static_cast<int>(ids.size()) - (host ? 1 : 0);
    }

  private:
    /// The container is our orphan (process.h) once the runtime has ended, so that its end can be
    /// awaited; a runtime has no command for that.
    Result<Timing> steps(const std::string& bundle) {
        Setting& setting = commands_.setting();
        const std::string name = commands_.names().next();
        const std::string pid_file = config_.scratch + "/" + name;
        TRY(Pipe pipe, pipe_make());
        SpawnOptions create =
            commands_.options({"create", "--bundle", bundle, "--pid-file", pid_file, name});
        create.output = pipe.write_end.get();
        Timing timing;
        const MonotonicTime begun = monotonic_now();
        TRY_VOID(process_run(create));
        const MonotonicTime created = monotonic_now();
        pipe.write_end.reset();
        TRY(const std::string pid, file_read(pid_file));
        TRY(const PidRef container, PidRef::open(std::atoi(pid.c_str())));

        const MonotonicTime asked = monotonic_now();
        Output output;
        TRY(const PidRef start, process_spawn(commands_.options({"start", name})));
        const std::optional<MonotonicTime> deadline = deadline_in(setting.limit);
        TRY(const ExitStatus started, process_read(start, pipe.read_end.get(), output, deadline));
        if (started.shell_code() != 0) {
            return commands_.failed({"start"}, started.shell_code());
        }
        const MonotonicTime running = monotonic_now();
        TRY(const ExitStatus ended, process_read(container, pipe.read_end.get(), output, deadline));
        const MonotonicTime waited = monotonic_now();
        TRY_VOID(commands_.run({"delete", name}, "rm", &timing));
        timing.whole = monotonic_now() - begun;
        timing.step("create", begun, created);
        timing.step("start", asked, running);
        timing.step("wait", running, waited);
        TRY_VOID(setting.check(output.text, ended.shell_code()));
        timing.step("first", asked, *output.first);
        return timing;
    }

    Commands commands_;
    RuntimeConfig config_;
    std::string host_;
};

class CtrContender final : public Contender {
  public:
    CtrContender(Setting& setting, SpawnOptions base) : commands_(setting, std::move(base)) {}

    Result<Cycle> client_make(const Work& work) override {
        if (work.network != Network::none && work.network != Network::host) {
            return Error(ErrorKind::unsupported, "ctr has no bridge of its own");
        }
        Setting& setting = commands_.setting();
        const Network network = work.network;
        if (work.scenario == Scenario::exec && host_.empty()) {
            const std::string name = commands_.names().next();
            TRY_VOID(
                commands_.run(words({"run", "--detach"}, network, name, {"sleep", "1000000"})));
            host_ = name;
        }
        switch (work.scenario) {
            case Scenario::run:
                return Cycle([this, &setting, network] {
                    return commands_.whole(words(
                        {"run", "--rm"}, network, commands_.names().next(), setting.payload()));
                });
            case Scenario::steps:
                return Cycle([this, network] { return steps(network); });
            case Scenario::exec:
                return Cycle([this, &setting, host = host_] {
                    Words all = {"task", "exec", "--exec-id", commands_.names().next(), host};
                    const Words payload = setting.payload();
                    all.insert(all.end(), payload.begin(), payload.end());
                    return commands_.whole(all);
                });
        }
        return Error(ErrorKind::unsupported, "no such scenario");
    }

    Result<int> clean() override {
        TRY(Words ids, commands_.list({"container", "ls", "--quiet"}));
        commands_.names().keep(ids);
        for (const std::string& id : ids) {
            // Not all have a task.
            static_cast<void>(commands_.run({"task", "rm", "--force", id}));
            TRY_VOID(commands_.run({"container", "rm", id}));
        }
        const bool host = !std::exchange(host_, "").empty() && !ids.empty();
        return static_cast<int>(ids.size()) - (host ? 1 : 0);
    }

  private:
    Words words(Words verb, Network network, const std::string& name, const Words& argv) const {
        if (network == Network::host) {
            verb.emplace_back("--net-host");
        }
        verb.push_back("docker.io/library/" + commands_.setting().image);
        verb.push_back(name);
        verb.insert(verb.end(), argv.begin(), argv.end());
        return verb;
    }

    /// `task start` stays until the container's end, and removes the task: no start of its own.
    Result<Timing> steps(Network network) {
        const Setting& setting = commands_.setting();
        const std::string name = commands_.names().next();
        Timing timing;
        const MonotonicTime begun = monotonic_now();
        // It would take the payload's options for its own: the image has the same.
        const Words create = words({"container", "create"}, network, name, {});
        TRY_VOID(commands_.run(create, "create", &timing));
        const MonotonicTime asked = monotonic_now();
        TRY(const Commands::Told told, commands_.read({"task", "start", name}));
        TRY_VOID(commands_.run({"container", "rm", name}, "rm", &timing));
        timing.whole = monotonic_now() - begun;
        TRY_VOID(setting.check(told.output.text, told.code));
        timing.step("first", asked, *told.output.first);
        return timing;
    }

    Commands commands_;
    std::string host_;
};

}  // namespace

std::unique_ptr<Contender> runtime_contender(Setting& setting, RuntimeConfig config) {
    return std::make_unique<RuntimeContender>(setting, std::move(config));
}

std::unique_ptr<Contender> ctr_contender(Setting& setting, SpawnOptions base) {
    return std::make_unique<CtrContender>(setting, std::move(base));
}

}  // namespace davit::bench
