#include "libcontainer/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <memory>

#include "reactor/base/pid_ref.h"

namespace davit {

namespace {

bool has(const CgroupLayout::Hierarchy& hierarchy, std::string_view controller) {
    return std::find(hierarchy.controllers.begin(), hierarchy.controllers.end(), controller) !=
           hierarchy.controllers.end();
}

/// v2: let the children of a directory use every controller that it has itself.
Result<void> controllers_delegate(const std::string& directory) {
    TRY(const std::string available, file_read(directory + "/cgroup.controllers"));
    std::string request;
    std::size_t at = 0;
    while (at < available.size()) {
        const std::size_t end = std::min(available.find_first_of(" \n", at), available.size());
        if (end > at) {
            request.append(request.empty() ? "+" : " +").append(available, at, end - at);
        }
        at = end + 1;
    }
    if (request.empty()) {
        return ok;
    }
    return file_write_existing(AT_FDCWD, directory + "/cgroup.subtree_control", request);
}

/// v1: a new cpuset has no cpus and no memory nodes, and takes no process until it has.
Result<void> cpuset_inherit(const std::string& parent, const std::string& directory) {
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
        TRY(const std::string own, file_read(directory + file));
        if (own.find_first_not_of(" \n") == std::string::npos) {
            TRY(const std::string inherited, file_read(parent + file));
            TRY_VOID(file_write_existing(AT_FDCWD, directory + file, inherited));
        }
    }
    return ok;
}

/// Make one directory of a hierarchy, its parents first if they are missing.
Result<void> directory_make(const CgroupLayout::Hierarchy& hierarchy,
                            const std::string& path,
                            bool may_exist) {
    const std::string full = hierarchy.mount_point + path;
    const std::string parent_path = path.substr(0, path.rfind('/'));
    if (::mkdir(full.c_str(), 0755) != 0) {
        if (errno == EEXIST && may_exist) {
            return ok;
        }
        if (errno != ENOENT || parent_path.empty()) {
            return Error::from_errno(errno, "mkdir", full);
        }
        TRY_VOID(directory_make(hierarchy, parent_path, true));
        if (::mkdir(full.c_str(), 0755) != 0) {
            return Error::from_errno(errno, "mkdir", full);
        }
    }
    const std::string parent = hierarchy.mount_point + parent_path;
    if (hierarchy.unified && may_exist && !hierarchy.controllers.empty()) {
        TRY_VOID(controllers_delegate(parent));
        TRY_VOID(controllers_delegate(full));
    }
    if (!hierarchy.unified && has(hierarchy, "cpuset")) {
        TRY_VOID(cpuset_inherit(parent, full));
    }
    return ok;
}

Result<void> path_check(const std::string& path) {
    const bool sound = path.size() > 1 && path.front() == '/' && path.back() != '/' &&
                       path.find("//") == std::string::npos &&
                       (path + "/").find("/../") == std::string::npos &&
                       (path + "/").find("/./") == std::string::npos;
    if (!sound) {
        return Error(ErrorKind::invalid_argument, "invalid cgroup path: \"" + path + "\"");
    }
    return ok;
}

/// The number behind "key " at a line's start; 0 if there is none.
std::uint64_t keyed_value(std::string_view text, std::string_view key) {
    std::uint64_t value = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
            std::from_chars(line.data() + key.size() + 1, line.data() + line.size(), value);
            return value;
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return value;
}

Result<void> pids_append(int directory, std::vector<pid_t>& pids) {
    TRY(const std::string text, file_read(directory, "cgroup.procs", 16 * 1024 * 1024));
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end) {
        pid_t pid = 0;
        const auto parsed = std::from_chars(at, end, pid);
        if (parsed.ec == std::errc{} && pid > 0) {
            pids.push_back(pid);
        }
        at = std::find(parsed.ptr, end, '\n');
        at += at < end ? 1 : 0;
    }
    return ok;
}

struct DirectoryCloser {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

/// Call for every directory below one, the deepest first.
template <typename Function>
Result<void> each_directory(int directory, Function&& function) {
    TRY(Fd copy, Fd::openat(directory, ".", O_RDONLY | O_DIRECTORY));
    const std::unique_ptr<DIR, DirectoryCloser> stream(::fdopendir(copy.get()));
    if (!stream) {
        return Error::from_errno(errno, "fdopendir", "cgroup");
    }
    const int raw = copy.release();
    while (dirent* entry = ::readdir(stream.get())) {
        const std::string name = entry->d_name;
        if (entry->d_type != DT_DIR || name == "." || name == "..") {
            continue;
        }
        const auto child = Fd::openat(raw, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (!child) {
            continue;  // Removed meanwhile.
        }
        TRY_VOID(each_directory(child->get(), function));
        TRY_VOID(function(raw, name, child->get()));
    }
    return ok;
}

}  // namespace

Cgroup::Cgroup(const CgroupLayout& layout, std::string path)
    : hierarchies_(layout.hierarchies),
      mode_(layout.mode),
      path_(std::move(path)),
      realtime_runtime_us_(layout.realtime_runtime_us),
      realtime_period_us_(layout.realtime_period_us) {}

bool Cgroup::needed(const CgroupLayout::Hierarchy& hierarchy, const Resources& resources) const {
    if (hierarchy.unified) {
        return true;
    }
    // What limits nothing by itself, counts nothing that anybody asks for, and costs a mkdir in
    // every start is only made when it is used.
    return has(hierarchy, "memory") || has(hierarchy, "pids") || has(hierarchy, "cpu") ||
           has(hierarchy, "cpuacct") || has(hierarchy, "devices") ||
           (has(hierarchy, "freezer") && mode_ == CgroupMode::v1) ||
           (has(hierarchy, "cpuset") && (resources.cpuset_cpus || resources.cpuset_mems)) ||
           (has(hierarchy, "blkio") && (resources.blkio_weight || !resources.block_limits.empty()));
}

Result<void> Cgroup::directories_make(const Resources& resources) {
    for (const CgroupLayout::Hierarchy& hierarchy : hierarchies_) {
        if (!needed(hierarchy, resources)) {
            continue;
        }
        TRY_VOID(directory_make(hierarchy, path_, false));
        auto fd = Fd::open(hierarchy.mount_point + path_, O_RDONLY | O_DIRECTORY);
        if (!fd) {
            ::rmdir((hierarchy.mount_point + path_).c_str());
            return std::move(fd).error();
        }
        directories_.push_back({&hierarchy, *std::move(fd)});
    }
    return ok;
}

Result<void> Cgroup::join_needed(const Resources& resources) {
    for (const CgroupLayout::Hierarchy& hierarchy : hierarchies_) {
        const bool there = std::ranges::any_of(
            directories_, [&](const Directory& one) { return one.hierarchy == &hierarchy; });
        if (there || !needed(hierarchy, resources)) {
            continue;
        }
        TRY_VOID(directory_make(hierarchy, path_, true));
        TRY(Fd fd, Fd::open(hierarchy.mount_point + path_, O_RDONLY | O_DIRECTORY));
        directories_.push_back({&hierarchy, std::move(fd)});
        TRY_VOID(processes_move(directories_.back().fd.get()));
    }
    return ok;
}

/// All processes into a directory of another hierarchy. What they fork on the way is found in the
/// next round.
Result<void> Cgroup::processes_move(int directory) const {
    constexpr int rounds_max = 100;
    for (int round = 0; round < rounds_max; ++round) {
        TRY(const std::vector<pid_t> all, pids());
        std::vector<pid_t> inside;
        TRY_VOID(pids_append(directory, inside));
        std::ranges::sort(inside);
        bool moved = false;
        for (const pid_t pid : all) {
            if (std::ranges::binary_search(inside, pid)) {
                continue;
            }
            moved = true;
            const auto written =
                file_write_existing(directory, "cgroup.procs", std::to_string(pid));
            if (!written && written.error().errno_value() != ESRCH) {
                return written;
            }
        }
        if (!moved) {
            return ok;
        }
    }
    return Error(ErrorKind::unavailable, "the container makes processes faster than they move");
}

Result<Cgroup> Cgroup::create(const CgroupLayout& layout,
                              const std::string& path,
                              const Resources& resources,
                              std::vector<std::string>& warnings) {
    TRY_VOID(path_check(path));
    Cgroup cgroup(layout, path);
    Result<void> made = cgroup.directories_make(resources);
    if (made) {
        made = cgroup.update(resources, warnings);
    }
    if (made && resources.device_rules) {
        made = cgroup.devices_filter(*resources.device_rules, warnings);
    }
    if (!made) {
        static_cast<void>(cgroup.remove());  // The first error is the one that matters.
        return std::move(made).error();
    }
    return cgroup;
}

Result<Cgroup> Cgroup::open(const CgroupLayout& layout, const std::string& path) {
    TRY_VOID(path_check(path));
    Cgroup cgroup(layout, path);
    for (const CgroupLayout::Hierarchy& hierarchy : cgroup.hierarchies_) {
        auto fd = Fd::open(hierarchy.mount_point + path, O_RDONLY | O_DIRECTORY);
        if (fd) {
            cgroup.directories_.push_back({&hierarchy, *std::move(fd)});
        } else if (fd.error().errno_value() != ENOENT) {
            return std::move(fd).error();
        }
    }
    return cgroup;
}

int Cgroup::unified_fd() const {
    for (const Directory& directory : directories_) {
        if (directory.hierarchy->unified) {
            return directory.fd.get();
        }
    }
    return -1;
}

std::string unified_path_parse(std::string_view proc_cgroup) {
    while (!proc_cgroup.empty()) {
        const std::string_view line = proc_cgroup.substr(0, proc_cgroup.find('\n'));
        proc_cgroup.remove_prefix(std::min(line.size() + 1, proc_cgroup.size()));
        if (line.starts_with("0::/")) {
            return std::string(line.substr(3));
        }
    }
    return "";
}

Result<Fd> Cgroup::leaf_of(pid_t pid) const {
    TRY(const std::string text, file_read("/proc/" + std::to_string(pid) + "/cgroup"));
    const std::string path = unified_path_parse(text);
    const int own = unified_fd();
    if (own < 0 || (path != path_ && !path.starts_with(path_ + "/"))) {
        return Error(ErrorKind::conflict,
                     "process " + std::to_string(pid) + " is not in cgroup " + path_);
    }
    if (path == path_) {
        return Fd::openat(own, ".", O_RDONLY | O_DIRECTORY);
    }
    return Fd::openat2(own,
                       path.substr(path_.size() + 1),
                       O_RDONLY | O_DIRECTORY,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

int Cgroup::controller_fd(std::string_view controller) const {
    for (const Directory& directory : directories_) {
        if (has(*directory.hierarchy, controller)) {
            return directory.fd.get();
        }
    }
    return -1;
}

CgroupPlacement Cgroup::placement() const {
    CgroupPlacement placement;
    placement.pure_v2 = mode_ == CgroupMode::v2;
    for (const Directory& directory : directories_) {
        const CgroupLayout::Hierarchy& hierarchy = *directory.hierarchy;
        CgroupPlacement::Hierarchy entry;
        entry.directory = hierarchy.mount_point + path_;
        entry.mount_name = hierarchy.mount_point.substr(hierarchy.mount_point.rfind('/') + 1);
        entry.unified = hierarchy.unified;
        if (!hierarchy.unified && hierarchy.controllers.size() > 1) {
            entry.aliases = hierarchy.controllers;
        }
        placement.hierarchies.push_back(std::move(entry));
    }
    return placement;
}

const Cgroup::Directory* Cgroup::process_directory() const {
    for (const Directory& directory : directories_) {
        if (directory.hierarchy->unified) {
            return &directory;
        }
    }
    return directories_.empty() ? nullptr : &directories_.front();
}

Result<std::vector<pid_t>> Cgroup::pids() const {
    std::vector<pid_t> pids;
    const Directory* directory = process_directory();
    if (directory == nullptr) {
        return pids;
    }
    TRY_VOID(pids_append(directory->fd.get(), pids));
    TRY_VOID(each_directory(directory->fd.get(),
                            [&pids](int /*parent*/, const std::string& /*name*/, int child) {
                                return pids_append(child, pids);
                            }));
    return pids;
}

Result<void> Cgroup::kill() {
    if (const int unified = unified_fd(); unified >= 0) {
        auto killed = file_write_existing(unified, "cgroup.kill", "1");
        if (killed || killed.error().errno_value() != ENOENT) {
            return killed;
        }
    }
    // A frozen process does not fork, so one pass finds all; the signal works when it is thawed.
    TRY_VOID(freeze());
    auto inside = pids();
    if (inside) {
        for (const pid_t pid : *inside) {
            if (auto process = PidRef::open(pid); process) {
                static_cast<void>(process->signal(SIGKILL));  // It may have ended meanwhile.
            }
        }
    }
    TRY_VOID(thaw());
    return inside ? Result<void>(ok) : Result<void>(std::move(inside).error());
}

Result<void> Cgroup::freeze() {
    if (const int unified = unified_fd(); unified >= 0) {
        return file_write_existing(unified, "cgroup.freeze", "1");
    }
    if (const int freezer = controller_fd("freezer"); freezer >= 0) {
        return file_write_existing(freezer, "freezer.state", "FROZEN");
    }
    return Error(ErrorKind::unsupported, "no freezer cgroup on this host");
}

Result<void> Cgroup::thaw() {
    if (const int unified = unified_fd(); unified >= 0) {
        return file_write_existing(unified, "cgroup.freeze", "0");
    }
    if (const int freezer = controller_fd("freezer"); freezer >= 0) {
        return file_write_existing(freezer, "freezer.state", "THAWED");
    }
    return Error(ErrorKind::unsupported, "no freezer cgroup on this host");
}

Result<bool> Cgroup::frozen() const {
    if (const int unified = unified_fd(); unified >= 0) {
        TRY(const std::string text, file_read(unified, "cgroup.events"));
        return keyed_value(text, "frozen") == 1;
    }
    if (const int freezer = controller_fd("freezer"); freezer >= 0) {
        TRY(const std::string text, file_read(freezer, "freezer.state"));
        return text == "FROZEN\n";
    }
    return Error(ErrorKind::unsupported, "no freezer cgroup on this host");
}

Result<std::uint64_t> Cgroup::oom_kill_count() const {
    const int memory = controller_fd("memory");
    if (memory < 0) {
        return std::uint64_t{0};
    }
    const bool unified = memory == unified_fd();
    TRY(const std::string text,
        file_read(memory, unified ? "memory.events" : "memory.oom_control"));
    return keyed_value(text, "oom_kill");
}

Result<OomNotice> Cgroup::oom_notice() const {
    const int memory = controller_fd("memory");
    if (memory < 0) {
        return Error(ErrorKind::unsupported, "this host has no memory cgroup");
    }
    OomNotice notice;
    if (memory == unified_fd()) {
        notice.kind = OomNotice::Kind::events_file;
        TRY(notice.fd, Fd::openat(memory, "memory.events", O_RDONLY));
        return notice;
    }
    notice.fd = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!notice.fd) {
        return Error::from_errno(errno, "eventfd");
    }
    TRY(const Fd control, Fd::openat(memory, "memory.oom_control", O_RDONLY));
    TRY_VOID(
        file_write_existing(memory,
                            "cgroup.event_control",
                            std::to_string(notice.fd.get()) + " " + std::to_string(control.get())));
    return notice;
}

CgroupRemoval Cgroup::removal() const {
    CgroupRemoval removal;
    for (const Directory& directory : directories_) {
        removal.directories.push_back(directory.hierarchy->mount_point + path_);
    }
    return removal;
}

Result<void> Cgroup::remove() {
    TRY_VOID(removal()());
    removed();
    return ok;
}

Result<void> CgroupRemoval::operator()() const {
    for (const std::string& directory : directories) {
        if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) {
            continue;
        }
        if (errno != EBUSY) {
            return Error::from_errno(errno, "rmdir", directory);
        }
        // Directories that the container made in its own cgroup; then once more.
        const auto inside = Fd::open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (!inside) {
            continue;  // Removed meanwhile.
        }
        TRY_VOID(each_directory(
            inside->get(), [](int parent, const std::string& name, int /*child*/) -> Result<void> {
                if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
                    return Error::from_errno(errno, "rmdir", name);
                }
                return ok;
            }));
        if (::rmdir(directory.c_str()) != 0 && errno != ENOENT) {
            return Error::from_errno(errno, "rmdir", directory);
        }
    }
    return ok;
}

}  // namespace davit
