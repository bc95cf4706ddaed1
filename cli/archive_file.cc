#include "cli/archive_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "cli/stdio_stream.h"
#include "cli/terminal.h"
#include "reactor/base/fd.h"
#include "reactor/base/ids.h"
#include "reactor/base/limits.h"

namespace davit::cli {

namespace {

Task<void> copy(ApiStream& stream, StdioStream& out) {
    std::vector<char> buffer(limits::stream_read_bytes);
    for (;;) {
        CO_TRY(const std::size_t got, co_await stream.read(buffer));
        if (got == 0) {
            co_return ok;
        }
        const std::string_view bytes(buffer.data(), got);
        CO_CHECK(co_await out.write(bytes));
    }
}

/// Something that is there and is no regular file: /dev/null, a named pipe.
bool is_special(const std::string& path) {
    struct stat info {};

    return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode);
}

}  // namespace

Result<void> archive_target_check(const Context& context,
                                  const std::string& path,
                                  std::string_view verb) {
    if (path.empty() && is_terminal(context.fds().out)) {
        return Error(ErrorKind::invalid_argument,
                     std::string("cowardly refusing to ")
                         .append(verb)
                         .append(" to a terminal. Use the -o flag or redirect"));
    }
    return ok;
}

Task<void> archive_receive(Context& context, ApiStream stream, const std::string& path) {
    if (path.empty()) {
        CO_TRY(StdioStream out, StdioStream::open(context.fds().out, O_WRONLY));
        co_return co_await copy(stream, out);
    }
    const bool special = is_special(path);
    const std::string made = special ? path : path + ".tmp-" + random_hex(4);
    const int flags = special ? O_WRONLY : O_WRONLY | O_CREAT | O_EXCL;
    CO_TRY(const Fd file, Fd::open(made, flags, 0600));
    Result<void> copied = ok;
    {
        CO_TRY(StdioStream out, StdioStream::open(file.get(), O_WRONLY));
        copied = co_await copy(stream, out);
    }
    if (special) {
        co_return copied;
    }
    if (copied && std::rename(made.c_str(), path.c_str()) != 0) {
        copied = Error::from_errno(errno, "rename", path);
    }
    if (!copied) {
        (void)::unlink(made.c_str());
    }
    co_return std::move(copied);
}

}  // namespace davit::cli
