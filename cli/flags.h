#pragma once
/// Command-line flags: constexpr tables that say name, type and help, and a parser for them.
///
/// Our own rather than CLI11's, because scripts rely on the rules of docker's parser (pflag), some
/// of which CLI11 cannot express: flags end at the first argument of `run IMAGE cmd -x`; `-itv a:b`
/// bundles; `-e=x`, `-ex` and `-e x` are one; a boolean takes a value only as `--rm=false`; the
/// texts of errors. And a table is constant data: nothing runs before main, only the flags that
/// were given are looked at, and a parse takes microseconds.
///
///     struct WaitOptions { bool quiet = false; std::optional<std::int64_t> timeout; };
///     constexpr Flag wait_flags[] = {
///         flag<WaitOptions, &WaitOptions::quiet>("quiet", 'q', "", "Print nothing"),
///         flag<WaitOptions, &WaitOptions::timeout>("timeout", 't', "int", "Seconds to wait"),
///     };
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"

namespace davit::cli {

/// A number of bytes with a unit: "64m".
struct ByteSize {
    std::int64_t bytes = 0;
};

/// A number of CPUs: "1.5".
struct CpuCount {
    std::int64_t nano_cpus = 0;
};

// How one occurrence of a flag changes its variable; a type of another header brings its own
// flag_set(), found by its namespace. Errors: invalid_argument, saying what is wrong with the text.
Result<void> flag_set(std::string_view text, bool& variable);
Result<void> flag_set(std::string_view text, std::string& variable);
Result<void> flag_set(std::string_view text, std::vector<std::string>& variable);
Result<void> flag_set(std::string_view text, std::int64_t& variable);
Result<void> flag_set(std::string_view text, ByteSize& variable);
Result<void> flag_set(std::string_view text, CpuCount& variable);
Result<void> flag_set(std::string_view text, Nanoseconds& variable);

template <typename T>
Result<void> flag_set(std::string_view text, std::optional<T>& variable) {
    T value{};
    TRY_VOID(flag_set(text, value));
    variable = std::move(value);
    return ok;
}

struct Flag {
    using Setter = Result<void> (*)(void* options, std::string_view text);

    /// Without its dashes.
    std::string_view name;
    /// 0: none.
    char shorthand;
    /// What help calls the value; "" for a boolean.
    std::string_view value_name;
    /// "" hides the flag: an older spelling of another one.
    std::string_view help;
    Setter set;
    /// Takes no value of the next argument.
    bool boolean;
};

/// A row of a table: sets Member of an Options.
template <typename Options, auto Member>
constexpr Flag flag(std::string_view name,
                    char shorthand,
                    std::string_view value_name,
                    std::string_view help) {
    using Value = std::remove_reference_t<decltype(std::declval<Options&>().*Member)>;
    return Flag{name,
                shorthand,
                value_name,
                help,
                [](void* options, std::string_view text) {
                    return flag_set(text, static_cast<Options*>(options)->*Member);
                },
                std::is_same_v<Value, bool> || std::is_same_v<Value, std::optional<bool>>};
}

/// A table, and the options that its setters write.
struct FlagTarget {
    std::span<const Flag> flags;
    void* options;
};

using Arguments = std::vector<std::string>;

struct ParsedFlags {
    /// What is no flag, in order.
    Arguments arguments;
    /// --help was there; the rest was not looked at.
    bool help = false;
};

/// Parse words (without the command's name) into the targets' options.
///
/// Takes:  interspersed: flags may follow arguments; else the first argument ends them. "--" always
///         does.
/// Errors: invalid_argument with docker's text: "unknown flag: --x".
Result<ParsedFlags> flags_parse(std::span<const char* const> words,
                                std::span<const FlagTarget> targets,
                                bool interspersed);

/// The lines that help shows for these flags, sorted by name.
std::string flags_help(std::span<const FlagTarget> targets);

}  // namespace davit::cli
