#include "drivers/graph/trash.h"

#include <cerrno>
#include <cstdio>
#include <limits>
#include <set>
#include <vector>

#include "drivers/graph/directory_names.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

/// How many names one look into the trash takes: more come with the next look.
constexpr std::size_t names_max = 256;

/// How many entries one slice of deleting takes away: some milliseconds.
constexpr std::uint64_t slice_entries = 2048;

}  // namespace

Result<std::unique_ptr<TrashBin>> TrashBin::open(Fd dir, Dissolve dissolve) {
    return std::unique_ptr<TrashBin>(new TrashBin(std::move(dir), std::move(dissolve)));
}

Result<TreeRemove> TrashBin::removal_begin(const std::string& name) const {
    if (dissolve_) {
        TRY_VOID(dissolve_(dir_.get(), name));
    }
    TRY(Fd parent, Fd::openat(dir_.get(), ".", O_RDONLY | O_DIRECTORY));
    return TreeRemove(std::move(parent), name);
}

Task<void> TrashBin::entry_delete(std::string name) {
    auto begin = [this, &name] { return removal_begin(name); };
    CO_TRY(TreeRemove removal, co_await offload(std::move(begin)));
    for (bool gone = false; !gone;) {
        auto slice = [&removal] { return removal.step(slice_entries); };
        CO_TRY(gone, co_await offload(std::move(slice)));
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
        if (errno != EEXIST) {
            return Error::from_errno(errno, "renameat2", path);
        }
    }
    idle_.reset();
    wanted_.set();
    return ok;
}

Task<void> TrashBin::run() {
    std::set<std::string> stuck;  // Could not be deleted: not again before the next start.
    for (;;) {
        wanted_.reset();
        // Names that are stuck must not hide the others behind the count.
        const std::size_t count_max = names_max + stuck.size();
        auto list = [dir = dir_.get(), count_max] { return directory_names(dir, ".", count_max); };
        Result<std::vector<std::string>> listed = co_await offload(std::move(list));
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
        std::erase_if(names, [&stuck](const std::string& name) { return stuck.contains(name); });
        if (names.empty() && !wanted_.is_set()) {
            idle_.set();
            CO_CHECK(co_await wanted_.wait());
            continue;
        }
        for (const std::string& name : names) {
            Result<void> removed = co_await entry_delete(name);
            if (!removed) {
                if (removed.error().kind() == ErrorKind::cancelled) {
                    co_return std::move(removed).error();
                }
                LOG_WARN("trash: delete {}: {}, ignoring", name, removed.error().message());
                stuck.insert(name);
            }
        }
    }
}

Task<void> TrashBin::drained() {
    return idle_.wait();
}

Result<void> TrashBin::empty_now() {
    for (;;) {
        TRY(const std::vector<std::string> names, directory_names(dir_.get(), ".", names_max));
        if (names.empty()) {
            return ok;
        }
        for (const std::string& name : names) {
            TRY(TreeRemove removal, removal_begin(name));
            TRY([[maybe_unused]] const bool gone,
                removal.step(std::numeric_limits<std::uint64_t>::max()));
        }
    }
}

}  // namespace davit
