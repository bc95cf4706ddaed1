#include "drivers/graph/directory_names.h"

#include <dirent.h>

#include <cerrno>

#include "reactor/base/fd.h"

namespace davit {

Result<std::vector<std::string>> directory_names(int dir,
                                                 const std::string& path,
                                                 std::size_t count_max) {
    TRY(Fd fd, Fd::openat(dir, path, O_RDONLY | O_DIRECTORY));
    DIR* stream = ::fdopendir(fd.get());
    if (stream == nullptr) {
        return Error::from_errno(errno, "fdopendir", path);
    }
    (void)fd.release();  // closedir() closes it.
    std::vector<std::string> names;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(stream);
        if (entry == nullptr || (count_max != 0 && names.size() == count_max)) {
            break;
        }
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            names.emplace_back(name);
        }
    }
    const int failure = errno;
    ::closedir(stream);
    if (failure != 0) {
        return Error::from_errno(failure, "readdir", path);
    }
    return names;
}

}  // namespace davit
