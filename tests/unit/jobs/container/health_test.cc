// Goal: what health checks make of a container's health is Docker's. Method: plans out of
// configurations, and rows of results.
#include "jobs/container/health.h"

#include "tests/support/catch.h"

using namespace davit;
using namespace std::chrono_literals;

namespace {

ContainerConfig config_with(HealthConfig health) {
    ContainerConfig config;
    config.healthcheck = std::move(health);
    return config;
}

HealthProbeRecord result_of(int exit_code) {
    HealthProbeRecord result;
    result.exit_code = exit_code;
    return result;
}

}  // namespace

TEST_CASE("what is run, and the defaults", "[health]") {
    const auto plan = HealthPlan::make(config_with({.test = {"CMD", "check", "x"}}));
    REQUIRE(plan);
    CHECK(plan->command == std::vector<std::string>{"check", "x"});
    CHECK(plan->interval == 30s);
    CHECK(plan->timeout == 30s);
    CHECK(plan->start_period == 0s);
    CHECK(plan->start_interval == 5s);
    CHECK(plan->retries == 3);
    ContainerConfig shell = config_with({.test = {"CMD-SHELL", "a && b"}});
    CHECK(HealthPlan::make(shell)->command == std::vector<std::string>{"/bin/sh", "-c", "a && b"});
    shell.shell = {"/bin/bash", "-lc"};
    CHECK(HealthPlan::make(shell)->command ==
          std::vector<std::string>{"/bin/bash", "-lc", "a && b"});
    const std::vector<std::vector<std::string>> nothing{{}, {"NONE"}, {"CMD"}, {"ODD", "x"}};
    for (const std::vector<std::string>& none : nothing) {
        CHECK_FALSE(HealthPlan::make(config_with({.test = none})));
    }
    CHECK_FALSE(HealthPlan::make(ContainerConfig{}));
}

TEST_CASE("as many failures as allowed, then unhealthy; one success, then healthy", "[health]") {
    const HealthPlan plan = *HealthPlan::make(config_with({.test = {"CMD", "x"}, .retries = 2}));
    HealthRecord health;
    CHECK_FALSE(plan.apply(health, result_of(1), 1s));
    CHECK(health.status == HealthStatus::starting);
    CHECK(plan.apply(health, result_of(-1), 2s));
    CHECK(health.status == HealthStatus::unhealthy);
    CHECK(health.failing_streak == 2);
    CHECK_FALSE(plan.apply(health, result_of(1), 3s));
    CHECK(plan.apply(health, result_of(0), 4s));
    CHECK(health.status == HealthStatus::healthy);
    CHECK(health.failing_streak == 0);
    CHECK_FALSE(plan.apply(health, result_of(1), 5s));
    CHECK(health.status == HealthStatus::healthy);
    CHECK_FALSE(plan.apply(health, result_of(0), 6s));
    REQUIRE(health.log.size() == 5);
    CHECK(health.log.front().exit_code == -1);
}

TEST_CASE("failures of the start period do not count, and checks come faster in it", "[health]") {
    const HealthPlan plan = *HealthPlan::make(config_with({.test = {"CMD", "x"},
                                                           .interval_ns = 60'000'000'000,
                                                           .start_period_ns = 10'000'000'000,
                                                           .start_interval_ns = 1'000'000'000,
                                                           .retries = 1}));
    HealthRecord health;
    CHECK(plan.pause(health.status, 0s) == 1s);
    CHECK(plan.pause(health.status, 10s) == 60s);
    CHECK_FALSE(plan.apply(health, result_of(1), 9s));
    CHECK(health.failing_streak == 0);
    CHECK(plan.apply(health, result_of(0), 9s));
    CHECK(plan.pause(health.status, 9s) == 60s);
    // Once healthy, failures count in the start period, too.
    CHECK(plan.apply(health, result_of(1), 9s));
    CHECK(health.status == HealthStatus::unhealthy);
}

TEST_CASE("output is cut, and a timeout tells how long it was", "[health]") {
    HealthOutput output;
    output.add(std::string(4000, 'x'));
    CHECK(output.text().size() == 4000);
    output.add(std::string(96, 'y'));
    CHECK(output.text().size() == 4096);
    output.add("z");
    CHECK(output.text() == std::string(4000, 'x') + std::string(96, 'y') + "...");
    const auto text = [](std::int64_t nanoseconds, std::string_view said) {
        return HealthPlan::make(config_with({.test = {"CMD", "x"}, .timeout_ns = nanoseconds}))
            ->timeout_text(said);
    };
    CHECK(text(0, "") == "Health check exceeded timeout (30s)");
    CHECK(text(1'500'000'000, "so far") == "Health check exceeded timeout (1.5s): so far");
    CHECK(text(250'000'000, "") == "Health check exceeded timeout (250ms)");
    CHECK(text(1'500'000, "") == "Health check exceeded timeout (1.5ms)");
    CHECK(text(3'661'000'000'000, "") == "Health check exceeded timeout (1h1m1s)");
    CHECK(text(60'000'000'000, "") == "Health check exceeded timeout (1m0s)");
}

TEST_CASE("names of a health", "[health]") {
    CHECK(health_status_name(HealthStatus::unhealthy) == "unhealthy");
    CHECK(*health_status_parse("starting") == HealthStatus::starting);
    CHECK_FALSE(health_status_parse("ill"));
}
