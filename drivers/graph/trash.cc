#include "drivers/graph/trash.h"

#include <cerrno>
#include <cstdio>
#include <limits>
#include <utility>

#include "drivers/graph/directory_names.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

/// How many names one look into the trash takes: more come with the next look.
constexpr std::size_t names_max = 256;

/// How many entries one slice of deleting takes away: some milliseconds.
constexpr std::uint64_t slice_entries = 2048;

/// For one name more in the trash: EMLINK where directories are counted.
bool no_room(int error) {
    return error == ENOSPC || error == EDQUOT || error == EMLINK;
}

}  // namespace

Result<std::unique_ptr<TrashBin>> TrashBin::open(Fd dir, Dissolve dissolve) {
    return std::unique_ptr<TrashBin>(new TrashBin(std::move(dir), std::move(dissolve)));
}

Result<TreeRemove> TrashBin::removal_begin(int dir, const std::string& path) const {
    const std::size_t slash = path.rfind('/');
    const std::string above = slash == std::string::npos ? "." : path.substr(0, slash);
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    TRY(Fd parent, Fd::openat(dir, above, O_RDONLY | O_DIRECTORY));
    if (dissolve_) {
        TRY_VOID(dissolve_(parent.get(), name));
    }
    return TreeRemove(std::move(parent), name);
}

Task<void> TrashBin::entry_delete(int dir, std::string path) {
    auto begin = [this, dir, &path] { return removal_begin(dir, path); };
    CO_TRY(TreeRemove removal, co_await offload_bulk(std::move(begin)));
    for (bool gone = false; !gone;) {
        auto slice = [&removal] { return removal.step(slice_entries); };
        CO_TRY(gone, co_await offload_bulk(std::move(slice)));
    }
    co_return ok;
}

Result<void> TrashBin::take(int from_dir, const std::string& path) {
    // An entry left by an earlier life may have the number already.
    for (;;) {
        const std::string name = std::to_string(++sequence_);
        if (::renameat2(from_dir, path.c_str(), dir_.get(), name.c_str(), RENAME_NOREPLACE) == 0) {
            break;
        }
        if (no_room(errno)) {
            in_place_.emplace(path, from_dir);
            break;
        }
        if (errno != EEXIST) {
            return Error::from_errno(errno, "renameat2", path);
        }
    }
    idle_.reset();
    wanted_.set();
    return ok;
}

Task<void> TrashBin::all_delete(std::vector<std::string> names) {
    for (const std::string& name : names) {
        Result<void> removed = co_await entry_delete(dir_.get(), name);
        if (!removed) {
            if (removed.error().kind() == ErrorKind::cancelled) {
                co_return std::move(removed).error();
            }
            LOG_WARN("trash: delete {}: {}, ignoring", name, removed.error().message());
            stuck_.insert(name);
        }
    }
    while (!in_place_.empty()) {
        const auto [path, dir] = *in_place_.begin();
        Result<void> removed = co_await entry_delete(dir, path);
        if (!removed) {
            if (removed.error().kind() == ErrorKind::cancelled) {
                co_return std::move(removed).error();
            }
            LOG_WARN("trash: delete {}: {}, ignoring", path, removed.error().message());
        }
        in_place_.erase(path);
    }
    co_return ok;
}

Task<void> TrashBin::run() {
    for (;;) {
        wanted_.reset();
        // Names that are stuck must not hide the others behind the count.
        const std::size_t count_max = names_max + stuck_.size();
        auto list = [dir = dir_.get(), count_max] { return directory_names(dir, ".", count_max); };
        Result<std::vector<std::string>> listed = co_await offload_bulk(std::move(list));
        if (!listed && listed.error().kind() == ErrorKind::cancelled) {
            co_return std::move(listed).error();
        }
        std::vector<std::string> names;
        if (listed) {
            names = *std::move(listed);
        } else {
            // No reason to end, and the engine with it: the next entry makes it look again.
            LOG_WARN("trash: list it: {}, ignoring", listed.error().message());
        }
        std::erase_if(names, [this](const std::string& name) { return stuck_.contains(name); });
        if (names.empty() && in_place_.empty() && !wanted_.is_set()) {
            idle_.set();
            CO_CHECK(co_await wanted_.wait());
            continue;
        }
        CO_CHECK(co_await all_delete(std::move(names)));
    }
}

Task<void> TrashBin::drained() {
    return idle_.wait();
}

Result<void> TrashBin::empty_now() {
    auto delete_now = [this](int dir, const std::string& path) -> Result<void> {
        TRY(TreeRemove removal, removal_begin(dir, path));
        TRY_VOID(removal.step(std::numeric_limits<std::uint64_t>::max()));
        return ok;
    };
    for (const auto& [path, dir] : std::exchange(in_place_, {})) {
        TRY_VOID(delete_now(dir, path));
    }
    for (;;) {
        TRY(const std::vector<std::string> names, directory_names(dir_.get(), ".", names_max));
        if (names.empty()) {
            return ok;
        }
        for (const std::string& name : names) {
            TRY_VOID(delete_now(dir_.get(), name));
        }
    }
}

}  // namespace davit
