#pragma once
/// Health checks as data: what is to be run and when, and what a result makes of a container's
/// health. Nothing here runs anything (jobs/container_health.h does).
///
/// Follows: moby daemon/health.go; Dockerfile reference HEALTHCHECK; Docker Engine API, Health.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/container/config.h"
#include "reactor/base/clock.h"

namespace davit {

namespace limits {

/// What is kept of checks, and how long one may take to start, and to end when it is told to: all
/// as Docker.
inline constexpr std::size_t health_log_entries_max = 5;
inline constexpr std::size_t health_output_bytes_max = 4096;
inline constexpr auto health_start_wait = std::chrono::seconds(30);
inline constexpr auto health_terminate_wait = std::chrono::seconds(10);

}  // namespace limits

/// Spelled as on the wire.
enum class HealthStatus : std::uint8_t { starting, healthy, unhealthy };

std::string_view health_status_name(HealthStatus status);

/// Errors: invalid_argument.
Result<HealthStatus> health_status_parse(std::string_view name);

/// One run of a check.
struct HealthProbeRecord {
    WallTime start{};
    WallTime end{};
    int exit_code = 0;  // -1: it did not come to one.
    std::string output;

    bool operator==(const HealthProbeRecord&) const = default;
};

struct HealthRecord {
    HealthStatus status = HealthStatus::starting;
    std::int64_t failing_streak = 0;
    std::vector<HealthProbeRecord> log;  // The last ones, oldest first.

    bool operator==(const HealthRecord&) const = default;
};

/// What a container's configuration asks for, defaults filled in.
struct HealthPlan {
    std::vector<std::string> command;
    Nanoseconds interval{};
    Nanoseconds timeout{};
    Nanoseconds start_period{};
    Nanoseconds start_interval{};
    std::int64_t retries = 0;

    /// Nothing if there is no check, or it is switched off.
    static std::optional<HealthPlan> make(const ContainerConfig& config);

    /// How long to wait for the next run.
    Nanoseconds pause(HealthStatus status, Nanoseconds since_start) const;

    /// Take a result in. since_start: the container's age when the run began.
    /// Gives: whether the status is another now.
    bool apply(HealthRecord& health, HealthProbeRecord result, Nanoseconds since_start) const;

    /// What the log says of a run that took too long.
    std::string timeout_text(std::string_view output) const;
};

/// The first bytes of a check's output; "..." tells that there was more.
class HealthOutput {
  public:
    void add(std::string_view bytes);

    std::string text() const { return truncated_ ? bytes_ + "..." : bytes_; }

  private:
    std::string bytes_;
    bool truncated_ = false;
};

}  // namespace davit
