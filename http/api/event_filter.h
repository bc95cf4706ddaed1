#pragma once
/// EventFilter: which events a reader of GET /events wants.
///
/// Follows: Docker Engine API, operation SystemEvents: values of one key are alternatives (labels
/// must all be there), keys must all match. An actor is found by the beginning of its id or name.
/// Unlike Docker we let container=web select containers only, not an image or network named web.
#include "http/api/filters.h"
#include "jobs/event_bus.h"

namespace davit {

class EventFilter {
  public:
    /// Takes: the filters query parameter; empty admits everything.
    /// Errors: as Filters::parse().
    static Result<EventFilter> parse(std::string_view text);

    bool admits(const Event& event) const;

  private:
    explicit EventFilter(Filters filters) : filters_(std::move(filters)) {}

    bool admits_action(const std::string& action) const;
    bool admits_actor(std::string_view type, const Event& event) const;
    bool admits_image(const Event& event) const;
    bool admits_labels(const Event& event) const;

    Filters filters_;
};

}  // namespace davit
