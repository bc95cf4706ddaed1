#pragma once
/// ImageConfig: the document whose digest is the image's id.
///
/// What came from outside is stored as its bytes; this struct is the reading of it, and what
/// commit, import and build write.
///
/// Follows: OCI image-spec config.md; Docker's additions (Healthcheck, Shell, OnBuild).
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/platform.h"
#include "reactor/base/digest.h"
#include "reactor/base/result.h"

namespace davit {

class JsonValue;
class JsonWriter;

/// Durations are nanoseconds; 0 inherits.
struct HealthConfig {
    std::vector<std::string> test;
    std::int64_t interval_ns = 0;
    std::int64_t timeout_ns = 0;
    std::int64_t start_period_ns = 0;
    std::int64_t start_interval_ns = 0;
    std::int64_t retries = 0;

    bool operator==(const HealthConfig&) const = default;
};

/// What a container made from the image starts with.
struct RunConfig {
    std::string user;
    std::vector<std::string> exposed_ports;
    std::vector<std::string> env;
    std::vector<std::string> entrypoint;
    std::vector<std::string> cmd;
    std::vector<std::string> volumes;
    std::string working_dir;
    std::map<std::string, std::string> labels;
    std::string stop_signal;
    std::optional<HealthConfig> healthcheck;
    std::vector<std::string> shell;
    std::vector<std::string> on_build;
    bool args_escaped = false;

    bool operator==(const RunConfig&) const = default;
};

struct HistoryEntry {
    std::string created;
    std::string author;
    std::string created_by;
    std::string comment;
    bool empty_layer = false;

    bool operator==(const HistoryEntry&) const = default;
};

struct ImageConfig {
    Platform platform;
    /// RFC 3339, as it came; "" if there is none.
    std::string created;
    std::string author;
    RunConfig config;
    /// Lowest first.
    std::vector<Digest> diff_ids;
    std::vector<HistoryEntry> history;

    bool operator==(const ImageConfig&) const = default;
};

/// Errors: invalid_argument (not JSON, wrong types, no rootfs, bad diff ids, too many layers).
/// Limits: image_config_bytes_max, image_layers_max.
Result<ImageConfig> image_config_parse(std::string_view bytes);

/// The document; what is empty is left out. Parses back to the same.
std::string image_config_json(const ImageConfig& config);

/// "config" alone: the keys as above, what is empty left out. Also Docker's commit body.
Result<RunConfig> run_config_parse(const JsonValue& value);
void run_config_write(JsonWriter& json, const RunConfig& config);

/// The config of an image made from one archive (docker import).
/// Takes: created as RFC 3339; comment such as "Imported from -".
ImageConfig image_config_for_import(const Platform& platform,
                                    const Digest& diff_id,
                                    std::string created,
                                    std::string comment);

/// The chain id of each layer: what names it together with everything below it.
/// Follows: OCI image-spec config.md "Layer ChainID".
std::vector<Digest> chain_ids(std::span<const Digest> diff_ids);

/// The last of chain_ids(); empty for an image without layers.
Digest chain_id(std::span<const Digest> diff_ids);

}  // namespace davit
