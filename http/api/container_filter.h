#pragma once
/// ContainerFilter: which containers GET /containers/json lists.
///
/// Follows: Docker Engine API, operation ContainerList; moby daemon/list.go.
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/api/filters.h"
#include "jobs/container/state.h"
#include "reactor/base/clock.h"
#include "reactor/base/digest.h"

namespace davit {

struct ContainerRecord;

/// What a filter needs from outside the containers it looks at.
struct ContainerFilterLookups {
    /// When a container, named by before or since, was created. Errors: not_found.
    std::function<Result<WallTime>(const std::string& name)> created;
    /// The ids of an image and of those built on it; empty if there is no such image.
    std::function<Result<std::vector<Digest>>(const std::string& name)> image_family;
};

class ContainerFilter {
  public:
    /// Takes:  text: the query's `filters`.
    /// Errors: invalid_argument for an unknown key, or a value that cannot be; those of the
    /// lookups.
    static Result<ContainerFilter> parse(std::string_view text,
                                         const ContainerFilterLookups& lookups);

    bool matches(const ContainerRecord& record) const;

    /// A filter on status or exit code asks for containers that do not run, too.
    bool wants_all() const { return !states_.empty() || !exit_codes_.empty(); }

  private:
    struct PortRange {
        int first = 0;
        int last = 0;
        std::string protocol;
    };

    static Result<std::vector<PortRange>> ports_parse(const Filters& filters, std::string_view key);
    Result<void> take_values();
    Result<void> take_lookups(const ContainerFilterLookups& lookups);
    bool matches_names(const ContainerRecord& record) const;
    bool matches_ports(const ContainerRecord& record) const;
    bool matches_places(const ContainerRecord& record) const;

    Filters filters_;
    std::vector<NamePattern> names_;
    std::vector<NamePattern> ids_;
    std::set<ContainerState> states_;
    std::set<int> exit_codes_;
    std::vector<PortRange> exposed_;
    std::vector<PortRange> published_;
    std::optional<std::set<Digest>> images_;
    std::optional<WallTime> before_;
    std::optional<WallTime> since_;
    bool wants_task_ = false;
};

}  // namespace davit
