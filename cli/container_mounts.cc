// -v, --mount, --tmpfs, --volumes-from as members of the create request.
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <climits>

#include <fmt/format.h>

#include "cli/container_request.h"
#include "cli/units.h"

namespace davit::cli {

namespace {

Error invalid_mount(std::string_view mount, std::string_view message) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("invalid argument \"{}\" for \"--mount\" flag: {}", mount, message));
}

/// One --mount, as it was written.
struct MountOption {
    std::string type = "volume";
    std::string source;
    std::string target;
    bool read_only = false;
    std::string consistency;
    std::string propagation;
    std::string recursive;
    bool no_copy = false;
    std::string volume_subpath;
    std::string image_subpath;
    std::string driver;
    KeyValues labels;
    KeyValues driver_options;
    std::optional<ByteSize> tmpfs_size;
    std::string tmpfs_mode;
};

using Field = Result<void> (*)(MountOption& mount, std::string_view text);

template <auto Member>
Result<void> set(MountOption& mount, std::string_view text) {
    return flag_set(text, mount.*Member);
}

struct FieldRow {
    std::string_view key;
    Field set;
    /// The key alone means true.
    bool boolean = false;
};

constexpr FieldRow field_rows[] = {
    {"type", set<&MountOption::type>},
    {"source", set<&MountOption::source>},
    {"src", set<&MountOption::source>},
    {"target", set<&MountOption::target>},
    {"dst", set<&MountOption::target>},
    {"destination", set<&MountOption::target>},
    {"readonly", set<&MountOption::read_only>, true},
    {"ro", set<&MountOption::read_only>, true},
    {"consistency", set<&MountOption::consistency>},
    {"bind-propagation", set<&MountOption::propagation>},
    {"bind-recursive", set<&MountOption::recursive>},
    {"volume-nocopy", set<&MountOption::no_copy>, true},
    {"volume-subpath", set<&MountOption::volume_subpath>},
    {"volume-driver", set<&MountOption::driver>},
    {"volume-label", set<&MountOption::labels>},
    {"volume-opt", set<&MountOption::driver_options>},
    {"image-subpath", set<&MountOption::image_subpath>},
    {"tmpfs-size", set<&MountOption::tmpfs_size>},
    {"tmpfs-mode", set<&MountOption::tmpfs_mode>},
};

Result<MountOption> mount_parse(std::string_view text) {
    TRY(const std::vector<std::string> fields, csv_split(text));
    MountOption mount;
    for (const std::string& field : fields) {
        const std::size_t equals = field.find('=');
        const std::string_view key = std::string_view(field).substr(0, equals);
        const FieldRow* row = nullptr;
        for (const FieldRow& candidate : field_rows) {
            if (candidate.key == key) {
                row = &candidate;
            }
        }
        if (equals == std::string::npos && (row == nullptr || !row->boolean)) {
            return invalid_mount(text,
                                 fmt::format("invalid field '{}' must be a key=value pair", field));
        }
        if (row == nullptr) {
            return invalid_mount(text, fmt::format("unexpected key '{}' in '{}'", key, field));
        }
        const std::string_view value =
            equals == std::string::npos ? "true" : std::string_view(field).substr(equals + 1);
        if (Result<void> done = row->set(mount, value); !done) {
            return invalid_mount(
                text, fmt::format("invalid value for {}: {}", key, done.error().message()));
        }
    }
    if (mount.type.empty()) {
        return invalid_mount(text, "type is required");
    }
    if (mount.target.empty()) {
        return invalid_mount(text, "target is required");
    }
    if (mount.type == "bind") {
        mount.source = host_path(mount.source);
    }
    return mount;
}

/// Options of one type given with another are a mistake, not something to drop.
Result<void> mount_check(const MountOption& mount, std::string_view text) {
    const bool has_volume = mount.no_copy || !mount.volume_subpath.empty() ||
                            !mount.driver.empty() || !mount.labels.values.empty() ||
                            !mount.driver_options.values.empty();
    const bool has_bind = !mount.propagation.empty() || !mount.recursive.empty();
    const bool has_tmpfs = mount.tmpfs_size || !mount.tmpfs_mode.empty();

    const std::array<std::pair<std::string_view, bool>, 4> families{
        {{"volume", has_volume},
         {"bind", has_bind},
         {"tmpfs", has_tmpfs},
         {"image", !mount.image_subpath.empty()}}};
    for (const auto& [type, given] : families) {
        if (given && mount.type != type) {
            return invalid_mount(
                text,
                fmt::format("cannot mix '{}-*' options with mount type '{}'", type, mount.type));
        }
    }
    return ok;
}

Result<void> bind_options_write(JsonWriter& json, const MountOption& mount, std::string_view text) {
    if (mount.propagation.empty() && mount.recursive.empty()) {
        return ok;
    }
    json.key("BindOptions").begin_object();
    json_string_if(json, "Propagation", mount.propagation);
    if (mount.recursive == "disabled") {
        json.key("NonRecursive").boolean(true);
    } else if (mount.recursive == "writable") {
        json.key("ReadOnlyNonRecursive").boolean(true);
    } else if (mount.recursive == "readonly") {
        json.key("ReadOnlyForceRecursive").boolean(true);
    } else if (!mount.recursive.empty() && mount.recursive != "enabled") {
        return invalid_mount(text,
                             "invalid value for bind-recursive: must be one of \"enabled\", "
                             "\"disabled\", \"writable\" or \"readonly\"");
    }
    json.end_object();
    return ok;
}

void volume_options_write(JsonWriter& json, const MountOption& mount) {
    const bool has_driver = !mount.driver.empty() || !mount.driver_options.values.empty();
    if (!has_driver && !mount.no_copy && mount.volume_subpath.empty() &&
        mount.labels.values.empty()) {
        return;
    }
    json.key("VolumeOptions").begin_object();
    json_bool_if(json, "NoCopy", mount.no_copy);
    json_string_if(json, "Subpath", mount.volume_subpath);
    json_map_if(json, "Labels", mount.labels);
    if (has_driver) {
        json.key("DriverConfig").begin_object();
        json_string_if(json, "Name", mount.driver);
        json_map_if(json, "Options", mount.driver_options);
        json.end_object();
    }
    json.end_object();
}

Result<void> tmpfs_options_write(JsonWriter& json,
                                 const MountOption& mount,
                                 std::string_view text) {
    if (!mount.tmpfs_size && mount.tmpfs_mode.empty()) {
        return ok;
    }
    json.key("TmpfsOptions").begin_object();
    if (mount.tmpfs_size) {
        json.key("SizeBytes").number(mount.tmpfs_size->bytes);
    }
    if (!mount.tmpfs_mode.empty()) {
        char* end = nullptr;
        const unsigned long mode = ::strtoul(mount.tmpfs_mode.c_str(), &end, 8);
        if (*end != '\0' || mode > 07777) {
            return invalid_mount(text,
                                 fmt::format("invalid value for tmpfs-mode: {}", mount.tmpfs_mode));
        }
        json.key("Mode").number(mode);
    }
    json.end_object();
    return ok;
}

Result<void> mount_write(JsonWriter& json, std::string_view text) {
    TRY(const MountOption mount, mount_parse(text));
    TRY_VOID(mount_check(mount, text));
    json.begin_object().key("Type").string(mount.type);
    json_string_if(json, "Source", mount.source);
    json.key("Target").string(mount.target);
    json_bool_if(json, "ReadOnly", mount.read_only);
    json_string_if(json, "Consistency", mount.consistency);
    TRY_VOID(bind_options_write(json, mount, text));
    volume_options_write(json, mount);
    TRY_VOID(tmpfs_options_write(json, mount, text));
    if (!mount.image_subpath.empty()) {
        json.key("ImageOptions").begin_object().key("Subpath").string(mount.image_subpath);
        json.end_object();
    }
    json.end_object();
    return ok;
}

}  // namespace

Result<std::vector<std::string>> csv_split(std::string_view text) {
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '"' && !quoted && fields.back().empty()) {
            quoted = true;
        } else if (c == '"' && quoted) {
            if (i + 1 < text.size() && text[i + 1] == '"') {
                fields.back() += text[++i];
            } else {
                quoted = false;
            }
        } else if (c == ',' && !quoted) {
            fields.emplace_back();
        } else {
            fields.back() += c;
        }
    }
    if (quoted) {
        return Error(ErrorKind::invalid_argument,
                     fmt::format("unterminated quote in \"{}\"", text));
    }
    return fields;
}

std::string host_path(std::string_view path) {
    if (!path.starts_with('.')) {
        return std::string(path);
    }
    std::array<char, PATH_MAX> directory{};
    if (::getcwd(directory.data(), directory.size()) == nullptr) {
        return std::string(path);
    }
    std::string whole = std::string(directory.data()) + "/" + std::string(path);
    std::vector<std::string_view> parts;
    for (std::string_view rest = whole; !rest.empty();) {
        const std::size_t end = std::min(rest.find('/'), rest.size());
        const std::string_view part = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (part == "..") {
            if (!parts.empty()) {
                parts.pop_back();
            }
        } else if (!part.empty() && part != ".") {
            parts.push_back(part);
        }
    }
    std::string clean;
    for (const std::string_view part : parts) {
        clean += "/" + std::string(part);
    }
    return clean.empty() ? "/" : clean;
}

void volumes_write(JsonWriter& json, const CreateOptions& options) {
    bool open = false;
    for (const std::string& volume : options.volumes) {
        if (volume.find(':') == std::string::npos) {
            if (!open) {
                json.key("Volumes").begin_object();
                open = true;
            }
            json.key(volume).begin_object().end_object();
        }
    }
    if (open) {
        json.end_object();
    }
}

Result<void> mounts_write(JsonWriter& json, const CreateOptions& options) {
    std::vector<std::string> binds;
    for (const std::string& volume : options.volumes) {
        const std::size_t colon = volume.find(':');
        if (colon != std::string::npos) {
            binds.push_back(host_path(std::string_view(volume).substr(0, colon)) +
                            volume.substr(colon));
        }
    }
    json_strings_if(json, "Binds", binds);
    json_strings_if(json, "VolumesFrom", options.volumes_from);
    json_string_if(json, "VolumeDriver", options.volume_driver);
    if (!options.mounts.empty()) {
        json.key("Mounts").begin_array();
        for (const std::string& mount : options.mounts) {
            TRY_VOID(mount_write(json, mount));
        }
        json.end_array();
    }
    KeyValues tmpfs;
    for (const std::string& text : options.tmpfs) {
        const std::size_t colon = text.find(':');
        tmpfs.values[text.substr(0, colon)] =
            colon == std::string::npos ? "" : text.substr(colon + 1);
    }
    json_map_if(json, "Tmpfs", tmpfs);
    return ok;
}

}  // namespace davit::cli
