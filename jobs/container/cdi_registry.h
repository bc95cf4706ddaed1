#pragma once
/// The devices of the container device interface that this host has: all specs of its directories.
///
/// They are read when somebody asks, since vendors' tools write them whenever a device comes or
/// goes. Follows: CDI SPEC.md; moby daemon/cdi.go; pkg/cdi of CDI's library, whose words are used.
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "jobs/container/cdi_spec.h"

namespace davit {

class CdiRegistry {
  public:
    /// Read every *.json of the directories. A later directory's device takes the place of an
    /// earlier one's; two of one directory's take each other's. What cannot be read is a problem,
    /// and stops nothing else.
    /// Blocks: reads files; through offload().
    static CdiRegistry read(const std::vector<std::string>& directories);

    /// "vendor.com/class=name" each, sorted.
    std::vector<std::string> device_names() const;

    /// Whether some device is of this kind ("vendor.com/class").
    bool has_kind(const std::string& kind) const;

    /// For each file that could not be read, or device that two specs have: "PATH: reason".
    const std::vector<std::string>& problems() const { return problems_; }

    /// What a container gets that asks for these devices.
    /// Errors: internal, in moby's words (a device is unknown); unsupported (one needs what davit
    ///         cannot do).
    Result<CdiEdits> edits_of(std::span<const std::string> names) const;

  private:
    struct Entry {
        std::size_t spec = 0;
        std::size_t device = 0;
        std::size_t directory = 0;
        bool conflicts = false;
    };

    struct Source {
        std::string path;
        CdiSpec spec;
    };

    void directory_read(const std::string& directory, std::size_t index);
    void spec_add(Source source, std::size_t directory);

    std::vector<Source> specs_;
    std::map<std::string, Entry> devices_;
    std::vector<std::string> problems_;
};

}  // namespace davit
