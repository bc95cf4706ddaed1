#include "jobs/container/health.h"

#include <algorithm>
#include <array>

namespace davit {

namespace {

using std::chrono::seconds;

constexpr Nanoseconds interval_default = seconds(30);
constexpr Nanoseconds timeout_default = seconds(30);
constexpr Nanoseconds start_interval_default = seconds(5);
constexpr std::int64_t retries_default = 3;

constexpr std::array<std::string_view, 3> status_names{"starting", "healthy", "unhealthy"};

Nanoseconds or_default(std::int64_t nanoseconds, Nanoseconds otherwise) {
    return nanoseconds == 0 ? otherwise : Nanoseconds(nanoseconds);
}

/// So many nanoseconds in units of 10^digits of them: "1.5", without zeros at its end.
std::string decimal(std::int64_t nanoseconds, std::size_t digits) {
    std::string text = std::to_string(nanoseconds);
    text.insert(0, text.size() <= digits ? digits + 1 - text.size() : 0, '0');
    text.insert(text.size() - digits, ".");
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) {
        text.pop_back();
    }
    return text;
}

/// "1m30s", "500ms". Follows: Go's time.Duration String(); a check's are at least 1 ms.
std::string go_duration_text(Nanoseconds duration) {
    if (duration < seconds(1)) {
        return decimal(duration.count(), 6) + "ms";
    }
    const auto minutes = duration / std::chrono::minutes(1);
    const Nanoseconds rest = duration % std::chrono::minutes(1);
    std::string text;
    if (minutes >= 60) {
        text = std::to_string(minutes / 60) + "h";
    }
    if (minutes > 0) {
        text.append(std::to_string(minutes % 60)).append("m");
    }
    return text + decimal(rest.count(), 9) + "s";
}

}  // namespace

std::string_view health_status_name(HealthStatus status) {
    return status_names[static_cast<std::size_t>(status)];
}

Result<HealthStatus> health_status_parse(std::string_view name) {
    const auto found = std::find(status_names.begin(), status_names.end(), name);
    if (found == status_names.end()) {
        return Error(ErrorKind::invalid_argument, "no health status: " + std::string(name));
    }
    return static_cast<HealthStatus>(found - status_names.begin());
}

std::optional<HealthPlan> HealthPlan::make(const ContainerConfig& config) {
    if (!config.healthcheck || config.healthcheck->test.empty()) {
        return std::nullopt;
    }
    const HealthConfig& wanted = *config.healthcheck;
    HealthPlan plan;
    if (wanted.test.front() == "CMD-SHELL") {
        plan.command = config.shell;
        if (plan.command.empty()) {
            plan.command = {"/bin/sh", "-c"};
        }
    } else if (wanted.test.front() != "CMD") {
        return std::nullopt;
    }
    plan.command.insert(plan.command.end(), wanted.test.begin() + 1, wanted.test.end());
    if (plan.command.empty()) {
        return std::nullopt;
    }
    plan.interval = or_default(wanted.interval_ns, interval_default);
    plan.timeout = or_default(wanted.timeout_ns, timeout_default);
    plan.start_period = Nanoseconds(wanted.start_period_ns);
    plan.start_interval = or_default(wanted.start_interval_ns, start_interval_default);
    plan.retries = wanted.retries > 0 ? wanted.retries : retries_default;
    return plan;
}

Nanoseconds HealthPlan::pause(HealthStatus status, Nanoseconds since_start) const {
    const bool starts = since_start < start_period && status == HealthStatus::starting;
    return starts ? start_interval : interval;
}

bool HealthPlan::apply(HealthRecord& health,
                       HealthProbeRecord result,
                       Nanoseconds since_start) const {
    const HealthStatus before = health.status;
    const int exit_code = result.exit_code;
    if (health.log.size() >= limits::health_log_entries_max) {
        health.log.erase(health.log.begin());
    }
    health.log.push_back(std::move(result));
    if (exit_code == 0) {
        health.failing_streak = 0;
        health.status = HealthStatus::healthy;
    } else if (before != HealthStatus::starting || since_start >= start_period) {
        ++health.failing_streak;
        if (health.failing_streak >= retries) {
            health.status = HealthStatus::unhealthy;
        }
    }
    return health.status != before;
}

std::string HealthPlan::timeout_text(std::string_view output) const {
    std::string text = "Health check exceeded timeout (" + go_duration_text(timeout) + ")";
    return output.empty() ? text : text.append(": ").append(output);
}

void HealthOutput::add(std::string_view bytes) {
    const std::size_t room = limits::health_output_bytes_max - bytes_.size();
    truncated_ = truncated_ || bytes.size() > room;
    bytes_.append(bytes.substr(0, room));
}

}  // namespace davit
