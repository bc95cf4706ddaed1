/// Goal: an update changes what it names and nothing else, and refuses what Docker refuses.
#include "jobs/container/spec_build.h"
#include "tests/unit/jobs/container/model_support.h"

namespace davit::test {

namespace {

std::string refused(std::string_view before, std::string_view change) {
    HostConfig config = host_config_of(before);
    const HostConfig update = host_config_of(change);
    const Result<void> checked = host_config_update_check(update, 4);
    const Result<void> updated = checked ? host_config_update(config, update) : checked;
    return updated ? "" : updated.error().message();
}

}  // namespace

TEST_CASE("what an update names is changed", "[container][update]") {
    HostConfig config = host_config_of(
        R"({"Memory":104857600,"MemorySwap":209715200,"CpuShares":512,"PidsLimit":10})");
    const HostConfig before = config;
    REQUIRE(host_config_update(config, host_config_of("{}")));
    CHECK(config == before);
    REQUIRE(host_config_update(
        config,
        host_config_of(R"({"Memory":52428800,"CpusetCpus":"0","PidsLimit":-1,)"
                       R"("RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}})")));
    CHECK(config.memory == 52'428'800);
    CHECK(config.memory_swap == 209'715'200);
    CHECK(config.cpu_shares == 512);
    CHECK(config.cpuset_cpus == "0");
    CHECK(config.pids_limit == 0);
    CHECK(config.restart_policy == RestartPolicy{"on-failure", 3});
}

TEST_CASE("what is refused, in Docker's words", "[container][update]") {
    CHECK(refused(R"({"CpuPeriod":50000})", R"({"NanoCpus":1000000000})") ==
          "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set");
    CHECK(refused(R"({"CpuQuota":50000})", R"({"NanoCpus":1000000000})") ==
          "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set");
    CHECK(refused(R"({"NanoCpus":1000000000})", R"({"CpuPeriod":50000})") ==
          "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set");
    CHECK(refused(R"({"NanoCpus":1000000000})", R"({"CpuQuota":50000})") ==
          "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set");
    CHECK(refused("{}", R"({"Memory":104857600})") ==
          "Memory limit should be smaller than already set memoryswap limit, update the memoryswap "
          "at the same time");
    CHECK(refused("{}", R"({"Memory":1000})") == "Minimum memory limit allowed is 6MB");
    CHECK(refused("{}", R"({"Memory":104857600,"MemorySwap":52428800})") ==
          "Minimum memoryswap limit should be larger than memory limit, see usage");
    CHECK(refused("{}", R"({"MemorySwap":104857600})").empty());
    CHECK(refused("{}", R"({"CpuPeriod":10})") ==
          "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    CHECK(refused("{}", R"({"CpusetCpus":"9"})") ==
          "Requested CPUs are not available - requested 9, available: 0-3");
    CHECK_THAT(refused("{}", R"({"RestartPolicy":{"Name":"sometimes"}})"),
               Catch::Matchers::Contains("unknown policy 'sometimes'"));
}

TEST_CASE("what cannot be updated is named", "[container][update]") {
    const std::string words = " cannot be updated: it is given when the container is created";
    CHECK(refused("{}", R"({"Ulimits":[{"Name":"nofile","Soft":1,"Hard":1}]})") ==
          "Ulimits" + words);
    CHECK(refused("{}", R"({"Devices":[{"PathOnHost":"/dev/null"}]})") == "Devices" + words);
    CHECK(refused("{}", R"({"MemorySwappiness":0})") == "MemorySwappiness" + words);
    CHECK(refused("{}", R"({"OomKillDisable":true})") == "OomKillDisable" + words);
    CHECK(refused("{}", R"({"BlkioDeviceReadBps":[{"Path":"/dev/sda","Rate":9}]})") ==
          "BlkioDeviceReadBps" + words);
    // What docker's command line always sends.
    CHECK(
        refused("{}",
                R"({"BlkioWeightDevice":[],"Devices":null,"MemorySwappiness":null,"Ulimits":null,)"
                R"("OomKillDisable":null,"CgroupParent":"","MemorySwap":0})")
            .empty());
    CHECK(refused("{}", R"({"MemorySwappiness":-1,"OomKillDisable":false})").empty());
}

TEST_CASE("a conflict has its kind", "[container][update]") {
    HostConfig config = host_config_of(R"({"NanoCpus":1000000000})");
    const auto updated = host_config_update(config, host_config_of(R"({"CpuQuota":50000})"));
    REQUIRE_FALSE(updated);
    CHECK(updated.error().kind() == ErrorKind::conflict);
}

TEST_CASE("what is written of an update", "[container][update]") {
    ContainerRecord record = record_of(
        R"({"HostConfig":{"Memory":104857600,"CpuPeriod":50000,"CpuQuota":25000,"PidsLimit":5}})");
    const auto resources = [&record](std::string_view change) {
        const HostConfig update = host_config_of(change);
        ContainerRecord changed = record;
        REQUIRE(host_config_update(changed.host_config, update));
        return resources_of_update(changed, update);
    };
    const Resources swap = resources(R"({"MemorySwap":209715200})");
    CHECK(swap.memory_bytes == 104'857'600);  // v2 needs both.
    CHECK(swap.memory_swap_bytes == 209'715'200);
    CHECK_FALSE(swap.cpu_quota_us);
    CHECK_FALSE(swap.pids_max);
    CHECK_FALSE(swap.device_rules);
    const Resources period = resources(R"({"CpuPeriod":100000})");
    CHECK(period.cpu_period_us == 100'000);
    CHECK(period.cpu_quota_us == 25'000);
    CHECK(resources(R"({"PidsLimit":0})").pids_max == -1);
    CHECK(resources(R"({"PidsLimit":7})").pids_max == 7);
}

}  // namespace davit::test
