#include "jobs/container/process_list.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <optional>

#include <fmt/format.h>

#include "reactor/base/fd.h"

namespace davit {

namespace {

constexpr std::string_view white = " \t\n\v\f\r";

Error ps_error(std::string message) {
    return Error(ErrorKind::internal, std::move(message));
}

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
    Number number{};
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
    return whole ? std::optional<Number>(number) : std::nullopt;
}

/// What is more than the titles belongs to the last column.
std::vector<std::string> columns_fit(std::vector<std::string> words, std::size_t count) {
    while (words.size() > count) {
        words[words.size() - 2] += " " + words.back();
        words.pop_back();
    }
    words.resize(count);
    return words;
}

/// A line of /proc/PID/stat behind the name, which may hold anything.
struct Stat {
    std::string name;
    std::vector<std::string> fields;  // From the state on: field 3 of the manual is the first.

    std::uint64_t number(std::size_t field) const {
        const std::size_t at = field - 3;
        return at < fields.size() ? number_of<std::uint64_t>(fields[at]).value_or(0) : 0;
    }
};

std::optional<Stat> stat_read(const std::string& directory) {
    const auto text = file_read(directory + "/stat");
    if (!text) {
        return std::nullopt;
    }
    const std::size_t begin = text->find('(');
    const std::size_t end = text->rfind(')');
    if (begin == std::string::npos || end == std::string::npos || end < begin) {
        return std::nullopt;
    }
    Stat stat;
    stat.name = text->substr(begin + 1, end - begin - 1);
    stat.fields = words_split(std::string_view(*text).substr(end + 1));
    return stat;
}

std::string command_of(const std::string& directory, const Stat& stat) {
    auto text = file_read(directory + "/cmdline");
    if (!text || text->empty()) {
        return "[" + stat.name + "]";
    }
    std::ranges::replace(*text, '\0', ' ');
    while (!text->empty() && text->back() == ' ') {
        text->pop_back();
    }
    return *std::move(text);
}

std::string user_of(const std::string& directory) {
    struct stat status {};

    if (::stat(directory.c_str(), &status) != 0) {
        return "?";
    }
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    ::getpwuid_r(status.st_uid, &entry, buffer.data(), buffer.size(), &found);
    return found != nullptr ? std::string(found->pw_name) : std::to_string(status.st_uid);
}

/// "pts/3", "?". Follows: the kernel's admin-guide/devices.rst.
std::string terminal_of(std::uint64_t device) {
    const std::uint64_t major = (device >> 8) & 0xfff;
    const std::uint64_t minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    constexpr std::uint64_t pts_first = 136;
    constexpr std::uint64_t pts_last = 143;
    if (major >= pts_first && major <= pts_last) {
        return "pts/" + std::to_string((major - pts_first) * 256 + minor);
    }
    return major == 4 && minor < 64 ? "tty" + std::to_string(minor) : "?";
}

std::string start_text(std::time_t start, std::time_t now) {
    std::tm at{};
    std::tm today{};
    ::localtime_r(&start, &at);
    ::localtime_r(&now, &today);
    const char* format = "%Y";
    if (at.tm_year == today.tm_year) {
        format = at.tm_yday == today.tm_yday ? "%H:%M" : "%b%d";
    }
    std::array<char, 32> text{};
    return {text.data(), std::strftime(text.data(), text.size(), format, &at)};
}

/// When the kernel started, for times that are counted from then.
std::time_t boot_time() {
    timespec since{};
    ::clock_gettime(CLOCK_BOOTTIME, &since);
    return std::time(nullptr) - since.tv_sec;
}

std::optional<std::vector<std::string>> process_row(pid_t pid, std::time_t boot, std::time_t now) {
    const std::string directory = "/proc/" + std::to_string(pid);
    const std::optional<Stat> stat = stat_read(directory);
    if (!stat) {
        return std::nullopt;
    }
    static const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    const std::uint64_t used = (stat->number(14) + stat->number(15)) / ticks;
    const std::time_t start = boot + static_cast<std::time_t>(stat->number(22) / ticks);
    const auto lived = static_cast<std::uint64_t>(std::max<std::time_t>(now - start, 1));
    constexpr std::uint64_t percent_shown_max = 99;
    return std::vector<std::string>{
        user_of(directory),
        std::to_string(pid),
        std::to_string(stat->number(4)),
        std::to_string(std::min(used * 100 / lived, percent_shown_max)),
        start_text(start, now),
        terminal_of(stat->number(7)),
        fmt::format("{:02}:{:02}:{:02}", used / 3600, used / 60 % 60, used % 60),
        command_of(directory, *stat)};
}

}  // namespace

std::vector<std::string> words_split(std::string_view text) {
    std::vector<std::string> words;
    while (
        (text.remove_prefix(std::min(text.find_first_not_of(white), text.size())), !text.empty())) {
        const std::string_view word = text.substr(0, text.find_first_of(white));
        words.emplace_back(word);
        text.remove_prefix(word.size());
    }
    return words;
}

Result<void> ps_arguments_check(std::string_view arguments) {
    // "-o user=PID": a column "user" with the title that tells processes apart.
    for (std::size_t at = 0; (at = arguments.find('=', at)) != std::string_view::npos; ++at) {
        const std::size_t begin = arguments.find_last_of(white, at);
        if (begin == std::string_view::npos) {
            continue;
        }
        const std::string_view key = arguments.substr(begin + 1, at - begin - 1);
        std::string_view title = arguments.substr(at + 1);
        title.remove_prefix(std::min(title.find_first_not_of(white), title.size()));
        if (title.starts_with("PID") && key != "pid") {
            return Error(ErrorKind::invalid_argument,
                         "specifying \"" + std::string(key) + "=" +
                             std::string(title.substr(0, title.find_first_of(white))) +
                             "\" is not allowed");
        }
    }
    return ok;
}

Result<ProcessList> ps_output_parse(std::string_view output, const std::vector<pid_t>& pids) {
    ProcessList list;
    const auto line_take = [&output] {
        const std::string_view line = output.substr(0, output.find('\n'));
        output.remove_prefix(std::min(line.size() + 1, output.size()));
        return words_split(line);
    };
    list.titles = line_take();
    const auto title = std::ranges::find(list.titles, "PID");
    if (title == list.titles.end()) {
        return ps_error("Couldn't find PID field in ps output");
    }
    const auto column = static_cast<std::size_t>(title - list.titles.begin());
    bool ours = false;  // The last process was: lines of threads follow it.
    while (!output.empty()) {
        std::vector<std::string> words = line_take();
        if (words.size() <= column) {
            continue;
        }
        if (words[column] != "-") {
            const auto pid = number_of<pid_t>(words[column]);
            if (!pid) {
                return ps_error("unexpected pid '" + words[column] + "'");
            }
            ours = std::ranges::binary_search(pids, *pid);
        }
        if (ours) {
            list.processes.push_back(columns_fit(std::move(words), list.titles.size()));
        }
    }
    return list;
}

Result<ProcessList> process_list_read(const std::vector<pid_t>& pids) {
    ProcessList list;
    list.titles = {"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"};
    const std::time_t boot = boot_time();
    const std::time_t now = std::time(nullptr);
    for (const pid_t pid : pids) {
        if (auto row = process_row(pid, boot, now)) {
            list.processes.push_back(*std::move(row));
        }
    }
    return list;
}

}  // namespace davit
