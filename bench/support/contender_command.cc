#include "bench/support/contender_command.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>

#include "bench/support/contender_kinds.h"
#include "bench/support/interrupt.h"

namespace davit::bench {

SpawnOptions Commands::options(const std::vector<std::string>& words) const {
    SpawnOptions all = base_;
    all.argv.insert(all.argv.end(), words.begin(), words.end());
    return all;
}

Error Commands::failed(const std::vector<std::string>& words, int code) const {
    return Error(ErrorKind::internal,
                 fmt::format("{} {} ended with {}{}",
                             base_.argv.front(),
                             words.front(),
                             code,
                             log_tail(base_.log_path)));
}

Result<void> Commands::run(const std::vector<std::string>& words,
                           const char* step,
                           Timing* timing) const {
    const MonotonicTime begun = monotonic_now();
    TRY(const PidRef child, process_spawn(options(words)));
    TRY(const ExitStatus status, process_wait(child, deadline_in(setting_.limit)));
    if (status.shell_code() != 0) {
        return failed(words, status.shell_code());
    }
    if (timing != nullptr) {
        timing->step(step, begun, monotonic_now());
    }
    return ok;
}

Result<Commands::Told> Commands::read(const std::vector<std::string>& words) const {
    TRY(Pipe pipe, pipe_make());
    SpawnOptions how = options(words);
    how.output = pipe.write_end.get();
    TRY(const PidRef child, process_spawn(how));
    pipe.write_end.reset();
    Told told;
    TRY(const ExitStatus status,
        process_read(child, pipe.read_end.get(), told.output, deadline_in(setting_.limit)));
    told.code = status.shell_code();
    return told;
}

Result<std::vector<std::string>> Commands::list(const std::vector<std::string>& words) const {
    TRY(const Told told, read(words));
    if (told.code != 0) {
        return failed(words, told.code);
    }
    std::istringstream text(told.output.text);
    std::vector<std::string> found;
    for (std::string word; text >> word;) {
        found.push_back(word);
    }
    return found;
}

Result<Timing> Commands::whole(const std::vector<std::string>& words) const {
    Timing timing;
    const MonotonicTime begun = monotonic_now();
    TRY(const Told told, read(words));
    timing.whole = monotonic_now() - begun;
    if (told.code != setting_.code && told.output.text.empty()) {
        return failed(words, told.code);
    }
    TRY_VOID(setting_.check(told.output.text, told.code));
    timing.step("first", begun, *told.output.first);
    return timing;
}

namespace {

using Words = std::vector<std::string>;

Words joined(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

class CommandContender final : public Contender {
  public:
    CommandContender(Setting& setting, CommandConfig config)
        : commands_(setting, std::move(config.base)), options_(std::move(config.options)) {}

    Result<Cycle> client_make(const Work& work) override {
        Setting& setting = commands_.setting();
        if (work.scenario == Scenario::exec && host_.empty()) {
            const std::string name = commands_.names().next();
            TRY_VOID(commands_.run(
                joined({"run", "--detach"}, container(name, work.network, {"sleep", "1000000"}))));
            host_ = name;
        }
        switch (work.scenario) {
            case Scenario::run:
                return Cycle([this, &setting, work] {
                    return commands_.whole(joined(
                        {"run", "--rm"},
                        container(commands_.names().next(), work.network, setting.payload())));
                });
            case Scenario::steps:
                return Cycle([this, work] { return steps(work.network); });
            case Scenario::exec:
                return Cycle([this, &setting, host = host_] {
                    return commands_.whole(joined({"exec", host}, setting.payload()));
                });
        }
        return Error(ErrorKind::unsupported, "no such scenario");
    }

    Result<int> clean() override {
        const std::string filter = "name=" + commands_.names().prefix();
        TRY(const Words ids, commands_.list({"ps", "--all", "--quiet", "--filter", filter}));
        for (const std::string& id : ids) {
            TRY_VOID(commands_.run({"rm", "--force", id}));
        }
        const bool host = !std::exchange(host_, "").empty() && !ids.empty();
        return static_cast<int>(ids.size()) - (host ? 1 : 0);
    }

  private:
    Words container(const std::string& name, Network network, const Words& argv) const {
        const bool plain = network == Network::none || network == Network::host;
        Words words = {"--name", name, "--network", plain ? name_of(network) : "bridge"};
        if (network == Network::port) {
            words = joined(words, {"--publish", "1000"});
        } else if (network == Network::ports) {
            words = joined(words, {"--publish", fmt::format("1000-{}", 999 + ports_many)});
        }
        words = joined(words, options_);
        words.push_back(commands_.setting().image);
        return joined(words, argv);
    }

    Result<Timing> steps(Network network) {
        const Setting& setting = commands_.setting();
        const std::string name = commands_.names().next();
        Timing timing;
        const MonotonicTime begun = monotonic_now();
        TRY_VOID(commands_.run(
            joined({"create"}, container(name, network, setting.payload())), "create", &timing));
        TRY_VOID(commands_.run({"start", name}, "start", &timing));
        const MonotonicTime asked = monotonic_now();
        TRY(const Words code, commands_.list({"wait", name}));
        const MonotonicTime waited = monotonic_now();
        timing.step("wait", asked, waited);
        timing.whole = waited - begun;
        TRY(const Commands::Told log, commands_.read({"logs", name}));
        const MonotonicTime removing = monotonic_now();
        TRY_VOID(commands_.run({"rm", name}, "rm", &timing));
        timing.whole += monotonic_now() - removing;
        TRY_VOID(setting.check(log.output.text, code.empty() ? -1 : std::atoi(code[0].c_str())));
        return timing;
    }

    Commands commands_;
    Words options_;
    std::string host_;
};

}  // namespace

std::unique_ptr<Contender> command_contender(Setting& setting, CommandConfig config) {
    return std::make_unique<CommandContender>(setting, std::move(config));
}

}  // namespace davit::bench
