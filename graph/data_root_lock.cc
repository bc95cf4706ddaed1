#include "graph/data_root_lock.h"

#include <sys/file.h>
#include <unistd.h>

#include <array>

namespace davit {

namespace {

/// What the holder wrote: its pid. May be empty if it was just about to.
std::string holder_of(int fd) {
    std::array<char, 32> text{};
    const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
    std::string pid(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    pid.erase(std::min(pid.find_first_not_of("0123456789"), pid.size()));
    return pid.empty() ? "unknown" : pid;
}

}  // namespace

Result<DataRootLock> DataRootLock::acquire(const std::string& directory, std::string_view what) {
    TRY_VOID(make_directories(directory, 0711));
    const std::string path = directory + "/daemon.lock";
    TRY(Fd file, Fd::open(path, O_RDWR | O_CREAT, 0600));
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return Error::from_errno(errno, "flock", path);
        }
        return Error(ErrorKind::conflict,
                     std::string(what) + " " + directory +
                         " is in use by another davit daemon (pid " + holder_of(file.get()) + ")");
    }
    if (::ftruncate(file.get(), 0) != 0) {
        return Error::from_errno(errno, "ftruncate", path);
    }
    TRY_VOID(write_all(file.get(), std::to_string(::getpid()) + "\n"));
    return DataRootLock(std::move(file));
}

}  // namespace davit
