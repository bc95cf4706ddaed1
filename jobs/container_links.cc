#include "jobs/container_links.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "jobs/container/links.h"
#include "jobs/container/sandbox_files.h"
#include "jobs/daemon.h"
#include "jobs/network/networks.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

constexpr const char* default_network = "bridge";

struct Linked {
    std::shared_ptr<Container> container;
    std::string alias;

    /// "/parent/alias"
    std::string name(const ContainerRecord& parent) const { return parent.name + "/" + alias; }
};

/// Those that are still there.
std::vector<Linked> links_of(const Daemon& daemon, const ContainerRecord& record) {
    std::vector<Linked> links;
    for (const std::string& text : record.host_config.links) {
        const auto link = link_parse(text);
        const auto id = link ? ContainerId::parse(link->container) : link.error();
        auto container = id ? daemon.containers.find(id->str()) : id.error();
        if (container) {
            links.push_back({*std::move(container), link->alias});
        }
    }
    return links;
}

const EndpointSettings* bridge_of(const ContainerRecord& record) {
    const auto found = record.networks.find(default_network);
    return found == record.networks.end() ? nullptr : &found->second;
}

/// The container itself, or the one whose network it shares.
Result<std::shared_ptr<Container>> network_owner(const Daemon& daemon, std::string name) {
    constexpr int steps_max = 16;
    for (int steps = 0; steps < steps_max; ++steps) {
        auto found = daemon.containers.find(name);
        if (!found) {
            return std::move(found)
                .error()
                .with_kind(ErrorKind::invalid_argument)
                .context("could not get container for", name);
        }
        const std::string& mode = (*found)->record.host_config.network_mode;
        if (mode == "host") {
            return Error(ErrorKind::invalid_argument,
                         "conflicting options: host type networking can't be used with links. This "
                         "would result in undefined behavior");
        }
        name = container_of_mode(mode);
        if (name.empty()) {
            return *std::move(found);
        }
    }
    return Error(ErrorKind::invalid_argument, "container networks that share one another: " + name);
}

/// Alias, host name, and name unless it is the alias.
std::string hosts_names(const Linked& link) {
    const ContainerRecord& record = link.container->record;
    const std::string name = record.name.substr(1);
    return link.alias + " " + record.config.hostname + (name == link.alias ? "" : " " + name);
}

std::vector<std::string> environment_of(const ContainerRecord& parent, const Linked& link) {
    const ContainerRecord& record = link.container->record;
    LinkTarget target;
    target.name = link.name(parent);
    target.address = bridge_of(record)->ip_address;
    target.ports = record.config.exposed_ports;
    target.environment = record.config.env;
    return link_environment(target);
}

bool is_running(const Linked& link) {
    const EndpointSettings* bridge = bridge_of(link.container->record);
    return link.container->run && bridge != nullptr && !bridge->ip_address.empty();
}

void append(std::vector<std::string>& to, std::vector<std::string> more) {
    std::ranges::move(more, std::back_inserter(to));
}

}  // namespace

Result<void> links_resolve(const Daemon& daemon, ContainerRecord& record) {
    std::vector<std::string>& links = record.host_config.links;
    if (links.empty()) {
        return ok;
    }
    const std::string& mode = record.host_config.network_mode;
    if (mode != default_network && mode != "none") {
        const auto network = daemon.networks->find(mode);
        std::vector<std::string>& names =
            record.networks[network ? (*network)->record.name : mode].links;
        for (std::string& text : std::exchange(links, {})) {
            if (std::ranges::find(names, text) ==
                names.end()) {  // docker sends them in both places.
                names.push_back(std::move(text));
            }
        }
        return ok;
    }
    for (std::string& text : links) {
        TRY(const ContainerLink link, link_parse(text));
        TRY(const auto container, network_owner(daemon, link.container));
        text = container->id().str() + ":" + link.alias;
    }
    return ok;
}

Result<LinksGiven> links_given(const Daemon& daemon, const ContainerRecord& record) {
    LinksGiven given;
    if (bridge_of(record) == nullptr) {
        return given;
    }
    for (const Linked& link : links_of(daemon, record)) {
        const std::string& name = link.container->record.name;
        if (bridge_of(link.container->record) == nullptr) {
            return Error(
                ErrorKind::invalid_argument,
                "cannot link to " + name + ", as it does not belong to the default network");
        }
        if (!is_running(link)) {
            return Error(
                ErrorKind::conflict,
                "Cannot link to a non running container: " + name + " AS " + link.name(record));
        }
        append(given.environment, environment_of(record, link));
        given.hosts.emplace_back(bridge_of(link.container->record)->ip_address, hosts_names(link));
    }
    return given;
}

std::vector<std::string> links_environment(const Daemon& daemon, const ContainerRecord& record) {
    std::vector<std::string> environment;
    if (bridge_of(record) == nullptr) {
        return environment;
    }
    for (const Linked& link : links_of(daemon, record)) {
        if (is_running(link)) {
            append(environment, environment_of(record, link));
        }
    }
    return environment;
}

void links_readdress(const Daemon& daemon, const Container& container) {
    const EndpointSettings* bridge = bridge_of(container.record);
    if (bridge == nullptr || bridge->ip_address.empty()) {
        return;
    }
    for (const auto& parent : daemon.containers.linking()) {
        if (!parent->run || bridge_of(parent->record) == nullptr) {
            continue;
        }
        for (const Linked& link : links_of(daemon, parent->record)) {
            if (link.container.get() != &container) {
                continue;
            }
            const Result<void> changed =
                hosts_readdress(parent->record.files_directory, link.alias, bridge->ip_address);
            if (!changed) {
                LOG_WARN("container={}: hosts: {}, ignoring",
                         parent->id().short_id(),
                         changed.error().message());
            }
        }
    }
}

std::vector<std::shared_ptr<Container>> linked_containers(const Daemon& daemon,
                                                          const ContainerRecord& record) {
    std::vector<std::shared_ptr<Container>> containers;
    for (Linked& link : links_of(daemon, record)) {
        containers.push_back(std::move(link.container));
    }
    return containers;
}

std::vector<std::string> links_shown(const Daemon& daemon, const ContainerRecord& record) {
    std::vector<std::string> shown;
    for (const Linked& link : links_of(daemon, record)) {
        shown.push_back(link.container->record.name + ":" + link.name(record));
    }
    return shown;
}

std::vector<std::string> link_names(const Daemon& daemon, const ContainerId& container) {
    std::vector<std::string> names;
    for (const auto& parent : daemon.containers.linking()) {
        for (const Linked& link : links_of(daemon, parent->record)) {
            if (link.container->id() == container) {
                names.push_back(link.name(parent->record));
            }
        }
    }
    return names;
}

Task<void> container_link_remove(Job& job, Daemon& daemon, std::string name) {
    const std::size_t slash = name.rfind('/');
    if (slash == std::string::npos || slash == 0) {
        co_return Error(ErrorKind::conflict,
                        "Conflict, cannot remove the default link name of the container");
    }
    const std::string alias = name.substr(slash + 1);
    CO_TRY(const auto parent, daemon.containers.find(name.substr(0, slash)));
    CO_TRY(const auto permit, co_await parent->operations.lock());
    std::vector<std::string> kept;
    for (const std::string& text : parent->record.host_config.links) {
        const auto link = link_parse(text);
        if (!link || link->alias != alias) {
            kept.push_back(text);
        }
    }
    if (kept.size() == parent->record.host_config.links.size()) {
        co_return Error(ErrorKind::not_found, "No such container: " + name);
    }
    job.phases().begin("record");
    ContainerRecord changed = parent->record;
    changed.host_config.links = kept;
    CO_CHECK(co_await shielded(daemon.container_save(*parent, std::move(changed))));
    parent->record.host_config.links = std::move(kept);
    co_return ok;
}

}  // namespace davit
