#include "cli/completion.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "cli/command.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

/// Kinds of words, by what may stand for them.
enum class WordKind {
    none,
    file,
    container,
    running_container,
    /// A path in one, or a file: of `cp`.
    container_path,
    image,
    object,
    volume,
    network,
};

struct Candidate {
    std::string word;
    std::string about;
};

/// Values of flags, whatever the command.
struct FlagValues {
    std::string_view flag;
    WordKind kind;
    /// A space-separated list.
    std::string_view words = {};
};

constexpr FlagValues flag_values[] = {
    {"config", WordKind::file},
    {"env-file", WordKind::file},
    {"label-file", WordKind::file},
    {"cidfile", WordKind::file},
    {"input", WordKind::file},
    {"output", WordKind::file},
    {"volumes-from", WordKind::container},
    {"link", WordKind::container},
    {"volume", WordKind::volume},
    {"network", WordKind::network},
    {"net", WordKind::network},
    {"pull", WordKind::none, "always missing never"},
    {"restart", WordKind::none, "no always on-failure unless-stopped"},
    {"log-driver", WordKind::none, "json-file local journald syslog none"},
    {"cgroupns", WordKind::none, "host private"},
    {"json", WordKind::file},
    {"html", WordKind::file},
    {"scenarios", WordKind::none, "run steps exec"},
    {"networks", WordKind::none, "none host bridge port ports"},
    {"adversity", WordKind::none, "none pull prune removes dirty xtables cpu"},
};

/// Commands that want a container which runs.
constexpr std::string_view of_running[] = {
    "attach", "exec", "kill", "pause", "port", "stats", "stop", "top"};

WordKind flag_kind(const Flag& flag, std::string_view& words) {
    const auto* const found = std::ranges::find(flag_values, flag.name, &FlagValues::flag);
    if (found == std::end(flag_values)) {
        return WordKind::none;
    }
    words = found->words;
    return found->kind;
}

/// "SOURCE_IMAGE[:TAG]" is an image.
WordKind usage_kind(const Command& command, std::string_view token) {
    const auto has = [token](std::string_view part) {
        return token.find(part) != std::string_view::npos;
    };
    if (has("CONTAINER:")) {
        return WordKind::container_path;
    }
    if (has("CONTAINER")) {
        const bool running = std::ranges::find(of_running, command.name) != std::end(of_running);
        return running ? WordKind::running_container : WordKind::container;
    }
    if (has("NAME|ID")) {
        return WordKind::object;
    }
    if (has("VOLUME")) {
        return WordKind::volume;
    }
    if (has("NETWORK")) {
        return WordKind::network;
    }
    if (has("IMAGE") || has("NAME[:TAG") || has("REPOSITORY[:TAG")) {
        return WordKind::image;
    }
    return has("FILE") || has("PATH") || has("ARG") || has("COMMAND") ? WordKind::file
                                                                      : WordKind::none;
}

/// What the argument of this index is, by the command's usage.
WordKind argument_kind(const Command& command, std::size_t index) {
    WordKind kind = WordKind::none;
    for (std::string_view usage = command.usage; !usage.empty();) {
        const std::string_view token = usage.substr(0, usage.find(' '));
        usage.remove_prefix(std::min(token.size() + 1, usage.size()));
        if (token == "[OPTIONS]") {
            continue;
        }
        kind = usage_kind(command, token);
        if (index == 0 || token.ends_with("...]") || kind == WordKind::container_path) {
            return kind;
        }
        --index;
    }
    return WordKind::none;
}

/// Where a command line stands when its last word begins.
struct Position {
    const Command* command = nullptr;
    std::string_view group = {};
    std::size_t arguments = 0;
    /// The last word is this flag's value.
    const Flag* flag = nullptr;
    bool flags_ended = false;
};

class Walk {
  public:
    explicit Walk(std::span<const char* const> words) : words_(words) {}

    Position end() {
        for (std::size_t i = 0; i + 1 < words_.size(); ++i) {
            take(words_[i]);
        }
        return at_;
    }

  private:
    void take(std::string_view word) {
        if (at_.flag != nullptr) {
            at_.flag = nullptr;
            return;
        }
        if (!at_.flags_ended && word.size() > 1 && word.starts_with('-')) {
            flag_take(word);
            return;
        }
        if (at_.command != nullptr) {
            ++at_.arguments;
            at_.flags_ended = at_.flags_ended || !at_.command->interspersed;
            return;
        }
        if (!at_.group.empty()) {
            at_.command = command_in_group(at_.group, word);
        } else if (const Command* command = command_at_top(word)) {
            at_.command = command;
        } else if (is_command_group(word)) {
            at_.group = word;
        }
    }

    void flag_take(std::string_view word) {
        if (word == "--") {
            at_.flags_ended = true;
            return;
        }
        const bool is_long = word.starts_with("--");
        if (is_long && word.find('=') != std::string_view::npos) {
            return;
        }
        // Of "-itv" the last one may want a value; of "-vx" it has it.
        const auto find = [&](std::span<const Flag> flags) {
            for (const Flag& flag : flags) {
                if (is_long ? flag.name == word.substr(2) : flag.shorthand == word.back()) {
                    at_.flag = flag.boolean ? nullptr : &flag;
                }
            }
        };
        if (at_.command == nullptr) {
            find(global_flags());
            return;
        }
        find(at_.command->flags);
        find(base_flags_of(*at_.command));
    }

    std::span<const char* const> words_;
    Position at_;
};

class Completer {
  public:
    Completer(Context& context, std::string word) : context_(context), word_(std::move(word)) {}

    Task<void> complete(Position at) {
        if (at.flag != nullptr) {
            co_return co_await value_of(*at.flag, "");
        }
        if (!at.flags_ended && word_.starts_with("-")) {
            co_return co_await flag_or_value(at);
        }
        if (at.command != nullptr) {
            co_return co_await kind_of(argument_kind(*at.command, at.arguments));
        }
        commands_of(at.group);
        co_return ok;
    }

    void print() {
        std::ranges::sort(found_, {}, &Candidate::word);
        for (const Candidate& candidate : found_) {
            context_.out.line(candidate.word + "\t" + candidate.about);
        }
        if (files_) {
            context_.out.line(":files");
        }
    }

  private:
    void add(std::string word, std::string_view about) {
        if (word.starts_with(word_)) {
            found_.push_back({std::move(word), std::string(about)});
        }
    }

    void commands_of(std::string_view group) {
        for (const Command* command : command_table()) {
            if (!group.empty() && command->group == group) {
                const std::string_view names = command->group_names;
                add(std::string(names.substr(0, names.find(' '))), command->summary);
            } else if (group.empty() && !command->name.empty()) {
                add(std::string(command->name), command->summary);
            }
        }
        if (group.empty()) {
            for (const CommandGroup& row : command_groups()) {
                add(std::string(row.name), row.summary);
            }
        }
    }

    Task<void> flag_or_value(Position at) {
        const std::size_t sign = word_.find('=');
        const std::array tables{
            at.command == nullptr ? global_flags() : at.command->flags,
            at.command == nullptr ? std::span<const Flag>() : base_flags_of(*at.command)};
        for (const std::span<const Flag> flags : tables) {
            for (const Flag& flag : flags) {
                const std::string written = "--" + std::string(flag.name);
                if (sign != std::string::npos && word_.substr(0, sign) == written) {
                    co_return co_await value_of(flag, word_.substr(0, sign + 1));
                }
                if (!flag.help.empty()) {
                    add(written, flag.help);
                }
            }
        }
        add("--help", "Print usage");
        co_return ok;
    }

    /// before: what is in front of the value in the same word.
    Task<void> value_of(const Flag& flag, std::string before) {
        std::string_view words;
        const WordKind kind = flag_kind(flag, words);
        while (!words.empty()) {
            const std::string_view word = words.substr(0, words.find(' '));
            words.remove_prefix(std::min(word.size() + 1, words.size()));
            add(before + std::string(word), "");
        }
        before_ = std::move(before);
        co_return co_await kind_of(kind);
    }

    Task<void> kind_of(WordKind kind) {
        switch (kind) {
            case WordKind::none:
                co_return ok;
            case WordKind::file:
                files_ = true;
                co_return ok;
            case WordKind::container:
                co_return co_await containers(true, "");
            case WordKind::running_container:
                co_return co_await containers(false, "");
            case WordKind::container_path:
                files_ = true;
                co_return co_await containers(true, ":");
            case WordKind::image:
                co_return co_await images();
            case WordKind::object:
                CO_CHECK(co_await containers(true, ""));
                co_return co_await images();
            case WordKind::volume:
                files_ = !word_.empty();
                co_return co_await named("/volumes", "Volumes", "Driver");
            case WordKind::network:
                co_return co_await named("/networks", "", "Driver");
        }
        co_return ok;
    }

    Task<std::string> get(std::string path, bool all) {
        CO_TRY(ApiClient * api, context_.api());
        ApiCall call{"GET", std::move(path)};
        if (all) {
            call.query.add("all", "1");
        }
        co_return co_await api->call(std::move(call));
    }

    Task<void> containers(bool all, std::string after) {
        CO_TRY(const std::string body, co_await get("/containers/json", all));
        CO_TRY(const JsonDocument document, JsonDocument::parse(body));
        CO_TRY(const std::vector<JsonValue> items, document.root().as_array());
        for (const JsonValue& item : items) {
            CO_TRY(const std::vector<std::string> names, item.strings("Names"));
            CO_TRY(const std::string image, item.string_or("Image", ""));
            CO_TRY(const std::string status, item.string_or("Status", ""));
            for (const std::string& name : names) {
                add(before_ + name.substr(1) + after, image + ", " + status);
            }
        }
        co_return ok;
    }

    Task<void> images() {
        CO_TRY(const std::string body, co_await get("/images/json", false));
        CO_TRY(const JsonDocument document, JsonDocument::parse(body));
        CO_TRY(const std::vector<JsonValue> items, document.root().as_array());
        for (const JsonValue& item : items) {
            CO_TRY(const std::vector<std::string> tags, item.strings("RepoTags"));
            for (const std::string& tag : tags) {
                add(before_ + tag, "image");
            }
        }
        co_return ok;
    }

    /// key: where the list is in the answer; "": it is the answer.
    Task<void> named(std::string path, std::string_view key, std::string_view about) {
        CO_TRY(const std::string body, co_await get(std::move(path), false));
        CO_TRY(const JsonDocument document, JsonDocument::parse(body));
        JsonValue list = document.root();
        if (!key.empty()) {
            CO_TRY(list, document.root().array(key));
        }
        CO_TRY(const std::vector<JsonValue> items, list.as_array());
        for (const JsonValue& item : items) {
            CO_TRY(const std::string name, item.string_or("Name", ""));
            CO_TRY(const std::string text, item.string_or(about, ""));
            add(before_ + name, text);
        }
        co_return ok;
    }

    Context& context_;
    std::string word_;
    std::string before_;
    std::vector<Candidate> found_;
    bool files_ = false;
};

}  // namespace

Task<int> completion_run(Context& context, std::span<const char* const> words) {
    Completer completer(context, words.empty() ? "" : words.back());
    static_cast<void>(co_await completer.complete(Walk(words).end()));
    completer.print();
    co_return 0;
}

}  // namespace davit::cli
