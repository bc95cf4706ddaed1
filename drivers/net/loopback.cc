#include "drivers/net/loopback.h"

#include <unistd.h>

#include <array>
#include <cerrno>

#include "reactor/base/fd.h"

namespace davit {

namespace {

constexpr std::array<const char*, 2> settings{"accept_local", "route_localnet"};

std::string setting_path(const std::string& name) {
    return "/proc/sys/net/ipv4/conf/lo/" + name;
}

}  // namespace

Result<std::string> loopback_closed() {
    std::string closed;
    for (const char* name : settings) {
        TRY(const std::string value, file_read(setting_path(name)));
        if (value.starts_with('0')) {
            closed += (closed.empty() ? "" : ",") + std::string(name);
        }
    }
    return closed;
}

Result<std::string> loopback_note(const std::string& path, const std::string& closed) {
    if (auto kept = file_read(path)) {
        return *std::move(kept);
    }
    TRY_VOID(file_replace(AT_FDCWD, path, closed, 0600));
    return closed;
}

Result<void> loopback_restore(const std::string& path) {
    const Result<std::string> closed = file_read(path);
    if (!closed) {
        return closed.error().kind() == ErrorKind::not_found ? Result<void>(ok) : closed.error();
    }
    for (const char* name : settings) {
        if (closed->find(name) != std::string::npos) {
            TRY_VOID(file_write_existing(AT_FDCWD, setting_path(name), "0"));
        }
    }
    return loopback_leave(path);
}

Result<void> loopback_leave(const std::string& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        return Error::from_errno(errno, "unlink", path);
    }
    return ok;
}

}  // namespace davit
