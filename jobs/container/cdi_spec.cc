#include "jobs/container/cdi_spec.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>

#include "http/json_reader.h"
#include "jobs/container/field_check.h"

namespace davit {

namespace {

using Names = std::span<const std::string_view>;

std::string in_quotes(std::string_view text) {
    return '"' + std::string(text) + '"';
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_alphanumeric(char c) {
    return is_letter(c) || (c >= '0' && c <= '9');
}

/// SPEC.md "CDI JSON Specification": letters and digits at both ends, marks between them.
bool is_name(std::string_view text, std::string_view marks, bool letter_first) {
    return !text.empty() && is_alphanumeric(text.back()) &&
           (letter_first ? is_letter(text.front()) : is_alphanumeric(text.front())) &&
           std::ranges::all_of(text, [&](char c) {
               return is_alphanumeric(c) || marks.find(c) != std::string_view::npos;
           });
}

/// An object with no other members than these.
Result<void> members_check(const JsonValue& json, std::string_view what, Names known) {
    TRY(const auto members, json.as_object());
    for (const auto& [name, value] : members) {
        if (!is_one_of(name, known)) {
            return bad("unknown field " + in_quotes(name) + " in " + std::string(what));
        }
    }
    return ok;
}

/// A name that ends early for the kernel would be another name.
Result<std::string> text(const JsonValue& json, std::string_view key) {
    TRY(std::string value, json.string_or(key, ""));
    if (value.find('\0') != std::string::npos) {
        return bad("a zero byte in " + in_quotes(key));
    }
    return value;
}

Result<std::string> path(const JsonValue& json, std::string_view key) {
    TRY(std::string value, text(json, key));
    if (!value.empty() && !value.starts_with('/')) {
        return bad(std::string(key) + " " + in_quotes(value) + " is not an absolute path");
    }
    return value;
}

Result<std::vector<std::string>> texts(const JsonValue& json, std::string_view key) {
    TRY(std::vector<std::string> values, json.strings(key));
    for (const std::string& value : values) {
        if (value.find('\0') != std::string::npos) {
            return bad("a zero byte in " + in_quotes(key));
        }
    }
    return values;
}

Result<std::uint32_t> number(std::int64_t value, std::string_view key) {
    if (value < 0 || value > std::numeric_limits<std::uint32_t>::max()) {
        return bad(std::string(key) + " is out of range: " + std::to_string(value));
    }
    return static_cast<std::uint32_t>(value);
}

Result<std::optional<std::uint32_t>> number_if(const JsonValue& json, std::string_view key) {
    TRY(const std::optional<std::int64_t> value, json.int64_if(key));
    if (!value) {
        return std::optional<std::uint32_t>();
    }
    TRY(const std::uint32_t small, number(*value, key));
    return std::optional(small);
}

Result<CdiDeviceNode> device_node_read(const JsonValue& json) {
    static constexpr auto members = std::to_array<std::string_view>(
        {"path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid"});
    static constexpr auto types = std::to_array<std::string_view>({"", "b", "c", "u", "p"});
    TRY_VOID(members_check(json, "a device node", members));
    CdiDeviceNode node;
    TRY(node.path, path(json, "path"));
    TRY(node.host_path, path(json, "hostPath"));
    TRY(node.type, text(json, "type"));
    TRY(node.permissions, text(json, "permissions"));
    TRY(node.major, number_if(json, "major"));
    TRY(node.minor, number_if(json, "minor"));
    TRY(node.file_mode, number_if(json, "fileMode"));
    TRY(node.uid, number_if(json, "uid"));
    TRY(node.gid, number_if(json, "gid"));
    if (node.path.empty()) {
        return bad("invalid (empty) device path");
    }
    if (!is_one_of(node.type, types)) {
        return bad("device " + in_quotes(node.path) + ": invalid type " + in_quotes(node.type));
    }
    if (node.permissions.find_first_not_of("rwm") != std::string::npos) {
        return bad("device " + in_quotes(node.path) + ": invalid permissions " +
                   in_quotes(node.permissions));
    }
    return node;
}

Result<CdiMount> mount_read(const JsonValue& json) {
    static constexpr auto members =
        std::to_array<std::string_view>({"hostPath", "containerPath", "options", "type"});
    TRY_VOID(members_check(json, "a mount", members));
    CdiMount mount;
    TRY(mount.host_path, path(json, "hostPath"));
    TRY(mount.container_path, path(json, "containerPath"));
    TRY(mount.type, text(json, "type"));
    TRY(mount.options, texts(json, "options"));
    if (mount.host_path.empty()) {
        return bad("invalid mount, empty host path");
    }
    if (mount.container_path.empty()) {
        return bad("invalid mount, empty container path");
    }
    return mount;
}

/// Gives: what it would be, in words.
Result<std::string> hook_read(const JsonValue& json) {
    static constexpr auto members =
        std::to_array<std::string_view>({"hookName", "path", "args", "env", "timeout"});
    static constexpr auto names = std::to_array<std::string_view>({"prestart",
                                                                   "createRuntime",
                                                                   "createContainer",
                                                                   "startContainer",
                                                                   "poststart",
                                                                   "poststop"});
    TRY_VOID(members_check(json, "a hook", members));
    TRY(const std::string name, text(json, "hookName"));
    TRY(const std::string program, path(json, "path"));
    if (!is_one_of(name, names)) {
        return bad("invalid hook name " + in_quotes(name));
    }
    if (program.empty()) {
        return bad("invalid hook " + in_quotes(name) + ", empty path");
    }
    return "a " + name + " hook (" + program + ")";
}

template <typename T>
Result<void> list_read(const JsonValue& json,
                       std::string_view key,
                       Result<T> (*read)(const JsonValue&),
                       std::vector<T>& list) {
    TRY(const JsonValue array, json.array(key));
    TRY(const std::vector<JsonValue> items, array.as_array());
    for (const JsonValue& item : items) {
        TRY(T value, read(item));
        list.push_back(std::move(value));
    }
    return ok;
}

Result<std::uint32_t> gid_read(const JsonValue& json) {
    TRY(const std::int64_t value, json.as_int64());
    return number(value, "additionalGids");
}

Result<CdiEdits> edits_read(const JsonValue& json) {
    static constexpr auto members = std::to_array<std::string_view>(
        {"env", "deviceNodes", "netDevices", "mounts", "hooks", "additionalGids", "intelRdt"});
    CdiEdits edits;
    if (!json.present()) {
        return edits;
    }
    TRY_VOID(members_check(json, "containerEdits", members));
    TRY(edits.env, texts(json, "env"));
    for (const std::string& variable : edits.env) {
        if (variable.find('=') == std::string::npos || variable.starts_with('=')) {
            return bad("invalid environment variable " + in_quotes(variable));
        }
    }
    TRY_VOID(list_read(json, "deviceNodes", device_node_read, edits.device_nodes));
    TRY_VOID(list_read(json, "mounts", mount_read, edits.mounts));
    TRY_VOID(list_read(json, "hooks", hook_read, edits.unsupported));
    TRY_VOID(list_read(json, "additionalGids", gid_read, edits.additional_gids));
    TRY(const JsonValue links, json.array("netDevices"));
    TRY(const std::vector<JsonValue> moved, links.as_array());
    if (!moved.empty()) {
        edits.unsupported.emplace_back("a network device (netDevices)");
    }
    TRY(const JsonValue rdt, json.object("intelRdt"));
    if (rdt.present()) {
        edits.unsupported.emplace_back("a resource control group (intelRdt)");
    }
    return edits;
}

constexpr auto device_members =
    std::to_array<std::string_view>({"name", "annotations", "containerEdits"});

Result<CdiDevice> device_read(const JsonValue& json) {
    TRY_VOID(members_check(json, "a device", device_members));
    CdiDevice device;
    TRY(device.name, text(json, "name"));
    if (!is_name(device.name, "_-.:", false)) {
        return bad("invalid device name " + in_quotes(device.name));
    }
    TRY([[maybe_unused]] const auto annotations, json.string_map("annotations"));
    TRY(device.edits, edits_read(json.member("containerEdits")));
    if (device.edits.empty()) {
        return bad("invalid device " + in_quotes(device.name) + ", empty device edits");
    }
    return device;
}

Result<void> version_check(std::string_view version) {
    static constexpr auto known = std::to_array<std::string_view>(
        {"0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"});
    return is_one_of(version, known) ? Result<void>(ok)
                                     : bad("invalid CDI version " + in_quotes(version));
}

Result<void> kind_check(std::string_view kind) {
    const std::size_t slash = kind.find('/');
    if (slash == std::string_view::npos) {
        return bad("invalid kind " + in_quotes(kind) + ": expected vendor/class");
    }
    if (!is_name(kind.substr(0, slash), "_-.", true)) {
        return bad("invalid vendor " + in_quotes(kind.substr(0, slash)));
    }
    return is_name(kind.substr(slash + 1), "_-.", true)
               ? Result<void>(ok)
               : bad("invalid class " + in_quotes(kind.substr(slash + 1)));
}

}  // namespace

void CdiEdits::append(const CdiEdits& more) {
    const auto add = [](auto& list, const auto& others) {
        list.insert(list.end(), others.begin(), others.end());
    };
    add(env, more.env);
    add(device_nodes, more.device_nodes);
    add(mounts, more.mounts);
    add(additional_gids, more.additional_gids);
    add(unsupported, more.unsupported);
}

bool CdiEdits::empty() const {
    return env.empty() && device_nodes.empty() && mounts.empty() && additional_gids.empty() &&
           unsupported.empty();
}

Result<CdiSpec> cdi_spec_parse(std::string_view json_text) {
    static constexpr auto members = std::to_array<std::string_view>(
        {"cdiVersion", "kind", "annotations", "devices", "containerEdits"});
    TRY(const JsonDocument document, JsonDocument::parse(json_text));
    const JsonValue json = document.root();
    TRY_VOID(members_check(json, "the spec", members));
    TRY(const std::string version, text(json, "cdiVersion"));
    TRY_VOID(version_check(version));
    CdiSpec spec;
    TRY(spec.kind, text(json, "kind"));
    TRY_VOID(kind_check(spec.kind));
    TRY([[maybe_unused]] const auto annotations, json.string_map("annotations"));
    TRY(spec.edits, edits_read(json.member("containerEdits")));
    TRY_VOID(list_read(json, "devices", device_read, spec.devices));
    std::vector<std::string_view> names;
    for (const CdiDevice& device : spec.devices) {
        names.push_back(device.name);
    }
    std::ranges::sort(names);
    if (const auto twice = std::ranges::adjacent_find(names); twice != names.end()) {
        return bad("invalid spec, multiple device " + in_quotes(*twice));
    }
    return spec;
}

}  // namespace davit
