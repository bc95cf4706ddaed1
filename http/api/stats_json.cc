#include "http/api/stats_json.h"

#include <limits>

namespace davit {

namespace {

constexpr std::string_view never = "0001-01-01T00:00:00Z";

/// As Go leaves out what is zero.
void number_if(JsonWriter& json, std::string_view key, std::uint64_t value) {
    if (value != 0) {
        json.key(key).number(value);
    }
}

void write_pids(JsonWriter& json, const ContainerStats* stats) {
    json.key("pids_stats").begin_object();
    if (stats != nullptr) {
        number_if(json, "current", stats->cgroup.pids);
        // What Docker says where there is no limit differs between v1 and v2.
        const std::uint64_t none =
            stats->cgroup.unified ? std::numeric_limits<std::uint64_t>::max() : 0;
        number_if(json, "limit", stats->cgroup.pids_max.value_or(none));
    }
    json.end_object();
}

void write_block(JsonWriter& json,
                 std::string_view key,
                 const std::optional<std::vector<BlockIo>>& entries) {
    json.key(key);
    if (!entries) {
        json.null();
        return;
    }
    json.begin_array();
    for (const BlockIo& entry : *entries) {
        json.begin_object().key("major").number(entry.major).key("minor").number(entry.minor);
        json.key("op").string(entry.operation).key("value").number(entry.value).end_object();
    }
    json.end_array();
}

void write_blocks(JsonWriter& json, const ContainerStats* stats) {
    json.key("blkio_stats").begin_object();
    const std::optional<std::vector<BlockIo>> none;
    write_block(
        json, "io_service_bytes_recursive", stats != nullptr ? stats->cgroup.io_bytes : none);
    write_block(
        json, "io_serviced_recursive", stats != nullptr ? stats->cgroup.io_operations : none);
    for (const char* key : {"io_queue_recursive",
                            "io_service_time_recursive",
                            "io_wait_time_recursive",
                            "io_merged_recursive",
                            "io_time_recursive",
                            "sectors_recursive"}) {
        json.key(key).null();  // No scheduler of today counts these.
    }
    json.end_object();
}

void write_cpu(JsonWriter& json, std::string_view key, const ContainerStats* stats) {
    const ContainerStats nothing;
    const CgroupStats& cpu = stats != nullptr ? stats->cgroup : nothing.cgroup;
    json.key(key).begin_object().key("cpu_usage").begin_object();
    json.key("total_usage").number(cpu.cpu_total);
    if (!cpu.cpu_each.empty()) {
        json.key("percpu_usage").begin_array();
        for (const std::uint64_t each : cpu.cpu_each) {
            json.number(each);
        }
        json.end_array();
    }
    json.key("usage_in_kernelmode").number(cpu.cpu_kernel);
    json.key("usage_in_usermode").number(cpu.cpu_user).end_object();
    if (stats != nullptr) {
        number_if(json, "system_cpu_usage", stats->host.cpu);
        number_if(json, "online_cpus", stats->host.cpu_count);
    }
    json.key("throttling_data").begin_object().key("periods").number(cpu.periods);
    json.key("throttled_periods").number(cpu.periods_throttled);
    json.key("throttled_time").number(cpu.throttled).end_object().end_object();
}

void write_memory(JsonWriter& json, const ContainerStats* stats) {
    json.key("memory_stats").begin_object();
    if (stats != nullptr) {
        const CgroupStats& memory = stats->cgroup;
        number_if(json, "usage", memory.memory);
        if (!memory.unified) {  // As Docker.
            number_if(json, "max_usage", memory.memory_max);
        }
        if (!memory.memory_stat.empty()) {
            json.key("stats").begin_object();
            for (const auto& [key, value] : memory.memory_stat) {
                json.key(key).number(value);
            }
            json.end_object();
        }
        number_if(json, "failcnt", memory.memory_failures);
        const std::uint64_t limit = memory.memory_limit;
        const std::uint64_t host = stats->host.memory;
        number_if(json, "limit", limit == 0 || (host != 0 && limit > host) ? host : limit);
    }
    json.end_object();
}

void write_networks(JsonWriter& json, const ContainerStats* stats) {
    if (stats == nullptr || stats->interfaces.empty()) {
        return;
    }
    json.key("networks").begin_object();
    for (const auto& [name, interface] : stats->interfaces) {
        json.key(name).begin_object();
        json.key("rx_bytes").number(interface.rx_bytes);
        json.key("rx_packets").number(interface.rx_packets);
        json.key("rx_errors").number(interface.rx_errors);
        json.key("rx_dropped").number(interface.rx_dropped);
        json.key("tx_bytes").number(interface.tx_bytes);
        json.key("tx_packets").number(interface.tx_packets);
        json.key("tx_errors").number(interface.tx_errors);
        json.key("tx_dropped").number(interface.tx_dropped).end_object();
    }
    json.end_object();
}

std::string time_text(const ContainerStats* stats) {
    return stats != nullptr ? rfc3339_nano(stats->read) : std::string(never);
}

}  // namespace

void container_stats_write(JsonWriter& json,
                           std::string_view id,
                           std::string_view name,
                           const ContainerStats* stats,
                           const ContainerStats* before) {
    json.begin_object().key("name").string(name).key("id").string(id);
    json.key("read").string(time_text(stats)).key("preread").string(time_text(before));
    write_pids(json, stats);
    write_blocks(json, stats);
    json.key("num_procs").number(0);
    json.key("storage_stats").begin_object().end_object();
    write_cpu(json, "cpu_stats", stats);
    write_cpu(json, "precpu_stats", before);
    write_memory(json, stats);
    write_networks(json, stats);
    json.end_object();
}

}  // namespace davit
