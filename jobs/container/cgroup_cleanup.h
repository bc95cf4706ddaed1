#pragma once
#include <string>

#include "libcontainer/cgroup.h"
#include "reactor/base/ids.h"
#include "reactor/task.h"

namespace davit {

/// Cgroup::remove() on a worker. Errors: as that; cancelled. The cgroup must outlive it.
Task<void> cgroup_remove(Cgroup& cgroup);

/// Kill what is left in a container's cgroups and remove them. The kernel lets go of a dead task a
/// moment after its exit, so one that cannot be removed is tried again, for about four seconds;
/// then it is logged, stays for the next start, and Cgroup::is_removed() says so. name is for the
/// log. Errors: cancelled.
Task<void> cgroup_clean_up(Cgroup& cgroup, std::string name);

/// Cgroups that no record tells of: a file for each in a directory below the run directory, so that
/// the next daemon of this boot removes what this one leaves.
class CgroupNotes {
  public:
    /// Takes: directory: made by recover().
    explicit CgroupNotes(std::string directory) : directory_(std::move(directory)) {}

    /// Before there is anything of it, or before its record goes. Takes: path: as Cgroup::create().
    /// Errors: what the disk says.
    Result<void> add(const ContainerId& id, const std::string& path) const;

    /// It is gone, or it has a record.
    void drop(const ContainerId& id) const;

    /// At start: end what still runs in the cgroups that an earlier daemon has noted, and remove
    /// them. What cannot be removed keeps its note. Errors: what the disk says; cancelled.
    Task<void> recover(const CgroupLayout& layout) const;

  private:
    std::string file(const std::string& name) const { return directory_ + "/" + name; }

    std::string directory_;
};

}  // namespace davit
