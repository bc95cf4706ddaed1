// Endpoints that look into a container: top, changes; and update.
#include "http/api/create_body.h"
#include "http/api/handlers.h"
#include "http/json_reader.h"
#include "http/json_writer.h"
#include "jobs/container_changes.h"
#include "jobs/container_jobs.h"
#include "jobs/container_top.h"
#include "jobs/daemon.h"

namespace davit::api {

Task<void> container_top(ApiContext& context) {
    CO_TRY(const auto container, context.daemon.containers.find(context.params.get("id")));
    std::string arguments(context.query.get("ps_args"));
    CO_TRY(const ProcessList list,
           co_await davit::container_top(
               context.job, context.daemon, container, std::move(arguments)));
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("Processes").begin_array();
    for (const std::vector<std::string>& process : list.processes) {
        json.strings(process);
    }
    json.end_array().key("Titles").strings(list.titles).end_object();
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> container_changes(ApiContext& context) {
    CO_TRY(const auto container, context.daemon.containers.find(context.params.get("id")));
    CO_TRY(const auto changes, co_await davit::container_changes(context.daemon, container));
    std::string body;
    JsonWriter json(body);
    if (changes.empty()) {
        json.null();  // As Docker: an untouched container has no list.
    } else {
        json.begin_array();
        for (const auto& [path, kind] : changes) {
            json.begin_object().key("Path").string(path);
            json.key("Kind").number(static_cast<int>(kind)).end_object();
        }
        json.end_array();
    }
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> container_update(ApiContext& context) {
    CO_TRY(const auto container, context.daemon.containers.find(context.params.get("id")));
    CO_TRY(const std::string body, co_await context.json_body());
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(HostConfig update, host_config_parse(document.root()));
    if (context.version < ApiVersion{1, 40}) {
        update.pids_limit.reset();
    }
    kernel_memory_forget(update, context.version);
    CO_TRY(const std::vector<std::string> warnings,
           co_await davit::container_update(
               context.job, context.daemon, container, std::move(update)));
    std::string answer;
    JsonWriter json(answer);
    json.begin_object().key("Warnings");
    if (warnings.empty()) {
        json.null();
    } else {
        json.strings(warnings);
    }
    json.end_object();
    co_return co_await context.send_json(200, std::move(answer));
}

}  // namespace davit::api
