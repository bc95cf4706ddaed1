// Goal: limits and devices of a bundle become libcontainer's; a list of devices is read as the
// history that it is.
#include "libcontainer/defaults.h"
#include "tests/unit/runtime/runtime_support.h"

using namespace davit;
using namespace davit::test;

namespace {

Result<Resources> resources_of(const std::string& json, bool for_update = false) {
    const auto document = JsonDocument::parse(json);
    REQUIRE(document);
    return oci_resources_parse(document->root(), for_update);
}

std::vector<std::string> rules_of(const std::string& devices) {
    const auto resources = resources_of("{\"devices\":" + devices + "}");
    INFO(failure(resources));
    REQUIRE(resources);
    std::vector<std::string> texts;
    if (!resources->device_rules) {
        return {"everything"};
    }
    const std::vector<DeviceRule> always = device_rules_default();
    REQUIRE(resources->device_rules->size() >= always.size());
    for (std::size_t i = 0; i + always.size() < resources->device_rules->size(); ++i) {
        texts.push_back((*resources->device_rules)[i].text());
    }
    return texts;
}

}  // namespace

TEST_CASE("limits of a bundle", "[runtime]") {
    const auto resources = resources_of(
        R"({"memory":{"limit":1048576,"swap":-1,"reservation":0,"swappiness":7,"disableOOMKiller":true},)"
        R"("cpu":{"shares":512,"quota":5000,"period":10000,"cpus":"0-1","mems":""},)"
        R"("pids":{"limit":-5},"blockIO":{"weight":100,"throttleReadBpsDevice":)"
        R"([{"major":8,"minor":16,"rate":77}]}})");
    INFO(failure(resources));
    REQUIRE(resources);
    CHECK(resources->memory_bytes == 1048576);
    CHECK(resources->memory_swap_bytes == -1);
    CHECK_FALSE(resources->memory_reservation_bytes);
    CHECK(resources->memory_swappiness == 7U);
    CHECK(resources->oom_kill_disable);
    CHECK(resources->cpu_shares == 512U);
    CHECK(resources->cpu_quota_us == 5000);
    CHECK(resources->cpuset_cpus == "0-1");
    CHECK_FALSE(resources->cpuset_mems);
    CHECK(resources->pids_max == -1);
    CHECK(resources->blkio_weight == 100);
    REQUIRE(resources->block_limits.read_bps.size() == 1);
    CHECK(resources->block_limits.read_bps[0].value == 77);
}

TEST_CASE("devices that a bundle allows", "[runtime]") {
    CHECK(rules_of("[]").empty());
    CHECK(rules_of(R"([{"allow":false,"access":"rwm"}])").empty());
    CHECK(
        rules_of(
            R"([{"allow":false},{"allow":true,"type":"c","major":10,"minor":229,"access":"rw"}])") ==
        std::vector<std::string>{"c 10:229 rw"});
    CHECK(rules_of(R"([{"allow":true,"type":"b","access":"m"}])") ==
          std::vector<std::string>{"b *:* m"});
    CHECK(rules_of(R"([{"allow":true,"access":"rwm"}])") == std::vector<std::string>{"everything"});
    CHECK(rules_of(R"([{"allow":true,"type":"c","major":1,"minor":1},{"allow":false}])").empty());
    CHECK(rules_of(R"([{"allow":true,"type":"c","major":1,"minor":1},)"
                   R"({"allow":false,"type":"c","major":1,"minor":1}])")
              .empty());
    CHECK(failure(resources_of(
              R"({"devices":[{"allow":true},{"allow":false,"type":"c","major":1,"minor":1}]})")) ==
          "unsupported: linux.resources.devices: davit does not support to deny \"c 1:1 rwm\" out "
          "of what is allowed");
    CHECK(failure(resources_of(R"({"devices":[{"allow":true,"type":"x"}]})")) ==
          "invalid_argument: linux.resources.devices: type \"x\" is none of a, b, c");
    CHECK(failure(resources_of(R"({"devices":[{"allow":true,"type":"c","access":"rx"}]})")) ==
          "invalid_argument: linux.resources.devices: access \"rx\" has other letters than rwm");
}

TEST_CASE("resources that davit does not limit", "[runtime]") {
    CHECK(failure(resources_of(R"({"hugepageLimits":[{"pageSize":"2MB","limit":1}]})")) ==
          "unsupported: linux.resources.hugepageLimits: davit does not support it");
    CHECK(failure(resources_of(R"({"unified":{"memory.high":"1"}})")) ==
          "unsupported: linux.resources.unified: davit does not support it");
    CHECK(failure(resources_of(R"({"cpu":{"idle":1}})")) ==
          "unsupported: linux.resources.cpu.idle: davit does not support it");
    CHECK(failure(resources_of(R"({"unified":{},"hugepageLimits":[],"cpu":{"idle":0}})")).empty());
}

TEST_CASE("an update leaves devices alone", "[runtime]") {
    const auto resources = resources_of(R"({"memory":{"limit":4096}})", true);
    REQUIRE(resources);
    CHECK_FALSE(resources->device_rules);
}
