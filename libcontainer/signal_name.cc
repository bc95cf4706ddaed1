#include "libcontainer/signal_name.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <csignal>
#include <cstring>
#include <string>

namespace davit {

namespace {

std::optional<int> number_in(std::string_view text, int low, int high) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < low || value > high) {
        return std::nullopt;
    }
    return value;
}

std::optional<int> real_time_signal(std::string_view name) {
    if (name == "RTMIN") {
        return SIGRTMIN;
    }
    if (name == "RTMAX") {
        return SIGRTMAX;
    }
    const int span = SIGRTMAX - SIGRTMIN;
    if (name.starts_with("RTMIN+")) {
        const auto offset = number_in(name.substr(6), 0, span);
        return offset ? std::optional<int>(SIGRTMIN + *offset) : std::nullopt;
    }
    if (name.starts_with("RTMAX-")) {
        const auto offset = number_in(name.substr(6), 0, span);
        return offset ? std::optional<int>(SIGRTMAX - *offset) : std::nullopt;
    }
    return std::nullopt;
}

}  // namespace

Result<int> signal_parse(std::string_view text) {
    if (const auto number = number_in(text, 1, SIGRTMAX)) {
        return *number;
    }
    std::string name(text);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
    if (name.starts_with("SIG")) {
        name.erase(0, 3);
    }
    for (int number = 1; number < SIGRTMIN; ++number) {
        const char* known = sigabbrev_np(number);
        if (known != nullptr && name == known) {
            return number;
        }
    }
    if (const auto number = real_time_signal(name)) {
        return *number;
    }
    return Error(ErrorKind::invalid_argument, "invalid signal: " + std::string(text));
}

}  // namespace davit
