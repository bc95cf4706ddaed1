#include "libcontainer/keeper_binary.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <vector>

#include "libcontainer/init_binary.h"
#include "libcontainer/keeper/keeper.h"

extern "C" const char davit_keeper_begin[];
extern "C" const char davit_keeper_end[];

namespace davit {

namespace {

constexpr const char* self = "/proc/self/exe";

/// Put this executable where the keeper looks for it. The descriptor is not close-on-exec.
Result<void> executable_place() {
    TRY(Fd file, Fd::open(self, O_PATH));
    if (file.get() == keeper::executable_fd) {
        ::fcntl(file.release(), F_SETFD, 0);
        return ok;
    }
    if (::dup3(file.get(), keeper::executable_fd, 0) < 0) {
        return Error::from_errno(errno, "dup3", self);
    }
    return ok;
}

}  // namespace

Result<Fd> keeper_binary_open() {
    const std::string_view bytes(davit_keeper_begin,
                                 static_cast<std::size_t>(davit_keeper_end - davit_keeper_begin));
    return memory_file_sealed("davit-keeper", bytes, true);
}

Error keeper_execute(std::span<char* const> daemon_arguments) {
    char path[PATH_MAX];
    const ssize_t size = ::readlink(self, path, sizeof(path) - 1);
    if (size < 0) {
        return Error::from_errno(errno, "readlink", self);
    }
    path[size] = '\0';
    Result<Fd> program = keeper_binary_open();
    if (!program) {
        return std::move(program).error();
    }
    // Clear of where the executable is to be.
    const Fd clear(::fcntl(program->get(), F_DUPFD_CLOEXEC, keeper::executable_fd + 1));
    if (!clear) {
        return Error::from_errno(errno, "fcntl(F_DUPFD_CLOEXEC)");
    }
    if (Result<void> placed = executable_place(); !placed) {
        return std::move(placed).error();
    }
    char name[] = "davit";
    char role[] = "keeper";
    std::vector<char*> arguments{name, role, path};
    arguments.insert(arguments.end(), daemon_arguments.begin(), daemon_arguments.end());
    arguments.push_back(nullptr);
    ::fexecve(clear.get(), arguments.data(), environ);
    return Error::from_errno(errno, "fexecve", "davit-keeper");
}

}  // namespace davit
