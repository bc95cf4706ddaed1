#include "libcontainer/user.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

namespace davit {

namespace {

constexpr std::uint32_t id_max = 0x7fffffff;  // What moby accepts.
constexpr std::size_t file_bytes_max = 4 * 1024 * 1024;

enum class Number : std::uint8_t { not_a_number, too_large, valid };

Number number_parse(std::string_view text, std::uint32_t& value) {
    const bool digits = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return c >= '0' && c <= '9';
    });
    if (!digits) {
        return Number::not_a_number;
    }
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    return parsed.ec != std::errc{} || value > id_max ? Number::too_large : Number::valid;
}

/// Calls for each line's fields, as far as wanted; a line that is too short has empty ones.
template <std::size_t fields, typename Function>
void each_line(std::string_view text, Function&& function) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty() || line.front() == '#') {
            continue;
        }
        std::array<std::string_view, fields> parts;
        for (std::string_view& part : parts) {
            const std::size_t colon = std::min(line.find(':'), line.size());
            part = line.substr(0, colon);
            line.remove_prefix(std::min(colon + 1, line.size()));
        }
        function(parts);
    }
}

struct User {
    std::string name;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::string home;
};

std::optional<User> user_find(std::string_view passwd, std::string_view wanted) {
    std::uint32_t wanted_id = 0;
    const bool numeric = number_parse(wanted, wanted_id) == Number::valid;
    std::optional<User> found;
    each_line<7>(passwd, [&](const auto& field) {
        User user;
        if (number_parse(field[2], user.uid) != Number::valid ||
            number_parse(field[3], user.gid) != Number::valid) {
            return;
        }
        user.name = field[0];
        user.home = field[5];
        // Who asks for a number gets it, whatever the image calls "1000" (CVE-2016-3697).
        if (!found && (numeric ? user.uid == wanted_id : field[0] == wanted)) {
            found = user;
        }
    });
    return found;
}

std::optional<std::uint32_t> group_find(std::string_view group, std::string_view name) {
    std::optional<std::uint32_t> found;
    each_line<4>(group, [&](const auto& field) {
        std::uint32_t gid = 0;
        if (!found && field[0] == name && number_parse(field[2], gid) == Number::valid) {
            found = gid;
        }
    });
    return found;
}

Result<std::uint32_t> group_resolve(std::string_view group, std::string_view wanted) {
    std::uint32_t gid = 0;
    switch (number_parse(wanted, gid)) {
        case Number::valid:
            return gid;
        case Number::too_large:
            return Error(ErrorKind::invalid_argument,
                         "uids and gids must be in range 0-2147483647");
        case Number::not_a_number:
            break;
    }
    if (const auto found = group_find(group, wanted)) {
        return *found;
    }
    return Error(
        ErrorKind::not_found,
        "unable to find group " + std::string(wanted) + ": no matching entries in group file");
}

bool lists_member(std::string_view members, std::string_view name) {
    while (!members.empty()) {
        const std::size_t end = std::min(members.find(','), members.size());
        if (members.substr(0, end) == name) {
            return true;
        }
        members.remove_prefix(std::min(end + 1, members.size()));
    }
    return false;
}

Result<std::string> read_in_root(int root, const char* path) {
    // Looked at before it is opened: opening a device may have effects.
    auto named = Fd::openat2(root, path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    if (!named) {
        const int error = named.error().errno_value();
        if (error == ENOENT || error == ENOTDIR) {
            return std::string{};
        }
        return std::move(named).error();
    }

    struct stat info {};

    if (::fstat(named->get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        return Error(ErrorKind::invalid_argument, std::string(path) + " is not a regular file");
    }
    TRY(const Fd file, Fd::open("/proc/self/fd/" + std::to_string(named->get()), O_RDONLY));
    const auto size = static_cast<std::size_t>(info.st_size);
    if (size > file_bytes_max) {
        return Error(ErrorKind::resource_exhausted, std::string(path) + " is too large");
    }
    std::string text(size, '\0');
    std::size_t used = 0;
    while (used < size) {
        const ssize_t got =
            ::pread(file.get(), text.data() + used, size - used, static_cast<off_t>(used));
        if (got < 0) {
            return Error::from_errno(errno, "read", path);
        }
        if (got == 0) {
            break;  // Shorter than it was a moment ago.
        }
        used += static_cast<std::size_t>(got);
    }
    text.resize(used);
    return text;
}

}  // namespace

Result<ResolvedUser> user_resolve(std::string_view spec,
                                  std::string_view passwd,
                                  std::string_view group,
                                  std::span<const std::string> further_groups) {
    const std::size_t colon = std::min(spec.find(':'), spec.size());
    const std::string_view user_part = colon == 0 ? "0" : spec.substr(0, colon);
    const std::string_view group_part = colon < spec.size() ? spec.substr(colon + 1) : "";
    ResolvedUser resolved;
    const auto known = user_find(passwd, user_part);
    if (known) {
        resolved.uid = known->uid;
        resolved.gid = known->gid;
        resolved.home = known->home.empty() ? "/" : known->home;
    } else {
        switch (number_parse(user_part, resolved.uid)) {
            case Number::valid:
                break;
            case Number::too_large:
                return Error(ErrorKind::invalid_argument,
                             "uids and gids must be in range 0-2147483647");
            case Number::not_a_number:
                return Error(ErrorKind::not_found,
                             "unable to find user " + std::string(user_part) +
                                 ": no matching entries in passwd file");
        }
    }
    if (!group_part.empty()) {
        TRY(resolved.gid, group_resolve(group, group_part));
    } else if (known) {
        each_line<4>(group, [&](const auto& field) {
            std::uint32_t gid = 0;
            if (lists_member(field[3], known->name) &&
                number_parse(field[2], gid) == Number::valid) {
                resolved.additional_gids.push_back(gid);
            }
        });
    }
    for (const std::string& further : further_groups) {
        TRY(const std::uint32_t gid, group_resolve(group, further));
        resolved.additional_gids.push_back(gid);
    }
    auto& gids = resolved.additional_gids;
    std::sort(gids.begin(), gids.end());
    gids.erase(std::unique(gids.begin(), gids.end()), gids.end());
    // Its own, too: a program that changes its group must not leave one that denies
    // (CVE-2022-36109).
    std::erase(gids, resolved.gid);
    gids.insert(gids.begin(), resolved.gid);
    return resolved;
}

Result<ResolvedUser> user_resolve_in_root(int root,
                                          std::string_view spec,
                                          std::span<const std::string> further_groups) {
    TRY(const std::string passwd, read_in_root(root, "/etc/passwd"));
    TRY(const std::string group, read_in_root(root, "/etc/group"));
    return user_resolve(spec, passwd, group, further_groups);
}

}  // namespace davit
