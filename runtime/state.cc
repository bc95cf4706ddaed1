#include "runtime/state.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

#include "http/json_reader.h"
#include "http/json_writer.h"

#include "runtime/oci_config.h"

namespace davit {

namespace {

constexpr const char* state_name = "state.json";
constexpr const char* config_name = "config.json";
constexpr const char* start_name = "start";
constexpr mode_t directory_mode = 0711;

/// Follows: runc libcontainer/factory_linux.go validateID().
Result<void> id_check(const std::string& id) {
    const auto allowed = [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '+' || c == '-' || c == '.';
    };
    constexpr std::size_t id_bytes_max = 1024;
    if (id.empty() || id == "." || id == ".." || id.size() > id_bytes_max ||
        !std::ranges::all_of(id, allowed)) {
        return Error(ErrorKind::invalid_argument, "invalid container ID format: \"" + id + "\"");
    }
    return ok;
}

Error no_container() {
    return Error(ErrorKind::not_found, "container does not exist");
}

}  // namespace

std::string_view runtime_status_name(RuntimeStatus status) {
    switch (status) {
        case RuntimeStatus::creating:
            return "creating";
        case RuntimeStatus::created:
            return "created";
        case RuntimeStatus::running:
            return "running";
        case RuntimeStatus::paused:
            return "paused";
        case RuntimeStatus::stopped:
            break;
    }
    return "stopped";
}

std::string runtime_state_json(const RuntimeState& state, RuntimeStatus status, bool more) {
    const bool has_process = status != RuntimeStatus::stopped;
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("ociVersion").string(oci_version_max).key("id").string(state.id);
    json.key("pid").number(has_process ? state.pid : 0);
    json.key("status").string(runtime_status_name(status));
    json.key("bundle").string(state.bundle);
    if (more) {
        json.key("rootfs").string(state.rootfs).key("created").string(state.created);
        json.key("owner").string(state.owner);
    }
    if (!state.annotations.empty()) {
        json.key("annotations").string_map(state.annotations);
    }
    json.end_object();
    return text;
}

Result<RuntimeDirectory> RuntimeDirectory::make(const std::string& root, const std::string& id) {
    TRY_VOID(id_check(id));
    TRY_VOID(make_directories(root, directory_mode));
    const std::string path = root + "/" + id;
    if (::mkdir(path.c_str(), directory_mode) != 0) {
        if (errno == EEXIST) {
            return Error(ErrorKind::conflict, "container with given ID already exists");
        }
        return Error::from_errno(errno, "mkdir", path);
    }
    TRY(Fd fd, Fd::open(path, O_RDONLY | O_DIRECTORY));
    if (::flock(fd.get(), LOCK_EX) != 0) {
        return Error::from_errno(errno, "flock", path);
    }
    return RuntimeDirectory(root, id, std::move(fd));
}

Result<RuntimeDirectory> RuntimeDirectory::open(const std::string& root, const std::string& id) {
    TRY_VOID(id_check(id));
    Result<Fd> fd = Fd::open(root + "/" + id, O_RDONLY | O_DIRECTORY);
    if (!fd) {
        return fd.error().kind() == ErrorKind::not_found ? no_container() : std::move(fd).error();
    }
    return RuntimeDirectory(root, id, *std::move(fd));
}

Result<void> RuntimeDirectory::store(const RuntimeState& state) const {
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("id").string(state.id).key("bundle").string(state.bundle);
    json.key("rootfs").string(state.rootfs).key("cgroup").string(state.cgroup);
    json.key("created").string(state.created).key("owner").string(state.owner);
    json.key("annotations").string_map(state.annotations);
    json.key("pid").number(state.pid).key("pidStarted").number(state.pid_started);
    json.key("hasKeyring").boolean(state.has_keyring).end_object();
    return file_replace(fd_.get(), state_name, text, 0600);
}

Result<RuntimeState> RuntimeDirectory::load() const {
    TRY(const std::string text, file_read(fd_.get(), state_name));
    const auto corrupt = [&](const Error& error) {
        return Error(ErrorKind::corrupt,
                     root_ + "/" + id_ + "/" + state_name + ": " + error.message());
    };
    const auto read = [&]() -> Result<RuntimeState> {
        TRY(const JsonDocument document, JsonDocument::parse(text));
        const JsonValue json = document.root();
        RuntimeState state;
        state.id = id_;
        TRY(state.bundle, json.string_or("bundle", ""));
        TRY(state.rootfs, json.string_or("rootfs", ""));
        TRY(state.cgroup, json.string_or("cgroup", ""));
        TRY(state.created, json.string_or("created", ""));
        TRY(state.owner, json.string_or("owner", ""));
        TRY(state.annotations, json.string_map("annotations"));
        TRY(const std::int64_t pid, json.int64_or("pid", 0));
        state.pid = static_cast<pid_t>(pid);
        TRY(state.pid_started, json.uint64_or("pidStarted", 0));
        TRY(state.has_keyring, json.bool_or("hasKeyring", true));
        return state;
    };
    Result<RuntimeState> state = read();
    if (!state) {
        return corrupt(state.error());
    }
    return state;
}

Result<void> RuntimeDirectory::config_store(std::string_view text) const {
    return file_replace(fd_.get(), config_name, text, 0600);
}

Result<std::string> RuntimeDirectory::config_load() const {
    constexpr std::size_t config_bytes_max = 16 << 20;
    return file_read(fd_.get(), config_name, config_bytes_max);
}

Result<Fd> RuntimeDirectory::start_make() const {
    if (::mkfifoat(fd_.get(), start_name, 0600) != 0) {
        return Error::from_errno(errno, "mkfifoat", start_name);
    }
    return Fd::openat(fd_.get(), start_name, O_RDWR | O_NOFOLLOW);
}

bool RuntimeDirectory::start_waits() const {
    return ::faccessat(fd_.get(), start_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<void> RuntimeDirectory::start_release() const {
    const Error nobody(ErrorKind::conflict, "cannot start a container that has stopped");
    Result<Fd> fifo = Fd::openat(fd_.get(), start_name, O_WRONLY | O_NONBLOCK | O_NOFOLLOW);
    if (!fifo) {
        return fifo.error().errno_value() == ENXIO ? nobody : std::move(fifo).error();
    }
    // First: who comes next must not find it to be released once more.
    if (::unlinkat(fd_.get(), start_name, 0) != 0) {
        return Error::from_errno(errno, "unlinkat", start_name);
    }
    return write_all(fifo->get(), "s");
}

bool RuntimeDirectory::is_locked() const {
    if (::flock(fd_.get(), LOCK_SH | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK;
    }
    ::flock(fd_.get(), LOCK_UN);
    return false;
}

void RuntimeDirectory::lock_wait() const {
    while (::flock(fd_.get(), LOCK_SH) != 0 && errno == EINTR) {
    }
    ::flock(fd_.get(), LOCK_UN);
}

void RuntimeDirectory::unlock() {
    ::flock(fd_.get(), LOCK_UN);
}

Result<void> RuntimeDirectory::remove() const {
    TRY(const Fd root, Fd::open(root_, O_RDONLY | O_DIRECTORY));
    return remove_tree(root.get(), id_);
}

Result<std::vector<std::string>> RuntimeDirectory::list(const std::string& root) {
    std::vector<std::string> ids;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(root.c_str()), ::closedir);
    if (!directory) {
        return errno == ENOENT ? Result<std::vector<std::string>>(std::move(ids))
                               : Error::from_errno(errno, "opendir", root);
    }
    while (const dirent* entry = ::readdir(directory.get())) {
        if (id_check(entry->d_name)) {
            ids.emplace_back(entry->d_name);
        }
    }
    std::ranges::sort(ids);
    return ids;
}

std::uint64_t process_started(pid_t pid) {
    const Result<std::string> stat = file_read("/proc/" + std::to_string(pid) + "/stat");
    const std::size_t end = stat ? stat->rfind(')') : std::string::npos;
    if (end == std::string::npos || end + 2 >= stat->size()) {
        return 0;
    }
    // The name, which may have anything in it, is the second field; the state the third.
    constexpr int started_field = 22;
    std::string_view rest = std::string_view(*stat).substr(end + 2);
    if (rest.front() == 'Z' || rest.front() == 'X') {
        return 0;
    }
    for (int field = 3; field < started_field; ++field) {
        rest.remove_prefix(std::min(rest.find(' ') + 1, rest.size()));
    }
    std::uint64_t started = 0;
    std::from_chars(rest.data(), rest.data() + rest.size(), started);
    return started;
}

Result<PidRef> runtime_init(const RuntimeState& state) {
    const Error stopped(ErrorKind::not_found, "container not running");
    if (state.pid <= 0) {
        return stopped;
    }
    Result<PidRef> init = PidRef::open(state.pid);
    // Only now: the number cannot become another process' any more.
    if (!init || process_started(state.pid) != state.pid_started) {
        return stopped;
    }
    return init;
}

}  // namespace davit
