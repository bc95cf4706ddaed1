#include <algorithm>
#include <array>

#include "libcontainer/defaults.h"

#include "runtime/oci_config.h"

namespace davit {

namespace {

Error resource_error(const std::string& message) {
    return Error(ErrorKind::invalid_argument, "linux.resources." + message);
}

Result<void> memory_read(Resources& resources, const JsonValue& json) {
    TRY(const JsonValue memory, json.object("memory"));
    TRY(resources.memory_bytes, memory.int64_if("limit"));
    TRY(resources.memory_reservation_bytes, memory.int64_if("reservation"));
    TRY(resources.memory_swap_bytes, memory.int64_if("swap"));
    if (memory.member("swappiness").present()) {
        TRY(resources.memory_swappiness, memory.uint64_or("swappiness", 0));
    }
    TRY(resources.oom_kill_disable, memory.bool_or("disableOOMKiller", false));
    for (auto* limit : {&resources.memory_bytes,
                        &resources.memory_reservation_bytes,
                        &resources.memory_swap_bytes}) {
        if (*limit == 0) {
            limit->reset();  // As runc: not set.
        }
    }
    return ok;
}

Result<void> cpu_read(Resources& resources, const JsonValue& json) {
    TRY(const JsonValue cpu, json.object("cpu"));
    const auto positive = [&](std::string_view key) -> Result<std::optional<std::uint64_t>> {
        TRY(const std::uint64_t value, cpu.uint64_or(key, 0));
        return value == 0 ? std::nullopt : std::optional(value);
    };
    TRY(resources.cpu_shares, positive("shares"));
    TRY(resources.cpu_period_us, positive("period"));
    TRY(resources.cpu_quota_us, cpu.int64_if("quota"));
    if (resources.cpu_quota_us == 0) {
        resources.cpu_quota_us.reset();
    }
    TRY(resources.cpu_realtime_runtime_us, cpu.int64_if("realtimeRuntime"));
    TRY(resources.cpu_realtime_period_us, cpu.int64_if("realtimePeriod"));
    TRY(std::string cpus, cpu.string_or("cpus", ""));
    TRY(std::string mems, cpu.string_or("mems", ""));
    if (!cpus.empty()) {
        resources.cpuset_cpus = std::move(cpus);
    }
    if (!mems.empty()) {
        resources.cpuset_mems = std::move(mems);
    }
    for (const char* key : {"burst", "idle"}) {
        TRY(const std::int64_t value, cpu.int64_or(key, 0));
        if (value != 0) {
            return Error(ErrorKind::unsupported,
                         "linux.resources.cpu." + std::string(key) + ": davit does not support it");
        }
    }
    return ok;
}

Result<std::vector<BlockLimits::Limit>> block_limits_read(const JsonValue& block,
                                                          std::string_view list,
                                                          std::string_view key) {
    TRY(const JsonValue array, block.array(list));
    TRY(const std::vector<JsonValue> entries, array.as_array());
    std::vector<BlockLimits::Limit> limits;
    for (const JsonValue& entry : entries) {
        BlockLimits::Limit limit;
        TRY(const std::uint64_t major, entry.uint64_or("major", 0));
        TRY(const std::uint64_t minor, entry.uint64_or("minor", 0));
        limit.major = static_cast<unsigned>(major);
        limit.minor = static_cast<unsigned>(minor);
        TRY(limit.value, entry.uint64_or(key, 0));
        limits.push_back(limit);
    }
    return limits;
}

Result<void> block_io_read(Resources& resources, const JsonValue& json) {
    TRY(const JsonValue block, json.object("blockIO"));
    TRY(const std::uint64_t weight, block.uint64_or("weight", 0));
    if (weight != 0) {
        if (weight > UINT16_MAX) {
            return resource_error("blockIO.weight: " + std::to_string(weight) + " is too much");
        }
        resources.blkio_weight = static_cast<std::uint16_t>(weight);
    }
    BlockLimits& limits = resources.block_limits;
    TRY(limits.weight, block_limits_read(block, "weightDevice", "weight"));
    TRY(limits.read_bps, block_limits_read(block, "throttleReadBpsDevice", "rate"));
    TRY(limits.write_bps, block_limits_read(block, "throttleWriteBpsDevice", "rate"));
    TRY(limits.read_iops, block_limits_read(block, "throttleReadIOPSDevice", "rate"));
    TRY(limits.write_iops, block_limits_read(block, "throttleWriteIOPSDevice", "rate"));
    return ok;
}

/// Absent and -1 are all of them.
Result<std::optional<std::uint32_t>> device_number(const JsonValue& entry, std::string_view key) {
    TRY(const std::int64_t number, entry.int64_or(key, -1));
    if (number < -1 || number > INT32_MAX) {
        return resource_error("devices: " + std::string(key) + " " + std::to_string(number) +
                              " is out of range");
    }
    return number < 0 ? std::nullopt : std::optional(static_cast<std::uint32_t>(number));
}

Result<DeviceRule> device_rule_read(const JsonValue& entry) {
    DeviceRule rule;
    TRY(const std::string type, entry.string_or("type", "a"));
    if (type.empty() || type == "a") {
        rule.type = DeviceRule::Type::any;
    } else if (type == "c" || type == "u" || type == "b") {
        rule.type = type == "b" ? DeviceRule::Type::block : DeviceRule::Type::character;
    } else {
        return resource_error("devices: type \"" + type + "\" is none of a, b, c");
    }
    TRY(rule.major, device_number(entry, "major"));
    TRY(rule.minor, device_number(entry, "minor"));
    TRY(const std::string access, entry.string_or("access", "rwm"));
    for (const char letter : access) {
        if (std::string_view("rwm").find(letter) == std::string_view::npos) {
            return resource_error("devices: access \"" + access + "\" has other letters than rwm");
        }
    }
    const auto has = [&](char letter) {
        return access.empty() || access.find(letter) != std::string::npos;
    };
    rule.read = has('r');
    rule.write = has('w');
    rule.make = has('m');
    return rule;
}

/// The list is a history: each entry changes what those before it allowed. What remains is a list
/// of what is allowed, which is all that libcontainer knows; Docker's own devices always are, as
/// with runc.
Result<void> devices_read(Resources& resources, const JsonValue& json) {
    TRY(const JsonValue array, json.array("devices"));
    TRY(const std::vector<JsonValue> entries, array.as_array());
    std::vector<DeviceRule> allowed;
    bool everything = false;
    for (const JsonValue& entry : entries) {
        TRY(const bool allow, entry.bool_or("allow", false));
        TRY(const DeviceRule rule, device_rule_read(entry));
        const bool is_all = rule.type == DeviceRule::Type::any;
        if (is_all) {
            everything = allow;
            allowed.clear();
        } else if (allow) {
            allowed.push_back(rule);
        } else if (everything || std::erase(allowed, rule) == 0) {
            return Error(ErrorKind::unsupported,
                         "linux.resources.devices: davit does not support to deny \"" +
                             rule.text() + "\" out of what is allowed");
        }
    }
    if (!everything) {
        const std::vector<DeviceRule> always = device_rules_default();
        allowed.insert(allowed.end(), always.begin(), always.end());
        resources.device_rules = std::move(allowed);
    }
    return ok;
}

Result<void> unsupported_check(const JsonValue& json) {
    const auto refuse = [](const std::string& key) {
        return Error(ErrorKind::unsupported,
                     "linux.resources." + key + ": davit does not support it");
    };
    TRY(const JsonValue pages, json.array("hugepageLimits"));
    TRY(const std::vector<JsonValue> limits, pages.as_array());
    if (!limits.empty()) {
        return refuse("hugepageLimits");
    }
    for (const char* key : {"network", "rdma", "unified"}) {
        TRY(const JsonValue value, json.object(key));
        TRY(const auto members, value.as_object());
        if (!members.empty()) {
            return refuse(key);
        }
    }
    return ok;
}

}  // namespace

Result<Resources> oci_resources_parse(const JsonValue& json, bool for_update) {
    Resources resources;
    TRY_VOID(memory_read(resources, json));
    TRY_VOID(cpu_read(resources, json));
    TRY_VOID(block_io_read(resources, json));
    TRY(const JsonValue pids, json.object("pids"));
    TRY(const std::int64_t limit, pids.int64_or("limit", 0));
    if (limit != 0) {
        resources.pids_max = std::max<std::int64_t>(limit, -1);
    }
    if (!for_update) {
        TRY_VOID(devices_read(resources, json));
    }
    TRY_VOID(unsupported_check(json));
    return resources;
}

}  // namespace davit
