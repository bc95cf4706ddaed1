#include "http/api/container_json.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "http/api/duration.h"

namespace davit {

namespace {

std::string time_text(const std::optional<WallTime>& time) {
    return time ? rfc3339_nano(*time) : std::string(zero_time_text);
}

/// Docker's "running": a process is there, or soon will be again.
bool is_up(ContainerState state) {
    return state == ContainerState::running || state == ContainerState::paused ||
           state == ContainerState::restarting;
}

void write_health(JsonWriter& json, const HealthRecord& health) {
    json.key("Health").begin_object().key("Status").string(health_status_name(health.status));
    json.key("FailingStreak").number(health.failing_streak).key("Log").begin_array();
    for (const HealthProbeRecord& probe : health.log) {
        json.begin_object().key("Start").string(rfc3339_nano(probe.start));
        json.key("End").string(rfc3339_nano(probe.end));
        json.key("ExitCode").number(probe.exit_code);
        json.key("Output").string(probe.output).end_object();
    }
    json.end_array().end_object();
}

/// "Up 5 minutes (healthy)". Follows: moby container/health.go String().
std::string health_text(const ContainerStateRecord& state) {
    if (!state.health) {
        return "";
    }
    const bool starting = state.health->status == HealthStatus::starting;
    return std::string(starting ? " (health: " : " (")
        .append(health_status_name(state.health->status))
        .append(")");
}

void write_state(JsonWriter& json, const ContainerStateRecord& state) {
    json.key("State").begin_object();
    json.key("Status").string(container_state_name(state.status));
    json.key("Running").boolean(is_up(state.status));
    json.key("Paused").boolean(state.status == ContainerState::paused);
    json.key("Restarting").boolean(state.status == ContainerState::restarting);
    json.key("OOMKilled").boolean(state.oom_killed);
    json.key("Dead").boolean(state.status == ContainerState::dead);
    json.key("Pid").number(state.pid).key("ExitCode").number(state.exit_code);
    json.key("Error").string(state.error);
    if (const std::string reason = exit_reason(state); !reason.empty()) {
        json.key("ExitReason").string(reason);
    }
    json.key("StartedAt").string(time_text(state.started_at));
    json.key("FinishedAt").string(time_text(state.finished_at));
    if (state.health) {
        write_health(json, *state.health);
    }
    json.end_object();
}

void write_networks(JsonWriter& json, const ContainerRecord& record) {
    json.key("Networks").begin_object();
    for (const auto& [name, endpoint] : record.networks) {
        json.key(name);
        endpoint_settings_write(json, endpoint);
    }
    json.end_object();
}

/// What is published, and null for what is only exposed.
void write_port_map(JsonWriter& json, const ContainerRecord& record) {
    json.key("Ports").begin_object();
    const bool has_process = record.state.pid > 0;
    std::set<std::string> names;
    if (has_process && record.host_config.network_mode != "host") {
        for (const std::string& port : record.config.exposed_ports) {
            names.insert(port.find('/') == std::string::npos ? port + "/tcp" : port);
        }
    }
    for (const auto& [name, bindings] : record.published) {
        names.insert(name);
    }
    for (const std::string& name : names) {
        json.key(name);
        const auto found = record.published.find(name);
        if (found == record.published.end()) {
            json.null();
            continue;
        }
        json.begin_array();
        for (const PortBinding& binding : found->second) {
            json.begin_object().key("HostIp").string(binding.host_ip);
            json.key("HostPort").string(binding.host_port).end_object();
        }
        json.end_array();
    }
    json.end_object();
}

/// Up to 1.44 a container's own names are among the aliases of a user's network. Follows: moby
/// api/server/router/container, getContainersByName().
void own_aliases_add(ContainerRecord& record) {
    for (auto& [name, endpoint] : record.networks) {
        if (name == "bridge" || name == "host" || name == "none") {
            continue;
        }
        for (const std::string& own : {record.id.short_id(), record.config.hostname}) {
            if (!own.empty() &&
                std::ranges::find(endpoint.aliases, own) == endpoint.aliases.end()) {
                endpoint.aliases.push_back(own);
            }
        }
    }
}

void write_network_settings(JsonWriter& json, const ContainerRecord& record) {
    const bool has_process = record.state.pid > 0;
    json.key("NetworkSettings").begin_object();
    json.key("Bridge").string("").key("SandboxID").string(has_process ? record.id.str() : "");
    json.key("SandboxKey");
    json.string(has_process ? "/proc/" + std::to_string(record.state.pid) + "/ns/net" : "");
    write_port_map(json, record);
    json.key("HairpinMode").boolean(false).key("LinkLocalIPv6Address").string("");
    json.key("LinkLocalIPv6PrefixLen").number(0).key("SecondaryIPAddresses").null();
    json.key("SecondaryIPv6Addresses").null();
    // Of the default bridge alone, as Docker has it.
    const auto found = record.networks.find("bridge");
    const EndpointSettings bridge =
        found == record.networks.end() ? EndpointSettings() : found->second;
    json.key("EndpointID").string(bridge.endpoint_id).key("Gateway").string(bridge.gateway);
    json.key("GlobalIPv6Address").string(bridge.ipv6_address);
    json.key("GlobalIPv6PrefixLen").number(bridge.ipv6_prefix_len);
    json.key("IPAddress").string(bridge.ip_address);
    json.key("IPPrefixLen").number(bridge.ip_prefix_len);
    json.key("IPv6Gateway").string(bridge.ipv6_gateway);
    json.key("MacAddress").string(bridge.mac_address);
    write_networks(json, record);
    json.end_object();
}

/// A list does not tell where a volume has its data, as Docker's does not.
void write_mounts(JsonWriter& json, const ContainerRecord& record, bool in_list) {
    json.key("Mounts").begin_array();
    for (const MountPoint& mount : record.mounts) {
        if (!mount.listed) {
            continue;
        }
        json.begin_object().key("Type").string(mount.type);
        if (!mount.name.empty()) {
            json.key("Name").string(mount.name);
        }
        const bool hidden = in_list && mount.type == "volume";
        json.key("Source").string(hidden ? "" : mount.source);
        json.key("Destination").string(mount.destination);
        if (!mount.driver.empty()) {
            json.key("Driver").string(mount.driver);
        }
        json.key("Mode").string(mount.mode).key("RW").boolean(mount.read_write);
        json.key("Propagation").string(mount.propagation).end_object();
    }
    json.end_array();
}

void write_graph_driver(JsonWriter& json, const ContainerView& view) {
    json.key("GraphDriver").begin_object().key("Data");
    if (view.graph_data.empty()) {
        json.null();
    } else {
        json.string_map(view.graph_data);
    }
    json.key("Name").string(view.record.driver).end_object();
}

void write_size(JsonWriter& json, const ContainerView& view) {
    if (view.size) {
        json.key("SizeRw").number(view.size->writable);
        json.key("SizeRootFs").number(view.size->root);
    }
}

/// davit's own: where the time of the last start went.
void write_phases(JsonWriter& json, const ContainerRecord& record) {
    json.key("Davit").begin_object().key("StartPhases").begin_array();
    for (const StartPhase& phase : record.start_phases) {
        json.begin_object().key("Name").string(phase.name).key("StartNs").number(phase.start_ns);
        json.key("DurationNs").number(phase.duration_ns).end_object();
    }
    json.end_array().end_object();
}

/// As `docker ps` shows it: arguments with a space in them are quoted.
std::string command_text(const ContainerRecord& record) {
    std::string text = record.path;
    for (const std::string& argument : record.args) {
        const std::string_view quote = argument.find(' ') == std::string::npos ? "" : "'";
        text.append(" ").append(quote).append(argument).append(quote);
    }
    return text;
}

std::uint16_t port_number(std::string_view text) {
    std::uint16_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

/// Published ports, and those that are only exposed.
void write_ports(JsonWriter& json, const ContainerRecord& record) {
    json.key("Ports").begin_array();
    const auto item = [&](const std::string& port, const PortBinding* binding) {
        const std::size_t slash = port.find('/');
        json.begin_object();
        if (binding != nullptr) {
            json.key("IP").string(binding->host_ip);
        }
        json.key("PrivatePort").number(port_number(port));
        if (binding != nullptr) {
            json.key("PublicPort").number(port_number(binding->host_port));
        }
        json.key("Type").string(slash == std::string::npos ? "tcp" : port.substr(slash + 1));
        json.end_object();
    };
    for (const auto& [name, bindings] : record.published) {
        for (const PortBinding& binding : bindings) {
            item(name, &binding);
        }
    }
    if (record.state.pid > 0 && record.host_config.network_mode != "host") {
        for (const std::string& port : record.config.exposed_ports) {
            const std::string name = port.find('/') == std::string::npos ? port + "/tcp" : port;
            if (!record.published.contains(name)) {
                item(name, nullptr);
            }
        }
    }
    json.end_array();
}

void write_paths(JsonWriter& json, const ContainerRecord& record) {
    const auto file = [&](std::string_view name) {
        return record.files_directory.empty() ? ""
                                              : record.files_directory + "/" + std::string(name);
    };
    json.key("ResolvConfPath").string(file("resolv.conf"));
    json.key("HostnamePath").string(file("hostname")).key("HostsPath").string(file("hosts"));
    // How other drivers keep what is read of them is nobody's business.
    const std::string& driver = record.host_config.log_config.type;
    const bool shown = driver.empty() || driver == "json-file";
    json.key("LogPath").string(shown ? record.log_path : "");
}

}  // namespace

std::string container_status_text(const ContainerRecord& record, WallTime now) {
    const ContainerStateRecord& state = record.state;
    const auto since = [&](const std::optional<WallTime>& time) {
        return human_duration(now - time.value_or(now));
    };
    switch (state.status) {
        case ContainerState::created:
            return "Created";
        case ContainerState::running:
            return "Up " + since(state.started_at) + health_text(state);
        case ContainerState::paused:
            return "Up " + since(state.started_at) + " (Paused)";
        case ContainerState::restarting:
            return "Restarting (" + std::to_string(state.exit_code) + ") " +
                   since(state.finished_at) + " ago";
        case ContainerState::removing:
            return "Removal In Progress";
        case ContainerState::dead:
            return "Dead";
        case ContainerState::exited:
            break;
    }
    return "Exited (" + std::to_string(state.exit_code) + ") " + since(state.finished_at) + " ago";
}

void container_inspect_write(JsonWriter& json, const ContainerView& view, ApiVersion version) {
    const ContainerRecord& record = view.record;
    json.begin_object().key("Id").string(record.id.str());
    json.key("Created").string(rfc3339_nano(record.created));
    json.key("Path").string(record.path).key("Args").strings(record.args);
    write_state(json, record.state);
    json.key("Image").string(record.image_id.str());
    write_paths(json, record);
    json.key("Name").string(record.name).key("RestartCount").number(record.restart_count);
    json.key("Driver").string(record.driver).key("Platform").string("linux");
    json.key("MountLabel").string("").key("ProcessLabel").string("");
    json.key("AppArmorProfile").string(apparmor_profile_of(record.host_config));
    json.key("ExecIDs");
    if (view.exec_ids.empty()) {
        json.null();
    } else {
        json.strings(view.exec_ids);
    }
    json.key("HostConfig");
    HostConfig shown = record.host_config;
    shown.links = view.links;
    host_config_write(json, shown);
    write_graph_driver(json, view);
    write_size(json, view);
    write_mounts(json, record, false);
    json.key("Config");
    container_config_write(json, record.config);
    if (version < ApiVersion{1, 45}) {
        ContainerRecord old = record;
        own_aliases_add(old);
        write_network_settings(json, old);
    } else {
        write_network_settings(json, record);
    }
    write_phases(json, record);
    json.end_object();
}

void container_summary_write(JsonWriter& json, const ContainerView& view, ApiVersion version) {
    const ContainerRecord& record = view.record;
    json.begin_object().key("Id").string(record.id.str());
    json.key("Names").begin_array().string(record.name);
    for (const std::string& name : view.link_names) {
        json.string(name);
    }
    json.end_array();
    json.key("Image").string(view.image_name).key("ImageID").string(record.image_id.str());
    json.key("Command").string(command_text(record));
    json.key("Created").number(unix_nanoseconds(record.created) / 1'000'000'000);
    write_ports(json, record);
    if (view.size && view.size->writable > 0) {  // As Go leaves out what is zero.
        json.key("SizeRw").number(view.size->writable);
    }
    if (view.size && view.size->root > 0) {
        json.key("SizeRootFs").number(view.size->root);
    }
    json.key("Labels").string_map(record.config.labels);
    json.key("State").string(container_state_name(record.state.status));
    json.key("Status").string(container_status_text(record, view.now));
    json.key("HostConfig").begin_object().key("NetworkMode");
    json.string(record.host_config.network_mode);
    if (version >= ApiVersion{1, 46} && !record.host_config.annotations.empty()) {
        json.key("Annotations").string_map(record.host_config.annotations);
    }
    json.end_object().key("NetworkSettings").begin_object();
    write_networks(json, record);
    json.end_object();
    write_mounts(json, record, true);
    json.end_object();
}

}  // namespace davit
