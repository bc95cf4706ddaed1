#pragma once
/// Admission: how many containers start at once.
///
/// Past a point more starts at once only make each one slower: they wait for the same processors
/// and the same locks of the kernel, and hold memory meanwhile. So a start waits for its turn, and
/// turns go around among those who ask: one client's thousand starts do not keep another's one
/// waiting for all of them.
///
/// How many turns there are follows the time that starts take, as TCP Vegas follows round trips
/// (Brakmo and Peterson, 1995): of L starts at once that take `t` each, where one alone takes
/// `least`, about L * (1 - least / t) wait for another one; with few of these there is one turn
/// more, with many one less. A start that takes long waits for something else (a volume of the
/// network, a log service) and is not counted any more, so it keeps nobody.
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>

#include "reactor/async_event.h"
#include "reactor/base/clock.h"
#include "reactor/task.h"

namespace davit {

class Admission {
  public:
    /// Takes: processors: at least one.
    explicit Admission(std::size_t processors);

    /// One start's turn; over when it dies.
    class [[nodiscard]] Turn {
      public:
        Turn() = default;
        Turn(Turn&& other) noexcept;
        Turn& operator=(Turn&& other) noexcept;
        ~Turn();

        /// It was a start, and went well: what it took says something.
        void succeeded() { held_->succeeded = true; }

      private:
        friend class Admission;

        struct Held {
            MonotonicTime since;
            bool counted = true;
            bool succeeded = false;
        };

        Turn(Admission& admission, std::list<Held>::iterator held)
            : admission_(&admission), held_(held) {}

        Admission* admission_ = nullptr;
        std::list<Held>::iterator held_;
    };

    /// Whether enter() would wait.
    bool is_full() const { return counted_ >= limit_ || !lanes_.empty(); }

    /// Wait for a turn. lane: who asks, as a number. Errors: cancelled.
    Task<Turn> enter(std::uint64_t lane);

    /// Stop counting starts that take long; until cancelled.
    Task<void> run();

    std::size_t limit() const { return limit_; }

  private:
    struct Lane {
        std::uint64_t who = 0;
        WaitList waiters;
    };

    Turn turn_make();
    void leave(std::list<Turn::Held>::iterator held);
    void learn(Nanoseconds took);
    void admit();

    std::size_t least_limit_;
    std::size_t most_limit_;
    std::size_t limit_;
    /// What a start takes at least, as far as is known; forgotten little by little.
    Nanoseconds least_{};
    Nanoseconds lately_{};
    std::size_t since_change_ = 0;
    /// The longest first.
    std::list<Turn::Held> held_;
    std::size_t counted_ = 0;
    /// Those that somebody waits in; the next turn is the first one's.
    std::list<std::shared_ptr<Lane>> lanes_;
    AsyncEvent crowded_;
};

}  // namespace davit
