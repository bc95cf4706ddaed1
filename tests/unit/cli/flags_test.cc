// Goal: the flag parser follows the rules and texts of docker's. Method: a table with a flag of
// each type is fed the spellings that scripts use, and the mistakes that users make.
#include "cli/flags.h"

#include "tests/support/catch.h"

namespace davit::cli {

namespace {

struct Options {
    bool all = false;
    bool tty = false;
    std::optional<bool> init;
    std::string name;
    std::vector<std::string> envs;
    std::optional<std::int64_t> count;
    std::optional<ByteSize> memory;
    std::optional<CpuCount> cpus;
    std::optional<Nanoseconds> interval;
};

constexpr Flag table[] = {
    flag<Options, &Options::all>("all", 'a', "", "All of them"),
    flag<Options, &Options::tty>("tty", 't', "", "Terminal"),
    flag<Options, &Options::init>("init", 0, "", "Init"),
    flag<Options, &Options::name>("name", 'n', "string", "Name"),
    flag<Options, &Options::envs>("env", 'e', "list", "Variables"),
    flag<Options, &Options::envs>("environment", 0, "list", ""),
    flag<Options, &Options::count>("count", 'c', "int", "Count"),
    flag<Options, &Options::memory>("memory", 'm', "bytes", "Memory"),
    flag<Options, &Options::cpus>("cpus", 0, "decimal", "CPUs"),
    flag<Options, &Options::interval>("interval", 0, "duration", "Interval"),
};

struct Outcome {
    Options options;
    Arguments arguments;
    bool help = false;
    std::string error;
};

Outcome parse(std::vector<const char*> words, bool interspersed = true) {
    Outcome outcome;
    const FlagTarget targets[] = {{table, &outcome.options}};
    Result<ParsedFlags> parsed = flags_parse(words, targets, interspersed);
    if (parsed) {
        outcome.arguments = parsed->arguments;
        outcome.help = parsed->help;
    } else {
        outcome.error = parsed.error().message();
    }
    return outcome;
}

}  // namespace

TEST_CASE("flags: every spelling of a value") {
    for (const std::vector<const char*>& words : std::vector<std::vector<const char*>>{
             {"--name=x"}, {"--name", "x"}, {"-nx"}, {"-n=x"}, {"-n", "x"}}) {
        const Outcome outcome = parse(words);
        CHECK(outcome.error == "");
        CHECK(outcome.options.name == "x");
        CHECK(outcome.arguments.empty());
    }
    CHECK(parse({"--name="}).options.name == "");
    CHECK(parse({"--name=a=b"}).options.name == "a=b");
}

TEST_CASE("flags: bundles, and a value at their end") {
    const Outcome outcome = parse({"-atnx"});
    CHECK(outcome.error == "");
    CHECK(outcome.options.all);
    CHECK(outcome.options.tty);
    CHECK(outcome.options.name == "x");
    CHECK(parse({"-ate", "A=1", "-e=B", "--environment", "C"}).options.envs ==
          std::vector<std::string>{"A=1", "B", "C"});
}

TEST_CASE("flags: a boolean takes a value only with an equals sign") {
    CHECK(parse({"--all=false"}).options.all == false);
    CHECK(parse({"-a=true"}).options.all);
    const Outcome outcome = parse({"--all", "false"});
    CHECK(outcome.options.all);
    CHECK(outcome.arguments == Arguments{"false"});
    CHECK(parse({}).options.init == std::nullopt);
    CHECK(parse({"--init"}).options.init == true);
    CHECK(parse({"--init=0"}).options.init == false);
    CHECK(parse({"--all=maybe"}).error ==
          "invalid argument \"maybe\" for \"-a, --all\" flag: parsing \"maybe\": invalid syntax");
}

TEST_CASE("flags: where arguments begin") {
    const Outcome run = parse({"-a", "image", "-x", "--name"}, false);
    CHECK(run.error == "");
    CHECK(run.arguments == Arguments{"image", "-x", "--name"});
    const Outcome ps = parse({"one", "-a", "two"});
    CHECK(ps.options.all);
    CHECK(ps.arguments == Arguments{"one", "two"});
    CHECK(parse({"--", "-a"}).arguments == Arguments{"-a"});
    CHECK(parse({"-"}).arguments == Arguments{"-"});
}

TEST_CASE("flags: values of every type") {
    const Outcome outcome = parse({"-c-5", "-m", "64m", "--cpus=1.5", "--interval=1m30s"});
    CHECK(outcome.error == "");
    CHECK(outcome.options.count == -5);
    CHECK(outcome.options.memory->bytes == 64 << 20);
    CHECK(outcome.options.cpus->nano_cpus == 1'500'000'000);
    CHECK(outcome.options.interval == std::chrono::seconds(90));
}

TEST_CASE("flags: mistakes are told as docker tells them") {
    CHECK(parse({"--foo"}).error == "unknown flag: --foo");
    CHECK(parse({"-az"}).error == "unknown shorthand flag: 'z' in -az");
    CHECK(parse({"--name"}).error == "flag needs an argument: --name");
    CHECK(parse({"-an"}).error == "flag needs an argument: 'n' in -an");
    CHECK(parse({"-m", "xx"}).error ==
          "invalid argument \"xx\" for \"-m, --memory\" flag: invalid size: 'xx'");
    CHECK(parse({"--cpus", "x"}).error ==
          "invalid argument \"x\" for \"--cpus\" flag: failed to parse x as a rational number");
    CHECK(parse({"-c", "1x"}).error ==
          "invalid argument \"1x\" for \"-c, --count\" flag: parsing \"1x\": invalid syntax");
}

TEST_CASE("flags: help") {
    CHECK(parse({"--help"}).help);
    CHECK(parse({"-h"}).help);
    CHECK(parse({"-a", "--help", "--foo"}).help);
    const FlagTarget targets[] = {{table, nullptr}};
    const std::string text = flags_help(targets);
    CHECK(text.find("  -a, --all") == 0);
    CHECK(text.find("      --cpus decimal") != std::string::npos);
    CHECK(text.find("environment") == std::string::npos);
}

}  // namespace davit::cli
