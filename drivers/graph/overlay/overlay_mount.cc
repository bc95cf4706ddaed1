#include "drivers/graph/overlay/overlay_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <span>
#include <vector>

#include "graph/whiteout.h"
#include "libcontainer/mount.h"

namespace davit {

namespace {

/// fsconfig(2) takes strings of up to 255 bytes.
constexpr std::size_t fsconfig_value_max = 255;

/// Where the string method mounts for a moment, below the base.
constexpr const char* mount_point = "mountpoint";

/// One at a time: a copy is of what is mounted there last, and workers mount at once.
std::mutex mount_point_turn;

/// Set on every mount, whatever the kernel was built with: layers are shared between mounts, come
/// from archives and are packed again, none of which goes with redirects, metadata-only copies or
/// an index of inodes.
constexpr std::pair<const char*, const char*> fixed_options[] = {
    {"index", "off"},
    {"metacopy", "off"},
    {"redirect_dir", "nofollow"},
};

/// The base's own path where overlayfs can take it literally, since it is what people see in
/// /proc/mounts; else a path through our descriptor, which is short and has no special characters.
std::string base_prefix(OverlayBase base, std::size_t longest_name) {
    if (!base.path.empty() && base.path.find_first_of("\\:,") == std::string::npos &&
        base.path.size() + 1 + longest_name <= fsconfig_value_max) {
        return base.path + "/";
    }
    return "/proc/self/fd/" + std::to_string(base.fd) + "/";
}

std::size_t longest_name(const OverlaySpec& spec) {
    std::size_t longest = std::max(spec.upper.size(), spec.work.size());
    for (const std::string& lower : spec.lower) {
        longest = std::max(longest, lower.size());
    }
    return longest;
}

Result<Fd> mount_append(OverlayBase base, const OverlaySpec& spec) {
    const std::string prefix = base_prefix(base, longest_name(spec));
    TRY(MountContext context, MountContext::open("overlay"));
    for (const std::string& lower : spec.lower) {
        if (Result<void> set = context.set("lowerdir+", (prefix + lower).c_str()); !set) {
            return std::move(set).error().context("layer", lower);
        }
    }
    if (!spec.upper.empty()) {
        TRY_VOID(context.set("upperdir", (prefix + spec.upper).c_str()));
        TRY_VOID(context.set("workdir", (prefix + spec.work).c_str()));
        if (spec.is_volatile) {
            TRY_VOID(context.set_flag("volatile"));
        }
    }
    for (const auto& [key, value] : fixed_options) {
        TRY_VOID(context.set(key, value));
    }
    if (overlay_xattrs_are_user()) {
        TRY_VOID(context.set_flag("userxattr"));
    }
    return context.mount(spec.upper.empty() ? MOUNT_ATTR_RDONLY : 0);
}

std::string descriptor_path(int fd) {
    return "/proc/self/fd/" + std::to_string(fd);
}

std::string mount_point_path(OverlayBase base) {
    return descriptor_path(base.fd) + "/" + mount_point;
}

/// The layers are named by their descriptors: all options must fit into one page, and so some 200
/// layers do.
std::string option_string(OverlayBase base, const OverlaySpec& spec, std::span<const Fd> lower) {
    const std::string prefix = descriptor_path(base.fd) + "/";
    std::string options = "lowerdir=";
    for (const Fd& layer : lower) {
        options.append(descriptor_path(layer.get())).push_back(':');
    }
    options.pop_back();
    if (!spec.upper.empty()) {
        options.append(",upperdir=").append(prefix).append(spec.upper);
        options.append(",workdir=").append(prefix).append(spec.work);
        if (spec.is_volatile) {
            options.append(",volatile");
        }
    }
    for (const auto& [key, value] : fixed_options) {
        options.append(",").append(key).append("=").append(value);
    }
    if (overlay_xattrs_are_user()) {
        options.append(",userxattr");
    }
    return options;
}

Result<Fd> mount_string(OverlayBase base, const OverlaySpec& spec) {
    std::vector<Fd> lower;
    for (const std::string& name : spec.lower) {
        Result<Fd> layer = Fd::openat(base.fd, name, O_PATH | O_DIRECTORY);
        if (!layer) {
            return std::move(layer).error().context("layer", name);
        }
        lower.push_back(*std::move(layer));
    }
    const std::string options = option_string(base, spec, lower);
    if (options.size() >= static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
        return Error(ErrorKind::resource_exhausted,
                     "too many layers for this kernel: " + std::to_string(spec.lower.size()));
    }
    if (::mkdirat(base.fd, mount_point, 0700) != 0 && errno != EEXIST) {
        return Error::from_errno(errno, "mkdirat", mount_point);
    }
    const std::string target = mount_point_path(base);
    const std::lock_guard turn(mount_point_turn);
    const unsigned long flags = spec.upper.empty() ? MS_RDONLY : 0;
    if (::mount("overlay", target.c_str(), "overlay", flags, options.c_str()) != 0) {
        return Error::from_errno(errno, "mount", "overlay");
    }
    Result<Fd> detached = open_tree_clone(base.fd, mount_point, false);
    TRY_VOID(mount_detach(target));
    return detached;
}

}  // namespace

Result<OverlayMountMethod> overlay_mount_method_probe(OverlayBase base) {
    const std::string prefix = base_prefix(base, 0);
    const auto knows = [&](const char* key) -> Result<bool> {
        TRY(MountContext context, MountContext::open("overlay"));
        // Any directory will do: the question is whether the key is known.
        return context.set(key, prefix.c_str()).has_value();
    };
    TRY(const bool any, knows("no-such-key"));
    TRY(const bool append, knows("lowerdir+"));
    // Before Linux 6.5 overlayfs takes every key, and refuses them all at once in the end.
    return append && !any ? OverlayMountMethod::append : OverlayMountMethod::string;
}

void overlay_mount_point_clear(OverlayBase base) {
    const std::string path = mount_point_path(base);
    while (mount_detach(path)) {
    }
}

Result<Fd> overlay_mount(OverlayBase base, OverlayMountMethod method, const OverlaySpec& spec) {
    return method == OverlayMountMethod::append ? mount_append(base, spec)
                                                : mount_string(base, spec);
}

}  // namespace davit
