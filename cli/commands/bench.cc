// davit bench: davit beside whatever other engines are installed on this host.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "cli/commands/commands.h"
#include "reactor/base/fd.h"

namespace davit::cli {

namespace {

/// What takes a few minutes with all engines; the harness's own choice takes half an hour.
struct BenchOptions {
    std::string scenarios = "run,exec";
    std::string networks = "none,bridge";
    std::string clients = "1,16";
    std::string running = "0";
    std::string adversity = "none";
    std::int64_t rounds = 3;
    std::string only;
    std::vector<std::string> engines;
    std::string json;
    std::string html;
};

using O = BenchOptions;

constexpr Flag bench_flags[] = {
    flag<O, &O::scenarios>(
        "scenarios", 0, "list", "What is measured: run, steps, exec (default run,exec)"),
    flag<O, &O::networks>(
        "networks",
        0,
        "list",
        "On which networks: none, host, bridge, port (one published), ports (100) "
        "(default none,bridge)"),
    flag<O, &O::clients>("clients", 0, "list", "So many at once (default 1,16)"),
    flag<O, &O::running>(
        "running", 0, "list", "With so many containers running already (default 0)"),
    flag<O, &O::adversity>(
        "adversity",
        0,
        "list",
        "What goes on beside: pull, prune, removes, dirty, xtables, cpu (default "
        "none)"),
    flag<O, &O::rounds>("rounds", 0, "int", "Rounds in which the engines take turns (default 3)"),
    flag<O, &O::only>("only", 0, "list", "Engines whose names have one of these in them"),
    flag<O, &O::engines>(
        "engine", 0, "NAME=PROGRAM", "One more, with a command line like docker's"),
    flag<O, &O::json>("json", 0, "file", "Write every sample into it, one JSON object a line"),
    flag<O, &O::html>("html", 0, "file", "Make a page with plots; needs python3"),
};

/// Beside the program, where a package has such programs, or where a build leaves it.
constexpr std::array<std::string_view, 3> places = {"/", "/../libexec/davit/", "/../bench/"};

/// Gives what is to be executed. Errors: not_found, with the places that were looked at.
Result<std::string> harness_find(const std::string& program) {
    const std::string directory = program.substr(0, program.rfind('/'));
    std::string looked;
    for (const std::string_view place : places) {
        std::string path = directory + std::string(place) + "davit_bench_startup";
        if (::access(path.c_str(), X_OK) == 0) {
            return path;
        }
        looked += (looked.empty() ? "" : ", ") + path;
    }
    return Error(ErrorKind::not_found,
                 "the harness is not installed: there is no davit_bench_startup (looked for: " +
                     looked + ")");
}

Result<std::string> own_path() {
    std::array<char, 4096> path{};
    const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
    if (size <= 0) {
        return Error::from_errno(errno, "readlink", "/proc/self/exe");
    }
    return std::string(path.data(), static_cast<std::size_t>(size));
}

std::vector<std::string> harness_words(const std::string& program, const BenchOptions& options) {
    std::vector<std::string> words = {"davit bench", "--davit", program};
    const auto add = [&words](const char* name, const std::string& value) {
        if (!value.empty()) {
            words.insert(words.end(), {name, value});
        }
    };
    add("--scenarios", options.scenarios);
    add("--networks", options.networks);
    add("--clients", options.clients);
    add("--running", options.running);
    add("--adversity", options.adversity);
    add("--rounds", std::to_string(options.rounds));
    add("--only", options.only);
    for (const std::string& engine : options.engines) {
        add("--engine", engine);
    }
    add("--html", options.html);
    // The page is made from the samples.
    add("--json",
        options.json.empty() && !options.html.empty() ? options.html + ".jsonl" : options.json);
    return words;
}

/// The harness takes this process's place: the terminal's Ctrl-C is its own.
Task<int> bench(Context& context, BenchOptions options, Arguments) {
    CO_TRY(const std::string program, own_path());
    CO_TRY(const std::string harness, harness_find(program));
    std::vector<std::string> words = harness_words(program, options);
    std::vector<char*> argv;
    for (std::string& word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    context.out.flush();
    ::signal(SIGPIPE, SIG_DFL);  // What is ignored stays so in what is executed.
    ::execv(harness.c_str(), argv.data());
    co_return Error::from_errno(errno, "execv", harness);
}

}  // namespace

constexpr Command bench_command{
    .name = "bench",
    .usage = "[OPTIONS]",
    .summary = "Measure davit beside the other engines of this host, all in places of their own",
    .count = {.min = 0, .max = 0},
    .flags = bench_flags,
    .body = command_body<BenchOptions, bench>,
};

}  // namespace davit::cli
