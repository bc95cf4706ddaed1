#include <algorithm>
#include <array>
#include <cctype>

#include "runtime/oci_config.h"

namespace davit {

namespace {

Error process_error(const std::string& message) {
    return Error(ErrorKind::invalid_argument, "process." + message);
}

Result<std::uint32_t> id_of(const JsonValue& user, std::string_view key) {
    TRY(const std::uint64_t number, user.uint64_or(key, 0));
    if (number >= UINT32_MAX) {
        return process_error("user." + std::string(key) + ": " + std::to_string(number) +
                             " is no id");
    }
    return static_cast<std::uint32_t>(number);
}

Result<void> user_read(ProcessSpec& process, const JsonValue& json) {
    TRY(const JsonValue user, json.object("user"));
    TRY(process.uid, id_of(user, "uid"));
    TRY(process.gid, id_of(user, "gid"));
    if (user.member("umask").present()) {
        constexpr std::uint64_t mode_bits = 0777;
        TRY(const std::uint64_t mask, user.uint64_or("umask", 0));
        process.umask = static_cast<mode_t>(mask & mode_bits);
    }
    TRY(const JsonValue groups, user.array("additionalGids"));
    TRY(const std::vector<JsonValue> entries, groups.as_array());
    for (const JsonValue& entry : entries) {
        TRY(const std::uint64_t group, entry.as_uint64());
        if (group >= UINT32_MAX) {
            return process_error("user.additionalGids: " + std::to_string(group) + " is no id");
        }
        process.additional_gids.push_back(static_cast<std::uint32_t>(group));
    }
    return ok;
}

/// "RLIMIT_NOFILE" as "nofile".
Result<void> limits_read(ProcessSpec& process, const JsonValue& json) {
    constexpr std::string_view prefix = "RLIMIT_";
    TRY(const JsonValue limits, json.array("rlimits"));
    TRY(const std::vector<JsonValue> entries, limits.as_array());
    for (const JsonValue& entry : entries) {
        ResourceLimit limit;
        TRY(const std::string type, entry.string_or("type", ""));
        if (!type.starts_with(prefix)) {
            return process_error("rlimits: \"" + type + "\" is no limit");
        }
        limit.name = type.substr(prefix.size());
        std::ranges::transform(limit.name, limit.name.begin(), [](unsigned char c) {
            return static_cast<char>(std::tolower(c));
        });
        TRY(limit.resource, resource_limit_number(limit.name));
        TRY(limit.soft, entry.uint64_or("soft", 0));
        TRY(limit.hard, entry.uint64_or("hard", 0));
        const auto same = [&](const ResourceLimit& other) {
            return other.resource == limit.resource;
        };
        if (std::ranges::any_of(process.resource_limits, same)) {
            return process_error("rlimits: " + type + " is there twice");
        }
        process.resource_limits.push_back(std::move(limit));
    }
    return ok;
}

/// Of those that this kernel does not know runc only says so.
Result<CapabilitySet> capability_set_read(const JsonValue& json,
                                          std::string_view key,
                                          std::vector<std::string>& warnings) {
    TRY(const std::vector<std::string> names, json.strings(key));
    CapabilitySet set = 0;
    for (const std::string& name : names) {
        const Result<unsigned> number = capability_number(name);
        const CapabilitySet bit = number ? capability_bit(*number) : 0;
        if ((bit & capabilities_available()) == 0) {
            warnings.push_back("process.capabilities: " + name + " cannot be given here");
        } else {
            set |= bit;
        }
    }
    return set;
}

Result<void> capabilities_read(ProcessSpec& process,
                               const JsonValue& json,
                               std::vector<std::string>& warnings) {
    TRY(const JsonValue sets, json.object("capabilities"));
    Capabilities& given = process.capabilities;
    TRY(given.bounding, capability_set_read(sets, "bounding", warnings));
    TRY(given.effective, capability_set_read(sets, "effective", warnings));
    TRY(given.permitted, capability_set_read(sets, "permitted", warnings));
    TRY(given.inheritable, capability_set_read(sets, "inheritable", warnings));
    TRY(given.ambient, capability_set_read(sets, "ambient", warnings));
    std::ranges::sort(warnings);
    const auto repeated = std::ranges::unique(warnings);
    warnings.erase(repeated.begin(), repeated.end());
    return ok;
}

Result<std::uint16_t> cells_of(const JsonValue& size, std::string_view key) {
    TRY(const std::uint64_t cells, size.uint64_or(key, 0));
    return static_cast<std::uint16_t>(std::min<std::uint64_t>(cells, UINT16_MAX));
}

}  // namespace

Result<ProcessSpec> oci_process_parse(const JsonValue& json, std::vector<std::string>& warnings) {
    ProcessSpec process;
    TRY(process.terminal, json.bool_or("terminal", false));
    TRY(const JsonValue size, json.object("consoleSize"));
    TRY(process.terminal_height, cells_of(size, "height"));
    TRY(process.terminal_width, cells_of(size, "width"));
    TRY(process.working_directory, json.string_or("cwd", ""));
    if (!process.working_directory.starts_with('/')) {
        return process_error("cwd: \"" + process.working_directory + "\" is not absolute");
    }
    TRY(process.arguments, json.strings("args"));
    if (process.arguments.empty()) {
        return process_error("args: must not be empty");
    }
    TRY(process.environment, json.strings("env"));
    TRY_VOID(user_read(process, json));
    TRY_VOID(limits_read(process, json));
    TRY_VOID(capabilities_read(process, json, warnings));
    TRY(process.no_new_privileges, json.bool_or("noNewPrivileges", false));
    TRY(const std::optional<std::int64_t> score, json.int64_if("oomScoreAdj"));
    if (score) {
        process.oom_score_adjust = static_cast<int>(*score);
    }
    TRY(process.apparmor_profile, json.string_or("apparmorProfile", ""));
    if (process.apparmor_profile == "unconfined") {
        process.apparmor_profile.clear();
    }
    TRY(const std::string label, json.string_or("selinuxLabel", ""));
    if (!label.empty()) {
        return Error(ErrorKind::unsupported,
                     "process.selinuxLabel: davit does not support SELinux");
    }
    for (const char* key : {"scheduler", "ioPriority", "execCPUAffinity"}) {
        if (json.member(key).present()) {
            return Error(ErrorKind::unsupported,
                         "process." + std::string(key) + ": davit does not support it");
        }
    }
    return process;
}

}  // namespace davit
