#pragma once
/// VolumeService: every volume that the daemon knows, and what is done with them.
///
/// Loop thread only. A volume's `turn` is held while it is made, filled, mounted or removed; who
/// has written himself into `users` needs no turn to rely on it: a volume that is used is not
/// removed.
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "graph/container_store.h"
#include "graph/graph_writer.h"
#include "graph/volume_store.h"
#include "jobs/event_bus.h"
#include "jobs/volume/volume_directory.h"
#include "reactor/async_event.h"
#include "reactor/task.h"

namespace davit {

struct Volume {
    VolumeRecord record;
    /// Where the record is: volumes of containers started with --rm are in the run database.
    ContainerHome home = ContainerHome::graph;
    /// Ids of the containers that have it among their mounts, and of those that run.
    std::set<std::string> users;
    std::set<std::string> mounted_by;
    AsyncMutex turn;
    /// Its record is committed: others may see it.
    bool ready = false;
    bool removed = false;
};

struct VolumeRequest {
    std::string name;    ///< Empty: one is made up, and the volume is anonymous.
    std::string driver;  ///< Empty: local.
    std::map<std::string, std::string> labels;
    std::map<std::string, std::string> options;
};

struct VolumesPruned {
    std::vector<std::string> names;
    std::uint64_t bytes = 0;
};

class VolumeService {
  public:
    VolumeService(GraphDb& graph, GraphWriter& writer, GraphDb& run, EventBus& events)
        : graph_(graph), writer_(writer), run_(run), events_(events) {}

    /// Read the records, and finish or roll back what an earlier life had begun.
    Task<void> load(std::string directory);

    /// Unmount what no container that runs uses; call it when all users are known.
    Task<void> settle();

    /// The volume of this name, made if there is none. The user, a container's id, is written in
    /// before anybody else may remove the volume; "" for none.
    /// Errors: invalid_argument (name, options); not_found (driver); conflict (there is one with
    ///         another driver, or with other options than those asked for).
    Task<std::shared_ptr<Volume>> create(VolumeRequest request, std::string user);

    /// An anonymous volume that nobody sees before published(); what makes it durable is the
    /// commit of a transaction with record_insert() in it.
    Result<std::shared_ptr<Volume>> stage(VolumeRequest request,
                                          std::string user,
                                          ContainerHome home);
    static Result<void> record_insert(WriteTxn& txn, const Volume& volume);
    Result<void> published(const std::shared_ptr<Volume>& volume);

    void unstage(const Volume& volume) { directory_->unstage(volume.record.name); }

    /// Of one whose record is committed, and that could not be published.
    Task<void> forget(std::shared_ptr<Volume> volume);

    /// Errors: not_found "get X: no such volume".
    Result<std::shared_ptr<Volume>> find(std::string_view name) const;

    /// In the order of names.
    std::vector<std::shared_ptr<Volume>> list() const;

    /// Errors: not_found; conflict "remove X: volume is in use - [IDS]".
    Task<void> remove(std::string name);

    /// Remove what nobody uses and `admits` says yes to.
    Task<VolumesPruned> prune(std::function<bool(const VolumeRecord&)> admits);

    /// The bytes of its files. Errors: not_found; resource_exhausted; what the disk says.
    Task<std::uint64_t> size(std::shared_ptr<Volume> volume);

    /// Of a container that runs: mount what the options say, if nobody did. Errors: internal.
    Task<void> mount(std::shared_ptr<Volume> volume, std::string user);
    Task<void> unmount(std::shared_ptr<Volume> volume, std::string user);

    /// Its record and data outlive the boot from now on.
    Task<void> keep(std::shared_ptr<Volume> volume);

    void event(const Volume& volume,
               std::string action,
               std::vector<std::pair<std::string, std::string>> extra = {});

    const VolumeDirectory& directory() const { return *directory_; }

    std::string mountpoint(const VolumeRecord& record) const {
        return directory_->data_path(record.name);
    }

  private:
    Task<std::shared_ptr<Volume>> make(VolumeRequest request, std::string user);
    Task<void> make_steps(std::shared_ptr<Volume> volume);
    Task<void> remove_steps(std::shared_ptr<Volume> volume);
    Task<void> record_erase(std::string name, ContainerHome home);
    Task<void> adopt(std::string name);

    GraphDb& graph_;
    GraphWriter& writer_;
    GraphDb& run_;
    EventBus& events_;
    std::unique_ptr<VolumeDirectory> directory_;
    std::map<std::string, std::shared_ptr<Volume>, std::less<>> volumes_;
};

/// "create X: WHY", as Docker puts what it was doing before what went wrong.
Error volume_error(std::string_view operation, std::string_view name, Error error);

}  // namespace davit
