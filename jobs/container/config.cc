#include "jobs/container/config.h"

#include <algorithm>
#include <charconv>

#include "jobs/container/field_check.h"
#include "jobs/container/json_fields.h"
#include "jobs/container/path_clean.h"
#include "libcontainer/signal_name.h"

namespace davit {

template <typename V>
void fields(V& visit, FieldOf<V, HealthConfig>& health) {
    visit("Test", health.test, WhenEmpty::omit);
    visit("Interval", health.interval_ns, WhenEmpty::omit);
    visit("Timeout", health.timeout_ns, WhenEmpty::omit);
    visit("StartPeriod", health.start_period_ns, WhenEmpty::omit);
    visit("StartInterval", health.start_interval_ns, WhenEmpty::omit);
    visit("Retries", health.retries, WhenEmpty::omit);
}

template <typename V>
void fields(V& visit, FieldOf<V, ContainerConfig>& config) {
    visit("Hostname", config.hostname);
    visit("Domainname", config.domainname);
    visit("User", config.user);
    visit("AttachStdin", config.attach_stdin);
    visit("AttachStdout", config.attach_stdout);
    visit("AttachStderr", config.attach_stderr);
    visit("ExposedPorts", config.exposed_ports, WhenEmpty::omit);
    visit("Tty", config.tty);
    visit("OpenStdin", config.open_stdin);
    visit("StdinOnce", config.stdin_once);
    visit("Env", config.env);
    visit.words("Cmd", config.cmd);
    visit("Healthcheck", config.healthcheck, WhenEmpty::omit);
    visit("ArgsEscaped", config.args_escaped, WhenEmpty::omit);
    visit("Image", config.image);
    visit("Volumes", config.volumes, WhenEmpty::null);
    visit("WorkingDir", config.working_dir);
    visit.words("Entrypoint", config.entrypoint);
    visit("NetworkDisabled", config.network_disabled, WhenEmpty::omit);
    visit("MacAddress", config.mac_address, WhenEmpty::omit);
    visit("OnBuild", config.on_build, WhenEmpty::null);
    visit("Labels", config.labels);
    visit("StopSignal", config.stop_signal, WhenEmpty::omit);
    visit("StopTimeout", config.stop_timeout, WhenEmpty::omit);
    visit("Shell", config.shell, WhenEmpty::omit);
}

namespace {

/// Linux: __NEW_UTS_LEN.
constexpr std::size_t hostname_bytes_max = 64;
constexpr std::int64_t health_duration_ns_min = 1'000'000;

Result<void> health_check(const HealthConfig& health) {
    const auto too_short = [](std::int64_t value) {
        return value != 0 && value < health_duration_ns_min;
    };
    const auto error = [](std::string_view name) {
        return bad(std::string(name) + " in Healthcheck cannot be less than 1ms");
    };
    if (too_short(health.interval_ns)) {
        return error("Interval");
    }
    if (too_short(health.timeout_ns)) {
        return error("Timeout");
    }
    if (health.retries < 0) {
        return bad("Retries in Healthcheck cannot be negative");
    }
    if (too_short(health.start_period_ns)) {
        return error("StartPeriod");
    }
    if (too_short(health.start_interval_ns)) {
        return error("StartInterval");
    }
    return ok;
}

/// 0 to 65535; -1 for anything else.
int port_number(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc{} && end == text.data() + text.size() ? port : -1;
}

/// "80", "80/tcp", "8000-8010/udp".
bool is_port(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string_view protocol =
        slash == std::string_view::npos ? "tcp" : text.substr(slash + 1);
    const std::string_view ports = text.substr(0, slash);
    const std::size_t dash = ports.find('-');
    const int first = port_number(ports.substr(0, dash));
    const int last = dash == std::string_view::npos ? first : port_number(ports.substr(dash + 1));
    return first >= 0 && last >= first &&
           (protocol == "tcp" || protocol == "udp" || protocol == "sctp");
}

Result<void> names_check(const ContainerConfig& config) {
    if (config.hostname.size() > hostname_bytes_max ||
        config.domainname.size() > hostname_bytes_max) {
        return bad(
            "invalid hostname format: \"" +
            (config.hostname.size() > hostname_bytes_max ? config.hostname : config.domainname) +
            "\" has more than 64 characters");
    }
    for (const std::string& entry : config.env) {
        if (entry.empty() || entry.front() == '=' || entry.find('\0') != std::string::npos) {
            return bad("invalid environment variable: " + entry);
        }
    }
    for (const std::string& port : config.exposed_ports) {
        if (!is_port(port)) {
            return bad("invalid port specification: \"" + port + "\"");
        }
    }
    for (const std::string& volume : config.volumes) {
        if (volume.empty() || volume.front() != '/') {
            return bad("invalid volume specification: '" + volume +
                       "': mount path must be absolute");
        }
    }
    return ok;
}

Result<void> words_check(const std::optional<std::vector<std::string>>& words) {
    if (words && std::ranges::any_of(*words, [](const std::string& word) {
            return word.find('\0') != std::string::npos;
        })) {
        return bad("invalid command: an argument holds a NUL byte");
    }
    return ok;
}

}  // namespace

Result<ContainerConfig> container_config_parse(const JsonValue& json) {
    ContainerConfig config;
    FieldReader reader(json);
    fields(reader, config);
    TRY_VOID(std::move(reader).result());
    return config;
}

void container_config_write(JsonWriter& json, const ContainerConfig& config) {
    json.begin_object();
    FieldWriter writer(json);
    fields(writer, config);
    json.end_object();
}

Result<void> container_config_check(ContainerConfig& config) {
    if (!config.working_dir.empty()) {
        if (config.working_dir.front() != '/') {
            return bad("the working directory '" + config.working_dir +
                       "' is invalid, it needs to be an absolute path");
        }
        config.working_dir = path_clean(config.working_dir);
    }
    if (!config.stop_signal.empty()) {
        TRY([[maybe_unused]] const int signal, signal_parse(config.stop_signal));
    }
    if (config.healthcheck) {
        TRY_VOID(health_check(*config.healthcheck));
    }
    if (!config.mac_address.empty()) {
        return Error(ErrorKind::unsupported,
                     "MacAddress \"" + config.mac_address +
                         "\" is not supported by davit yet: leave --mac-address out");
    }
    TRY_VOID(words_check(config.cmd));
    TRY_VOID(words_check(config.entrypoint));
    return names_check(config);
}

}  // namespace davit
