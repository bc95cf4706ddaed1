/// davit_bench_exec: how long `true` takes in a running container, through the API, by engine.
///
///   davit_bench_exec [--davit PATH] [--rounds N] [--json FILE]
///
/// One execution is what a client does: create the exec, start it and read its output to the end,
/// ask for its exit code. The engines take turns, one execution each per round.
#include <optional>

#include <fmt/format.h>

#include "bench/support/command_line.h"
#include "bench/support/engine.h"
#include "bench/support/workspace.h"

namespace davit::bench {
namespace {

constexpr const char* image = "davit-bench:latest";

struct Options {
    std::string davit = "build/release/cli/davit";
    int rounds = 100;
};

/// An engine with one container that runs until it is removed.
class Host {
  public:
    static Result<std::unique_ptr<Host>> make(std::string name,
                                              Result<Engine> engine,
                                              const std::string& tar) {
        if (!engine) {
            return std::move(engine).error();
        }
        TRY_VOID(engine->import_image(tar, image));
        const std::string socket = engine->socket();
        TRY(HttpUnix connection, HttpUnix::connect(socket));
        std::unique_ptr<Host> host(
            new Host(std::move(name), *std::move(engine), std::move(connection)));
        TRY(const HttpAnswer created,
            api_call(host->connection_,
                     "POST",
                     "/containers/create",
                     fmt::format(R"({{"Image":"{}","Cmd":["sh"],"OpenStdin":true,)"
                                 R"("HostConfig":{{"NetworkMode":"none"}}}})",
                                 image)));
        host->container_ = json_string_find(created.body, "Id");
        TRY([[maybe_unused]] const HttpAnswer started,
            api_call(host->connection_, "POST", "/containers/" + host->container_ + "/start"));
        return host;
    }

    ~Host() {
        static_cast<void>(
            connection_.exchange({"DELETE", "/containers/" + container_ + "?force=1", "", ""}));
    }

    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    const std::string& name() const { return name_; }

    Result<Nanoseconds> execute() {
        const MonotonicTime begun = monotonic_now();
        TRY(const HttpAnswer created,
            api_call(connection_,
                     "POST",
                     "/containers/" + container_ + "/exec",
                     R"({"AttachStdout":true,"AttachStderr":true,"Cmd":["true"]})"));
        const std::string path = "/exec/" + json_string_find(created.body, "Id");
        TRY(HttpUnix stream, HttpUnix::connect(engine_.socket()));
        TRY(const int status,
            stream.begin({"POST", path + "/start", "application/json", R"({"Detach":false})"}));
        std::string output;
        TRY_VOID(stream.finish([&output](std::string_view piece) { output += piece; }));
        TRY(const HttpAnswer ended, connection_.exchange({"GET", path + "/json", "", ""}));
        const Nanoseconds elapsed = monotonic_now() - begun;
        if (status != 200 || !output.empty() ||
            ended.body.find("\"ExitCode\":0") == std::string::npos) {
            return Error(
                ErrorKind::internal,
                fmt::format("exec: status {}, output \"{}\", {}", status, output, ended.body));
        }
        return elapsed;
    }

    Samples samples;

  private:
    Host(std::string name, Engine engine, HttpUnix connection)
        : name_(std::move(name)), engine_(std::move(engine)), connection_(std::move(connection)) {}

    std::string name_;
    Engine engine_;
    HttpUnix connection_;
    std::string container_;
};

void host_add(std::vector<std::unique_ptr<Host>>& hosts, Result<std::unique_ptr<Host>> host) {
    if (host) {
        hosts.push_back(*std::move(host));
    } else {
        fmt::print("not measured: {}\n", host.error().message());
    }
}

void print(const std::vector<std::unique_ptr<Host>>& hosts) {
    fmt::print("exec true in a running container, one client\n");
    Table table({"contender", "n", "p50 ms", "p95 ms", "p99 ms", "p50 / davit"});
    const double reference = hosts.front()->samples.percentile_ms(0.5);
    for (const auto& host : hosts) {
        const double p50 = host->samples.percentile_ms(0.5);
        table.add({host->name(),
                   fmt::format("{}", host->samples.count()),
                   number_text(p50),
                   number_text(host->samples.percentile_ms(0.95)),
                   number_text(host->samples.percentile_ms(0.99)),
                   number_text(p50 / reference)});
    }
    table.print();
}

Result<void> run(const Options& options, JsonLines& json) {
    TRY(Workspace workspace, Workspace::make("exec"));
    TRY(const std::string tar, Workspace::busybox_tar());
    TRY(const std::string davit, workspace.directory("davit"));
    TRY(const std::string dockerd, workspace.directory("dockerd"));
    std::vector<std::unique_ptr<Host>> hosts;
    host_add(hosts,
             Host::make("davit API", Engine::start_davit({options.davit, davit, "", ""}), tar));
    host_add(
        hosts,
        Host::make(
            "dockerd API", Engine::start_dockerd({"dockerd", dockerd, "", cgroup_parent()}), tar));
    if (hosts.empty()) {
        return Error(ErrorKind::unavailable, "no engine runs here");
    }
    for (int round = 0; round < options.rounds; ++round) {
        for (const auto& host : hosts) {
            TRY(const Nanoseconds elapsed, host->execute());
            host->samples.add(elapsed);
            json.write(
                {{"bench", "exec"}, {"contender", host->name()}},
                {{"round", round}, {"whole_us", static_cast<double>(elapsed.count()) / 1e3}});
        }
    }
    print(hosts);
    hosts.clear();
    cgroup_parent_remove();
    return ok;
}

}  // namespace
}  // namespace davit::bench

int main(int argc, char** argv) {
    davit::bench::Options options;
    davit::bench::CommandLine line;
    line.davit(options.davit).count("rounds", options.rounds);
    return line.run(argc, argv, [&options](davit::bench::JsonLines& json) {
        return davit::bench::run(options, json);
    });
}
