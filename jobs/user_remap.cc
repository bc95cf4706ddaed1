#include "jobs/user_remap.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>

#include "jobs/container/field_check.h"
#include "jobs/daemon.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

constexpr std::string_view default_option = "default";
constexpr const char* default_user = "dockremap";
/// Where Docker looks for free subordinate ids, and how many it takes.
constexpr std::uint32_t sub_ids_first = 100'000;
constexpr std::uint32_t sub_ids_count = 65'536;

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(end + 1);
    }
}

std::optional<std::uint32_t> number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole && value <= INT32_MAX ? std::optional(value) : std::nullopt;
}

struct Entry {
    std::string name;
    std::uint32_t id = 0;
};

/// A line of passwd(5) or group(5), by its name or its number.
std::optional<Entry> entry_find(std::string_view text,
                                std::string_view name,
                                std::optional<std::uint32_t> id) {
    for (const std::string_view line : split(text, '\n')) {
        const auto fields = split(line, ':');
        const auto found = fields.size() > 2 ? number(fields[2]) : std::nullopt;
        if (found && (id ? *found == *id : fields[0] == name)) {
            return Entry{std::string(fields[0]), *found};
        }
    }
    return std::nullopt;
}

std::string not_in(std::string_view name, const char* database) {
    return fmt::format("getent unable to find entry \"{}\" in {} database", name, database);
}

std::string_view user_name(std::string_view given) {
    return given == default_option ? std::string_view(default_user) : given;
}

Result<Entry> user_find(std::string_view given, const UserFiles& files) {
    const auto uid = number(given);
    const auto user = entry_find(files.passwd, user_name(given), uid);
    if (user) {
        return *user;
    }
    if (uid) {
        return bad(
            fmt::format("Uid {} has no entry in /etc/passwd: {}", *uid, not_in(given, "passwd")));
    }
    return bad(fmt::format("Error during uid lookup for \"{}\": {}",
                           user_name(given),
                           not_in(user_name(given), "passwd")));
}

/// of_user: none was given, so it is called as the user is.
Result<Entry> group_find(std::string_view given, bool of_user, const UserFiles& files) {
    const auto gid = number(given);
    const std::string_view name = of_user ? user_name(given) : given;
    const auto group = entry_find(files.group, name, gid);
    if (group) {
        return *group;
    }
    if (gid) {
        return bad(fmt::format("Gid {} has no entry in /etc/{}: {}",
                               *gid,
                               of_user ? "group" : "passwd",
                               not_in(given, "group")));
    }
    return bad(fmt::format("Error during {} lookup for \"{}\": {}",
                           of_user ? "gid" : "groupname",
                           name,
                           not_in(name, "group")));
}

Result<UserFiles> user_files_read() {
    UserFiles files;
    TRY(files.passwd, file_read("/etc/passwd"));
    TRY(files.group, file_read("/etc/group"));
    // Without one of these there are no subordinate ids.
    if (auto text = file_read("/etc/subuid")) {
        files.subuid = *std::move(text);
    }
    if (auto text = file_read("/etc/subgid")) {
        files.subgid = *std::move(text);
    }
    return files;
}

Result<void> run(std::vector<std::string> command) {
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (std::string& word : command) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    pid_t child = 0;
    const int failure =
        ::posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ);
    int status = 0;
    if (failure == 0) {
        while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
    }
    if (failure != 0 || status != 0) {
        return Error(ErrorKind::unsupported,
                     fmt::format("Error during \"{}\" user creation: {} {}",
                                 default_user,
                                 command[0],
                                 failure != 0 ? errno_text(failure) : "failed"));
    }
    return ok;
}

/// Behind everybody else's.
std::uint32_t sub_ids_free(std::string_view text) {
    std::uint32_t free = sub_ids_first;
    for (const std::string_view line : split(text, '\n')) {
        const auto fields = split(line, ':');
        const auto first = fields.size() == 3 ? number(fields[1]) : std::nullopt;
        const auto count = fields.size() == 3 ? number(fields[2]) : std::nullopt;
        if (first && count) {
            free = std::max(free, *first + *count);
        }
    }
    return free;
}

/// Follows: moby pkg/usergroup AddNamespaceRangesUser(); each step only if it is due, so that one
/// that was cut off is completed.
Result<void> default_user_make() {
    TRY(UserFiles files, user_files_read());
    if (!entry_find(files.passwd, default_user, std::nullopt)) {
        TRY_VOID(run({"useradd",
                      "--system",
                      "--no-create-home",
                      "--user-group",
                      "--shell",
                      "/bin/false",
                      default_user}));
        TRY(files, user_files_read());
    }
    const std::string owner = std::string(default_user) + ":";
    const auto lacks = [&](const std::string& text) {
        return !text.starts_with(owner) && text.find("\n" + owner) == std::string::npos;
    };
    const auto range = [](const std::string& text) {
        const std::uint32_t first = sub_ids_free(text);
        return fmt::format("{}-{}", first, first + sub_ids_count - 1);
    };
    if (lacks(files.subuid)) {
        TRY_VOID(run({"usermod", "--add-subuids", range(files.subuid), default_user}));
    }
    if (lacks(files.subgid)) {
        TRY_VOID(run({"usermod", "--add-subgids", range(files.subgid), default_user}));
    }
    return ok;
}

}  // namespace

Result<std::vector<IdRange>> sub_ids_find(std::string_view text,
                                          const std::string& path,
                                          const std::string& name,
                                          std::uint32_t id) {
    std::vector<IdRange> ranges;
    for (const std::string& owner : {name, std::to_string(id)}) {
        std::uint32_t inside = 0;
        for (const std::string_view line : split(text, '\n')) {
            if (line.find_first_not_of(" \t\r") == std::string_view::npos || line[0] == '#') {
                continue;
            }
            const auto fields = split(line, ':');
            if (fields.size() != 3) {
                return bad("Cannot parse subuid/gid information: Format not correct for " + path +
                           " file");
            }
            if (fields[0] != owner) {
                continue;
            }
            const auto first = number(fields[1]);
            const auto count = number(fields[2]);
            if (!first || !count || *count == 0) {
                return bad("String to int conversion failed during subuid/gid parsing of " + path +
                           ": " + std::string(line));
            }
            ranges.push_back({inside, *first, *count});
            inside += *count;
        }
        if (!ranges.empty()) {
            return ranges;
        }
    }
    return bad(
        fmt::format("Can't create ID mappings: no {} ranges found for user \"{}\"", path, name));
}

Result<std::optional<UserRemap>> user_remap_resolve(std::string_view option,
                                                    const UserFiles& files) {
    const auto parts = split(option, ':');
    if (parts.size() > 2) {
        return bad(
            fmt::format("Invalid user/group specification in --userns-remap: \"{}\"", option));
    }
    TRY(const Entry user, user_find(parts[0], files));
    const bool of_user = parts.size() == 1;
    TRY(const Entry group, group_find(parts.back(), of_user, files));
    if (user.name == "root") {
        return std::optional<UserRemap>();
    }
    UserRemap remap;
    remap.user = user.name + ":" + group.name;
    TRY(remap.ids.uids, sub_ids_find(files.subuid, "/etc/subuid", user.name, user.id));
    // Those of the user, not of the group: subgid(5).
    TRY(remap.ids.gids, sub_ids_find(files.subgid, "/etc/subgid", user.name, user.id));
    return std::optional(std::move(remap));
}

Result<std::optional<UserRemap>> user_remap_open(const std::string& option) {
    if (option.empty()) {
        return std::optional<UserRemap>();
    }
    if (option == default_option) {
        TRY_VOID(default_user_make());
    }
    TRY(const UserFiles files, user_files_read());
    TRY(std::optional<UserRemap> remap, user_remap_resolve(option, files));
    if (!remap) {
        LOG_WARN("User namespaces: root cannot be remapped with itself; user namespaces are OFF");
    }
    return remap;
}

bool has_user_namespace(const Daemon& daemon, const HostConfig& config) {
    return daemon.user_remap.has_value() && config.userns_mode != "host";
}

Result<void> user_namespace_check(const Daemon& daemon, const HostConfig& config) {
    if (!has_user_namespace(daemon, config)) {
        return ok;
    }
    if (config.privileged) {
        return bad(
            "privileged mode is incompatible with user namespaces.  You must run the container in "
            "the host namespace when running privileged mode");
    }
    if (config.network_mode == "host") {
        return bad("cannot share the host's network namespace when user namespaces are enabled");
    }
    if (config.pid_mode == "host") {
        return bad("cannot share the host PID namespace when user namespaces are enabled");
    }
    // With Docker it fails at the start, for lack of a /dev/mqueue.
    if (config.ipc_mode == "host") {
        return bad("cannot share the host IPC namespace when user namespaces are enabled");
    }
    return ok;
}

}  // namespace davit
