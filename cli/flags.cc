#include "cli/flags.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/invalid.h"
#include "cli/units.h"

namespace davit::cli {

namespace {

struct Found {
    const Flag* flag = nullptr;
    void* options = nullptr;
};

template <typename Predicate>
Found flag_find(std::span<const FlagTarget> targets, Predicate matches) {
    for (const FlagTarget& target : targets) {
        for (const Flag& flag : target.flags) {
            if (matches(flag)) {
                return {&flag, target.options};
            }
        }
    }
    return {};
}

Found flag_by_name(std::span<const FlagTarget> targets, std::string_view name) {
    return flag_find(targets, [name](const Flag& flag) { return flag.name == name; });
}

Found flag_by_shorthand(std::span<const FlagTarget> targets, char shorthand) {
    return flag_find(targets,
                     [shorthand](const Flag& flag) { return flag.shorthand == shorthand; });
}

/// `"x" for "-m, --memory" flag`.
Result<void> flag_apply(const Found& found, std::string_view text) {
    Result<void> done = found.flag->set(found.options, text);
    if (done) {
        return ok;
    }
    const std::string shorthand =
        found.flag->shorthand == 0 ? "" : fmt::format("-{}, ", found.flag->shorthand);
    return invalid(fmt::format("invalid argument \"{}\" for \"{}--{}\" flag: {}",
                               text,
                               shorthand,
                               found.flag->name,
                               done.error().message()));
}

class FlagParser {
  public:
    FlagParser(std::span<const char* const> words, std::span<const FlagTarget> targets)
        : words_(words), targets_(targets) {}

    Result<ParsedFlags> parse(bool interspersed) {
        while (next_ < words_.size() && !parsed_.help) {
            const std::string_view word = words_[next_++];
            if (word == "--") {
                break;
            }
            if (word.size() < 2 || word.front() != '-') {
                parsed_.arguments.emplace_back(word);
                if (!interspersed) {
                    break;
                }
            } else if (word[1] == '-') {
                TRY_VOID(parse_long(word.substr(2)));
            } else {
                TRY_VOID(parse_bundle(word));
            }
        }
        for (; next_ < words_.size(); ++next_) {
            parsed_.arguments.emplace_back(words_[next_]);
        }
        return std::move(parsed_);
    }

  private:
    /// --name, --name=text, --name text.
    Result<void> parse_long(std::string_view word) {
        const std::size_t equals = word.find('=');
        const std::string_view name = word.substr(0, equals);
        const Found found = flag_by_name(targets_, name);
        if (found.flag == nullptr) {
            if (name == "help") {
                parsed_.help = true;
                return ok;
            }
            return invalid(fmt::format("unknown flag: --{}", name));
        }
        if (equals != std::string_view::npos) {
            return flag_apply(found, word.substr(equals + 1));
        }
        if (found.flag->boolean) {
            return flag_apply(found, "true");
        }
        if (next_ == words_.size()) {
            return invalid(fmt::format("flag needs an argument: --{}", name));
        }
        return flag_apply(found, words_[next_++]);
    }

    /// -x, -xyz, -xtext, -x=text, -x text.
    Result<void> parse_bundle(std::string_view word) {
        for (std::string_view rest = word.substr(1); !rest.empty();) {
            const char shorthand = rest.front();
            rest.remove_prefix(1);
            const Found found = flag_by_shorthand(targets_, shorthand);
            if (found.flag == nullptr) {
                if (shorthand == 'h') {
                    parsed_.help = true;
                    return ok;
                }
                return invalid(fmt::format("unknown shorthand flag: '{}' in {}", shorthand, word));
            }
            const bool has_equals = rest.starts_with('=');
            if (found.flag->boolean && !has_equals) {
                TRY_VOID(flag_apply(found, "true"));
                continue;
            }
            if (!rest.empty()) {
                return flag_apply(found, has_equals ? rest.substr(1) : rest);
            }
            if (next_ == words_.size()) {
                return invalid(fmt::format("flag needs an argument: '{}' in {}", shorthand, word));
            }
            return flag_apply(found, words_[next_++]);
        }
        return ok;
    }

    std::span<const char* const> words_;
    std::span<const FlagTarget> targets_;
    std::size_t next_ = 0;
    ParsedFlags parsed_;
};

}  // namespace

Result<void> flag_set(std::string_view text, bool& variable) {
    // As Go's strconv.ParseBool.
    constexpr std::array<std::string_view, 6> yes{"1", "t", "T", "true", "TRUE", "True"};
    constexpr std::array<std::string_view, 6> no{"0", "f", "F", "false", "FALSE", "False"};
    if (std::ranges::find(yes, text) != yes.end()) {
        variable = true;
    } else if (std::ranges::find(no, text) != no.end()) {
        variable = false;
    } else {
        return invalid(fmt::format("parsing \"{}\": invalid syntax", text));
    }
    return ok;
}

Result<void> flag_set(std::string_view text, std::string& variable) {
    variable = text;
    return ok;
}

Result<void> flag_set(std::string_view text, std::vector<std::string>& variable) {
    variable.emplace_back(text);
    return ok;
}

Result<void> flag_set(std::string_view text, std::int64_t& variable) {
    TRY(variable, integer_parse(text));
    return ok;
}

Result<void> flag_set(std::string_view text, ByteSize& variable) {
    TRY(variable.bytes, size_parse(text));
    return ok;
}

Result<void> flag_set(std::string_view text, CpuCount& variable) {
    TRY(variable.nano_cpus, nano_cpus_parse(text));
    return ok;
}

Result<void> flag_set(std::string_view text, Nanoseconds& variable) {
    TRY(variable, duration_parse(text));
    return ok;
}

Result<ParsedFlags> flags_parse(std::span<const char* const> words,
                                std::span<const FlagTarget> targets,
                                bool interspersed) {
    return FlagParser(words, targets).parse(interspersed);
}

std::string flags_help(std::span<const FlagTarget> targets) {
    std::vector<const Flag*> shown;
    std::size_t width = 0;
    for (const FlagTarget& target : targets) {
        for (const Flag& flag : target.flags) {
            if (!flag.help.empty()) {
                shown.push_back(&flag);
                width = std::max(width, flag.name.size() + 1 + flag.value_name.size());
            }
        }
    }
    std::ranges::sort(shown, {}, &Flag::name);
    std::string text;
    for (const Flag* flag : shown) {
        const std::string shorthand =
            flag->shorthand == 0 ? "    " : fmt::format("-{}, ", flag->shorthand);
        text += fmt::format("  {}--{:<{}}   {}\n",
                            shorthand,
                            fmt::format("{} {}", flag->name, flag->value_name),
                            width,
                            flag->help);
    }
    return text;
}

}  // namespace davit::cli
