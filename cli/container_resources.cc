// Limits and devices as members of the create request's HostConfig.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/container_request.h"
#include "cli/invalid.h"
#include "cli/units.h"

namespace davit::cli {

namespace {

void size_write(JsonWriter& json, std::string_view key, const std::optional<ByteSize>& size) {
    if (size) {
        json.key(key).number(size->bytes);
    }
}

Result<void> memory_write(JsonWriter& json, const CreateOptions& options) {
    size_write(json, "Memory", options.memory);
    size_write(json, "MemoryReservation", options.memory_reservation);
    size_write(json, "ShmSize", options.shm_size);
    json_number_if(json, "MemorySwappiness", options.memory_swappiness);
    if (options.memory_swap == "-1") {
        json.key("MemorySwap").number(-1);
    } else if (!options.memory_swap.empty()) {
        TRY(const std::int64_t bytes, size_parse(options.memory_swap));
        json.key("MemorySwap").number(bytes);
    }
    return ok;
}

/// name=soft[:hard]
Result<void> ulimit_write(JsonWriter& json, std::string_view text) {
    constexpr std::array<std::string_view, 15> names{"core",
                                                     "cpu",
                                                     "data",
                                                     "fsize",
                                                     "locks",
                                                     "memlock",
                                                     "msgqueue",
                                                     "nice",
                                                     "nofile",
                                                     "nproc",
                                                     "rss",
                                                     "rtprio",
                                                     "rttime",
                                                     "sigpending",
                                                     "stack"};
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) {
        return invalid(fmt::format("invalid ulimit argument: {}", text));
    }
    const std::string_view name = text.substr(0, equals);
    if (std::ranges::find(names, name) == names.end()) {
        return invalid(fmt::format("invalid ulimit type: {}", name));
    }
    const std::string_view values = text.substr(equals + 1);
    const std::size_t colon = values.find(':');
    TRY(const std::int64_t soft, integer_parse(values.substr(0, colon)));
    std::int64_t hard = soft;
    if (colon != std::string_view::npos) {
        TRY(hard, integer_parse(values.substr(colon + 1)));
    }
    if (hard != -1 && (soft == -1 || soft > hard)) {
        return invalid(fmt::format(
            "ulimit soft limit must be less than or equal to hard limit: {} > {}", soft, hard));
    }
    json.begin_object().key("Name").string(name).key("Soft").number(soft).key("Hard").number(hard);
    json.end_object();
    return ok;
}

bool is_device_mode(std::string_view text) {
    return !text.empty() && text.find_first_not_of("rwm") == std::string_view::npos;
}

/// A device of the container device interface: vendor.com/class=name.
bool is_cdi_name(std::string_view text) {
    return !text.starts_with('/') && text.find('/') < text.find('=') &&
           text.find('=') != std::string_view::npos;
}

/// host[:container[:rwm]]
Result<void> device_write(JsonWriter& json, std::string_view text) {
    std::array<std::string_view, 3> parts;
    std::size_t count = 0;
    for (std::string_view rest = text;; ++count) {
        if (count == parts.size()) {
            return invalid(fmt::format("invalid device specification: {}", text));
        }
        const std::size_t colon = rest.find(':');
        parts[count] = rest.substr(0, colon);
        if (colon == std::string_view::npos) {
            ++count;
            break;
        }
        rest.remove_prefix(colon + 1);
    }
    std::string_view target = parts[0];
    std::string_view mode = "rwm";
    if (count == 3) {
        target = parts[1];
        mode = parts[2];
    } else if (count == 2) {
        (is_device_mode(parts[1]) ? mode : target) = parts[1];
    }
    if (parts[0].empty() || !is_device_mode(mode)) {
        return invalid(fmt::format("invalid device specification: {}", text));
    }
    json.begin_object().key("PathOnHost").string(parts[0]).key("PathInContainer").string(target);
    json.key("CgroupPermissions").string(mode).end_object();
    return ok;
}

std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> list;
    for (std::string_view rest = text;;) {
        const std::size_t comma = rest.find(',');
        list.emplace_back(rest.substr(0, comma));
        if (comma == std::string_view::npos) {
            return list;
        }
        rest.remove_prefix(comma + 1);
    }
}

/// One of --gpus' fields. Follows: docker/cli opts/gpus.go.
Result<void> gpu_field_write(JsonWriter& json, std::string_view field) {
    const std::size_t equals = field.find('=');
    const bool is_count = equals == std::string_view::npos;
    const std::string_view key = is_count ? "count" : field.substr(0, equals);
    const std::string_view value = is_count ? field : field.substr(equals + 1);
    if (key == "count") {
        const Result<std::int64_t> count = value == "all" ? -1 : integer_parse(value);
        if (!count) {
            return invalid(fmt::format(
                "invalid count ({}): value must be either \"all\" or an integer", value));
        }
        json.key("Count").number(*count);
    } else if (key == "driver") {
        json.key("Driver").string(value);
    } else if (key == "device") {
        json.key("DeviceIDs").strings(words(value));
    } else if (key == "capabilities") {
        std::vector<std::string> all_of = words(value);
        all_of.emplace_back("gpu");
        json.key("Capabilities").begin_array().strings(all_of).end_array();
    } else {
        return invalid(fmt::format("unexpected key '{}' in '{}'", key, field));
    }
    return ok;
}

Result<void> gpus_write(JsonWriter& json, std::string_view text) {
    TRY(const std::vector<std::string> fields, csv_split(text));
    std::vector<std::string> seen;
    const auto has = [&](std::string_view key) {
        return std::ranges::find(seen, key) != seen.end();
    };
    json.begin_object();
    for (const std::string& field : fields) {
        const std::size_t equals = field.find('=');
        std::string key = equals == std::string::npos ? "count" : field.substr(0, equals);
        if (has(key)) {
            return invalid(fmt::format("gpu request key '{}' can be specified only once", key));
        }
        TRY_VOID(gpu_field_write(json, field));
        seen.push_back(std::move(key));
    }
    if (!has("count") && !has("device")) {
        json.key("Count").number(1);
    }
    if (!has("capabilities")) {
        json.key("Capabilities").begin_array().strings(std::array{"gpu"}).end_array();
    }
    json.end_object();
    return ok;
}

Result<void> device_requests_write(JsonWriter& json, const CreateOptions& options) {
    json.key("DeviceRequests").begin_array();
    if (!options.gpus.empty()) {
        TRY_VOID(gpus_write(json, options.gpus));
    }
    if (std::ranges::any_of(options.devices, is_cdi_name)) {
        json.begin_object().key("Driver").string("cdi").key("DeviceIDs").begin_array();
        for (const std::string& device : options.devices) {
            if (is_cdi_name(device)) {
                json.string(device);
            }
        }
        json.end_array().end_object();
    }
    json.end_array();
    return ok;
}

Result<void> devices_write(JsonWriter& json, const CreateOptions& options) {
    const auto is_cdi = [](const std::string& device) { return is_cdi_name(device); };
    if (!options.gpus.empty() || std::ranges::any_of(options.devices, is_cdi)) {
        TRY_VOID(device_requests_write(json, options));
    }
    if (!std::ranges::all_of(options.devices, is_cdi)) {
        json.key("Devices").begin_array();
        for (const std::string& device : options.devices) {
            if (!is_cdi_name(device)) {
                TRY_VOID(device_write(json, device));
            }
        }
        json.end_array();
    }
    json_strings_if(json, "DeviceCgroupRules", options.device_cgroup_rules);
    return ok;
}

/// path:number for each device.
Result<void> device_rates_write(JsonWriter& json,
                                std::string_view key,
                                std::string_view number_key,
                                const std::vector<std::string>& texts,
                                Result<std::int64_t> (*parse)(std::string_view)) {
    if (texts.empty()) {
        return ok;
    }
    json.key(key).begin_array();
    for (const std::string_view text : texts) {
        const std::size_t colon = text.rfind(':');
        if (colon == std::string_view::npos || !text.starts_with("/dev/")) {
            return invalid(fmt::format("bad format: {}: expected /dev/NAME:NUMBER", text));
        }
        const Result<std::int64_t> number = parse(text.substr(colon + 1));
        if (!number || *number < 0) {
            return invalid(fmt::format("invalid rate for device: {}", text));
        }
        json.begin_object().key("Path").string(text.substr(0, colon));
        json.key(number_key).number(*number).end_object();
    }
    json.end_array();
    return ok;
}

Result<void> block_io_write(JsonWriter& json, const CreateOptions& options) {
    json_number_if(json, "BlkioWeight", options.blkio_weight);
    TRY_VOID(device_rates_write(
        json, "BlkioWeightDevice", "Weight", options.blkio_weight_devices, integer_parse));
    TRY_VOID(device_rates_write(
        json, "BlkioDeviceReadBps", "Rate", options.device_read_bps, size_parse));
    TRY_VOID(device_rates_write(
        json, "BlkioDeviceWriteBps", "Rate", options.device_write_bps, size_parse));
    TRY_VOID(device_rates_write(
        json, "BlkioDeviceReadIOps", "Rate", options.device_read_iops, integer_parse));
    return device_rates_write(
        json, "BlkioDeviceWriteIOps", "Rate", options.device_write_iops, integer_parse);
}

}  // namespace

Result<void> resources_write(JsonWriter& json, const CreateOptions& options) {
    TRY_VOID(memory_write(json, options));
    if (options.cpus) {
        json.key("NanoCpus").number(options.cpus->nano_cpus);
    }
    json_number_if(json, "CpuShares", options.cpu_shares);
    json_number_if(json, "CpuPeriod", options.cpu_period);
    json_number_if(json, "CpuQuota", options.cpu_quota);
    json_number_if(json, "CpuRealtimePeriod", options.cpu_realtime_period);
    json_number_if(json, "CpuRealtimeRuntime", options.cpu_realtime_runtime);
    json_string_if(json, "CpusetCpus", options.cpuset_cpus);
    json_string_if(json, "CpusetMems", options.cpuset_mems);
    json_number_if(json, "PidsLimit", options.pids_limit);
    json_string_if(json, "CgroupParent", options.cgroup_parent);
    json_number_if(json, "OomScoreAdj", options.oom_score_adj);
    json_bool_if(json, "OomKillDisable", options.oom_kill_disable);
    TRY_VOID(block_io_write(json, options));
    TRY_VOID(devices_write(json, options));
    if (!options.ulimits.empty()) {
        json.key("Ulimits").begin_array();
        for (const std::string& ulimit : options.ulimits) {
            TRY_VOID(ulimit_write(json, ulimit));
        }
        json.end_array();
    }
    return ok;
}

}  // namespace davit::cli
