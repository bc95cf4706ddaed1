#include "drivers/log/log_packer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace davit {

std::shared_ptr<const Fd> LogPacker::next() const {
    bool gap = false;  // As in LogFiles.
    for (unsigned number = 1; number < files_max_; ++number) {
        if (auto file = Fd::open(name(number), O_RDONLY | O_NOFOLLOW)) {
            return std::make_shared<const Fd>(*std::move(file));
        }
        if (::access((name(number) + ".gz").c_str(), F_OK) != 0 && std::exchange(gap, true)) {
            break;
        }
    }
    return nullptr;
}

Result<void> LogPacker::put(const Fd& source, const Fd& made) const {
    struct stat wanted {};

    if (::fstat(source.get(), &wanted) != 0) {
        return Error::from_errno(errno, "fstat", path_);
    }
    for (unsigned number = 1; number < files_max_; ++number) {
        struct stat info {};

        const std::string from = name(number);
        if (::lstat(from.c_str(), &info) != 0 || info.st_ino != wanted.st_ino) {
            continue;
        }
        const std::string self = "/proc/self/fd/" + std::to_string(made.get());
        const std::string to = from + ".gz";
        if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) != 0 &&
            errno != EEXIST) {
            return Error::from_errno(errno, "linkat", to);
        }
        if (::unlink(from.c_str()) != 0) {
            return Error::from_errno(errno, "unlink", from);
        }
        break;
    }
    return ok;
}

}  // namespace davit
