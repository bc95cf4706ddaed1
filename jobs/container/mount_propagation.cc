#include "jobs/container/mount_propagation.h"

#include <algorithm>
#include <string_view>

namespace davit {

namespace {

/// One line of mountinfo; proc(5): the optional fields are between the sixth and a "-".
struct MountLine {
    std::string point;
    bool shared = false;
    bool slave = false;
};

/// "\040" and the like back to what they stand for.
std::string unescaped(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            const int value =
                (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
            plain.push_back(static_cast<char>(value));
            i += 3;
        } else {
            plain.push_back(text[i]);
        }
    }
    return plain;
}

MountLine line_parse(std::string_view line) {
    constexpr std::size_t point_field = 4;
    constexpr std::size_t optional_field = 6;
    MountLine mount;
    for (std::size_t field = 0; !line.empty(); ++field) {
        const std::string_view word = line.substr(0, line.find(' '));
        line.remove_prefix(std::min(line.size(), word.size() + 1));
        if (field == point_field) {
            mount.point = unescaped(word);
        } else if (field >= optional_field && word == "-") {
            break;
        } else if (field >= optional_field) {
            mount.shared = mount.shared || word.starts_with("shared:");
            mount.slave = mount.slave || word.starts_with("master:");
        }
    }
    return mount;
}

bool contains(const std::string& point, const std::string& path) {
    return point == "/" || path == point || path.starts_with(point + "/");
}

}  // namespace

Result<void> mount_propagation_check(const std::string& path,
                                     const std::string& propagation,
                                     const std::string& mountinfo) {
    const bool wants_shared = propagation.ends_with("shared");
    if (!wants_shared && !propagation.ends_with("slave")) {
        return ok;
    }
    MountLine found;
    for (std::string_view rest = mountinfo; !rest.empty();) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        MountLine mount = line_parse(line);
        // Of two on the same point the later one is on top.
        if (contains(mount.point, path) && mount.point.size() >= found.point.size()) {
            found = std::move(mount);
        }
    }
    if (found.shared || (!wants_shared && found.slave)) {
        return ok;
    }
    return Error(ErrorKind::internal,
                 "path " + path + " is mounted on " + found.point + " but it is not a shared " +
                     (wants_shared ? "mount" : "or slave mount"));
}

}  // namespace davit
