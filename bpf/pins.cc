#include "bpf/pins.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include <bpf/bpf.h>

#include "reactor/base/fd.h"

namespace davit {

namespace {

constexpr std::string_view link_prefix = "link_";

/// Names in a folder; none if it is not there.
Result<std::vector<std::string>> names_in(const std::string& folder) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(folder.c_str()), ::closedir);
    if (!directory) {
        return errno == ENOENT ? Result<std::vector<std::string>>(names)
                               : Error::from_errno(errno, "opendir", folder);
    }
    while (const dirent* entry = ::readdir(directory.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") {
            names.push_back(name);
        }
    }
    std::ranges::sort(names);
    return names;
}

/// The folders of the layouts: "v1". The kernel has files of its own beside them.
Result<std::vector<std::string>> layouts_in(const std::string& pin_directory) {
    TRY(std::vector<std::string> names, names_in(pin_directory));
    std::erase_if(names, [](const std::string& name) { return !name.starts_with('v'); });
    return names;
}

Result<Fd> pinned_open(const std::string& path) {
    Fd fd(bpf_obj_get(path.c_str()));
    if (!fd) {
        return Error::from_errno(errno, "open what is pinned at", path);
    }
    return fd;
}

bool is_link(std::string_view name) {
    return name.starts_with(link_prefix);
}

}  // namespace

Result<NetworkPins> network_pins_read(const std::string& pin_directory) {
    NetworkPins pins;
    TRY(const std::vector<std::string> layouts, layouts_in(pin_directory));
    for (const std::string& layout : layouts) {
        const std::string folder = pin_directory + "/" + layout;
        TRY(const std::vector<std::string> names, names_in(folder));
        for (const std::string& name : names) {
            if (is_link(name)) {
                pins.hooks.push_back(name.substr(link_prefix.size()));
            } else {
                pins.maps.push_back(name);
            }
        }
    }
    return pins;
}

Result<void> network_pins_remove(const std::string& pin_directory, const std::string& kept_layout) {
    TRY(std::vector<std::string> layouts, layouts_in(pin_directory));
    std::erase(layouts, kept_layout);
    for (const std::string& layout : layouts) {
        const std::string folder = pin_directory + "/" + layout;
        TRY(const std::vector<std::string> names, names_in(folder));
        for (const std::string& name : names) {
            const std::string path = folder + "/" + name;
            if (is_link(name)) {
                TRY(const Fd link, pinned_open(path));
                // A cgroup that is gone has taken the attachment with it.
                if (bpf_link_detach(link.get()) != 0 && errno != ENOLINK && errno != ENOENT) {
                    return Error::from_errno(errno, "detach", name);
                }
            }
            if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
                return Error::from_errno(errno, "unlink", path);
            }
        }
        if (::rmdir(folder.c_str()) != 0 && errno != ENOENT) {
            return Error::from_errno(errno, "rmdir", folder);
        }
    }
    return ok;
}

}  // namespace davit
