#include "jobs/container/mount_parse.h"

#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <span>

#include "jobs/container/field_check.h"
#include "jobs/container/path_clean.h"
#include "reactor/base/ids.h"

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

Error bad_spec(const std::string& spec) {
    return bad("invalid volume specification: '" + spec + "'");
}

Error bad_mount(const MountRequest& request, std::string_view why) {
    return bad("invalid mount config for type \"" + request.type + "\": " + std::string(why));
}

Error bad_field(const MountRequest& request, std::string_view field, std::string_view must) {
    return bad_mount(request, "field " + std::string(field) + " must not be " + std::string(must));
}

std::string_view word_take(std::string_view& text) {
    const std::string_view word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    return word;
}

/// "ro,z,rslave": at most one word of each family. Labels mean nothing without SELinux, consistency
/// nothing on Linux.
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

/// The word of a family that is among the mode's; "" if none is.
std::string_view mode_word(std::string_view mode, Words family) {
    while (!mode.empty()) {
        const std::string_view word = word_take(mode);
        if (is_one_of(word, family)) {
            return word;
        }
    }
    return "";
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

/// Follows: Go's filepath.IsLocal: not absolute, and never above where it begins.
bool is_local_path(std::string_view path) {
    int depth = 0;
    if (path.empty() || path.front() == '/') {
        return false;
    }
    while (!path.empty()) {
        const std::string_view part = path.substr(0, path.find('/'));
        path.remove_prefix(std::min(path.size(), part.size() + 1));
        depth += part == ".." ? -1 : (part.empty() || part == "." ? 0 : 1);
        if (depth < 0) {
            return false;
        }
    }
    return true;
}

std::string octal_text(std::uint32_t value) {
    std::string text;
    for (; value != 0; value >>= 3U) {
        text.insert(text.begin(), static_cast<char>('0' + (value & 7U)));
    }
    return text;
}

Result<std::string> tmpfs_words(const TmpfsOptions& options) {
    static constexpr std::array<std::string_view, 2> known{"exec", "noexec"};
    std::string words;
    for (const std::vector<std::string>& option : options.options) {
        if (option.empty() || option.size() > 2) {
            return bad("invalid option array length");
        }
        if (!is_one_of(option[0], known)) {
            return bad("invalid option: " + option[0]);
        }
        words += "," + option[0] + (option.size() == 2 ? "=" + option[1] : "");
    }
    return words;
}

/// What options of other types may not be there; checked in Docker's order.
Result<void> foreign_options_check(const MountRequest& request) {
    const auto refuse = [&](std::string_view type, std::string_view field, bool given) {
        return given && request.type != type ? Result<void>(bad_field(request, field, "specified"))
                                             : ok;
    };
    TRY_VOID(refuse("bind", "BindOptions", request.bind_options.has_value()));
    TRY_VOID(refuse("volume", "VolumeOptions", request.volume_options.has_value()));
    TRY_VOID(refuse("image", "ImageOptions", request.image_options.has_value()));
    return refuse("tmpfs", "TmpfsOptions", request.tmpfs_options.has_value());
}

Result<void> subpath_check(const MountRequest& request, const std::string& subpath) {
    if (!subpath.empty() && !is_local_path(subpath)) {
        return bad_mount(request, "subpath must be a relative path within the volume");
    }
    return ok;
}

Result<MountPoint> tmpfs_request_parse(const MountRequest& request) {
    if (!request.source.empty()) {
        return bad_field(request, "Source", "specified");
    }
    const TmpfsOptions wanted = request.tmpfs_options.value_or(TmpfsOptions{});
    if (wanted.size_bytes < 0 || wanted.mode > 07777) {
        return bad_mount(request, "invalid tmpfs size or mode");
    }
    std::string options = request.read_only ? ",ro" : "";
    if (wanted.mode != 0) {
        options += ",mode=" + octal_text(wanted.mode);
    }
    if (wanted.size_bytes != 0) {
        options += ",size=" + std::to_string(wanted.size_bytes);
    }
    const Result<std::string> words = tmpfs_words(wanted);
    if (!words) {
        return bad_mount(request, words.error().message());
    }
    options += *words;
    TRY(MountPoint mount,
        mount_tmpfs_parse(request.target, options.empty() ? options : options.substr(1)));
    mount.listed = true;
    return mount;
}

Result<MountPoint> bind_request_parse(const MountRequest& request) {
    const BindOptions options = request.bind_options.value_or(BindOptions{});
    if (request.source.empty()) {
        return bad_field(request, "Source", "empty");
    }
    if (!options.propagation.empty() && !is_one_of(options.propagation, propagation_words)) {
        return bad_mount(request, "invalid propagation mode: " + options.propagation);
    }
    if (request.source.front() != '/') {
        return bad_mount(
            request, "invalid mount path: '" + request.source + "' mount path must be absolute");
    }
    if (options.read_only_non_recursive && options.read_only_force_recursive) {
        return bad_mount(request,
                         "ReadOnlyNonRecursive and ReadOnlyForceRecursive exclude each other");
    }
    if (options.read_only_non_recursive && !request.read_only) {
        return bad_mount(request, "ReadOnlyNonRecursive needs ReadOnly");
    }
    if (options.read_only_force_recursive && !request.read_only) {
        return bad_mount(request, "ReadOnlyForceRecursive needs ReadOnly");
    }
    MountPoint mount;
    mount.source = path_clean(request.source);
    mount.propagation = options.propagation.empty() ? "rprivate" : options.propagation;
    mount.recursive = !options.non_recursive;
    mount.read_only_recursive = !options.read_only_non_recursive;
    mount.create_source = options.create_mountpoint;
    return mount;
}

Result<MountPoint> volume_request_parse(const MountRequest& request) {
    const VolumeOptions options = request.volume_options.value_or(VolumeOptions{});
    const VolumeDriverConfig driver = options.driver_config.value_or(VolumeDriverConfig{});
    const bool anonymous = request.source.empty();
    if (anonymous && !options.subpath.empty()) {
        return bad_mount(request, "must not set Subpath when using anonymous volumes");
    }
    TRY_VOID(subpath_check(request, options.subpath));
    if (anonymous && request.read_only) {
        return bad_mount(request, "must not set ReadOnly mode when using anonymous volumes");
    }
    constexpr std::size_t name_bytes = 32;
    MountPoint mount;
    mount.name = anonymous ? random_hex(name_bytes) : request.source;
    mount.driver = driver.name.empty() ? "local" : driver.name;
    mount.mode = "z";  // As Docker, which would label it for SELinux.
    mount.copy_up = !options.no_copy;
    mount.anonymous = anonymous;
    mount.subpath = options.subpath;
    mount.volume_labels = options.labels;
    mount.volume_options = driver.options;
    return mount;
}

Result<MountPoint> image_request_parse(const MountRequest& request) {
    const ImageOptions options = request.image_options.value_or(ImageOptions{});
    if (request.source.empty()) {
        return bad_field(request, "Source", "empty");
    }
    TRY_VOID(subpath_check(request, options.subpath));
    MountPoint mount;
    mount.name = request.source;
    mount.subpath = options.subpath;
    mount.propagation = "rprivate";
    return mount;
}

Result<MountPoint> typed_parse(const MountRequest& request) {
    if (request.type == "bind") {
        return bind_request_parse(request);
    }
    return request.type == "volume" ? volume_request_parse(request) : image_request_parse(request);
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

}  // namespace

Result<MountPoint> mount_bind_parse(const std::string& spec, const std::string& volume_driver) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at != std::string::npos && parts.size() < 4;) {
        const std::size_t colon = spec.find(':', at);
        parts.push_back(spec.substr(at, colon == std::string::npos ? colon : colon - at));
        at = colon == std::string::npos ? colon : colon + 1;
    }
    if (parts.front().empty() || parts.size() > 3 ||
        (parts.size() == 2 && is_mode(parts[1]))) {  // "/foo:ro": a volume takes no mode.
        return bad_spec(spec);
    }
    const std::string mode = parts.size() == 3 ? parts[2] : "";
    if (!is_mode(mode)) {
        return bad("invalid mode: " + mode);
    }
    MountRequest request;
    request.source = parts.size() == 1 ? "" : parts[0];
    request.target = parts.size() == 1 ? parts[0] : parts[1];
    request.type = request.source.starts_with('/') ? "bind" : "volume";
    request.read_only = mode_word(mode, access_words) == "ro";
    if (!volume_driver.empty() && request.type == "volume") {
        request.volume_options.emplace().driver_config.emplace().name = volume_driver;
    }
    if (const std::string_view copy = mode_word(mode, copy_words); !copy.empty()) {
        request.volume_options = request.volume_options.value_or(VolumeOptions{});
        request.volume_options->no_copy = copy == "nocopy";
    }
    if (const std::string_view word = mode_word(mode, propagation_words); !word.empty()) {
        request.bind_options.emplace().propagation = word;
    }
    Result<MountPoint> mount = mount_request_parse(request);
    if (!mount) {
        return bad(bad_spec(spec).message() + ": " + mount.error().message());
    }
    mount->create_source = true;
    if (request.type == "bind" || !mode.empty()) {
        mount->mode = mode;
    }
    return mount;
}

Result<MountPoint> mount_request_parse(const MountRequest& request) {
    static constexpr std::array<std::string_view, 2> later{"npipe", "cluster"};
    static constexpr std::array<std::string_view, 4> known{"bind", "volume", "tmpfs", "image"};
    if (is_one_of(request.type, later)) {
        return Error(ErrorKind::unsupported,
                     "Mounts: type \"" + request.type + "\" of " + request.target +
                         " is not supported by davit: use bind, volume, tmpfs or image");
    }
    if (const std::string problem = target_problem(request.target); !problem.empty()) {
        return bad_mount(request, problem);
    }
    if (!is_one_of(request.type, known)) {
        return bad_mount(request, "mount type unknown");
    }
    TRY_VOID(foreign_options_check(request));
    if (!request.consistency.empty() && !is_one_of(request.consistency, consistency_words)) {
        return bad_mount(request, "invalid consistency: " + request.consistency);
    }
    if (request.type == "tmpfs") {
        return tmpfs_request_parse(request);
    }
    TRY(MountPoint mount, typed_parse(request));
    mount.type = request.type;
    mount.destination = path_clean(request.target);
    mount.read_write = !request.read_only && request.type != "image";
    return mount;
}

Result<MountPoint> mount_tmpfs_parse(const std::string& target, std::string options) {
    if (const std::string problem = target_problem(target); !problem.empty()) {
        return bad(problem);
    }
    MountPoint mount;
    mount.type = "tmpfs";
    mount.destination = path_clean(target);
    mount.options = std::move(options);
    TRY([[maybe_unused]] const Mount checked, tmpfs_spec(mount));
    mount.read_write = (checked.attributes & MOUNT_ATTR_RDONLY) == 0;
    return mount;
}

Result<VolumesFrom> volumes_from_parse(const std::string& spec) {
    if (spec.empty()) {
        return bad("volumes-from specification cannot be an empty string");
    }
    const std::size_t colon = spec.find(':');
    const std::string mode = colon == std::string::npos ? "" : spec.substr(colon + 1);
    if (!is_mode(mode) || !mode_word(mode, propagation_words).empty() ||
        !mode_word(mode, copy_words).empty()) {
        return bad("invalid mode: " + mode);
    }
    return VolumesFrom{spec.substr(0, colon), mode_word(mode, access_words) != "ro"};
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

}  // namespace davit
