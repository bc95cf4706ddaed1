#include "libcontainer/device_rule.h"

#include <charconv>

namespace davit {

namespace {

/// "*", or a number. Gives: false for anything else.
bool number_take(std::string_view text, std::optional<std::uint32_t>& number) {
    if (text == "*") {
        number.reset();
        return true;
    }
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number.emplace());
    return error == std::errc() && stop == end && !text.empty();
}

bool access_take(std::string_view letters, DeviceRule& rule) {
    for (const char letter : letters) {
        switch (letter) {
            case 'r':
                rule.read = true;
                break;
            case 'w':
                rule.write = true;
                break;
            case 'm':
                rule.make = true;
                break;
            default:
                return false;
        }
    }
    return !letters.empty() && letters.size() <= 3;
}

bool rule_take(std::string_view text, DeviceRule& rule) {
    if (text.size() < 2 || text[1] != ' ' ||
        std::string_view("abc").find(text[0]) == std::string_view::npos) {
        return false;
    }
    rule.type = static_cast<DeviceRule::Type>(text[0]);
    text.remove_prefix(2);
    const std::size_t colon = text.find(':');
    const std::size_t space = text.find(' ');
    if (colon == std::string_view::npos || space == std::string_view::npos || space < colon) {
        return false;
    }
    return number_take(text.substr(0, colon), rule.major) &&
           number_take(text.substr(colon + 1, space - colon - 1), rule.minor) &&
           access_take(text.substr(space + 1), rule);
}

}  // namespace

Result<DeviceRule> DeviceRule::parse(std::string_view text) {
    DeviceRule rule;
    if (!rule_take(text, rule)) {
        return Error(ErrorKind::invalid_argument,
                     "invalid device cgroup rule format: '" + std::string(text) + "'");
    }
    return rule;
}

std::string DeviceRule::text() const {
    const auto number = [](const std::optional<std::uint32_t>& value) {
        return value ? std::to_string(*value) : "*";
    };
    std::string text{static_cast<char>(type), ' '};
    text += number(major) + ":" + number(minor) + " ";
    text += read ? "r" : "";
    text += write ? "w" : "";
    text += make ? "m" : "";
    return text;
}

}  // namespace davit
