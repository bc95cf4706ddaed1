#pragma once
/// Fuzz targets: functions that must hold for any input. Each *_fuzz.cc in this folder registers
/// its own; fuzz_main.cc mutates their seeds and runs them.
#include <string>
#include <string_view>
#include <vector>

namespace davit::fuzz {

struct Target {
    std::string name;
    /// Asserts what must hold. Sanitizers see to the rest.
    void (*run)(std::string_view input);
    /// Valid inputs to start from.
    std::vector<std::string> seeds;
    /// Pieces worth inserting.
    std::vector<std::string> words;
    /// Runs in `smoke`: about a second's worth under sanitizers.
    int smoke_runs = 2000;
    /// Seeds that a library makes, called in main(): before that its own tables may not be set up.
    std::vector<std::string> (*seeds_make)() = nullptr;
};

/// const bool registered = fuzz::add({...}); at file scope.
bool add(Target target);

/// Abort with a message that names the target's broken promise.
void require(bool holds, const char* promise);

}  // namespace davit::fuzz
