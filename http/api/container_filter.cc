#include "http/api/container_filter.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "jobs/container/record.h"

namespace davit {

namespace {

constexpr auto container_filter_keys = std::to_array<std::string_view>({"ancestor",
                                                                        "before",
                                                                        "exited",
                                                                        "expose",
                                                                        "health",
                                                                        "id",
                                                                        "is-task",
                                                                        "isolation",
                                                                        "label",
                                                                        "name",
                                                                        "network",
                                                                        "publish",
                                                                        "since",
                                                                        "status",
                                                                        "volume"});

constexpr int port_max = 65535;

std::optional<int> number_parse(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole ? std::optional(value) : std::nullopt;
}

Result<std::vector<NamePattern>> patterns_of(const std::vector<std::string>& values) {
    std::vector<NamePattern> patterns;
    for (const std::string& value : values) {
        TRY(NamePattern pattern, NamePattern::compile(value));
        patterns.push_back(std::move(pattern));
    }
    return patterns;
}

bool any_matches(const std::vector<NamePattern>& patterns, const std::string& text) {
    return std::ranges::any_of(patterns,
                               [&](const NamePattern& pattern) { return pattern.matches(text); });
}

/// "80/tcp" as a number and a protocol.
std::pair<int, std::string_view> port_split(std::string_view port) {
    const std::size_t slash = port.find('/');
    return {number_parse(port.substr(0, slash)).value_or(-1),
            slash == std::string_view::npos ? "tcp" : port.substr(slash + 1)};
}

}  // namespace

Result<ContainerFilter> ContainerFilter::parse(std::string_view text,
                                               const ContainerFilterLookups& lookups) {
    ContainerFilter filter;
    TRY(filter.filters_, Filters::parse(text, container_filter_keys));
    TRY(filter.names_, patterns_of(filter.filters_.all("name")));
    TRY(filter.ids_, patterns_of(filter.filters_.all("id")));
    TRY_VOID(filter.take_values());
    TRY_VOID(filter.take_lookups(lookups));
    return filter;
}

/// "80", "80/udp", "8000-8010/tcp".
Result<std::vector<ContainerFilter::PortRange>> ContainerFilter::ports_parse(const Filters& filters,
                                                                             std::string_view key) {
    std::vector<PortRange> ranges;
    for (const std::string& value : filters.all(key)) {
        const std::string_view text = value;
        const std::size_t slash = text.find('/');
        const std::string_view ports = text.substr(0, slash);
        const std::size_t dash = ports.find('-');
        const auto first = number_parse(ports.substr(0, dash));
        const auto last =
            dash == std::string_view::npos ? first : number_parse(ports.substr(dash + 1));
        const std::string_view protocol =
            slash == std::string_view::npos ? "tcp" : text.substr(slash + 1);
        const bool known = protocol == "tcp" || protocol == "udp" || protocol == "sctp";
        if (!first || !last || *first < 0 || *last > port_max || *first > *last || !known) {
            return filter_error(key, value);
        }
        ranges.push_back({*first, *last, std::string(protocol)});
    }
    return ranges;
}

Result<void> ContainerFilter::take_values() {
    for (const std::string& value : filters_.all("status")) {
        const auto state = container_state_parse(value);
        if (!state) {
            return filter_error("status", value);
        }
        states_.insert(*state);
    }
    for (const std::string& value : filters_.all("exited")) {
        const auto code = number_parse(value);
        if (!code) {
            return filter_error("exited", value);
        }
        exit_codes_.insert(*code);
    }
    static constexpr std::array<std::string_view, 4> healths{
        "none", "starting", "healthy", "unhealthy"};
    for (const std::string& value : filters_.all("health")) {
        if (std::ranges::find(healths, value) == healths.end()) {
            return filter_error("health", value);
        }
    }
    TRY(exposed_, ports_parse(filters_, "expose"));
    TRY(published_, ports_parse(filters_, "publish"));
    TRY(const std::optional<bool> task, filters_.boolean("is-task"));
    wants_task_ = task.value_or(false);
    return ok;
}

Result<void> ContainerFilter::take_lookups(const ContainerFilterLookups& lookups) {
    for (const std::string& name : filters_.all("before")) {
        TRY(const WallTime created, lookups.created(name));
        before_ = std::min(before_.value_or(created), created);
    }
    for (const std::string& name : filters_.all("since")) {
        TRY(const WallTime created, lookups.created(name));
        since_ = std::max(since_.value_or(created), created);
    }
    if (filters_.has("ancestor")) {
        images_.emplace();
        for (const std::string& name : filters_.all("ancestor")) {
            TRY(const std::vector<Digest> family, lookups.image_family(name));
            images_->insert(family.begin(), family.end());
        }
    }
    return ok;
}

bool ContainerFilter::matches(const ContainerRecord& record) const {
    const ContainerStateRecord& state = record.state;
    const bool in_time =
        (!before_ || record.created < *before_) && (!since_ || record.created > *since_);
    const bool in_state = states_.empty() || states_.contains(state.status);
    const std::string_view health =
        state.health ? health_status_name(state.health->status) : "none";
    // No container is a task of a swarm's.
    const bool possible = !wants_task_ && filters_.admits("health", health);
    const bool exit_code = exit_codes_.empty() || (state.status == ContainerState::exited &&
                                                   exit_codes_.contains(state.exit_code));
    const bool image = !images_ || images_->contains(record.image_id);
    return in_time && in_state && possible && exit_code && image && matches_names(record) &&
           matches_ports(record) && matches_places(record) &&
           filters_.admits_labels("label", record.config.labels);
}

bool ContainerFilter::matches_names(const ContainerRecord& record) const {
    const bool name = names_.empty() || any_matches(names_, record.name) ||
                      any_matches(names_, record.name.substr(1));
    return name && (ids_.empty() || any_matches(ids_, record.id.str()));
}

bool ContainerFilter::matches_ports(const ContainerRecord& record) const {
    const auto contains = [](const std::vector<PortRange>& ranges, std::string_view port) {
        const auto [number, protocol] = port_split(port);
        return std::ranges::any_of(ranges, [&](const PortRange& range) {
            return number >= range.first && number <= range.last && protocol == range.protocol;
        });
    };
    const auto& ports = record.config.exposed_ports;
    const auto& bindings = record.host_config.port_bindings;
    const bool exposed = exposed_.empty() || std::ranges::any_of(ports, [&](const auto& port) {
                             return contains(exposed_, port);
                         });
    return exposed &&
           (published_.empty() || std::ranges::any_of(bindings, [&](const auto& binding) {
                return contains(published_, binding.first);
            }));
}

bool ContainerFilter::matches_places(const ContainerRecord& record) const {
    const bool volume =
        !filters_.has("volume") || std::ranges::any_of(record.mounts, [&](const MountPoint& mount) {
            return filters_.admits("volume", mount.destination) ||
                   filters_.admits("volume", mount.name.empty() ? mount.source : mount.name);
        });
    const bool network =
        !filters_.has("network") || std::ranges::any_of(record.networks, [&](const auto& item) {
            return filters_.admits("network", item.first) ||
                   filters_.admits("network", item.second.network_id);
        });
    return volume && network;
}

}  // namespace davit
