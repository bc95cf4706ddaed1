#pragma once
/// StatsSampler: what containers use, sampled once a second for all who want to know.
///
/// Nobody samples a container that nobody reads; one round reads all that are wanted, on a worker
/// thread. Follows: Docker Engine API, operation ContainerStats.
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "jobs/container/container.h"
#include "jobs/container/stats.h"
#include "reactor/async_event.h"

namespace davit {

class StatsSampler {
  public:
    /// Of a container that does not run: nothing.
    using Sample = std::shared_ptr<const ContainerStats>;

    /// One container, and who reads of it. The sampler outlives it.
    class Subscription {
      public:
        Subscription(StatsSampler& sampler, std::shared_ptr<Container> container);
        Subscription(const Subscription&) = delete;
        Subscription& operator=(const Subscription&) = delete;
        ~Subscription();

        /// The next round's sample; nothing once the container was removed. Errors: cancelled.
        Task<std::optional<Sample>> next();

      private:
        struct Entry;
        friend class StatsSampler;

        StatsSampler& sampler_;
        std::shared_ptr<Entry> entry_;
        std::uint64_t seen_;
    };

    /// Sample now, for one who does not wait for a round. Errors: cancelled.
    static Task<Sample> read_once(std::shared_ptr<Container> container);

    /// The rounds. Runs until cancelled.
    Task<void> run();

  private:
    Task<void> round();

    std::map<std::string, std::shared_ptr<Subscription::Entry>> entries_;
    WaitList wanted_;
};

}  // namespace davit
