#include "graph/tar_path.h"

#include <climits>

#include "reactor/base/limits.h"

namespace davit {

namespace {

Error path_error(std::string_view path, std::string_view why) {
    std::string message("tar entry ");
    message.append(path.substr(0, shown_bytes_max)).append(": ").append(why);
    return Error(ErrorKind::corrupt, std::move(message));
}

}  // namespace

Result<std::string> tar_path_clean(std::string_view path) {
    if (path.size() > limits::tar_path_bytes_max) {
        return path_error(path, "name too long");
    }
    if (path.find('\0') != std::string_view::npos) {
        return path_error(path.substr(0, path.find('\0')), "name holds a NUL");
    }
    const std::string_view whole = path;
    std::string clean;
    clean.reserve(path.size());
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        if (part == "..") {
            if (clean.empty()) {
                return path_error(whole, "name climbs out of the archive's root");
            }
            clean.resize(tar_path_parent(clean).size());
        } else if (part.size() > NAME_MAX) {
            return path_error(whole, "name component too long");
        } else if (!part.empty() && part != ".") {
            if (!clean.empty()) {
                clean.push_back('/');
            }
            clean.append(part);
        }
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    }
    return clean;
}

}  // namespace davit
