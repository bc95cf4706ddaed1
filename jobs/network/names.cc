// What names mean to a container: those of the user networks that it is in.
#include <algorithm>

#include "jobs/container/links.h"
#include "jobs/container/sandbox_files.h"
#include "jobs/daemon.h"
#include "jobs/network/networks.h"

namespace davit {

namespace {

bool equals(std::string_view a, std::string_view b) {
    return std::ranges::equal(
        a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

/// What a name stands for by a link of the one who asks; else itself.
std::string linked_name(const EndpointSettings& settings, std::string_view name) {
    for (const std::string& text : settings.links) {
        const auto link = link_parse(text);
        if (link && equals(link->alias, name)) {
            return link->container;
        }
    }
    return std::string(name);
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
    return out;
}

}  // namespace

const NetworkMember& Network::member_put(NetworkMember member) {
    member_erase(member.container);
    for (const std::string& name : member.names) {
        called.emplace(lower(name), member.container);
    }
    const ContainerId id = member.container;
    return members.insert_or_assign(id, std::move(member)).first->second;
}

void Network::member_erase(const ContainerId& container) {
    const auto member = members.find(container);
    if (member == members.end()) {
        return;
    }
    for (const std::string& name : member->second.names) {
        const auto [first, last] = called.equal_range(lower(name));
        const auto found =
            std::find_if(first, last, [&](const auto& item) { return item.second == container; });
        if (found != last) {
            called.erase(found);
        }
    }
    members.erase(member);
}

void Networks::addresses_note(const NetworkMember& member) {
    for (const IpAddress& address : {member.address, member.address6}) {
        if (!address.unset()) {
            by_address_.insert_or_assign(address, member.container);
        }
    }
}

std::shared_ptr<Container> Networks::container_of(const IpAddress& address) const {
    const auto owner = by_address_.find(address);
    if (owner == by_address_.end()) {
        return nullptr;
    }
    const auto found = daemon_.containers.find(owner->second.str());
    return found ? *found : nullptr;
}

NameSource::Found Networks::find(const IpAddress& asker, const std::string& name) const {
    Found found;
    const std::shared_ptr<Container> container = container_of(asker);
    if (!container) {
        return found;
    }
    for (const auto& [network_name, settings] : container->record.networks) {
        const auto id = NetworkId::parse(settings.network_id);
        const auto network = id ? networks_.find(*id) : networks_.end();
        if (network == networks_.end() || network->second->record.is_builtin()) {
            continue;
        }
        // "web" or "web.front": a container of this network's, with or without the network's name.
        const std::string suffix = "." + network_name;
        std::string_view short_name = name;
        if (short_name.size() > suffix.size() &&
            equals(short_name.substr(short_name.size() - suffix.size()), suffix)) {
            short_name.remove_suffix(suffix.size());
        }
        const std::string called = lower(linked_name(settings, short_name));
        std::set<ContainerId> meant;
        const auto add = [&](std::string_view one) {
            const auto [first, last] = network->second->called.equal_range(one);
            std::for_each(first, last, [&](const auto& item) { meant.insert(item.second); });
        };
        add(name);
        if (called != name) {
            add(called);
        }
        if (const auto linked = ContainerId::parse(called); linked && called != short_name) {
            meant.insert(*linked);
        }
        for (const ContainerId& other : meant) {
            const auto member = network->second->members.find(other);
            if (member == network->second->members.end()) {
                continue;
            }
            found.known = true;
            found.addresses.push_back(member->second.address);
            if (!member->second.address6.unset()) {
                found.addresses.push_back(member->second.address6);
            }
        }
        if (found.known) {
            break;  // The first network that knows it, as Docker.
        }
    }
    return found;
}

std::string Networks::name_of(const IpAddress& asker, const IpAddress& address) const {
    const std::shared_ptr<Container> container = container_of(asker);
    if (!container) {
        return "";
    }
    const auto owner = by_address_.find(address);
    if (owner == by_address_.end()) {
        return "";
    }
    for (const auto& [network_name, settings] : container->record.networks) {
        const auto id = NetworkId::parse(settings.network_id);
        const auto network = id ? networks_.find(*id) : networks_.end();
        if (network == networks_.end() || network->second->record.is_builtin()) {
            continue;
        }
        const auto member = network->second->members.find(owner->second);
        if (member != network->second->members.end() &&
            (member->second.address == address || member->second.address6 == address)) {
            return member->second.container_name + "." + network_name;
        }
    }
    return "";
}

std::vector<std::string> Networks::servers(const IpAddress& asker) const {
    const std::shared_ptr<Container> container = container_of(asker);
    if (!container) {
        return {};
    }
    const bool has_way_out = std::ranges::any_of(container->record.networks, [](const auto& item) {
        return !item.second.gateway.empty();  // Internal networks have none.
    });
    if (!has_way_out) {
        return {};
    }
    SandboxFilesRequest request;
    request.dns = container->record.host_config.dns;
    const auto host_file = file_read("/etc/resolv.conf");
    return name_servers(request, host_file ? std::string_view(*host_file) : std::string_view());
}

}  // namespace davit
