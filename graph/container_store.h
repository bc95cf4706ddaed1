#pragma once
/// Containers' records: opaque bytes of the engine by id, and the index of names.
///
/// A container with --rm has its record in the run database, which costs no sync and is gone after
/// a boot, as the container is; every other one has it in the graph. Ids and names are unique
/// across both. In the graph a container holds its image and its chain, so that neither can be
/// removed below it; what containers of the run database hold is in
/// ContainerStore::pinned_chains().
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph_db.h"
#include "graph/layer_store.h"
#include "reactor/base/ids.h"

namespace davit {

/// Which database holds the record.
enum class ContainerHome : std::uint8_t { graph, run };

struct ContainerEntry {
    ContainerId id;
    /// "/web"; empty for none.
    std::string name;
    Digest image;
    /// Empty for an image without layers.
    Digest chain_id;
    /// Of images among its mounts: held as its own.
    std::vector<Digest> mounted_chains = {};
    /// The engine's own record.
    std::string record;
};

// --- inside a transaction of the home's database
// -----------------------------------------------------

/// Errors: conflict (the name, with Docker's text, or the id is taken in this database); not_found
///         (home graph: no such image or chain).
Result<void> container_create(WriteTxn& txn, ContainerHome home, const ContainerEntry& entry);

Result<std::optional<ContainerEntry>> container_get(const ReadTxn& txn, const ContainerId& id);
Result<std::vector<ContainerEntry>> container_list(const ReadTxn& txn);

/// Replace the record's bytes. Errors: not_found.
Result<void> container_update(WriteTxn& txn, const ContainerId& id, std::string_view record);

/// Errors: not_found; conflict (the name is another container's).
Result<void> container_rename(WriteTxn& txn, const ContainerId& id, const std::string& name);

/// Gives:  the chains it held; for chain_collect() in the graph.
/// Errors: not_found "No such container: ID".
Result<std::vector<Digest>> container_erase(WriteTxn& txn,
                                            ContainerHome home,
                                            const ContainerId& id);

/// The containers in this graph that hold the image.
Result<std::vector<ContainerId>> image_users(const ReadTxn& txn, const Digest& image);

/// Which container of this database has the name. Takes: "/web".
Result<std::optional<ContainerId>> container_name_owner(const ReadTxn& txn, std::string_view name);

/// Docker's text for a name that is taken.
Error container_name_conflict(std::string_view name, const ContainerId& owner);

// --- across both databases
// --------------------------------------------------------------------------

struct ContainerMatch {
    ContainerId id;
    ContainerHome home;
};

/// Both databases seen as one. Its functions read in place and belong to the loop's thread.
class ContainerStore {
  public:
    ContainerStore(GraphDb& graph, GraphDb& run) : graph_(&graph), run_(&run) {}

    GraphDb& database(ContainerHome home) { return home == ContainerHome::graph ? *graph_ : *run_; }

    /// Find a container as the API names it: full id, name with or without the slash, unique prefix
    /// of an id; in this order. Errors: not_found "No such container: X"; invalid_argument (several
    /// ids have the prefix).
    Result<ContainerMatch> resolve(std::string_view text) const;

    /// Keep a name for a container that is being created, until its record is committed or its
    /// creation has failed: a commit to disk takes a while, in which nobody else may take the name.
    /// Errors: conflict, with Docker's text, if it is reserved or taken.
    class NameReservation;
    Result<NameReservation> reserve_name(const std::string& name, const ContainerId& id);

    /// The chains that containers of the run database hold; for chain_collect().
    Result<std::vector<Digest>> pinned_chains() const;

  private:
    GraphDb* graph_;
    GraphDb* run_;
    std::map<std::string, ContainerId> reserved_;
};

/// Gives the name back when it goes. The store must outlive it.
class [[nodiscard]] ContainerStore::NameReservation {
  public:
    NameReservation(NameReservation&& other) noexcept
        : store_(std::exchange(other.store_, nullptr)), name_(std::move(other.name_)) {}

    NameReservation& operator=(NameReservation&&) = delete;
    NameReservation(const NameReservation&) = delete;
    NameReservation& operator=(const NameReservation&) = delete;

    ~NameReservation() {
        if (store_ != nullptr) {
            store_->reserved_.erase(name_);
        }
    }

  private:
    friend class ContainerStore;

    NameReservation(ContainerStore& store, std::string name)
        : store_(&store), name_(std::move(name)) {}

    ContainerStore* store_;
    std::string name_;
};

}  // namespace davit
