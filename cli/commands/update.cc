// davit update
#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "cli/container_request.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

using O = CreateOptions;

constexpr Flag update_flags[] = {
    flag<O, &O::blkio_weight>("blkio-weight", 0, "uint16", "Block I/O weight (10 to 1000)"),
    flag<O, &O::cpu_period>("cpu-period", 0, "int", "Period of the CPU quota in microseconds"),
    flag<O, &O::cpu_quota>("cpu-quota", 0, "int", "CPU quota in microseconds"),
    flag<O, &O::cpu_realtime_period>("cpu-rt-period", 0, "int", "Realtime period in microseconds"),
    flag<O, &O::cpu_realtime_runtime>(
        "cpu-rt-runtime", 0, "int", "Realtime runtime in microseconds"),
    flag<O, &O::cpu_shares>("cpu-shares", 'c', "int", "CPU shares (relative weight)"),
    flag<O, &O::cpus>("cpus", 0, "decimal", "Number of CPUs"),
    flag<O, &O::cpuset_cpus>("cpuset-cpus", 0, "string", "CPUs to run on (0-3, 0,1)"),
    flag<O, &O::cpuset_mems>("cpuset-mems", 0, "string", "Memory nodes to use (0-3, 0,1)"),
    flag<O, &O::memory>("memory", 'm', "bytes", "Memory limit"),
    flag<O, &O::memory_reservation>("memory-reservation", 0, "bytes", "Memory soft limit"),
    flag<O, &O::memory_swap>(
        "memory-swap", 0, "bytes", "Limit of memory plus swap; -1 for unlimited swap"),
    flag<O, &O::pids_limit>("pids-limit", 0, "int", "Limit of processes; -1 for unlimited"),
    flag<O, &O::restart>("restart", 0, "string", "Restart policy"),
};

Result<std::string> body_make(const CreateOptions& options) {
    std::string body;
    JsonWriter json(body);
    json.begin_object();
    TRY_VOID(resources_write(json, options));
    TRY_VOID(restart_policy_write(json, options));
    json.end_object();
    if (body == "{}") {
        return Error(ErrorKind::invalid_argument,
                     "you must provide one or more flags when using this command");
    }
    return body;
}

Task<void> update_one(ApiClient& api,
                      std::string container,
                      std::string body,
                      std::vector<std::string>& warnings) {
    ApiCall call{"POST", container_path(container, "update")};
    call.body = std::move(body);
    CO_TRY(const std::string answer, co_await api.call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(answer));
    CO_TRY(const std::vector<std::string> more, document.root().strings("Warnings"));
    warnings.insert(warnings.end(), more.begin(), more.end());
    co_return ok;
}

Task<int> update(Context& context, CreateOptions options, Arguments arguments) {
    CO_TRY(const std::string body, body_make(options));
    std::vector<std::string> warnings;
    ContainerAction action = [&](ApiClient& api, std::string container) {
        return update_one(api, std::move(container), body, warnings);
    };
    CO_TRY(const int code,
           co_await for_each_container(context, std::move(arguments), std::move(action)));
    for (const std::string& warning : warnings) {
        context.out.line(warning);
    }
    co_return code;
}

}  // namespace

constexpr Command update_command{
    .name = "update",
    .group = "container",
    .group_names = "update",
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .summary = "Update configuration of one or more containers",
    .count = {.min = 1},
    .flags = update_flags,
    .body = command_body<CreateOptions, update>,
};

}  // namespace davit::cli
