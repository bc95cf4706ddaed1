#include "cli/stdio_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace davit::cli {

Result<StdioStream> StdioStream::open(int fd, int access) {
    struct stat status {};

    if (::fstat(fd, &status) != 0) {
        return Error::from_errno(errno, "fstat", "fd " + std::to_string(fd));
    }
    if (S_ISFIFO(status.st_mode) || ::isatty(fd) == 1) {
        auto own = Fd::open("/proc/self/fd/" + std::to_string(fd), access | O_NONBLOCK | O_NOCTTY);
        if (own) {
            TRY(auto stream, FdStream::make(*std::move(own)));
            return StdioStream(std::move(stream), fd, -1);
        }
        if (own.error().errno_value() == ENXIO) {
            // A pipe whose readers are all gone.
            return Error::from_errno(EPIPE, "write");
        }
    }
    const int flags_before = S_ISREG(status.st_mode) ? -1 : ::fcntl(fd, F_GETFL);
    TRY(Fd copy, Fd::duplicate(fd));
    TRY(auto stream, FdStream::make(std::move(copy)));
    return StdioStream(std::move(stream), fd, flags_before);
}

StdioStream::~StdioStream() {
    stream_.reset();
    if (flags_before_ >= 0) {
        ::fcntl(fd_, F_SETFL, flags_before_);
    }
}

}  // namespace davit::cli
