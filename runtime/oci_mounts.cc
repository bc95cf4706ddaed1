#include <sys/mount.h>

#include <algorithm>
#include <array>

#include "runtime/oci_config.h"

namespace davit {

namespace {

Error mount_error(const std::string& target, const std::string& message) {
    return Error(ErrorKind::invalid_argument, "mounts: " + target + ": " + message);
}

Error mount_unsupported(const std::string& target, const std::string& what) {
    return Error(ErrorKind::unsupported, "mounts: " + target + ": davit does not support " + what);
}

/// An option of mount(8) that is an attribute of the mount itself.
struct AttributeOption {
    std::string_view name;
    std::uint64_t set;
    std::uint64_t clear;
};

constexpr std::array<AttributeOption, 16> attribute_options{{
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"relatime", 0, MOUNT_ATTR__ATIME},
    {"atime", 0, MOUNT_ATTR__ATIME},
}};

struct PropagationOption {
    std::string_view name;
    std::uint64_t propagation;
};

/// Of a recursive bind they are for the mounts below, too: a copy that is shared nowhere else.
constexpr std::array<PropagationOption, 8> propagation_options{{
    {"private", MS_PRIVATE},
    {"rprivate", MS_PRIVATE},
    {"slave", MS_SLAVE},
    {"rslave", MS_SLAVE},
    {"shared", MS_SHARED},
    {"rshared", MS_SHARED},
    {"unbindable", MS_UNBINDABLE},
    {"runbindable", MS_UNBINDABLE},
}};

/// Without effect here: what they say is so anyway, or nothing for a kernel of today.
constexpr auto idle_options = std::to_array<std::string_view>({"defaults",
                                                               "async",
                                                               "nomand",
                                                               "nolazytime",
                                                               "noiversion",
                                                               "loud",
                                                               "noacl",
                                                               "nostrictatime",
                                                               "norelatime"});

struct MountOptions {
    OciMount mount;
    bool is_bind = false;
    bool binds_recursively = false;
    bool has_plain = false;      // An attribute of the mount alone,
    bool has_recursive = false;  // and one of those below, too.
};

bool attribute_apply(MountOptions& options, std::string_view name) {
    const bool recursive =
        name.starts_with('r') && name != "ro" && name != "rw" && name != "relatime";
    const std::string_view plain = recursive ? name.substr(1) : name;
    const auto found = std::ranges::find(attribute_options, plain, &AttributeOption::name);
    if (found == attribute_options.end()) {
        return false;
    }
    Mount& mount = options.mount;
    mount.attributes = (mount.attributes & ~found->clear) | found->set;
    mount.attributes_clear = (mount.attributes_clear & ~found->set) | found->clear;
    (recursive ? options.has_recursive : options.has_plain) = true;
    return true;
}

bool propagation_apply(Mount& mount, std::string_view name) {
    const auto found = std::ranges::find(propagation_options, name, &PropagationOption::name);
    if (found == propagation_options.end()) {
        return false;
    }
    mount.propagation = found->propagation;
    return true;
}

Result<void> option_apply(MountOptions& options, const std::string& option) {
    OciMount& mount = options.mount;
    if (option == "bind" || option == "rbind") {
        options.is_bind = true;
        options.binds_recursively = option == "rbind";
        return ok;
    }
    if (option == "tmpcopyup") {
        mount.copies_up = true;
        return ok;
    }
    if (option == "idmap" || option == "ridmap") {
        return mount_unsupported(mount.target, "the option " + option);
    }
    if (attribute_apply(options, option) || propagation_apply(mount, option) ||
        std::ranges::find(idle_options, option) != idle_options.end()) {
        return ok;
    }
    const std::size_t equals = option.find('=');
    mount.options.emplace_back(option.substr(0, equals),
                               equals == std::string::npos ? "" : option.substr(equals + 1));
    return ok;
}

Result<void> bind_finish(MountOptions& options) {
    Mount& mount = options.mount;
    mount.kind = MountKind::bind;
    mount.fstype.clear();
    mount.recursive = options.binds_recursively;
    mount.attributes_recursive = options.has_recursive;
    if (mount.source.empty()) {
        return mount_error(mount.target, "a bind mount needs a source");
    }
    if (options.has_plain && options.has_recursive && mount.recursive) {
        return mount_unsupported(mount.target,
                                 "attributes of the mount alone together with recursive ones");
    }
    if (!mount.options.empty()) {
        return mount_error(mount.target,
                           "a bind mount has no option \"" + mount.options.front().first + "\"");
    }
    return ok;
}

void filesystem_finish(Mount& mount) {
    // What a new file system has not, need not be taken away.
    mount.attributes_clear = 0;
    mount.no_symlink = mount.fstype == "proc" || mount.fstype == "sysfs";
    if (mount.source == mount.fstype) {
        mount.source.clear();
    }
}

}  // namespace

std::vector<std::string> oci_mount_option_names() {
    std::vector<std::string> names{"bind", "rbind"};
    for (const AttributeOption& option : attribute_options) {
        names.emplace_back(option.name);
        names.push_back("r" + std::string(option.name));
    }
    for (const PropagationOption& option : propagation_options) {
        names.emplace_back(option.name);
    }
    names.insert(names.end(), idle_options.begin(), idle_options.end());
    std::ranges::sort(names);
    return names;
}

Result<OciMount> oci_mount_parse(const JsonValue& json) {
    MountOptions options;
    OciMount& mount = options.mount;
    TRY(mount.target, json.string_or("destination", ""));
    if (mount.target.empty()) {
        return Error(ErrorKind::invalid_argument, "mounts: an entry has no destination");
    }
    if (mount.target.front() != '/') {
        mount.target.insert(
            0, "/");  // As runc: relative to the root. The specification deprecates it.
    }
    TRY(mount.fstype, json.string_or("type", ""));
    TRY(mount.source, json.string_or("source", ""));
    TRY(const std::vector<std::string> words, json.strings("options"));
    for (const std::string& word : words) {
        TRY_VOID(option_apply(options, word));
    }
    for (const char* key : {"uidMappings", "gidMappings"}) {
        TRY(const JsonValue mappings, json.array(key));
        TRY(const std::vector<JsonValue> entries, mappings.as_array());
        if (!entries.empty()) {
            return mount_unsupported(mount.target, "id mappings of a mount");
        }
    }
    if (options.is_bind || mount.fstype == "bind") {
        TRY_VOID(bind_finish(options));
    } else if (mount.fstype == "cgroup" || mount.fstype == "cgroup2") {
        mount.kind = MountKind::cgroup;
        mount.fstype.clear();
        mount.source.clear();
        mount.options.clear();  // Which controllers there are the host has decided.
    } else if (mount.fstype.empty()) {
        return mount_error(mount.target, "the type is missing");
    } else {
        filesystem_finish(mount);
    }
    if (mount.copies_up && mount.fstype != "tmpfs") {
        return mount_error(mount.target, "tmpcopyup is an option of a tmpfs");
    }
    return std::move(options.mount);
}

}  // namespace davit
