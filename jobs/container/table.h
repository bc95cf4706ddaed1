#pragma once
/// ContainerTable: every container that the daemon knows, by id, by name, by unique prefix.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "jobs/container/container.h"

namespace davit {

struct ContainerCounts {
    std::uint64_t total = 0;
    std::uint64_t running = 0;
    std::uint64_t paused = 0;
};

class ContainerTable {
  public:
    /// Errors: conflict, in Docker's words, when the name is taken.
    Result<void> insert(std::shared_ptr<Container> container);

    void erase(const ContainerId& id);

    /// Keep a further name for a container, until one of its names is given up: nobody else gets
    /// either meanwhile. Errors: conflict when the name is taken.
    Result<void> name_reserve(const std::string& name, const ContainerId& id);

    /// Give up one of a container's names.
    void name_release(const std::string& name) { by_name_.erase(name); }

    /// Full id, then full name (with or without its slash), then a unique prefix of an id.
    /// Errors: not_found "No such container: X"; invalid_argument for an ambiguous prefix.
    Result<std::shared_ptr<Container>> find(std::string_view text) const;

    /// The container that was made with this idempotency key; null if there is none.
    std::shared_ptr<Container> find_key(std::string_view key) const;

    /// Errors: conflict when the name belongs to another container.
    Result<void> name_check(const std::string& name) const;

    /// Newest first.
    std::vector<std::shared_ptr<Container>> list() const;

    /// Those that were made with links to others.
    std::vector<std::shared_ptr<Container>> linking() const;

    ContainerCounts counts() const;

    /// Whether a writable directory of the graph driver belongs to a container.
    bool has_rw_name(std::string_view name) const;

    bool empty() const { return by_id_.empty(); }

  private:
    std::map<std::string, std::shared_ptr<Container>, std::less<>> by_id_;
    std::map<std::string, ContainerId, std::less<>> by_name_;
    std::map<std::string, ContainerId, std::less<>> by_key_;
    std::set<ContainerId> linking_;
};

}  // namespace davit
