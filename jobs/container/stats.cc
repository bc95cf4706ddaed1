#include "jobs/container/stats.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "jobs/container/process_list.h"
#include "reactor/base/fd.h"

namespace davit {

namespace {

constexpr std::uint64_t nanoseconds_per_second = 1'000'000'000;

std::uint64_t number_of(std::string_view text) {
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

std::string_view line_take(std::string_view& text) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    return line;
}

}  // namespace

HostStats host_stats_parse(std::string_view stat, std::string_view meminfo) {
    static const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    HostStats host;
    while (!stat.empty()) {
        const std::string_view line = line_take(stat);
        if (!line.starts_with("cpu")) {
            break;
        }
        if (line.size() > 3 && line[3] != ' ') {
            ++host.cpu_count;
            continue;
        }
        // user nice system idle iowait irq softirq; what follows is in these, too.
        constexpr std::size_t fields = 8;
        const std::vector<std::string> words = words_split(line);
        for (std::size_t i = 1; i < std::min(fields, words.size()); ++i) {
            host.cpu += number_of(words[i]);
        }
        host.cpu = host.cpu * (nanoseconds_per_second / ticks);
    }
    while (!meminfo.empty()) {
        const std::vector<std::string> words = words_split(line_take(meminfo));
        if (words.size() > 1 && words[0] == "MemTotal:") {
            host.memory = number_of(words[1]) * 1024;
            break;
        }
    }
    return host;
}

HostStats host_stats_read() {
    const auto stat = file_read("/proc/stat", 16 * 1024 * 1024);
    const auto meminfo = file_read("/proc/meminfo");
    return host_stats_parse(stat ? std::string_view(*stat) : std::string_view(),
                            meminfo ? std::string_view(*meminfo) : std::string_view());
}

std::map<std::string, InterfaceStats> interface_stats_parse(std::string_view text) {
    std::map<std::string, InterfaceStats> interfaces;
    while (!text.empty()) {
        const std::string_view line = line_take(text);
        const std::size_t colon = line.rfind(':');  // A name may hold some itself.
        if (colon == std::string_view::npos) {
            continue;  // One of the two lines of headings.
        }
        const std::vector<std::string> name = words_split(line.substr(0, colon));
        const std::vector<std::string> words = words_split(line.substr(colon + 1));
        constexpr std::size_t columns = 16;
        if (name.size() != 1 || words.size() < columns || name.front() == "lo") {
            continue;
        }
        constexpr std::array<std::pair<std::size_t, std::uint64_t InterfaceStats::*>, 8> members{{
            {0, &InterfaceStats::rx_bytes},
            {1, &InterfaceStats::rx_packets},
            {2, &InterfaceStats::rx_errors},
            {3, &InterfaceStats::rx_dropped},
            {8, &InterfaceStats::tx_bytes},
            {9, &InterfaceStats::tx_packets},
            {10, &InterfaceStats::tx_errors},
            {11, &InterfaceStats::tx_dropped},
        }};
        InterfaceStats& stats = interfaces[name.front()];
        for (const auto& [column, member] : members) {
            stats.*member = number_of(words[column]);
        }
    }
    return interfaces;
}

}  // namespace davit
