#include "jobs/image/config_change.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

#include "http/json_reader.h"
#include "http/message.h"

namespace davit {

namespace {

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && std::string_view(" \t\r\n").find(text.front()) != text.npos) {
        text.remove_prefix(1);
    }
    while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != text.npos) {
        text.remove_suffix(1);
    }
    return text;
}

Error malformed(std::string_view change, std::string_view why) {
    return Error(ErrorKind::invalid_argument,
                 "invalid change '" + std::string(change) + "': " + std::string(why));
}

/// ["a", "b"], or nothing if it is not the JSON form.
std::optional<std::vector<std::string>> json_form(std::string_view arguments) {
    if (!arguments.starts_with('[')) {
        return std::nullopt;
    }
    Result<JsonDocument> document = JsonDocument::parse(arguments);
    if (!document) {
        return std::nullopt;
    }
    Result<std::vector<std::string>> strings = document->root().as_strings();
    return strings ? std::optional(*std::move(strings)) : std::nullopt;
}

/// The JSON form, or a line for the shell.
std::vector<std::string> command_form(std::string_view arguments) {
    if (std::optional<std::vector<std::string>> exec = json_form(arguments)) {
        return *std::move(exec);
    }
    return {"/bin/sh", "-c", std::string(arguments)};
}

/// Words as a shell would split them: blanks separate, quotes and backslashes hold together.
Result<std::vector<std::string>> words_split(std::string_view change, std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    bool in_word = false;
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
            word.push_back(text[++i]);
            in_word = true;
        } else if (quote != 0) {
            if (c == quote) {
                quote = 0;
            } else {
                word.push_back(c);
            }
        } else if (c == '"' || c == '\'') {
            quote = c;
            in_word = true;
        } else if (c == ' ' || c == '\t') {
            if (in_word) {
                words.push_back(std::move(word));
                word.clear();
                in_word = false;
            }
        } else {
            word.push_back(c);
            in_word = true;
        }
    }
    if (quote != 0) {
        return malformed(change, "a quote is not closed");
    }
    if (in_word) {
        words.push_back(std::move(word));
    }
    return words;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// "k=v k2=v2", or the old form "k the rest of the line".
Result<Pairs> pairs_parse(std::string_view change, std::string_view arguments) {
    TRY(const std::vector<std::string> words, words_split(change, arguments));
    Pairs pairs;
    if (words.empty()) {
        return malformed(change, "it needs a name and a value");
    }
    if (words.front().find('=') == std::string::npos) {
        const std::size_t blank = arguments.find_first_of(" \t");
        if (blank == std::string_view::npos) {
            return malformed(change, "it needs a name and a value");
        }
        pairs.emplace_back(arguments.substr(0, blank), trimmed(arguments.substr(blank)));
        return pairs;
    }
    for (const std::string& word : words) {
        const std::size_t equals = word.find('=');
        if (equals == std::string::npos || equals == 0) {
            return malformed(change, "'" + word + "' is not NAME=VALUE");
        }
        pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    }
    return pairs;
}

void add_once(std::vector<std::string>& list, std::string item) {
    if (std::find(list.begin(), list.end(), item) == list.end()) {
        list.push_back(std::move(item));
    }
}

void env_set(std::vector<std::string>& env, const std::string& name, const std::string& value) {
    const std::string prefix = name + "=";
    for (std::string& variable : env) {
        if (variable.starts_with(prefix)) {
            variable = prefix + value;
            return;
        }
    }
    env.push_back(prefix + value);
}

/// 80, 80/tcp, 8000-8010/udp.
Result<std::string> port_parse(std::string_view change, std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string_view range = text.substr(0, slash);
    const std::string_view protocol = slash == text.npos ? "tcp" : text.substr(slash + 1);
    const std::size_t dash = range.find('-');
    std::vector<std::string_view> ends = {range.substr(0, dash)};
    if (dash != range.npos) {
        ends.push_back(range.substr(dash + 1));
    }
    unsigned before = 0;
    for (const std::string_view end : ends) {
        unsigned number = 0;
        const auto [rest, error] = std::from_chars(end.data(), end.data() + end.size(), number);
        if (error != std::errc{} || rest != end.data() + end.size() || number > 65535 ||
            number < before) {
            return malformed(change, "'" + std::string(text) + "' is not a port");
        }
        before = number;
    }
    if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") {
        return malformed(change, "'" + std::string(text) + "' is not a port");
    }
    return std::string(range) + "/" + std::string(protocol);
}

Result<void> expose(RunConfig& config, std::string_view change, std::string_view arguments) {
    TRY(const std::vector<std::string> words, words_split(change, arguments));
    for (const std::string& word : words) {
        TRY(std::string port, port_parse(change, word));
        add_once(config.exposed_ports, std::move(port));
    }
    return ok;
}

Result<void> volume(RunConfig& config, std::string_view change, std::string_view arguments) {
    std::optional<std::vector<std::string>> paths = json_form(arguments);
    if (!paths) {
        TRY(paths, words_split(change, arguments));
    }
    for (std::string& path : *paths) {
        if (path.empty()) {
            return malformed(change, "a volume needs a path");
        }
        add_once(config.volumes, std::move(path));
    }
    return ok;
}

/// "30s", "1m30s", "500ms", in nanoseconds.
std::optional<std::int64_t> duration_parse(std::string_view text) {
    static constexpr std::array<std::pair<std::string_view, double>, 6> units = {
        {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"h", 3.6e12}, {"m", 6e10}, {"s", 1e9}}};
    double total = 0;
    if (text.empty()) {
        return std::nullopt;
    }
    while (!text.empty()) {
        double number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc{} || number < 0) {
            return std::nullopt;
        }
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        const auto unit = std::find_if(units.begin(), units.end(), [text](const auto& known) {
            return text.starts_with(known.first);
        });
        if (unit == units.end()) {
            return std::nullopt;
        }
        text.remove_prefix(unit->first.size());
        total += number * unit->second;
    }
    return total < 9e18 ? std::optional(static_cast<std::int64_t>(total)) : std::nullopt;
}

Result<void> health_option(HealthConfig& health, std::string_view change, std::string_view word) {
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const std::string_view value = equals == word.npos ? "" : word.substr(equals + 1);
    if (name == "--retries") {
        const auto [end, error] =
            std::from_chars(value.data(), value.data() + value.size(), health.retries);
        if (error != std::errc{} || end != value.data() + value.size() || health.retries < 0) {
            return malformed(change, "--retries needs a number");
        }
        return ok;
    }
    std::int64_t* target = name == "--interval"         ? &health.interval_ns
                           : name == "--timeout"        ? &health.timeout_ns
                           : name == "--start-period"   ? &health.start_period_ns
                           : name == "--start-interval" ? &health.start_interval_ns
                                                        : nullptr;
    const std::optional<std::int64_t> length = duration_parse(value);
    if (target == nullptr || !length) {
        return malformed(change, "'" + std::string(word) + "' is not an option of HEALTHCHECK");
    }
    *target = *length;
    return ok;
}

Result<void> healthcheck(RunConfig& config, std::string_view change, std::string_view arguments) {
    HealthConfig health;
    while (arguments.starts_with("--")) {
        const std::size_t end = std::min(arguments.find_first_of(" \t"), arguments.size());
        TRY_VOID(health_option(health, change, arguments.substr(0, end)));
        arguments = trimmed(arguments.substr(end));
    }
    const std::size_t blank = std::min(arguments.find_first_of(" \t"), arguments.size());
    const std::string_view kind = arguments.substr(0, blank);
    const std::string_view command = trimmed(arguments.substr(blank));
    if (equals_ignoring_case(kind, "NONE") && command.empty()) {
        health.test = {"NONE"};
    } else if (equals_ignoring_case(kind, "CMD") && !command.empty()) {
        if (std::optional<std::vector<std::string>> exec = json_form(command)) {
            health.test = {"CMD"};
            health.test.insert(health.test.end(), exec->begin(), exec->end());
        } else {
            health.test = {"CMD-SHELL", std::string(command)};
        }
    } else {
        return malformed(change, "HEALTHCHECK needs CMD and a command, or NONE");
    }
    config.healthcheck = std::move(health);
    return ok;
}

Result<void> apply(RunConfig& config,
                   std::string_view change,
                   std::string_view instruction,
                   std::string_view arguments) {
    const auto is = [instruction](std::string_view name) {
        return equals_ignoring_case(instruction, name);
    };
    if (is("CMD")) {
        config.cmd = command_form(arguments);
    } else if (is("ENTRYPOINT")) {
        config.entrypoint = command_form(arguments);
    } else if (is("ENV")) {
        TRY(const Pairs pairs, pairs_parse(change, arguments));
        for (const auto& [name, value] : pairs) {
            env_set(config.env, name, value);
        }
    } else if (is("LABEL")) {
        TRY(const Pairs pairs, pairs_parse(change, arguments));
        for (const auto& [name, value] : pairs) {
            config.labels[name] = value;
        }
    } else if (is("EXPOSE")) {
        return expose(config, change, arguments);
    } else if (is("VOLUME")) {
        return volume(config, change, arguments);
    } else if (is("HEALTHCHECK")) {
        return healthcheck(config, change, arguments);
    } else if (is("USER")) {
        config.user = arguments;
    } else if (is("WORKDIR")) {
        config.working_dir = arguments.starts_with('/') || config.working_dir.empty()
                                 ? std::string(arguments)
                                 : config.working_dir + "/" + std::string(arguments);
        if (!config.working_dir.starts_with('/')) {
            config.working_dir.insert(0, "/");
        }
    } else if (is("STOPSIGNAL")) {
        config.stop_signal = arguments;
    } else if (is("ONBUILD")) {
        config.on_build.emplace_back(arguments);
    } else {
        return malformed(change, std::string(instruction) + " is not a valid change command");
    }
    return ok;
}

}  // namespace

Result<void> config_change_apply(RunConfig& config, std::span<const std::string> changes) {
    for (const std::string& text : changes) {
        const std::string_view change = trimmed(text);
        if (change.empty() || change.starts_with('#')) {
            continue;
        }
        const std::size_t blank = std::min(change.find_first_of(" \t"), change.size());
        const std::string_view arguments = trimmed(change.substr(blank));
        if (arguments.empty()) {
            return malformed(change, "it has no arguments");
        }
        TRY_VOID(apply(config, change, change.substr(0, blank), arguments));
    }
    return ok;
}

}  // namespace davit
