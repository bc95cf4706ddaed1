#include "jobs/container/mount_points.h"

#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "jobs/container/path_clean.h"

namespace davit {

namespace {

using Words = std::span<const std::string_view>;

constexpr std::array<std::string_view, 2> access_words{"ro", "rw"};
constexpr std::array<std::string_view, 2> label_words{"z", "Z"};
constexpr std::array<std::string_view, 2> copy_words{"copy", "nocopy"};
constexpr std::array<std::string_view, 6> propagation_words{
    "private", "rprivate", "slave", "rslave", "shared", "rshared"};
constexpr std::array<std::string_view, 4> consistency_words{
    "default", "consistent", "cached", "delegated"};

Error bad(std::string message) {
    return Error(ErrorKind::invalid_argument, std::move(message));
}

Error bad_volume(const std::string& spec, std::string_view why) {
    std::string message = "invalid volume specification: '" + spec + "'";
    return bad(why.empty() ? message : message.append(": ").append(why));
}

Error bad_mount(const MountRequest& request, std::string_view why) {
    return bad("invalid mount config for type \"" + request.type + "\": " + std::string(why));
}

bool is_one_of(std::string_view word, Words known) {
    return std::ranges::find(known, word) != known.end();
}

std::string_view word_take(std::string_view& text) {
    const std::string_view word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    return word;
}

/// "ro,z,rslave": at most one word of each family. Labels mean nothing without SELinux, copying
/// nothing for a bind, consistency nothing on Linux.
bool is_mode(std::string_view mode) {
    constexpr std::array<Words, 5> families{
        access_words, label_words, copy_words, propagation_words, consistency_words};
    std::array<int, 5> counts{};
    while (!mode.empty()) {
        const std::string_view word = word_take(mode);
        const auto family = std::ranges::find_if(
            families, [&](const Words& words) { return is_one_of(word, words); });
        if (family == families.end() ||
            ++counts[static_cast<std::size_t>(family - families.begin())] > 1) {
            return false;
        }
    }
    return true;
}

/// Why a path cannot be mounted on; "" if it can.
std::string target_problem(const std::string& target) {
    if (target.empty()) {
        return "field Target must not be empty";
    }
    if (target.front() != '/') {
        return "invalid mount path: '" + target + "' mount path must be absolute";
    }
    if (path_clean(target) == "/") {
        return "invalid specification: destination can't be '/'";
    }
    return "";
}

/// src:dst[:mode]. Follows: docker-run(1) --volume.
Result<MountPoint> bind_parse(const std::string& spec) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at != std::string::npos && parts.size() < 4;) {
        const std::size_t colon = spec.find(':', at);
        parts.push_back(spec.substr(at, colon == std::string::npos ? colon : colon - at));
        at = colon == std::string::npos ? colon : colon + 1;
    }
    if (parts.front().empty() || parts.size() > 3 ||
        (parts.size() == 2 && is_mode(parts[1]))) {  // "/foo:ro": a volume takes no mode.
        return bad_volume(spec, "");
    }
    if (parts.size() == 1 || parts.front().front() != '/') {
        return Error(ErrorKind::unsupported,
                     "Binds \"" + spec +
                         "\": volumes are not supported by davit yet: give the absolute path of a "
                         "directory of the host before the colon");
    }
    MountPoint mount;
    mount.type = "bind";
    mount.mode = parts.size() == 3 ? parts[2] : "";
    if (!is_mode(mount.mode)) {
        return bad("invalid mode: " + mount.mode);
    }
    if (const std::string problem = target_problem(parts[1]); !problem.empty()) {
        return bad_volume(spec, problem);
    }
    mount.source = path_clean(parts[0]);
    mount.destination = path_clean(parts[1]);
    mount.propagation = "rprivate";
    mount.create_source = true;
    for (std::string_view rest = mount.mode; !rest.empty();) {
        const std::string_view word = word_take(rest);
        mount.read_write = mount.read_write && word != "ro";
        mount.propagation =
            is_one_of(word, propagation_words) ? std::string(word) : std::move(mount.propagation);
    }
    return mount;
}

Result<MountPoint> tmpfs_make(const std::string& target, std::string options) {
    if (const std::string problem = target_problem(target); !problem.empty()) {
        return bad(problem);
    }
    MountPoint mount;
    mount.type = "tmpfs";
    mount.destination = path_clean(target);
    mount.options = std::move(options);
    TRY([[maybe_unused]] const Mount checked, mount_point_spec(mount));
    mount.read_write = (checked.attributes & MOUNT_ATTR_RDONLY) == 0;
    return mount;
}

std::string octal_text(std::uint32_t value) {
    std::string text;
    for (; value != 0; value >>= 3U) {
        text.insert(text.begin(), static_cast<char>('0' + (value & 7U)));
    }
    return text;
}

Result<MountPoint> tmpfs_request_parse(const MountRequest& request) {
    if (request.bind_options) {
        return bad_mount(request, "field BindOptions must not be specified");
    }
    if (!request.source.empty()) {
        return bad_mount(request, "field Source must not be specified");
    }
    const TmpfsOptions wanted = request.tmpfs_options.value_or(TmpfsOptions{});
    if (wanted.size_bytes < 0 || wanted.mode > 07777) {
        return bad_mount(request, "invalid tmpfs size or mode");
    }
    std::string options = request.read_only ? "ro" : "";
    const auto add = [&](std::string_view name, const std::string& value) {
        options.append(options.empty() ? "" : ",").append(name).append(value);
    };
    if (wanted.mode != 0) {
        add("mode=", octal_text(wanted.mode));
    }
    if (wanted.size_bytes != 0) {
        add("size=", std::to_string(wanted.size_bytes));
    }
    TRY(MountPoint mount, tmpfs_make(request.target, std::move(options)));
    mount.listed = true;
    return mount;
}

Result<MountPoint> bind_request_parse(const MountRequest& request) {
    const BindOptions options = request.bind_options.value_or(BindOptions{});
    if (request.tmpfs_options) {
        return bad_mount(request, "field TmpfsOptions must not be specified");
    }
    if (request.source.empty()) {
        return bad_mount(request, "field Source must not be empty");
    }
    if (!options.propagation.empty() && !is_one_of(options.propagation, propagation_words)) {
        return bad_mount(request, "invalid propagation mode: " + options.propagation);
    }
    if (request.source.front() != '/') {
        return bad_mount(
            request, "invalid mount path: '" + request.source + "' mount path must be absolute");
    }
    if (options.read_only_non_recursive) {
        return Error(ErrorKind::unsupported,
                     "Mounts.BindOptions.ReadOnlyNonRecursive is not supported by davit yet: leave "
                     "it out, mounts below a read-only one are read-only too");
    }
    if (options.read_only_force_recursive && !request.read_only) {
        return bad_mount(request, "ReadOnlyForceRecursive needs ReadOnly");
    }
    MountPoint mount;
    mount.type = "bind";
    mount.source = path_clean(request.source);
    mount.destination = path_clean(request.target);
    mount.read_write = !request.read_only;
    mount.propagation = options.propagation.empty() ? "rprivate" : options.propagation;
    mount.recursive = !options.non_recursive;
    mount.create_source = options.create_mountpoint;
    return mount;
}

Result<MountPoint> request_parse(const MountRequest& request) {
    static constexpr std::array<std::string_view, 4> later{"volume", "image", "npipe", "cluster"};
    if (is_one_of(request.type, later)) {
        return Error(ErrorKind::unsupported,
                     "Mounts: type \"" + request.type + "\" of " + request.target +
                         " is not supported by davit yet: use bind or tmpfs");
    }
    if (request.type != "bind" && request.type != "tmpfs") {
        return bad_mount(request, "mount type unknown");
    }
    if (const std::string problem = target_problem(request.target); !problem.empty()) {
        return bad_mount(request, problem);
    }
    if (request.has_volume_options) {
        return bad_mount(request, "field VolumeOptions must not be specified");
    }
    if (request.has_image_options) {
        return bad_mount(request, "field ImageOptions must not be specified");
    }
    if (!request.consistency.empty() && !is_one_of(request.consistency, consistency_words)) {
        return bad_mount(request, "invalid consistency: " + request.consistency);
    }
    return request.type == "tmpfs" ? tmpfs_request_parse(request) : bind_request_parse(request);
}

/// The mounts below follow their top: the spec's Mount has one propagation, and applies it to what
/// the bind brought along. Follows: mount_namespaces(7) "SHARED SUBTREES".
std::uint64_t propagation_of(std::string_view name) {
    const std::string_view kind = name.starts_with('r') ? name.substr(1) : name;
    return kind == "shared"  ? std::uint64_t{MS_SHARED}
           : kind == "slave" ? std::uint64_t{MS_SLAVE}
                             : std::uint64_t{MS_PRIVATE};
}

/// Mount attributes among tmpfs's options; the rest goes to the file system.
bool tmpfs_attribute(Mount& mount, std::string_view word) {
    struct Known {
        std::string_view name;
        std::uint64_t set;
        std::uint64_t clear;
    };

    static constexpr auto known = std::to_array<Known>({
        {"defaults", 0, 0},
        {"ro", MOUNT_ATTR_RDONLY, 0},
        {"rw", 0, MOUNT_ATTR_RDONLY},
        {"noexec", MOUNT_ATTR_NOEXEC, 0},
        {"exec", 0, MOUNT_ATTR_NOEXEC},
        {"nosuid", MOUNT_ATTR_NOSUID, 0},
        {"suid", 0, MOUNT_ATTR_NOSUID},
        {"nodev", MOUNT_ATTR_NODEV, 0},
        {"dev", 0, MOUNT_ATTR_NODEV},
        {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
        {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
        {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
        {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
        {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    });
    const auto found = std::ranges::find(known, word, &Known::name);
    if (found == known.end()) {
        return false;
    }
    mount.attributes = (mount.attributes & ~found->clear) | found->set;
    return true;
}

/// Follows: tmpfs(5); Docker's defaults noexec, nosuid, nodev for --tmpfs.
Result<Mount> tmpfs_spec(const MountPoint& point) {
    static constexpr std::array<std::string_view, 7> keys{
        "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"};
    Mount mount;
    mount.kind = MountKind::filesystem;
    mount.fstype = "tmpfs";
    mount.target = point.destination;
    mount.attributes = MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    for (std::string_view rest = point.options; !rest.empty();) {
        const std::string_view word = word_take(rest);
        const std::size_t equals = word.find('=');
        if (equals != std::string_view::npos && is_one_of(word.substr(0, equals), keys)) {
            mount.options.emplace_back(word.substr(0, equals), word.substr(equals + 1));
        } else if (!word.empty() && !tmpfs_attribute(mount, word)) {
            return bad("invalid tmpfs option \"" + std::string(word) + "\" for " +
                       point.destination);
        }
    }
    return mount;
}

}  // namespace

Result<std::vector<MountPoint>> mount_points_resolve(const HostConfig& config) {
    std::vector<MountPoint> mounts;
    for (const std::string& spec : config.binds) {
        TRY(MountPoint mount, bind_parse(spec));
        mounts.push_back(std::move(mount));
    }
    for (const MountRequest& request : config.mounts) {
        TRY(MountPoint mount, request_parse(request));
        mounts.push_back(std::move(mount));
    }
    for (const auto& [target, options] : config.tmpfs) {
        TRY(MountPoint mount, tmpfs_make(target, options));
        mount.listed = false;
        mounts.push_back(std::move(mount));
    }
    std::set<std::string_view> destinations;
    for (const MountPoint& mount : mounts) {
        if (!destinations.insert(mount.destination).second) {
            return bad("Duplicate mount point: " + mount.destination);
        }
    }
    // Outer mounts before inner ones, or they would hide them.
    std::ranges::stable_sort(mounts, {}, [](const MountPoint& mount) {
        return std::ranges::count(mount.destination, '/');
    });
    return mounts;
}

Result<Mount> mount_point_spec(const MountPoint& point) {
    if (point.type == "tmpfs") {
        return tmpfs_spec(point);
    }
    Mount mount;
    mount.kind = MountKind::bind;
    mount.source = point.source;
    mount.target = point.destination;
    mount.attributes = point.read_write ? 0 : MOUNT_ATTR_RDONLY;
    mount.propagation = propagation_of(point.propagation);
    mount.recursive = point.recursive;
    return mount;
}

}  // namespace davit
