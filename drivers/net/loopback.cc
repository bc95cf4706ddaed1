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

Result<void> loopback_note(const std::string& path) {
    if (::access(path.c_str(), F_OK) == 0) {
        return ok;
    }
    std::string off;  // Names of those that are off, one per line.
    for (const char* name : settings) {
        TRY(const std::string value, file_read(setting_path(name)));
        if (value.starts_with('0')) {
            off += std::string(name) + "\n";
        }
    }
    return file_replace(AT_FDCWD, path, off, 0600);
}

Result<void> loopback_restore(const std::string& path) {
    const Result<std::string> off = file_read(path);
    if (!off) {
        return off.error().kind() == ErrorKind::not_found ? Result<void>(ok) : off.error();
    }
    for (const char* name : settings) {
        if (off->find(std::string(name) + "\n") != std::string::npos) {
            TRY_VOID(file_write_existing(AT_FDCWD, setting_path(name), "0"));
        }
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        return Error::from_errno(errno, "unlink", path);
    }
    return ok;
}

}  // namespace davit
