// The fuzz driver: mutation without coverage feedback, so that every compiler runs it.
//
//   davit_fuzz smoke               every target, briefly, from a fixed seed
//   davit_fuzz TARGET [SEED [RUNS]] one target; the input that breaks it is left in
//                                  davit-fuzz-TARGET.input
//   davit_fuzz TARGET -- FILE...   run these inputs
//   davit_fuzz canary              a target that must fail: proof that failures are seen
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/fuzz/fuzz.h"

extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace davit::fuzz {

namespace {

using Random = std::mt19937_64;

constexpr std::size_t input_bytes_max = 64 * 1024;

std::vector<Target>& targets() {
    static std::vector<Target> all;
    return all;
}

std::string current_input;
std::string dump_path;

/// Only async-signal-safe calls: this runs while the process dies.
void dump_input() {
    const int fd = ::open(dump_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0) {
        [[maybe_unused]] const ssize_t written =
            ::write(fd, current_input.data(), current_input.size());
        ::close(fd);
    }
}

void on_signal(int number) {
    if (dump_path.empty()) {
        ::_exit(1);  // The canary: ctest's WILL_FAIL does not take a death by signal.
    }
    dump_input();
    std::signal(number, SIG_DFL);
    std::raise(number);
}

std::size_t below(Random& random, std::size_t bound) {
    return bound == 0 ? 0 : static_cast<std::size_t>(random() % bound);
}

/// One small change.
void mutate(std::string& input, const Target& target, Random& random) {
    const std::size_t at = below(random, input.size() + 1);
    const std::size_t length = std::min(below(random, 16) + 1, input.size() - at);
    switch (random() % 8) {
        case 0:
            if (at < input.size()) {
                input[at] = static_cast<char>(random());
            }
            break;
        case 1:
            if (at < input.size()) {
                input[at] = static_cast<char>(input[at] ^ (1 << (random() % 8)));
            }
            break;
        case 2:
            input.erase(at, length);
            break;
        case 3:
            input.insert(at, input.substr(at, length));
            break;
        case 4:
            input.insert(at, 1, static_cast<char>(random()));
            break;
        case 5:
            if (!target.words.empty()) {
                input.insert(at, target.words[below(random, target.words.size())]);
            }
            break;
        case 6: {
            const std::string& other = target.seeds[below(random, target.seeds.size())];
            const std::size_t from = below(random, other.size() + 1);
            input.insert(at, other.substr(from, below(random, 200)));
            break;
        }
        default:
            input.resize(at);
            break;
    }
    if (input.size() > input_bytes_max) {
        input.resize(input_bytes_max);
    }
}

void run_one(const Target& target, std::string input) {
    current_input = std::move(input);
    target.run(current_input);
}

void run_target(const Target& target, std::uint64_t seed, int runs) {
    Random random(seed);
    for (const std::string& input : target.seeds) {
        run_one(target, input);
    }
    for (int i = 0; i < runs; ++i) {
        std::string input = target.seeds[below(random, target.seeds.size())];
        for (std::size_t changes = below(random, 6) + 1; changes > 0; --changes) {
            mutate(input, target, random);
        }
        run_one(target, std::move(input));
    }
    std::printf("%s: %d inputs from seed %llu\n",
                target.name.c_str(),
                runs,
                static_cast<unsigned long long>(seed));
}

void run_files(const Target& target, char** files) {
    for (; *files != nullptr; ++files) {
        std::ifstream file(*files, std::ios::binary);
        run_one(target, std::string(std::istreambuf_iterator<char>(file), {}));
        std::printf("%s: %s passed\n", target.name.c_str(), *files);
    }
}

void canary(std::string_view input) {
    require(input.find("cat") == std::string_view::npos, "there is no cat");
}

int usage() {
    std::fprintf(stderr, "davit_fuzz smoke | canary | TARGET [SEED [RUNS]] | TARGET -- FILE...\n");
    for (const Target& target : targets()) {
        std::fprintf(stderr, "  %s\n", target.name.c_str());
    }
    return 2;
}

int main_with(int argc, char** argv) {
    for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
        std::signal(number, on_signal);
    }
    std::signal(SIGPIPE, SIG_IGN);
    if (__sanitizer_set_death_callback != nullptr) {
        __sanitizer_set_death_callback(dump_input);
    }
    for (Target& target : targets()) {
        if (target.seeds_make != nullptr) {
            target.seeds = target.seeds_make();
        }
    }
    const std::string name = argc > 1 ? argv[1] : "";
    if (name == "smoke") {
        for (const Target& target : targets()) {
            dump_path = "davit-fuzz-" + target.name + ".input";
            run_target(target, 1, target.smoke_runs);
        }
        return 0;
    }
    if (name == "canary") {
        run_target({"canary", canary, {"bird"}, {"cat"}, 0}, 1, 1000);
        return 0;
    }
    for (const Target& target : targets()) {
        if (target.name != name) {
            continue;
        }
        dump_path = "davit-fuzz-" + target.name + ".input";
        if (argc > 2 && std::string_view(argv[2]) == "--") {
            run_files(target, argv + 3);
        } else {
            const std::uint64_t seed =
                argc > 2 ? std::strtoull(argv[2], nullptr, 10) : std::random_device{}();
            run_target(target, seed, argc > 3 ? std::atoi(argv[3]) : 100'000);
        }
        return 0;
    }
    return usage();
}

}  // namespace

bool add(Target target) {
    targets().push_back(std::move(target));
    return true;
}

void require(bool holds, const char* promise) {
    if (!holds) {
        std::fprintf(stderr, "broken promise: %s\n", promise);
        std::abort();
    }
}

}  // namespace davit::fuzz

int main(int argc, char** argv) {
    return davit::fuzz::main_with(argc, argv);
}
