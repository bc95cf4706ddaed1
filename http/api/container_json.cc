#include "http/api/container_json.h"

#include <charconv>

#include "http/api/duration.h"

namespace davit {

namespace {

std::string time_text(const std::optional<WallTime>& time) {
    return time ? rfc3339_nano(*time) : std::string(zero_time_text);
}

std::string_view network_name(const ContainerRecord& record) {
    const std::string& mode = record.host_config.network_mode;
    return mode == "default" ? std::string_view("bridge") : std::string_view(mode);
}

void write_state(JsonWriter& json, const ContainerStateRecord& state) {
    json.key("State").begin_object();
    json.key("Status").string(container_state_name(state.status));
    json.key("Running").boolean(state.status == ContainerState::running ||
                                state.status == ContainerState::paused);
    json.key("Paused").boolean(state.status == ContainerState::paused);
    json.key("Restarting").boolean(state.status == ContainerState::restarting);
    json.key("OOMKilled").boolean(state.oom_killed);
    json.key("Dead").boolean(state.status == ContainerState::dead);
    json.key("Pid").number(state.pid).key("ExitCode").number(state.exit_code);
    json.key("Error").string(state.error);
    json.key("StartedAt").string(time_text(state.started_at));
    json.key("FinishedAt").string(time_text(state.finished_at)).end_object();
}

void write_endpoint(JsonWriter& json, const ContainerRecord& record) {
    json.key("Networks").begin_object().key(network_name(record)).begin_object();
    json.key("IPAMConfig").null().key("Links").null().key("Aliases").null();
    json.key("MacAddress").string("").key("DriverOpts").null().key("GwPriority").number(0);
    for (const std::string_view key :
         {"NetworkID", "EndpointID", "Gateway", "IPAddress", "IPv6Gateway", "GlobalIPv6Address"}) {
        json.key(key).string("");
    }
    json.key("IPPrefixLen").number(0).key("GlobalIPv6PrefixLen").number(0);
    json.key("DNSNames").null().end_object().end_object();
}

void write_network(JsonWriter& json, const ContainerRecord& record) {
    const bool running = record.state.status == ContainerState::running;
    json.key("NetworkSettings").begin_object();
    json.key("Bridge").string("").key("SandboxID").string(running ? record.id.str() : "");
    json.key("SandboxKey");
    json.string(running ? "/proc/" + std::to_string(record.state.pid) + "/ns/net" : "");
    json.key("Ports").begin_object();
    for (const std::string& port : record.config.exposed_ports) {
        json.key(port).null();
    }
    json.end_object();
    json.key("HairpinMode").boolean(false).key("LinkLocalIPv6Address").string("");
    json.key("LinkLocalIPv6PrefixLen").number(0).key("SecondaryIPAddresses").null();
    json.key("SecondaryIPv6Addresses").null();
    for (const std::string_view key :
         {"EndpointID", "Gateway", "GlobalIPv6Address", "IPAddress", "IPv6Gateway", "MacAddress"}) {
        json.key(key).string("");
    }
    json.key("GlobalIPv6PrefixLen").number(0).key("IPPrefixLen").number(0);
    write_endpoint(json, record);
    json.end_object();
}

void write_mounts(JsonWriter& json, const ContainerRecord& record) {
    json.key("Mounts").begin_array();
    for (const MountPoint& mount : record.mounts) {
        json.begin_object().key("Type").string(mount.type).key("Source").string(mount.source);
        json.key("Destination").string(mount.destination).key("Mode").string(mount.mode);
        json.key("RW").boolean(mount.read_write);
        json.key("Propagation").string(mount.propagation).end_object();
    }
    json.end_array();
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

std::string command_text(const ContainerRecord& record) {
    std::string text = record.path;
    for (const std::string& argument : record.args) {
        text.append(" ").append(argument);
    }
    return text;
}

}  // namespace

std::string container_status_text(const ContainerRecord& record, WallTime now) {
    const ContainerStateRecord& state = record.state;
    const auto since = [&](const std::optional<WallTime>& time) {
        return human_duration(now - time.value_or(now));
    };
    switch (state.status) {
        case ContainerState::created: return "Created";
        case ContainerState::running: return "Up " + since(state.started_at);
        case ContainerState::paused: return "Up " + since(state.started_at) + " (Paused)";
        case ContainerState::restarting:
            return "Restarting (" + std::to_string(state.exit_code) + ") " +
                   since(state.finished_at) + " ago";
        case ContainerState::removing: return "Removal In Progress";
        case ContainerState::dead: return "Dead";
        case ContainerState::exited: break;
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
    json.key("ResolvConfPath").string(record.files_directory + "/resolv.conf");
    json.key("HostnamePath").string(record.files_directory + "/hostname");
    json.key("HostsPath").string(record.files_directory + "/hosts");
    json.key("LogPath").string(record.log_path).key("Name").string(record.name);
    json.key("RestartCount").number(record.restart_count).key("Driver").string(record.driver);
    json.key("Platform").string("linux").key("MountLabel").string("");
    json.key("ProcessLabel").string("").key("AppArmorProfile").string("");
    json.key("ExecIDs").null().key("HostConfig");
    host_config_write(json, record.host_config);
    json.key("GraphDriver").begin_object().key("Data").null();
    json.key("Name").string(record.driver).end_object();
    write_mounts(json, record);
    json.key("Config");
    container_config_write(json, record.config);
    write_network(json, record);
    if (version < ApiVersion{1, 44}) {
        json.key("VirtualSize").number(0);
    }
    write_phases(json, record);
    json.end_object();
}

void container_summary_write(JsonWriter& json, const ContainerView& view, ApiVersion version) {
    const ContainerRecord& record = view.record;
    json.begin_object().key("Id").string(record.id.str());
    json.key("Names").begin_array().string(record.name).end_array();
    json.key("Image").string(view.image_name).key("ImageID").string(record.image_id.str());
    json.key("Command").string(command_text(record));
    json.key("Created").number(unix_nanoseconds(record.created) / 1'000'000'000);
    json.key("Ports").begin_array();
    for (const std::string& port : record.config.exposed_ports) {
        const std::size_t slash = port.find('/');
        std::uint16_t number = 0;
        std::from_chars(port.data(), port.data() + port.size(), number);
        json.begin_object().key("PrivatePort").number(number);
        json.key("Type").string(slash == std::string::npos ? "tcp" : port.substr(slash + 1));
        json.end_object();
    }
    json.end_array().key("Labels").string_map(record.config.labels);
    json.key("State").string(container_state_name(record.state.status));
    json.key("Status").string(container_status_text(record, view.now));
    json.key("HostConfig").begin_object().key("NetworkMode");
    json.string(network_name(record));
    if (version >= ApiVersion{1, 46}) {
        json.key("Annotations").string_map(record.host_config.annotations);
    }
    json.end_object().key("NetworkSettings").begin_object();
    write_endpoint(json, record);
    json.end_object();
    write_mounts(json, record);
    json.end_object();
}

}  // namespace davit
