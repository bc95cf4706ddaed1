#include "jobs/volume/volume_options.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "jobs/container/field_check.h"
#include "reactor/base/byte_size.h"

namespace davit {

namespace {

using Options = std::map<std::string, std::string>;

bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string option(const Options& options, const char* key) {
    const auto found = options.find(key);
    return found == options.end() ? std::string() : found->second;
}

struct FlagWord {
    std::string_view name;
    bool clear;
    unsigned long flag;
};

/// Follows: mount(8) "FILESYSTEM-INDEPENDENT MOUNT OPTIONS"; moby/sys/mount flags_linux.go.
constexpr auto flag_words = std::to_array<FlagWord>({
    {"defaults", false, 0},
    {"ro", false, MS_RDONLY},
    {"rw", true, MS_RDONLY},
    {"suid", true, MS_NOSUID},
    {"nosuid", false, MS_NOSUID},
    {"dev", true, MS_NODEV},
    {"nodev", false, MS_NODEV},
    {"exec", true, MS_NOEXEC},
    {"noexec", false, MS_NOEXEC},
    {"sync", false, MS_SYNCHRONOUS},
    {"async", true, MS_SYNCHRONOUS},
    {"dirsync", false, MS_DIRSYNC},
    {"remount", false, MS_REMOUNT},
    {"mand", false, MS_MANDLOCK},
    {"nomand", true, MS_MANDLOCK},
    {"atime", true, MS_NOATIME},
    {"noatime", false, MS_NOATIME},
    {"diratime", true, MS_NODIRATIME},
    {"nodiratime", false, MS_NODIRATIME},
    {"relatime", false, MS_RELATIME},
    {"norelatime", true, MS_RELATIME},
    {"strictatime", false, MS_STRICTATIME},
    {"nostrictatime", true, MS_STRICTATIME},
    {"bind", false, MS_BIND},
    {"rbind", false, MS_BIND | MS_REC},
});

constexpr auto propagation_words = std::to_array<std::pair<std::string_view, unsigned long>>({
    {"unbindable", MS_UNBINDABLE},
    {"runbindable", MS_UNBINDABLE | MS_REC},
    {"private", MS_PRIVATE},
    {"rprivate", MS_PRIVATE | MS_REC},
    {"shared", MS_SHARED},
    {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},
    {"rslave", MS_SLAVE | MS_REC},
});

void word_apply(LocalMount& mount, std::string_view word) {
    for (const FlagWord& known : flag_words) {
        if (known.name == word) {
            mount.flags = known.clear ? mount.flags & ~known.flag : mount.flags | known.flag;
            return;
        }
    }
    for (const auto& [name, flags] : propagation_words) {
        if (name == word) {
            mount.propagation = flags;
            return;
        }
    }
    mount.data.append(mount.data.empty() ? "" : ",").append(word);
}

std::string data_value(const std::string& data, std::string_view key) {
    for (std::string_view rest = data; !rest.empty();) {
        const std::string_view word = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(rest.size(), word.size() + 1));
        if (word.starts_with(key) && word.size() > key.size() && word[key.size()] == '=') {
            return std::string(word.substr(key.size() + 1));
        }
    }
    return "";
}

/// The host of "//server/share".
std::string share_host(const std::string& device) {
    return device.starts_with("//") ? device.substr(2, device.find('/', 2) - 2) : "";
}

Error mount_failed(const LocalMount& mount, const std::string& path, int errno_value) {
    std::string text = fmt::format("failed to mount local volume: mount {}:{}", mount.device, path);
    if (mount.flags != 0) {
        text += fmt::format(", flags: {:#x}", mount.flags);
    }
    std::string data = mount.data;
    if (const std::string secret = data_value(data, "password"); !secret.empty()) {
        data.replace(data.find("password=" + secret), secret.size() + 9, "password=********");
    }
    if (!data.empty()) {
        text += ", data: " + data;
    }
    return Error(ErrorKind::internal, text + ": " + errno_text(errno_value));
}

}  // namespace

Result<void> volume_name_check(const std::string& name) {
    if (name.size() == 1) {
        return bad(
            "volume name is too short, names should be at least two alphanumeric characters");
    }
    const auto valid = [](char c) {
        return is_letter_or_digit(c) || c == '_' || c == '.' || c == '-';
    };
    if (name.empty() || !is_letter_or_digit(name.front()) || !std::ranges::all_of(name, valid)) {
        return bad(fmt::format(
            "\"{}\" includes invalid characters for a local volume name, only "
            "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, "
            "use absolute path",
            name));
    }
    return ok;
}

Result<void> volume_options_check(const Options& options) {
    static constexpr auto known = std::to_array<std::string_view>({"type", "o", "device", "size"});
    for (const auto& [key, value] : options) {
        if (std::ranges::find(known, key) == known.end()) {
            return bad(fmt::format("invalid option: \"{}\"", key));
        }
    }
    TRY(const std::uint64_t bytes_max, volume_size_parse(options));
    if (bytes_max > 0 && volume_is_mounted(options)) {
        return bad("quota size requested but no quota support");  // It is not ours to bound.
    }
    if (option(options, "type") == "cifs" &&
        share_host(option(options, "device")).find(':') != std::string::npos) {
        return bad("port not allowed in CIFS device URL, include 'port' in 'o='");
    }
    static constexpr auto needs = std::to_array<std::pair<const char*, const char*>>(
        {{"device", "type"}, {"type", "device"}, {"o", "device"}, {"o", "type"}});
    for (const auto& [given, needed] : needs) {
        if (options.contains(given) && !options.contains(needed)) {
            return bad(fmt::format("missing required option: \"{}\"", needed));
        }
    }
    return ok;
}

Result<std::uint64_t> volume_size_parse(const Options& options) {
    const auto size = options.find("size");
    if (size == options.end()) {
        return std::uint64_t{0};
    }
    TRY(const std::int64_t bytes, byte_size_parse(size->second));
    return static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0));
}

Result<void> volume_driver_check(const std::string& driver) {
    if (driver == "local") {
        return ok;
    }
    return Error(
        ErrorKind::not_found,
        fmt::format("error looking up volume plugin {0}: plugin \"{0}\" not found", driver));
}

bool volume_is_mounted(const Options& options) {
    return !option(options, "device").empty();
}

LocalMount local_mount_parse(const Options& options) {
    LocalMount mount;
    mount.device = option(options, "device");
    mount.type = option(options, "type");
    const std::string words = option(options, "o");
    for (std::string_view rest = words; !rest.empty();) {
        const std::string_view word = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(rest.size(), word.size() + 1));
        if (!word.empty()) {
            word_apply(mount, word);
        }
    }
    return mount;
}

Result<void> local_mount_resolve(LocalMount& mount, const HostResolver& resolver) {
    const bool nfs = mount.type == "nfs" || mount.type == "nfs4";
    if (!nfs && mount.type != "cifs") {
        return ok;
    }
    const std::string given = data_value(mount.data, "addr");
    const std::string host = given.empty() && !nfs ? share_host(mount.device) : given;
    if (host.empty() || is_address(host)) {
        return ok;
    }
    Result<std::string> address = resolver(host);
    if (!address) {
        return std::move(address).error().context(
            nfs ? "error resolving passed in network volume address"
                : "error resolving passed in CIFS volume address");
    }
    if (given.empty()) {
        mount.data.append(mount.data.empty() ? "" : ",").append("addr=").append(*address);
    } else {
        mount.data.replace(mount.data.find("addr=" + given) + 5, given.size(), *address);
    }
    return ok;
}

Result<std::string> host_resolve(const std::string& host) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    const int failed = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
    std::array<char, NI_MAXHOST> text{};
    if (failed != 0 || list == nullptr ||
        ::getnameinfo(list->ai_addr,
                      list->ai_addrlen,
                      text.data(),
                      text.size(),
                      nullptr,
                      0,
                      NI_NUMERICHOST) != 0) {
        return Error(ErrorKind::not_found, "lookup " + host + ": no such host");
    }
    return std::string(text.data());
}

Result<void> local_mount_attach(const LocalMount& mount, const std::string& path) {
    constexpr unsigned long read_only_bind = MS_BIND | MS_RDONLY;
    const char* device = mount.device.c_str();
    if (::mount(device, path.c_str(), mount.type.c_str(), mount.flags, mount.data.c_str()) != 0) {
        return mount_failed(mount, path, errno);
    }
    int failed = 0;
    if (mount.propagation != 0 &&
        ::mount(nullptr, path.c_str(), nullptr, mount.propagation, nullptr) != 0) {
        failed = errno;
    }
    // A bind takes its flags only when it is mounted again.
    if (failed == 0 && (mount.flags & read_only_bind) == read_only_bind &&
        ::mount(nullptr, path.c_str(), nullptr, mount.flags | MS_REMOUNT, nullptr) != 0) {
        failed = errno;
    }
    if (failed != 0) {
        static_cast<void>(local_mount_detach(path));
        return mount_failed(mount, path, failed);
    }
    return ok;
}

Result<void> local_mount_detach(const std::string& path) {
    if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL) {
        return Error::from_errno(errno, "umount2", path);
    }
    return ok;
}

Result<bool> is_mount_point(const std::string& path) {
    struct statx status {};

    if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status) != 0) {
        return Error::from_errno(errno, "statx", path);
    }
    return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

}  // namespace davit
