#pragma once
/// Undo: how to give back what a half-done operation took. Newest first, shielded from
/// cancellation.
#include <functional>
#include <string>
#include <vector>

#include "reactor/task.h"

namespace davit {

class Undo {
  public:
    using Step = std::function<Task<void>()>;

    Undo() = default;
    Undo(const Undo&) = delete;
    Undo& operator=(const Undo&) = delete;

    ~Undo() { assert(steps_.empty() && "an Undo was neither unwound nor disarmed"); }

    /// name says what is given back, for the log line if that fails.
    void add(std::string name, Step step) { steps_.emplace_back(std::move(name), std::move(step)); }

    /// Run every step; a failing one is logged and the rest go on.
    Task<void> unwind();

    /// The operation succeeded: keep what it took.
    void disarm() { steps_.clear(); }

  private:
    std::vector<std::pair<std::string, Step>> steps_;
};

}  // namespace davit
