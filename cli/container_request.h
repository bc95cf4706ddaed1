#pragma once
/// The parts of a create request, each written by its own file. All append members to an object
/// that is open. Errors: invalid_argument, with docker's text where it has one.
#include <string_view>

#include "cli/container_options.h"
#include "http/json_writer.h"

namespace davit::cli {

// Members that are left out where there is nothing to say.
void json_string_if(JsonWriter& json, std::string_view key, std::string_view text);
void json_strings_if(JsonWriter& json, std::string_view key, const std::vector<std::string>& texts);
void json_map_if(JsonWriter& json, std::string_view key, const KeyValues& values);

template <typename T>
void json_number_if(JsonWriter& json, std::string_view key, const std::optional<T>& number) {
    if (number) {
        json.key(key).number(*number);
    }
}

inline void json_bool_if(JsonWriter& json, std::string_view key, bool value) {
    if (value) {
        json.key(key).boolean(true);
    }
}

/// The variables of the files, then those given by themselves.
Result<std::vector<std::string>> environment_make(const std::vector<std::string>& files,
                                                  const EnvironmentEntries& entries);

/// Fields of one line of comma-separated values; a field in double quotes may hold commas.
Result<std::vector<std::string>> csv_split(std::string_view text);

/// Host paths that begin with "." are relative to the client's directory, not to the daemon's.
std::string host_path(std::string_view path);

/// Members of HostConfig: Memory, CpuShares, Ulimits, Devices, ...
Result<void> resources_write(JsonWriter& json, const CreateOptions& options);

/// Member of HostConfig: RestartPolicy.
Result<void> restart_policy_write(JsonWriter& json, const CreateOptions& options);

/// Member of Config: the volumes without a source ("-v /data").
void volumes_write(JsonWriter& json, const CreateOptions& options);

/// Members of HostConfig: Binds, Mounts, Tmpfs, VolumesFrom, VolumeDriver.
Result<void> mounts_write(JsonWriter& json, const CreateOptions& options);

/// What -p and --expose say, ready for Config and HostConfig.
class PortOptions {
  public:
    static Result<PortOptions> parse(const CreateOptions& options);

    /// Member of Config: ExposedPorts.
    void exposed_write(JsonWriter& json) const;

    /// Member of HostConfig: PortBindings.
    void bindings_write(JsonWriter& json) const;

  private:
    struct Binding {
        std::string host_ip;
        std::string host_port;
    };

    Result<void> publish(std::string_view text);
    Result<void> expose(std::string_view text);

    /// By "80/tcp".
    std::map<std::string, std::vector<Binding>> ports_;
};

/// Members of HostConfig: NetworkMode, Links, Dns, ExtraHosts, ...
Result<void> host_network_write(JsonWriter& json, const CreateOptions& options);

/// Member of the request: NetworkingConfig, where a network has options of its own.
Result<void> endpoints_write(JsonWriter& json, const CreateOptions& options);

}  // namespace davit::cli
