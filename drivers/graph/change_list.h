#pragma once
/// ChangeList: which paths of a root file system a container has changed.
///
/// Only what the container has of its own is walked; what lies below it is asked about single
/// names. What counts as changed: type, owner, mode, device, and of anything but a directory size,
/// time of change, target and capabilities, as with Docker; a directory that holds a change counts
/// as changed itself. The container may change it meanwhile, in any way it likes: nothing is
/// followed out of it, and what vanishes is not there.
/// Follows: moby pkg/archive/changes.go.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reactor/base/fd.h"

namespace davit {

/// As on the wire.
enum class ChangeKind : std::uint8_t { modified = 0, added = 1, deleted = 2 };

class ChangeList {
  public:
    /// Takes:  upper: what the container changed, as RwChanges has it; lower: the root file system
    ///         without that; none if the image has no layers.
    ChangeList(Fd upper, Fd lower) : upper_(std::move(upper)), lower_(std::move(lower)) {}

    /// Look at the next entries, or a few more. False once all were seen.
    /// Blocks: for the disk; through offload(), one call at a time.
    /// Limits: change_list_entries_max entries in all, then resource_exhausted.
    Result<bool> step(std::size_t entries);

    /// "/etc/passwd" and what became of it, parents before what is in them.
    const std::map<std::string, ChangeKind>& changes() const { return changes_; }

  private:
    Result<std::size_t> directory_look(const std::string& path);
    void entry_look(const std::string& path, int upper, int lower, const std::string& name);
    void note(const std::string& path, ChangeKind kind);

    Fd upper_;
    Fd lower_;
    std::vector<std::string> waiting_{""};
    std::size_t seen_ = 0;
    std::map<std::string, ChangeKind> changes_;
};

inline constexpr std::size_t change_list_entries_max = 20'000'000;

}  // namespace davit
