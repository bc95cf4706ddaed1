#include "cli/container_request.h"

#include <stdlib.h>

#include <algorithm>

#include <fmt/format.h>

#include "cli/invalid.h"
#include "cli/units.h"
#include "http/json_reader.h"
#include "reactor/base/fd.h"

namespace davit::cli {

namespace {

constexpr std::string_view line_blanks = " \t\r\n\v\f";

/// The lines of an --env-file or --label-file without comments and blank ones.
Result<std::vector<std::string>> lines_read(const std::string& path, std::string_view what) {
    TRY(const std::string text, file_read(path));
    std::vector<std::string> lines;
    for (std::string_view rest = text; !rest.empty();) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        line.remove_prefix(std::min(line.find_first_not_of(line_blanks), line.size()));
        if (line.empty() || line.front() == '#') {
            continue;
        }
        const std::string_view name = line.substr(0, line.find('='));
        if (name.empty()) {
            return invalid(
                fmt::format("invalid {} file {}: no variable name on line '{}'", what, path, line));
        }
        if (name.find_first_of(line_blanks) != std::string_view::npos) {
            return invalid(fmt::format(
                "invalid {} file {}: variable '{}' contains whitespaces", what, path, name));
        }
        lines.emplace_back(line);
    }
    return lines;
}

Result<KeyValues> labels_make(const CreateOptions& options) {
    KeyValues all;
    for (const std::string& file : options.label_files) {
        TRY(const std::vector<std::string> lines, lines_read(file, "label"));
        for (const std::string& line : lines) {
            TRY_VOID(flag_set(line, all));
        }
    }
    for (const auto& [key, value] : options.labels.values) {
        all.values[key] = value;
    }
    return all;
}

Result<void> health_write(JsonWriter& json, const CreateOptions& options) {
    const bool has_options = options.health_cmd || options.health_interval ||
                             options.health_timeout || options.health_start_period ||
                             options.health_start_interval || options.health_retries;
    if (options.no_healthcheck) {
        if (has_options) {
            return invalid("--no-healthcheck conflicts with --health-* options");
        }
        json.key("Healthcheck").begin_object().key("Test").begin_array().string("NONE").end_array();
        json.end_object();
        return ok;
    }
    if (!has_options) {
        return ok;
    }
    json.key("Healthcheck").begin_object();
    if (options.health_cmd && !options.health_cmd->empty()) {
        json.key("Test").begin_array().string("CMD-SHELL").string(*options.health_cmd).end_array();
    }
    const std::pair<std::string_view, const std::optional<Nanoseconds>*> times[] = {
        {"Interval", &options.health_interval},
        {"Timeout", &options.health_timeout},
        {"StartPeriod", &options.health_start_period},
        {"StartInterval", &options.health_start_interval}};
    for (const auto& [key, time] : times) {
        if (*time) {
            if ((*time)->count() < 0) {
                return invalid(fmt::format("--health-*: {} cannot be negative", key));
            }
            json.key(key).number((*time)->count());
        }
    }
    json_number_if(json, "Retries", options.health_retries);
    json.end_object();
    return ok;
}

/// Members of the request itself: the portable configuration.
Result<void> config_write(JsonWriter& json,
                          const CreateOptions& options,
                          const std::vector<std::string>& arguments,
                          AttachedStreams streams,
                          const PortOptions& ports) {
    TRY(const std::vector<std::string> environment,
        environment_make(options.env_files, options.env));
    TRY(const KeyValues labels, labels_make(options));
    json.key("Image").string(arguments.front());
    if (arguments.size() > 1) {
        json.key("Cmd").strings(std::span(arguments).subspan(1));
    }
    if (options.entrypoint) {
        json.key("Entrypoint").begin_array().string(*options.entrypoint).end_array();
    }
    json_strings_if(json, "Env", environment);
    json_string_if(json, "User", options.user);
    json_string_if(json, "WorkingDir", options.workdir);
    json_string_if(json, "Hostname", options.hostname);
    json_string_if(json, "Domainname", options.domainname);
    json_map_if(json, "Labels", labels);
    json_string_if(json, "StopSignal", options.stop_signal);
    json_number_if(json, "StopTimeout", options.stop_timeout);
    json_bool_if(json, "Tty", options.tty);
    json_bool_if(json, "OpenStdin", options.interactive);
    json_bool_if(json, "StdinOnce", options.interactive && streams.in);
    json_bool_if(json, "AttachStdin", streams.in);
    json_bool_if(json, "AttachStdout", streams.out);
    json_bool_if(json, "AttachStderr", streams.err);
    ports.exposed_write(json);
    volumes_write(json, options);
    return health_write(json, options);
}

/// "seccomp=FILE" names a file of the client's machine: its contents are sent.
Result<std::string> security_option_make(std::string_view text) {
    const std::size_t place = text.find_first_of("=:");
    const std::string_view key = text.substr(0, place);
    if (place == std::string_view::npos) {
        if (key != "no-new-privileges") {
            return invalid(fmt::format("invalid --security-opt: \"{}\"", text));
        }
        return std::string(key);
    }
    const std::string_view value = text.substr(place + 1);
    if (key != "seccomp" || value == "unconfined" || value == "builtin") {
        return fmt::format("{}={}", key, value);
    }
    Result<std::string> profile = file_read(std::string(value), std::size_t{4} << 20);
    if (!profile) {
        return std::move(profile.error())
            .context(fmt::format("opening seccomp profile ({}) failed", value));
    }
    const Result<JsonDocument> document = JsonDocument::parse(*profile);
    if (!document) {
        return invalid(fmt::format("compacting json for seccomp profile ({}) failed: {}",
                                   value,
                                   document.error().message()));
    }
    return "seccomp=" + document->root().to_json();
}

Result<void> security_write(JsonWriter& json, const CreateOptions& options) {
    json_bool_if(json, "Privileged", options.privileged);
    json_strings_if(json, "CapAdd", options.cap_add);
    json_strings_if(json, "CapDrop", options.cap_drop);
    std::vector<std::string> security;
    for (const std::string& text : options.security_options) {
        if (text == "systempaths=unconfined" || text == "systempaths:unconfined") {
            json.key("MaskedPaths").begin_array().end_array();
            json.key("ReadonlyPaths").begin_array().end_array();
            continue;
        }
        TRY(std::string option, security_option_make(text));
        security.push_back(std::move(option));
    }
    json_strings_if(json, "SecurityOpt", security);
    json_map_if(json, "Sysctls", options.sysctls);
    json_string_if(json, "CgroupnsMode", options.cgroupns);
    json_string_if(json, "IpcMode", options.ipc);
    json_string_if(json, "PidMode", options.pid);
    json_string_if(json, "UsernsMode", options.userns);
    json_string_if(json, "UTSMode", options.uts);
    json_strings_if(json, "GroupAdd", options.group_add);
    return ok;
}

Result<void> host_config_write(JsonWriter& json,
                               const CreateOptions& options,
                               const PortOptions& ports,
                               std::optional<TerminalSize> window) {
    json.key("HostConfig").begin_object();
    json_bool_if(json, "AutoRemove", options.remove);
    json_string_if(json, "ContainerIDFile", options.cidfile);
    json_string_if(json, "Runtime", options.runtime);
    json_map_if(json, "Annotations", options.annotations);
    json_map_if(json, "StorageOpt", options.storage_options);
    json_bool_if(json, "ReadonlyRootfs", options.read_only);
    if (options.init) {
        json.key("Init").boolean(*options.init);
    }
    if (!options.log_driver.empty() || !options.log_options.values.empty()) {
        json.key("LogConfig").begin_object();
        json_string_if(json, "Type", options.log_driver);
        json_map_if(json, "Config", options.log_options);
        json.end_object();
    }
    if (options.tty && window) {
        json.key("ConsoleSize").begin_array();
        json.number(window->rows).number(window->columns).end_array();
    }
    TRY_VOID(restart_policy_write(json, options));
    TRY_VOID(resources_write(json, options));
    TRY_VOID(mounts_write(json, options));
    TRY_VOID(security_write(json, options));
    TRY_VOID(host_network_write(json, options));
    ports.bindings_write(json);
    json.end_object();
    return ok;
}

}  // namespace

Result<void> restart_policy_write(JsonWriter& json, const CreateOptions& options) {
    if (options.restart.empty()) {
        return ok;
    }
    std::string_view name = options.restart;
    std::int64_t retries = 0;
    if (const std::size_t colon = name.find(':'); colon != std::string_view::npos) {
        const Result<std::int64_t> count = integer_parse(name.substr(colon + 1));
        if (!count || *count < 0) {
            return invalid("invalid restart policy format: maximum retry count must be an integer");
        }
        retries = *count;
        name = name.substr(0, colon);
    }
    if (options.remove && name != "no") {
        return invalid("conflicting options: cannot specify both --restart and --rm");
    }
    json.key("RestartPolicy").begin_object().key("Name").string(name);
    if (retries != 0) {
        json.key("MaximumRetryCount").number(retries);
    }
    json.end_object();
    return ok;
}

Result<std::vector<std::string>> environment_make(const std::vector<std::string>& files,
                                                  const EnvironmentEntries& entries) {
    EnvironmentEntries all;
    for (const std::string& file : files) {
        TRY(const std::vector<std::string> lines, lines_read(file, "environment"));
        for (const std::string& line : lines) {
            TRY_VOID(flag_set(line, all));
        }
    }
    all.entries.insert(all.entries.end(), entries.entries.begin(), entries.entries.end());
    return std::move(all.entries);
}

Result<void> flag_set(std::string_view text, EnvironmentEntries& variable) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || text.empty()) {
        return invalid(fmt::format("invalid environment variable: {}", text));
    }
    if (equals != std::string_view::npos) {
        variable.entries.emplace_back(text);
        return ok;
    }
    const std::string name(text);
    if (const char* value = ::getenv(name.c_str())) {
        variable.entries.push_back(name + "=" + value);
    }
    return ok;
}

Result<void> flag_set(std::string_view text, KeyValues& variable) {
    const std::size_t equals = text.find('=');
    const std::string_view key = text.substr(0, equals);
    if (key.empty()) {
        return invalid(fmt::format("invalid label '{}': empty name", text));
    }
    variable.values[std::string(key)] =
        equals == std::string_view::npos ? "" : text.substr(equals + 1);
    return ok;
}

void json_string_if(JsonWriter& json, std::string_view key, std::string_view text) {
    if (!text.empty()) {
        json.key(key).string(text);
    }
}

void json_strings_if(JsonWriter& json,
                     std::string_view key,
                     const std::vector<std::string>& texts) {
    if (!texts.empty()) {
        json.key(key).strings(texts);
    }
}

void json_map_if(JsonWriter& json, std::string_view key, const KeyValues& values) {
    if (!values.values.empty()) {
        json.key(key).string_map(values.values);
    }
}

Result<AttachedStreams> attached_streams(const CreateOptions& options) {
    if (options.attach.empty()) {
        return AttachedStreams{options.interactive, true, true};
    }
    AttachedStreams streams;
    for (const std::string& text : options.attach) {
        std::string name = text;
        std::ranges::transform(name, name.begin(), [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        });
        if (name == "stdin") {
            streams.in = true;
        } else if (name == "stdout") {
            streams.out = true;
        } else if (name == "stderr") {
            streams.err = true;
        } else {
            return invalid(fmt::format(
                "invalid argument \"{}\" for \"-a, --attach\" flag: valid streams are STDIN, "
                "STDOUT and STDERR",
                text));
        }
    }
    return streams;
}

Result<CreateRequest> create_request_make(const CreateOptions& options,
                                          const std::vector<std::string>& arguments,
                                          AttachedStreams streams,
                                          std::optional<TerminalSize> window) {
    TRY(const PortOptions ports, PortOptions::parse(options));
    CreateRequest request;
    JsonWriter json(request.body);
    json.begin_object();
    TRY_VOID(config_write(json, options, arguments, streams, ports));
    TRY_VOID(host_config_write(json, options, ports, window));
    TRY_VOID(endpoints_write(json, options));
    json.end_object();
    if (!options.name.empty()) {
        request.query.add("name", options.name);
    }
    if (!options.platform.empty()) {
        request.query.add("platform", options.platform);
    }
    return request;
}

}  // namespace davit::cli
