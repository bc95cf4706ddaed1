#include "jobs/container/cpu_list.h"

#include <algorithm>
#include <charconv>

namespace davit {

namespace {

constexpr unsigned number_max = 8191;

std::optional<unsigned> number_parse(std::string_view text) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole && value <= number_max ? std::optional(value) : std::nullopt;
}

}  // namespace

std::optional<std::set<unsigned>> cpu_list_parse(std::string_view text) {
    std::set<unsigned> numbers;
    bool more = !text.empty();
    while (more) {
        const std::size_t comma = text.find(',');
        const std::string_view part = text.substr(0, comma);
        const std::size_t dash = part.find('-');
        const auto first = number_parse(part.substr(0, dash));
        const auto last =
            dash == std::string_view::npos ? first : number_parse(part.substr(dash + 1));
        if (!first || !last || *first > *last) {
            return std::nullopt;
        }
        for (unsigned number = *first; number <= *last; ++number) {
            numbers.insert(number);
        }
        more = comma != std::string_view::npos;
        text.remove_prefix(more ? comma + 1 : text.size());
    }
    return numbers;
}

}  // namespace davit
