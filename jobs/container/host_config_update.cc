// What an update changes in a HostConfig.
#include <algorithm>

#include "jobs/container/host_config.h"

namespace davit {

namespace {

Error conflict(const char* message) {
    return Error(ErrorKind::conflict, message);
}

/// NanoCpus stands for a period and a quota: either is given or both of the others are.
Result<void> conflicts_check(const HostConfig& config, const HostConfig& update) {
    if (update.nano_cpus > 0 && config.cpu_period > 0) {
        return conflict(
            "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set");
    }
    if (update.nano_cpus > 0 && config.cpu_quota > 0) {
        return conflict(
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set");
    }
    if (update.cpu_period > 0 && config.nano_cpus > 0) {
        return conflict(
            "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set");
    }
    if (update.cpu_quota > 0 && config.nano_cpus > 0) {
        return conflict(
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set");
    }
    if (update.memory != 0 && update.memory > config.memory_swap && update.memory_swap == 0) {
        return Error(ErrorKind::invalid_argument,
                     "Memory limit should be smaller than already set memoryswap limit, update "
                     "the memoryswap at the same time");
    }
    if (config.auto_remove && !update.restart_policy.name.empty() &&
        update.restart_policy.name != "no") {
        return conflict(
            "Restart policy cannot be updated because AutoRemove is enabled for the container");
    }
    return ok;
}

template <typename T>
void take_if(T& slot, const T& value) {
    if (value != T{}) {
        slot = value;
    }
}

}  // namespace

Result<void> host_config_update(HostConfig& config, const HostConfig& update) {
    TRY_VOID(conflicts_check(config, update));
    take_if(config.blkio_weight, update.blkio_weight);
    take_if(config.cpu_shares, update.cpu_shares);
    take_if(config.nano_cpus, update.nano_cpus);
    take_if(config.cpu_period, update.cpu_period);
    take_if(config.cpu_quota, update.cpu_quota);
    take_if(config.cpu_realtime_runtime, update.cpu_realtime_runtime);
    take_if(config.cpu_realtime_period, update.cpu_realtime_period);
    take_if(config.cpuset_cpus, update.cpuset_cpus);
    take_if(config.cpuset_mems, update.cpuset_mems);
    take_if(config.memory, update.memory);
    take_if(config.memory_swap, update.memory_swap);
    take_if(config.memory_reservation, update.memory_reservation);
    if (update.pids_limit) {
        config.pids_limit = std::max<std::int64_t>(*update.pids_limit, 0);
    }
    if (!update.restart_policy.name.empty()) {
        config.restart_policy = update.restart_policy;
    }
    return ok;
}

}  // namespace davit
