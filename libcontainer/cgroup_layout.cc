// What hierarchies the host has (cgroup.h).
#include <algorithm>
#include <array>

#include "libcontainer/cgroup.h"

namespace davit {

namespace {

std::string_view field_next(std::string_view& line) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view field = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return field;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(separator), text.size());
        if (end > 0) {
            parts.emplace_back(text.substr(0, end));
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

/// mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto digit = [&](std::size_t at) {
            return at < text.size() && text[at] >= '0' && text[at] <= '7' ? text[at] - '0' : -1;
        };
        if (text[i] == '\\' && digit(i + 1) >= 0 && digit(i + 2) >= 0 && digit(i + 3) >= 0) {
            plain.push_back(static_cast<char>(digit(i + 1) * 64 + digit(i + 2) * 8 + digit(i + 3)));
            i += 3;
        } else {
            plain.push_back(text[i]);
        }
    }
    return plain;
}

constexpr std::array<std::string_view, 14> v1_controllers = {"cpu",
                                                             "cpuacct",
                                                             "cpuset",
                                                             "memory",
                                                             "devices",
                                                             "freezer",
                                                             "blkio",
                                                             "pids",
                                                             "net_cls",
                                                             "net_prio",
                                                             "perf_event",
                                                             "hugetlb",
                                                             "rdma",
                                                             "misc"};

/// The v1 controllers among a mount's superblock options ("rw,cpu,cpuacct").
std::vector<std::string> controllers_of(std::string_view options) {
    std::vector<std::string> controllers;
    for (std::string& option : split(options, ',')) {
        if (std::find(v1_controllers.begin(), v1_controllers.end(), option) !=
            v1_controllers.end()) {
            controllers.push_back(std::move(option));
        }
    }
    return controllers;
}

/// One line of mountinfo: "36 35 98:0 /root /mnt options [optional...] - fstype source super".
void line_add(std::string_view line, CgroupLayout& layout) {
    for (int skipped = 0; skipped < 3; ++skipped) {
        field_next(line);
    }
    const std::string_view root = field_next(line);
    const std::string mount_point = unescape(field_next(line));
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos || root != "/") {
        return;  // A part of a hierarchy bound elsewhere is not where new cgroups go.
    }
    line.remove_prefix(dash + 3);
    const std::string_view type = field_next(line);
    field_next(line);
    CgroupLayout::Hierarchy hierarchy;
    hierarchy.mount_point = mount_point;
    hierarchy.unified = type == "cgroup2";
    if (type == "cgroup") {
        hierarchy.controllers = controllers_of(field_next(line));
    }
    if (!hierarchy.unified && hierarchy.controllers.empty()) {
        return;
    }
    const bool known =
        std::any_of(layout.hierarchies.begin(), layout.hierarchies.end(), [&](const auto& other) {
            return other.unified == hierarchy.unified && other.controllers == hierarchy.controllers;
        });
    if (!known) {
        layout.hierarchies.push_back(std::move(hierarchy));
    }
}

}  // namespace

Result<CgroupLayout> CgroupLayout::parse(std::string_view mountinfo) {
    CgroupLayout layout;
    while (!mountinfo.empty()) {
        const std::size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
        line_add(mountinfo.substr(0, end), layout);
        mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    }
    if (layout.hierarchies.empty()) {
        return Error(ErrorKind::unsupported, "no cgroup hierarchy is mounted");
    }
    const bool any_v1 = std::any_of(layout.hierarchies.begin(),
                                    layout.hierarchies.end(),
                                    [](const auto& hierarchy) { return !hierarchy.unified; });
    if (layout.unified() == nullptr) {
        layout.mode = CgroupMode::v1;
    } else {
        layout.mode = any_v1 ? CgroupMode::hybrid : CgroupMode::v2;
    }
    return layout;
}

Result<CgroupLayout> CgroupLayout::detect() {
    TRY(const std::string mountinfo, file_read("/proc/self/mountinfo", 16 * 1024 * 1024));
    TRY(CgroupLayout layout, parse(mountinfo));
    for (Hierarchy& hierarchy : layout.hierarchies) {
        if (hierarchy.unified) {
            TRY(std::string text, file_read(hierarchy.mount_point + "/cgroup.controllers"));
            std::replace(text.begin(), text.end(), '\n', ' ');
            hierarchy.controllers = split(text, ' ');
        }
    }
    return layout;
}

const CgroupLayout::Hierarchy* CgroupLayout::find(std::string_view controller) const {
    for (const Hierarchy& hierarchy : hierarchies) {
        const auto& list = hierarchy.controllers;
        if (std::find(list.begin(), list.end(), controller) != list.end()) {
            return &hierarchy;
        }
    }
    return nullptr;
}

const CgroupLayout::Hierarchy* CgroupLayout::unified() const {
    const auto found = std::find_if(hierarchies.begin(),
                                    hierarchies.end(),
                                    [](const auto& hierarchy) { return hierarchy.unified; });
    return found == hierarchies.end() ? nullptr : &*found;
}

}  // namespace davit
