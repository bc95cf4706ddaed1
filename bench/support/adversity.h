#pragma once
/// What makes work hard while it is measured.
#include <cstdint>
#include <memory>
#include <stop_token>
#include <thread>

#include "bench/bench.h"
#include "bench/support/registry.h"
#include "bench/support/steward.h"

namespace davit::bench {

/// One adversity while a turn lasts.
class Disturbance {
  public:
    /// Called again and again, in a thread each, until the turn is over; or once, and it sees by
    /// the token when that is.
    using Body = std::function<Result<void>(const std::stop_token& over)>;

    Disturbance() = default;
    Disturbance(const Disturbance&) = delete;
    Disturbance& operator=(const Disturbance&) = delete;
    /// Ends it, if it has not been ended.
    ~Disturbance();

    void add(Body body);

    /// What is to be done when it has ended.
    void afterwards(std::function<void()> last) { last_ = std::move(last); }

    /// Stops it, waits until it has stopped, and gives how often its bodies were through. Errors:
    /// the first of a body: then there was nothing to disturb the turn.
    Result<int> end();

  private:
    std::stop_source over_;
    std::vector<std::thread> threads_;
    std::mutex lock_;
    int rounds_ = 0;
    Result<void> outcome_ = ok;
    std::function<void()> last_;
};

/// What adversities need beyond a turn, made where they are first needed.
class Adversities {
  public:
    /// dirty_bytes: at most so many; the machine may allow less. The workspace must outlive it.
    Adversities(const Workspace& workspace, std::uint64_t dirty_bytes)
        : workspace_(workspace), dirty_bytes_(dirty_bytes) {}

    /// Say on stdout and in the JSON lines what this one is on this machine. Errors: what it lacks.
    Result<void> prepare(Adversity adversity, JsonLines& json);

    /// Begin it; it goes on when this returns. steward: that of the engine in turn; null: none.
    /// Errors: unsupported, if the engine has nothing like it; cancelled.
    Result<std::unique_ptr<Disturbance>> begin(Adversity adversity, Steward* steward);

  private:
    Result<std::string> about(Adversity adversity);
    Result<std::unique_ptr<Disturbance>> dirty() const;
    Result<std::unique_ptr<Disturbance>> lock_held() const;

    const Workspace& workspace_;
    std::uint64_t dirty_bytes_;
    std::unique_ptr<Registry> registry_;
};

/// Where the lock of iptables is: a file of our own, see Field.
inline constexpr const char* xtables_lock = "/run/xtables.lock";

}  // namespace davit::bench
