#include "jobs/volume/volume_service.h"

#include <algorithm>

#include <fmt/format.h>

#include "jobs/container/tree_size.h"
#include "jobs/volume/volume_options.h"
#include "reactor/base/ids.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

/// Docker's names for anonymous volumes: 64 hexadecimal digits.
constexpr std::size_t anonymous_name_bytes = 32;

std::string ids_text(const std::set<std::string>& ids) {
    std::string text;
    for (const std::string& id : ids) {
        text.append(text.empty() ? "" : ", ").append(id);
    }
    return "[" + text + "]";
}

VolumeRecord record_make(VolumeRequest request) {
    VolumeRecord record;
    record.created = wall_now();
    record.labels = std::move(request.labels);
    record.options = std::move(request.options);
    record.name = std::move(request.name);
    if (record.name.empty()) {
        record.name = random_hex(anonymous_name_bytes);
        record.labels.emplace(volume_anonymous_label, "");
    }
    return record;
}

Result<void> request_check(const VolumeRequest& request) {
    if (!request.driver.empty()) {
        TRY_VOID(volume_driver_check(request.driver));
    }
    if (!request.name.empty()) {
        TRY_VOID(volume_name_check(request.name));
    }
    return volume_options_check(request.options);
}

/// Whether an existing volume is what is asked for now.
Result<void> conflict_check(const VolumeRecord& record, const VolumeRequest& request) {
    const std::string driver = request.driver.empty() ? record.driver : request.driver;
    if (driver != record.driver) {
        return Error(ErrorKind::conflict,
                     fmt::format("driver '{}' already has volume '{}': volume name must be unique",
                                 record.driver,
                                 record.name));
    }
    if (!request.options.empty() && request.options != record.options) {
        return Error(
            ErrorKind::conflict,
            fmt::format("volume '{}' exists already with other driver options", record.name));
    }
    return ok;
}

Result<void> staged_make(const VolumeDirectory& directory,
                         const VolumeRecord& record,
                         bool ephemeral) {
    TRY_VOID(directory.stage(record.name, ephemeral));
    TRY(const std::uint64_t bytes_max, volume_size_parse(record.options));
    Result<void> bound = bytes_max > 0 ? directory.bound(record.name, bytes_max) : Result<void>(ok);
    if (!bound) {
        directory.unstage(record.name);
    }
    return bound;
}

Error no_such_volume() {
    return Error(ErrorKind::not_found, "no such volume");
}

}  // namespace

Error volume_error(std::string_view operation, std::string_view name, Error error) {
    return std::move(error).context(operation, name);
}

Task<void> VolumeService::load(std::string directory) {
    CO_TRY(directory_, VolumeDirectory::open(directory));
    std::set<std::string> names;
    for (const ContainerHome home : {ContainerHome::run, ContainerHome::graph}) {
        const GraphDb& db = home == ContainerHome::graph ? graph_ : run_;
        CO_TRY(std::vector<VolumeRecord> records,
               db.view([](const ReadTxn& txn) { return volume_list(txn); }));
        for (VolumeRecord& record : records) {
            auto volume = std::make_shared<Volume>();
            volume->record = std::move(record);
            volume->home = home;  // In both: it was about to be kept.
            volume->ready = true;
            names.insert(volume->record.name);
            volumes_[volume->record.name] = std::move(volume);
        }
    }
    CO_TRY(const VolumesOnDisk found, directory_->reconcile(names));
    for (const std::string& name : found.removed) {
        if (const auto volume = volumes_.find(name); volume != volumes_.end()) {
            CO_CHECK(co_await record_erase(name, volume->second->home));
            volumes_.erase(volume);
        }
        CO_CHECK(directory_->discard(name));
    }
    for (const std::string& name : found.adopted) {
        CO_CHECK(co_await adopt(name));
    }
    for (const auto& [name, volume] : volumes_) {
        if (volume->home == ContainerHome::graph) {
            CO_CHECK(directory_->keep(name));
        }
    }
    co_return ok;
}

/// Data without a record are somebody's all the same. What else was known of them is lost.
Task<void> VolumeService::adopt(std::string name) {
    LOG_WARN("volume={}: found without a record: it gets a new one", name);
    auto volume = std::make_shared<Volume>();
    volume->record.name = name;
    volume->record.created = wall_now();
    volume->ready = true;
    auto insert = [&volume](WriteTxn& txn) { return record_insert(txn, *volume); };
    CO_CHECK(co_await writer_.update(insert));
    volumes_[name] = std::move(volume);
    co_return ok;
}

Task<void> VolumeService::settle() {
    for (const auto& volume : list()) {
        if (!volume_is_mounted(volume->record.options) || !volume->mounted_by.empty()) {
            continue;
        }
        auto detach = [path = mountpoint(volume->record)]() -> Result<void> {
            TRY(const bool mounted, is_mount_point(path));
            return mounted ? local_mount_detach(path) : ok;
        };
        if (const Result<void> done = co_await offload(std::move(detach)); !done) {
            LOG_WARN("volume={}: {}, ignoring", volume->record.name, done.error().message());
        }
    }
    co_return ok;
}

Task<std::shared_ptr<Volume>> VolumeService::create(VolumeRequest request, std::string user) {
    if (Result<void> valid = request_check(request); !valid) {
        const std::string name = request.name;
        co_return volume_error("create", name, std::move(valid).error());
    }
    for (;;) {
        const auto found = volumes_.find(request.name);
        if (request.name.empty() || found == volumes_.end()) {
            co_return co_await make(std::move(request), std::move(user));
        }
        std::shared_ptr<Volume> volume = found->second;
        CO_TRY(const Semaphore::Permit permit, co_await volume->turn.lock());
        if (volume->removed) {
            continue;  // Meanwhile, or never came to be: it is made anew.
        }
        if (Result<void> same = conflict_check(volume->record, request); !same) {
            co_return volume_error("create", request.name, std::move(same).error());
        }
        if (!user.empty()) {
            volume->users.insert(std::move(user));
        }
        co_return std::move(volume);
    }
}

Task<std::shared_ptr<Volume>> VolumeService::make(VolumeRequest request, std::string user) {
    auto volume = std::make_shared<Volume>();
    volume->record = record_make(std::move(request));
    const std::string name = volume->record.name;
    volumes_[name] = volume;  // The name is taken; whoever wants it waits for the turn.
    CO_TRY(const Semaphore::Permit permit, co_await volume->turn.lock());
    Result<void> made = co_await shielded(make_steps(volume));
    if (!made) {
        volume->removed = true;
        volumes_.erase(name);
        co_return volume_error("create", name, std::move(made).error());
    }
    if (!user.empty()) {
        volume->users.insert(std::move(user));
    }
    co_return std::move(volume);
}

Task<void> VolumeService::make_steps(std::shared_ptr<Volume> volume) {
    const std::string& name = volume->record.name;
    // Of a removal whose end failed: the next start would take it for that of this volume.
    CO_CHECK(directory_->discard(name));
    directory_->unstage(name);  // Of a creation that a full disk did not let clean up.
    CO_CHECK(staged_make(*directory_, volume->record, false));
    auto insert = [&volume](WriteTxn& txn) { return record_insert(txn, *volume); };
    Result<void> recorded = co_await writer_.update(insert);
    if (!recorded) {
        directory_->unstage(name);
        co_return recorded;
    }
    Result<void> published = directory_->publish(name);
    if (!published) {
        static_cast<void>(co_await forget(volume));
        co_return published;
    }
    volume->ready = true;
    event(*volume, "create");
    co_return ok;
}

Result<std::shared_ptr<Volume>> VolumeService::stage(VolumeRequest request,
                                                     std::string user,
                                                     ContainerHome home) {
    const auto staged = [&]() -> Result<std::shared_ptr<Volume>> {
        TRY_VOID(request_check(request));
        auto volume = std::make_shared<Volume>();
        volume->record = record_make(std::move(request));
        volume->record.labels.emplace(volume_anonymous_label, "");
        volume->home = home;
        volume->users.insert(std::move(user));
        TRY_VOID(staged_make(*directory_, volume->record, home == ContainerHome::run));
        return volume;
    };
    const std::string name = request.name;
    Result<std::shared_ptr<Volume>> volume = staged();
    return volume ? std::move(volume) : volume_error("create", name, std::move(volume).error());
}

Result<void> VolumeService::record_insert(WriteTxn& txn, const Volume& volume) {
    return volume_put(txn, volume.record);
}

Result<void> VolumeService::published(const std::shared_ptr<Volume>& volume) {
    TRY_VOID(directory_->publish(volume->record.name));
    volume->ready = true;
    volumes_[volume->record.name] = volume;
    event(*volume, "create");
    return ok;
}

Task<void> VolumeService::forget(std::shared_ptr<Volume> volume) {
    // With its record it must have its directory; without, the next start throws that away, if this
    // does not.
    CO_CHECK(co_await record_erase(volume->record.name, volume->home));
    directory_->unstage(volume->record.name);
    co_return ok;
}

Result<std::shared_ptr<Volume>> VolumeService::find(std::string_view name) const {
    const auto found = volumes_.find(name);
    if (found == volumes_.end() || !found->second->ready || found->second->removed) {
        return volume_error("get", name, no_such_volume());
    }
    return found->second;
}

std::vector<std::shared_ptr<Volume>> VolumeService::list() const {
    std::vector<std::shared_ptr<Volume>> volumes;
    for (const auto& [name, volume] : volumes_) {
        if (volume->ready && !volume->removed) {
            volumes.push_back(volume);
        }
    }
    return volumes;
}

Task<void> VolumeService::remove(std::string name) {
    CO_TRY(const std::shared_ptr<Volume> volume, find(name));
    CO_TRY(const Semaphore::Permit permit, co_await volume->turn.lock());
    if (volume->removed) {
        co_return volume_error("get", name, no_such_volume());
    }
    if (!volume->users.empty()) {
        Error in_use(ErrorKind::conflict, "volume is in use - " + ids_text(volume->users));
        co_return volume_error("remove", name, std::move(in_use));
    }
    Result<void> removed = co_await shielded(remove_steps(volume));
    if (!removed) {
        // Whatever the disk says ("busy"): the request was in order.
        co_return volume_error(
            "remove", name, std::move(removed).error().with_kind(ErrorKind::internal));
    }
    co_return ok;
}

Task<void> VolumeService::remove_steps(std::shared_ptr<Volume> volume) {
    const std::string& name = volume->record.name;
    CO_CHECK(directory_->retire(name));
    Result<void> erased = co_await record_erase(name, volume->home);
    if (!erased) {
        if (!directory_->restore(name)) {
            // Without its data it is as good as removed; the next start goes on.
            volume->removed = true;
            volumes_.erase(name);
        }
        co_return erased;
    }
    volume->removed = true;
    volumes_.erase(name);
    if (const Result<void> discarded = directory_->discard(name); !discarded) {
        LOG_WARN("volume={}: {}, ignoring", name, discarded.error().message());
    }
    event(*volume, "destroy");
    co_return ok;
}

Task<void> VolumeService::record_erase(std::string name, ContainerHome home) {
    auto erase = [&name](WriteTxn& txn) -> Result<void> {
        TRY([[maybe_unused]] const bool was_there, volume_erase(txn, name));
        return ok;
    };
    CO_CHECK(run_.update(erase));
    if (home == ContainerHome::graph) {
        co_return co_await writer_.update(erase);
    }
    co_return ok;
}

Task<VolumesPruned> VolumeService::prune(std::function<bool(const VolumeRecord&)> admits) {
    VolumesPruned pruned;
    for (const auto& volume : list()) {
        if (volume->removed || !volume->users.empty() || !admits(volume->record)) {
            continue;
        }
        const Result<std::uint64_t> bytes = co_await size(volume);
        const std::string name = volume->record.name;
        Result<void> removed = co_await remove(name);
        if (removed) {
            pruned.names.push_back(name);
            pruned.bytes += bytes ? *bytes : 0;
        } else if (removed.error().kind() == ErrorKind::cancelled) {
            co_return std::move(removed).error();
        } else if (removed.error().kind() != ErrorKind::conflict &&
                   removed.error().kind() != ErrorKind::not_found) {
            LOG_WARN("volume={}: prune: {}, ignoring", name, removed.error().message());
        }
    }
    co_return std::move(pruned);
}

Task<std::uint64_t> VolumeService::size(std::shared_ptr<Volume> volume) {
    CO_TRY(Fd directory, directory_->data_open(volume->record.name));
    co_return co_await tree_bytes(std::move(directory));
}

Task<void> VolumeService::mount(std::shared_ptr<Volume> volume, std::string user) {
    if (!volume_is_mounted(volume->record.options)) {
        volume->mounted_by.insert(std::move(user));
        co_return ok;
    }
    CO_TRY(const Semaphore::Permit permit, co_await volume->turn.lock());
    const std::string path = mountpoint(volume->record);
    if (volume->mounted_by.empty()) {
        auto attach = [path, options = volume->record.options]() -> Result<void> {
            LocalMount mount = local_mount_parse(options);
            TRY_VOID(local_mount_resolve(mount, host_resolve));
            return local_mount_attach(mount, path);
        };
        Result<void> attached = co_await offload(std::move(attach));
        if (!attached) {
            co_return std::move(attached).error().context("error while mounting volume '" + path +
                                                          "'");
        }
    }
    volume->mounted_by.insert(std::move(user));
    co_return ok;
}

Task<void> VolumeService::unmount(std::shared_ptr<Volume> volume, std::string user) {
    CO_TRY(const Semaphore::Permit permit, co_await volume->turn.lock());
    const bool was = volume->mounted_by.erase(user) > 0;
    if (was && volume->mounted_by.empty() && volume_is_mounted(volume->record.options)) {
        auto detach = [path = mountpoint(volume->record)] { return local_mount_detach(path); };
        co_return co_await offload(std::move(detach));
    }
    co_return ok;
}

Task<void> VolumeService::keep(std::shared_ptr<Volume> volume) {
    if (volume->home == ContainerHome::graph) {
        co_return ok;
    }
    CO_TRY(const Semaphore::Permit permit, co_await volume->turn.lock());
    if (volume->home == ContainerHome::graph || volume->removed) {
        co_return ok;
    }
    // Both databases have it in between: the graph's record counts then.
    auto insert = [&volume](WriteTxn& txn) { return record_insert(txn, *volume); };
    CO_CHECK(co_await writer_.update(insert));
    volume->home = ContainerHome::graph;
    CO_CHECK(directory_->keep(volume->record.name));
    auto erase = [&volume](WriteTxn& txn) -> Result<void> {
        TRY([[maybe_unused]] const bool was_there, volume_erase(txn, volume->record.name));
        return ok;
    };
    co_return run_.update(erase);
}

void VolumeService::event(const Volume& volume,
                          std::string action,
                          std::vector<std::pair<std::string, std::string>> extra) {
    extra.emplace_back("driver", volume.record.driver);
    events_.publish("volume", std::move(action), volume.record.name, std::move(extra));
}

}  // namespace davit
