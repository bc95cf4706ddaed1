#include "libcontainer/reaper_binary.h"

#include <sys/stat.h>

#include <cerrno>

#include "reactor/base/fd.h"

extern "C" const char davit_reaper_begin[];
extern "C" const char davit_reaper_end[];

namespace davit {

Result<void> reaper_binary_write(const std::string& directory) {
    const std::string_view bytes(davit_reaper_begin,
                                 static_cast<std::size_t>(davit_reaper_end - davit_reaper_begin));
    const std::string path = directory + "/" + std::string(reaper_file_name);
    constexpr mode_t mode = 0755;
    TRY_VOID(file_replace(AT_FDCWD, path, bytes, mode));
    if (::chmod(path.c_str(), mode) != 0) {  // Whatever the umask.
        return Error::from_errno(errno, "chmod", path);
    }
    return ok;
}

}  // namespace davit
