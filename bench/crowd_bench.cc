/// davit_bench_crowd: many containers at once, and one that writes a lot, by engine.
///
///   davit_bench_crowd [--davit PATH] [--containers N] [--listed N] [--megabytes N] [--json FILE]
///
/// One engine after the other does, through the API: create and start N sleeping containers, be
/// asked for the list when some of them run, stop and remove all; then one container writes lines
/// as fast as it can, and its log is read. Memory is Pss over the daemon and whatever it has
/// started for containers, without the containers; CPU time is that of the same processes.
#include <poll.h>

#include <optional>

#include <fmt/format.h>

#include "bench/support/command_line.h"
#include "bench/support/engine.h"
#include "bench/support/process.h"
#include "bench/support/workspace.h"

namespace davit::bench {
namespace {

constexpr const char* image = "davit-bench:latest";
constexpr int list_requests = 1000;

struct Options {
    std::string davit = "build/release/cli/davit";
    int containers = 300;
    int listed = 100;
    int megabytes = 200;
};

struct Outcome {
    Samples starts;
    Samples stops;
    Samples removals;
    Samples lists;
    double list_seconds = 0;
    double restart_seconds = 0;  ///< From SIGKILL until the list is whole again; davit only.
    double share_before_kib = 0;
    double share_kib = 0;
    double write_seconds = 0;
    double write_cpu_seconds = 0;
    double read_seconds = 0;
};

double seconds(Nanoseconds duration) {
    return static_cast<double>(duration.count()) / 1e9;
}

class Host {
  public:
    static Result<Host> make(Engine engine, bool kept) {
        TRY(const std::string tar, Workspace::busybox_tar());
        TRY_VOID(engine.import_image(tar, image));
        TRY(HttpUnix connection, HttpUnix::connect(engine.socket()));
        return Host(std::move(engine), std::move(connection), kept);
    }

    Result<Outcome> measure(const Options& options) {
        Outcome outcome;
        TRY_VOID(crowd(options, outcome));
        TRY_VOID(writer(options, outcome));
        return outcome;
    }

  private:
    Host(Engine engine, HttpUnix connection, bool kept)
        : engine_(std::move(engine)), connection_(std::move(connection)), kept_(kept) {}

    Result<HttpAnswer> call(const char* method,
                            const std::string& path,
                            const std::string& body = "") {
        return api_call(connection_, method, path, body);
    }

    Result<std::string> begin(const std::string& command) {
        TRY(const HttpAnswer created,
            call("POST",
                 "/containers/create",
                 fmt::format(R"({{"Image":"{}","Cmd":["sh","-c","{}"],"HostConfig":{{)"
                             R"("NetworkMode":"none","LogConfig":{{"Type":"json-file",)"
                             R"("Config":{{"max-size":"4g"}}}}}}}})",
                             image,
                             command)));
        std::string id = json_string_find(created.body, "Id");
        TRY([[maybe_unused]] const HttpAnswer started,
            call("POST", "/containers/" + id + "/start"));
        return id;
    }

    Result<void> crowd(const Options& options, Outcome& outcome) {
        // What the first container makes once is not a container's own.
        TRY(const std::string first, begin("exec sleep 1000000"));
        outcome.share_before_kib = static_cast<double>(engine_.family_share_kib());
        std::vector<std::string> ids{first};
        while (ids.size() < static_cast<std::size_t>(options.containers) + 1) {
            const MonotonicTime begun = monotonic_now();
            TRY(std::string id, begin("exec sleep 1000000"));
            outcome.starts.add(monotonic_now() - begun);
            ids.push_back(std::move(id));
            if (ids.size() == static_cast<std::size_t>(options.listed)) {
                TRY_VOID(list(outcome));
            }
        }
        outcome.share_kib = static_cast<double>(engine_.family_share_kib());
        if (kept_) {
            TRY_VOID(restart(ids.size(), outcome));
        }
        for (const std::string& id : ids) {
            const MonotonicTime begun = monotonic_now();
            TRY([[maybe_unused]] const HttpAnswer stopped,
                call("POST", "/containers/" + id + "/stop?t=0"));
            const MonotonicTime ended = monotonic_now();
            TRY([[maybe_unused]] const HttpAnswer removed, call("DELETE", "/containers/" + id));
            outcome.stops.add(ended - begun);
            outcome.removals.add(monotonic_now() - ended);
        }
        return ok;
    }

    Result<void> restart(std::size_t count, Outcome& outcome) {
        TRY_VOID(engine_.kill_kept());
        const MonotonicTime begun = monotonic_now();
        for (;;) {
            const Result<std::string> found =
                http_call(engine_.socket(), {"GET", "/containers/json", "", ""});
            std::size_t running = 0;
            for (std::size_t at = 0; found; ++running, ++at) {
                at = found->find("\"State\":\"running\"", at);
                if (at == std::string::npos) {
                    break;
                }
            }
            if (running == count) {
                break;
            }
            if (monotonic_now() - begun > std::chrono::seconds(60)) {
                return Error(ErrorKind::timed_out, "the containers are not back");
            }
            ::poll(nullptr, 0, 1);
        }
        outcome.restart_seconds = seconds(monotonic_now() - begun);
        TRY(connection_, HttpUnix::connect(engine_.socket()));
        return ok;
    }

    Result<void> list(Outcome& outcome) {
        const MonotonicTime begun = monotonic_now();
        for (int i = 0; i < list_requests; ++i) {
            const MonotonicTime asked = monotonic_now();
            TRY([[maybe_unused]] const HttpAnswer answer, call("GET", "/containers/json"));
            outcome.lists.add(monotonic_now() - asked);
        }
        outcome.list_seconds = seconds(monotonic_now() - begun);
        return ok;
    }

    /// The container goes on when it has written all: the processes that served it are there still.
    Result<void> writer(const Options& options, Outcome& outcome) {
        const Nanoseconds cpu_before = engine_.family_cpu_time();
        const MonotonicTime begun = monotonic_now();
        const std::string line(79, 'x');
        TRY(const std::string id,
            begin(fmt::format(
                "yes {} | head -c {}000000; exec sleep 1000000", line, options.megabytes)));
        TRY(const HttpAnswer details, call("GET", "/containers/" + id + "/json"));
        TRY(const double pid, json_number_find(details.body, "Pid"));
        const std::string name = fmt::format("/proc/{}/comm", static_cast<int>(pid));
        for (Result<std::string> now = file_read(name); now && *now != "sleep\n";
             now = file_read(name)) {
            ::poll(nullptr, 0, 1);
        }
        outcome.write_seconds = seconds(monotonic_now() - begun);
        outcome.write_cpu_seconds = seconds(engine_.family_cpu_time() - cpu_before);
        TRY(const double bytes, read(id, outcome));
        TRY([[maybe_unused]] const HttpAnswer removed,
            call("DELETE", "/containers/" + id + "?force=1"));
        if (bytes < options.megabytes * 1e6) {
            return Error(ErrorKind::internal, fmt::format("the log has {} bytes only", bytes));
        }
        return ok;
    }

    Result<double> read(const std::string& id, Outcome& outcome) {
        double bytes = 0;
        const MonotonicTime begun = monotonic_now();
        TRY([[maybe_unused]] const int status,
            connection_.begin({"GET", "/containers/" + id + "/logs?stdout=1", "", ""}));
        TRY_VOID(connection_.finish(
            [&bytes](std::string_view piece) { bytes += static_cast<double>(piece.size()); }));
        outcome.read_seconds = seconds(monotonic_now() - begun);
        return bytes;
    }

    Engine engine_;
    HttpUnix connection_;
    bool kept_;
};

void print(const Options& options, const std::map<std::string, Outcome>& outcomes) {
    Table table({"", "davit", "dockerd", "dockerd / davit"});
    const auto row = [&](const std::string& what, auto value) {
        std::vector<std::string> cells{what};
        std::vector<double> values;
        for (const char* name : {"davit", "dockerd"}) {
            const auto found = outcomes.find(name);
            values.push_back(found == outcomes.end() ? -1 : value(found->second));
            cells.push_back(number_text(values.back()));
        }
        const bool both = values[0] > 0 && values[1] > 0;
        cells.push_back(number_text(both ? values[1] / values[0] : -1));
        table.add(std::move(cells));
    };
    row("create and start, p50 ms", [](const Outcome& o) { return o.starts.percentile_ms(0.5); });
    row("create and start, p99 ms", [](const Outcome& o) { return o.starts.percentile_ms(0.99); });
    row("stop -t 0, p50 ms", [](const Outcome& o) { return o.stops.percentile_ms(0.5); });
    row("remove, p50 ms", [](const Outcome& o) { return o.removals.percentile_ms(0.5); });
    row("memory for each, KiB",
        [&](const Outcome& o) { return (o.share_kib - o.share_before_kib) / options.containers; });
    row(fmt::format("list of {}, p50 ms", options.listed),
        [](const Outcome& o) { return o.lists.percentile_ms(0.5); });
    row("list, p99 ms", [](const Outcome& o) { return o.lists.percentile_ms(0.99); });
    row("list, ms each of 1000", [](const Outcome& o) { return o.list_seconds; });
    row(fmt::format("killed, whole again with {}, ms", options.containers + 1),
        [](const Outcome& o) { return o.restart_seconds > 0 ? o.restart_seconds * 1e3 : -1; });
    row(fmt::format("write {} MB of lines, s", options.megabytes),
        [](const Outcome& o) { return o.write_seconds; });
    row("CPU of the engine for that, s", [](const Outcome& o) { return o.write_cpu_seconds; });
    row("read that log, s", [](const Outcome& o) { return o.read_seconds; });
    table.print();
}

Result<void> run(const Options& options, JsonLines& json) {
    TRY(Workspace workspace, Workspace::make("crowd"));
    std::map<std::string, Outcome> outcomes;
    for (const std::string name : {"davit", "dockerd"}) {
        TRY(const std::string directory, workspace.directory(name));
        Result<Engine> engine =
            name == "davit" ? Engine::start_davit({options.davit, directory, "", "", true})
                            : Engine::start_dockerd({"dockerd", directory, "", cgroup_parent()});
        if (!engine) {
            fmt::print("not measured: {}\n", engine.error().message());
            continue;
        }
        TRY(Host host, Host::make(*std::move(engine), name == "davit"));
        TRY(Outcome outcome, host.measure(options));
        json.write({{"bench", "crowd"}, {"contender", name}},
                   {{"start_p50_ms", outcome.starts.percentile_ms(0.5)},
                    {"stop_p50_ms", outcome.stops.percentile_ms(0.5)},
                    {"remove_p50_ms", outcome.removals.percentile_ms(0.5)},
                    {"list_p99_ms", outcome.lists.percentile_ms(0.99)},
                    {"list_s", outcome.list_seconds},
                    {"restart_s", outcome.restart_seconds},
                    {"share_before_kib", outcome.share_before_kib},
                    {"share_kib", outcome.share_kib},
                    {"write_s", outcome.write_seconds},
                    {"write_cpu_s", outcome.write_cpu_seconds},
                    {"read_s", outcome.read_seconds}});
        outcomes.emplace(name, std::move(outcome));
    }
    print(options, outcomes);
    cgroup_parent_remove();
    return ok;
}

}  // namespace
}  // namespace davit::bench

int main(int argc, char** argv) {
    davit::bench::Options options;
    davit::bench::CommandLine line;
    line.davit(options.davit).count("containers", options.containers);
    line.count("listed", options.listed).count("megabytes", options.megabytes);
    return line.run(argc, argv, [&options](davit::bench::JsonLines& json) {
        return davit::bench::run(options, json);
    });
}
