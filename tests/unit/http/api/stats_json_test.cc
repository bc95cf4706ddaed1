/// Goal: samples have Docker's shape, whole and for a container that does not run.
#include "http/api/stats_json.h"

#include "tests/support/catch.h"

namespace davit {

namespace {

std::string written(const ContainerStats* stats, const ContainerStats* before) {
    std::string body;
    JsonWriter json(body);
    container_stats_write(json, "abc", "/web", stats, before);
    return body;
}

constexpr std::string_view no_cpu =
    R"({"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0},)"
    R"("throttling_data":{"periods":0,"throttled_periods":0,"throttled_time":0}})";
constexpr std::string_view no_blocks =
    R"("io_queue_recursive":null,"io_service_time_recursive":null,"io_wait_time_recursive":null,)"
    R"("io_merged_recursive":null,"io_time_recursive":null,"sectors_recursive":null})";

}  // namespace

TEST_CASE("a container that does not run", "[api][stats]") {
    CHECK(written(nullptr, nullptr) ==
          std::string(R"({"name":"/web","id":"abc","read":"0001-01-01T00:00:00Z",)") +
              R"("preread":"0001-01-01T00:00:00Z","pids_stats":{},"blkio_stats":{)" +
              R"("io_service_bytes_recursive":null,"io_serviced_recursive":null,)" +
              std::string(no_blocks) + R"(,"num_procs":0,"storage_stats":{},"cpu_stats":)" +
              std::string(no_cpu) + R"(,"precpu_stats":)" + std::string(no_cpu) +
              R"(,"memory_stats":{}})");
}

TEST_CASE("one that runs", "[api][stats]") {
    ContainerStats stats;
    stats.read = WallTime(std::chrono::seconds(1'700'000'000));
    stats.cgroup.cpu_total = 300;
    stats.cgroup.cpu_kernel = 100;
    stats.cgroup.cpu_user = 200;
    stats.cgroup.cpu_each = {150, 150};
    stats.cgroup.periods = 3;
    stats.cgroup.memory = 5000;
    stats.cgroup.memory_max = 6000;
    stats.cgroup.memory_stat = {{"cache", 7}, {"total_inactive_file", 8}};
    stats.cgroup.pids = 2;
    stats.cgroup.pids_max = 100;
    stats.cgroup.io_bytes = std::vector<BlockIo>{{8, 0, "Read", 4096}};
    stats.host = {.cpu = 1000, .cpu_count = 2, .memory = 1'000'000};
    stats.interfaces["eth0"].rx_bytes = 11;
    const std::string text = written(&stats, nullptr);
    for (const char* piece : {
             R"("read":"2023-11-14T22:13:20Z","preread":"0001-01-01T00:00:00Z")",
             R"("pids_stats":{"current":2,"limit":100})",
             R"("io_service_bytes_recursive":[{"major":8,"minor":0,"op":"Read","value":4096}])",
             R"("cpu_stats":{"cpu_usage":{"total_usage":300,"percpu_usage":[150,150],)"
             R"("usage_in_kernelmode":100,"usage_in_usermode":200},"system_cpu_usage":1000,)"
             R"("online_cpus":2,"throttling_data":{"periods":3,)",
             R"("memory_stats":{"usage":5000,"max_usage":6000,)"
             R"("stats":{"cache":7,"total_inactive_file":8},"limit":1000000})",
             R"("networks":{"eth0":{"rx_bytes":11,"rx_packets":0,)",
         }) {
        CHECK_THAT(text, Catch::Matchers::Contains(piece));
    }
    ContainerStats later = stats;
    later.cgroup.cpu_total = 900;
    CHECK_THAT(written(&later, &stats),
               Catch::Matchers::Contains(R"("precpu_stats":{"cpu_usage":{"total_usage":300,)"));
}

TEST_CASE("limits", "[api][stats]") {
    ContainerStats stats;
    stats.host.memory = 1000;
    stats.cgroup.pids = 1;
    stats.cgroup.memory_limit = 500;
    CHECK_THAT(written(&stats, nullptr), Catch::Matchers::Contains(R"("limit":500)"));
    stats.cgroup.memory_limit = 5000;  // More than there is.
    CHECK_THAT(written(&stats, nullptr), Catch::Matchers::Contains(R"("limit":1000)"));
    CHECK_THAT(written(&stats, nullptr),
               Catch::Matchers::Contains(R"("pids_stats":{"current":1})"));
    stats.cgroup.unified = true;
    CHECK_THAT(written(&stats, nullptr),
               Catch::Matchers::Contains(R"({"current":1,"limit":18446744073709551615})"));
}

}  // namespace davit
