#pragma once
/// ExecTable: every exec that the daemon knows. One that has ended stays for a while, so that its
/// exit code can be asked for; those of a container go with it.
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "jobs/exec.h"
#include "reactor/base/clock.h"

namespace davit {

class ExecTable {
  public:
    /// Errors: resource_exhausted.
    Result<void> insert(std::shared_ptr<Exec> exec);

    /// By its full id. Errors: not_found.
    Result<std::shared_ptr<Exec>> find(std::string_view id) const;

    /// It has exited, or could not be started.
    void ended(const std::shared_ptr<Exec>& exec, MonotonicTime now);

    /// A container's run has ended: what was created and not started never will be.
    void run_ended(const Container& container);

    /// A container is removed, and its execs are.
    void container_removed(const Container& container);

    /// Forget those that ended long ago.
    void expire(MonotonicTime now);

    std::size_t size() const { return by_id_.size(); }

  private:
    struct Ended {
        std::string id;
        std::string container;
        MonotonicTime when;
        std::size_t bytes = 0;
    };

    void forget_first();

    std::map<std::string, std::shared_ptr<Exec>, std::less<>> by_id_;
    std::deque<Ended> ended_;  // In the order of their ends.
    std::size_t ended_bytes_ = 0;
};

}  // namespace davit
