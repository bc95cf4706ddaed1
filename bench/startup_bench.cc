/// davit_bench_startup: containers from "run" to "gone", and executions in them, by engine.
///
///   davit_bench_startup [--davit PATH] [--scenarios LIST] [--networks LIST] [--clients LIST]
///                       [--running LIST] [--fill SECONDS] [--adversity LIST] [--dirty MIB]
///                       [--rounds N] [--seconds N] [--limit N] [--only LIST]
///                       [--engine NAME=PROGRAM]... [--json FILE [--html FILE]]
///
/// README.md, "Startup", tells how to run and read it.
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <thread>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "bench/support/command_line.h"
#include "bench/support/interrupt.h"
#include "bench/support/match.h"
#include "reactor/base/ids.h"

namespace davit::bench {
namespace {

struct Options {
    FieldOptions field = {"build/release/cli/davit", {}, {}};
    MatchOptions match = {{Scenario::run, Scenario::steps, Scenario::exec},
                          {Network::none, Network::host, Network::bridge, Network::port},
                          {1, 4, 16, 64}};
    int limit_seconds = 60;
    int fill_seconds = 120;
    std::string html;
    int dirty_mib = 4096;
};

std::vector<std::string> split(std::string_view list) {
    std::vector<std::string> parts;
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        parts.emplace_back(list.substr(0, comma));
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return parts;
}

/// Each part is one of the names.
template <typename Value, std::size_t count>
bool parse_names(const char* list,
                 const std::array<const char*, count>& names,
                 std::vector<Value>& values) {
    values.clear();
    for (const std::string& part : split(list)) {
        const auto found = std::find(names.begin(), names.end(), part);
        if (found == names.end()) {
            return false;
        }
        values.push_back(static_cast<Value>(found - names.begin()));
    }
    return !values.empty();
}

/// Whole numbers, none below the least.
bool parse_counts(const char* list, int least, std::vector<int>& counts) {
    counts.clear();
    for (const std::string& part : split(list)) {
        int count = 0;
        const char* end = part.data() + part.size();
        const std::from_chars_result parsed = std::from_chars(part.data(), end, count);
        if (parsed.ec != std::errc() || parsed.ptr != end || count < least) {
            return false;
        }
        counts.push_back(count);
    }
    return !counts.empty();
}

/// Where and with what: into the JSON lines, that a later run may be compared.
void record_run(const Options& options, JsonLines& json) {
    std::map<std::string, std::string> texts = {
        {"bench", "startup"},
        {"kind", "run"},
        {"date", fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(std::time(nullptr)))}};
    utsname system{};
    if (uname(&system) == 0) {
        texts["kernel"] = system.release;
    }
    for (const std::string& program : {options.field.davit,
                                       std::string("dockerd"),
                                       std::string("podman"),
                                       std::string("crun"),
                                       std::string("runc"),
                                       std::string("containerd")}) {
        const std::string version = program_version(program);
        if (!version.empty()) {
            texts["version " + program.substr(program.rfind('/') + 1)] = version;
        }
    }
    json.write(texts,
               {{"cpus", std::thread::hardware_concurrency()},
                {"rounds", options.match.rounds},
                {"turn_s", options.match.turn_seconds}});
}

void print_memory(std::string_view when, const Field& field, JsonLines& json) {
    for (const auto& [name, kib] : field.daemons_rss()) {
        fmt::print("resident {}: {} {:.1f} MiB\n", when, name, static_cast<double>(kib) / 1024);
        json.write({{"bench", "startup"},
                    {"kind", "resident"},
                    {"daemon", name},
                    {"when", std::string(when)}},
                   {{"rss_kib", static_cast<double>(kib)}});
    }
}

Result<void> measure(const Options& options, JsonLines& json) {
    TRY(Workspace workspace, Workspace::make("startup"));
    Setting setting;
    setting.prefix = fmt::format("davit-bench-{}-", getpid());
    setting.limit = std::chrono::seconds(options.limit_seconds);
    setting.line = random_hex(8);
    setting.code = 1 + getpid() % 100;
    record_run(options, json);
    TRY(std::unique_ptr<Field> field, Field::make(workspace, setting, options.field));
    print_memory("before", *field, json);
    MatchOptions how = options.match;
    how.fill_limit = std::chrono::seconds(options.fill_seconds);
    how.dirty_bytes = static_cast<std::uint64_t>(options.dirty_mib) << 20;
    Match match(*field, workspace, how, json);
    Result<void> played = match.run();
    if (played) {
        print_memory("after", *field, json);
    } else {
        fmt::print(stderr, "interrupted: removing what was made\n");
        interrupt_clear();
    }
    return played;
}

Result<void> run(const Options& options, bool samples_kept, JsonLines& json) {
    if (geteuid() != 0 && options.field.extra.empty()) {
        return Error(ErrorKind::permission_denied,
                     "it needs root: engines are started, in places and namespaces of their own");
    }
    if (!options.html.empty() && !samples_kept) {
        return Error(ErrorKind::invalid_argument,
                     "--html needs --json: the page is made from that");
    }
    TRY_VOID(interrupt_catch());
    return measure(options, json);
}

CommandLine command_line(Options& options) {
    CommandLine line;
    line.davit(options.field.davit)
        .option("scenarios",
                "run,steps,exec",
                [&options](const char* list) {
                    return parse_names(list, scenario_names, options.match.scenarios);
                })
        .option("networks",
                "none,host,bridge,port,ports",
                [&options](const char* list) {
                    return parse_names(list, network_names, options.match.networks);
                })
        .option(
            "clients",
            "1,4,16,64",
            [&options](const char* list) { return parse_counts(list, 1, options.match.clients); })
        .option("running",
                "0,100,1000",
                [&options](const char* list) {
                    const bool good = parse_counts(list, 0, options.match.running);
                    std::sort(options.match.running.begin(), options.match.running.end());
                    return good;
                })
        .count("fill", options.fill_seconds)
        .option("adversity",
                "none,pull,prune,removes,dirty,xtables,cpu",
                [&options](const char* list) {
                    std::vector<Adversity>& chosen = options.match.adversities;
                    const bool good = parse_names(list, adversity_names, chosen);
                    // The others are compared with it.
                    std::erase(chosen, Adversity::none);
                    chosen.insert(chosen.begin(), Adversity::none);
                    return good;
                })
        .count("dirty", options.dirty_mib)
        .count("rounds", options.match.rounds)
        .option("seconds",
                "N",
                [&options](const char* text) {
                    options.match.turn_seconds = std::atof(text);
                    return options.match.turn_seconds > 0;
                })
        .count("limit", options.limit_seconds)
        .option("only",
                "NAME,...",
                [&options](const char* list) {
                    options.field.only = split(list);
                    return !options.field.only.empty();
                })
        .option("engine", "NAME=PROGRAM", [&options](const char* text) {
            options.field.extra.emplace_back(text);
            const std::size_t equal = options.field.extra.back().find('=');
            return equal != std::string::npos && equal > 0;
        });
    line.text("html", "FILE", options.html);
    return line;
}

/// The page, by the script that lies beside this program (bench/CMakeLists.txt).
Result<void> page_make(const std::string& samples, const std::string& html) {
    if (program_find("python3").empty()) {
        return Error(ErrorKind::not_found,
                     "no page: python3 is not installed; the samples are in " + samples);
    }
    std::array<char, 4096> self{};
    const ssize_t size = readlink("/proc/self/exe", self.data(), self.size());
    std::string script(self.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    script = script.substr(0, script.rfind('/')) + "/report/report.py";
    if (access(script.c_str(), R_OK) != 0) {
        return Error(ErrorKind::not_found,
                     "no page: there is no " + script + "; the samples are in " + samples);
    }
    const std::string log = html + ".log";
    TRY_VOID(process_run({{"python3", "-B", script, samples, html}, {}, log, -1}));
    unlink(log.c_str());
    fmt::print("plots: {}\n", html);
    return ok;
}

}  // namespace
}  // namespace davit::bench

int main(int argc, char** argv) {
    namespace bench = davit::bench;
    bench::Options options;
    bench::CommandLine line = bench::command_line(options);
    const int status = line.run(argc, argv, [&options, &line](bench::JsonLines& json) {
        return bench::run(options, !line.json_path().empty(), json);
    });
    if (status != 0 || options.html.empty()) {
        return status;
    }
    const davit::Result<void> made = bench::page_make(line.json_path(), options.html);
    if (!made) {
        fmt::print(stderr, "{}\n", made.error().message());
    }
    return made ? 0 : 1;
}
