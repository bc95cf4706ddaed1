#pragma once
/// LayerSync: layers that were published before they were on disk, written there in the background.
///
/// A pull answers as soon as its layers are whole in the page cache and recorded; the row in
/// layers_unsynced says that the disk may not have them yet. This takes the rows away again once
/// the file system was synced. Rows of an earlier boot are the recovery's to deal with.
#include <string>
#include <vector>

#include "graph/graph_db.h"
#include "reactor/task_group.h"

namespace davit {

class GraphDriver;
class GraphWriter;

class LayerSync {
  public:
    /// All must outlive it.
    LayerSync(GraphDb& db, GraphWriter& graph, GraphDriver& driver);

    LayerSync(const LayerSync&) = delete;
    LayerSync& operator=(const LayerSync&) = delete;

    /// The boot whose page cache this is (random(4), boot_id); empty if the kernel does not tell,
    /// and then nothing may be published unsynced.
    const std::string& boot() const { return boot_; }

    /// Layers that are recorded and not known to be on disk.
    Result<std::vector<std::string>> due() const;

    /// Sync what is due, after what is being synced now. Returns at once. A failure is logged; the
    /// rows stay for the next call, or the next start.
    void soon();

    /// Wait until nothing is being synced; before the loop ends.
    Task<void> close() { return tasks_.join(); }

  private:
    Task<void> run();
    Task<void> sync_due();

    GraphDb& db_;
    GraphWriter& graph_;
    GraphDriver& driver_;
    std::string boot_;
    bool wanted_ = false;
    bool running_ = false;
    TaskGroup tasks_{GroupPolicy::independent};
};

}  // namespace davit
