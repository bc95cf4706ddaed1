#pragma once
/// Foreground: what a client waits for in milliseconds goes before bulk work.
///
/// A container that starts beside a pull shares the processors with unpacking and digests. A lower
/// priority of those threads does not help enough: a start is many short pieces of work (the
/// loop's, a worker's, davit-init's), and each of them finds the processors taken. So while a
/// container is made, starts, ends or is removed, the bulk threads (reactor/work_pool.h) begin
/// nothing new; what they do comes in steps of about a millisecond.
///
/// Bulk work is never starved: a pause ends after some milliseconds, and the next one begins only
/// after bulk work has had as long. What waits for something else (a volume of the network) counts
/// for a quarter of a second.
#include "reactor/base/clock.h"
#include "reactor/loop.h"

namespace davit {

class Foreground {
  public:
    Foreground() = default;
    Foreground(const Foreground&) = delete;
    Foreground& operator=(const Foreground&) = delete;
    ~Foreground();

    /// Something that a client waits for, as long as it lives.
    class [[nodiscard]] Hold {
      public:
        explicit Hold(Foreground& foreground);
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;
        ~Hold();

      private:
        Foreground& foreground_;
    };

    /// Somebody who holds it waits for bulk work himself: there is no pause as long as it lives.
    class [[nodiscard]] Pass {
      public:
        explicit Pass(Foreground& foreground);
        Pass(const Pass&) = delete;
        Pass& operator=(const Pass&) = delete;
        ~Pass();

      private:
        Foreground& foreground_;
    };

    bool pausing() const { return paused_ != nullptr; }

  private:
    void look() noexcept;
    void resume();

    std::size_t holds_ = 0;
    std::size_t passes_ = 0;
    MonotonicTime latest_{};  // When the last one began.
    /// The threads that are paused.
    WorkPool* paused_ = nullptr;
    MonotonicTime since_{};
    MonotonicTime not_before_{};
    TimerNode timer_;
};

}  // namespace davit
