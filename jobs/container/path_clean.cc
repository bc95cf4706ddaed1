#include "jobs/container/path_clean.h"

#include <algorithm>

namespace davit {

std::string path_clean(std::string_view path) {
    std::string clean;
    while (!path.empty()) {
        const std::string_view part = path.substr(0, path.find('/'));
        path.remove_prefix(std::min(path.size(), part.size() + 1));
        if (part == "..") {
            clean.erase(std::min(clean.size(), clean.rfind('/')));
        } else if (!part.empty() && part != ".") {
            clean.append("/").append(part);
        }
    }
    return clean.empty() ? "/" : clean;
}

}  // namespace davit
