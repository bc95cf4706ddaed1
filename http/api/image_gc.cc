// davit's own endpoints for collecting images: POST /davit/gc, and pins.
#include "jobs/image_gc.h"

#include "graph/image_store.h"
#include "http/api/handlers.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"

namespace davit::api {

namespace {

Result<int> percent_of(const Query& query, std::string_view key, int when_absent) {
    TRY(const std::optional<std::int64_t> value, query.integer(key));
    if (!value) {
        return when_absent;
    }
    if (*value < 0 || *value > 100) {
        return Error(ErrorKind::invalid_argument, std::string(key) + " is no percentage");
    }
    return static_cast<int>(*value);
}

void steps_write(JsonWriter& json, const std::vector<GcStep>& steps) {
    json.begin_array();
    for (const GcStep& step : steps) {
        json.begin_object().key("Id").string(step.id.str()).key("Name").string(step.name);
        json.key("LastUsed").string(rfc3339_nano(step.used)).key("Bytes").number(step.bytes);
        json.key("Reason").string(step.reason).end_object();
    }
    json.end_array();
}

Task<void> pin_set(ApiContext& context, bool pinned) {
    const std::string name = context.params.get("name");
    auto pin = [&](WriteTxn& txn) -> Result<void> {
        TRY(const ImageMatch match, image_resolve(txn, name));
        return davit::image_pin(txn, match.id, pinned);
    };
    CO_CHECK(co_await context.daemon.graph_writer->update(pin));
    co_return co_await context.send_empty(204);
}

}  // namespace

Task<void> image_gc(ApiContext& context) {
    GcRequest request;
    CO_TRY(request.high_percent, percent_of(context.query, "high", request.high_percent));
    CO_TRY(request.low_percent, percent_of(context.query, "low", request.low_percent));
    request.dry_run = context.query.boolean("dry-run");
    CO_TRY(const GcReport report, co_await davit::image_gc(context.job, context.daemon, request));
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("UsedPercent").number(report.used_percent);
    json.key("HighPercent").number(request.high_percent);
    json.key("LowPercent").number(request.low_percent);
    json.key("DryRun").boolean(request.dry_run);
    json.key("BytesWanted").number(report.bytes_wanted);
    json.key("BytesFreed").number(report.bytes_freed).key("Remove");
    steps_write(json, report.plan.remove);
    json.key("Keep");
    steps_write(json, report.plan.keep);
    json.end_object();
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> image_pin(ApiContext& context) {
    return pin_set(context, true);
}

Task<void> image_unpin(ApiContext& context) {
    return pin_set(context, false);
}

}  // namespace davit::api
