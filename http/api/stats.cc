// GET /containers/{id}/stats
#include "http/api/handlers.h"
#include "http/api/stats_json.h"
#include "jobs/daemon.h"

namespace davit::api {

namespace {

using Sample = StatsSampler::Sample;

std::string stats_json(const Container& container, const Sample& sample, const Sample& before) {
    std::string body;
    JsonWriter json(body);
    container_stats_write(
        json, container.id().str(), container.record.name, sample.get(), before.get());
    return body;
}

/// One answer: a sample, and the one before it for the client to compare it with.
Task<void> send_one(ApiContext& context, std::shared_ptr<Container> container, bool compared) {
    Sample before;
    Sample sample;
    if (container->run && !compared) {
        CO_TRY(sample, co_await StatsSampler::read_once(container));
    } else if (container->run) {
        StatsSampler::Subscription subscription(context.daemon.stats, container);
        CO_TRY(const std::optional<Sample> first, co_await subscription.next());
        CO_TRY(const std::optional<Sample> second, co_await subscription.next());
        before = first.value_or(nullptr);
        sample = second.value_or(nullptr);
    }
    co_return co_await context.send_json(200, stats_json(*container, sample, before));
}

Task<void> send_stream(ApiContext& context, std::shared_ptr<Container> container) {
    StatsSampler::Subscription subscription(context.daemon.stats, container);
    CO_CHECK(co_await context.response.begin(200, "application/json"));
    Sample before;
    for (;;) {
        CO_TRY(const std::optional<Sample> sample, co_await subscription.next());
        if (!sample) {
            co_return co_await context.response.end();
        }
        const std::string line = stats_json(*container, *sample, before) + "\n";
        CO_CHECK(co_await context.job.write(line));
        before = *sample;
    }
}

}  // namespace

Task<void> container_stats(ApiContext& context) {
    CO_TRY(const auto container, context.daemon.containers.find(context.params.get("id")));
    const bool stream = context.query.boolean("stream", true);
    const bool one_shot = context.version >= ApiVersion{1, 41} && context.query.boolean("one-shot");
    if (stream && one_shot) {
        co_return Error(ErrorKind::invalid_argument, "cannot have stream=true and one-shot=true");
    }
    if (stream) {
        co_return co_await send_stream(context, container);
    }
    co_return co_await send_one(context, container, !one_shot);
}

}  // namespace davit::api
