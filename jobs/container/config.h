#pragma once
/// ContainerConfig: the part of a container's configuration that an image may give defaults for.
///
/// Members are the snake_case of the API's keys. Follows: Docker Engine API, ContainerConfig.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "graph/image_config.h"
#include "http/json_reader.h"
#include "http/json_writer.h"

namespace davit {

struct ContainerConfig {
    std::string hostname;
    std::string domainname;
    std::string user;
    bool attach_stdin = false;
    bool attach_stdout = false;
    bool attach_stderr = false;
    std::set<std::string> exposed_ports;  // "80/tcp"
    bool tty = false;
    bool open_stdin = false;
    bool stdin_once = false;
    std::vector<std::string> env;
    std::optional<std::vector<std::string>> cmd;
    std::optional<HealthConfig> healthcheck;
    bool args_escaped = false;
    std::string image;  // As the client named it.
    std::set<std::string> volumes;
    std::string working_dir;
    std::optional<std::vector<std::string>> entrypoint;
    bool network_disabled = false;
    std::string mac_address;
    std::vector<std::string> on_build;
    std::map<std::string, std::string> labels;
    std::string stop_signal;
    std::optional<int> stop_timeout;  // Seconds; -1: no SIGKILL ever.
    std::vector<std::string> shell;

    bool operator==(const ContainerConfig&) const = default;
};

/// json may be a whole create body: keys that are not the config's are left alone.
/// Errors: invalid_argument for a member of a wrong type.
Result<ContainerConfig> container_config_parse(const JsonValue& json);

/// One JSON object, with Docker's order of keys.
void container_config_write(JsonWriter& json, const ContainerConfig& config);

/// Check the values by themselves. working_dir comes out clean: "/a//b/../c/" as "/a/c".
/// Errors: invalid_argument, in Docker's words; unsupported, naming the option and what to do.
Result<void> container_config_check(ContainerConfig& config);

}  // namespace davit
