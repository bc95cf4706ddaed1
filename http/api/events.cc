// GET /events.
#include "http/api/duration.h"
#include "http/api/event_filter.h"
#include "http/api/handlers.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"
#include "reactor/timer.h"

namespace davit::api {

namespace {

/// Events looked at before the loop may do something else: some tens of microseconds.
constexpr std::size_t events_per_turn = 256;

std::string event_json(const Event& event) {
    const std::int64_t nanoseconds = unix_nanoseconds(event.time);
    std::string line;
    JsonWriter json(line);
    json.begin_object();
    if (event.type == "container" || event.type == "image") {
        json.key("status").string(event.action).key("id").string(event.actor_id);
        if (event.type == "container") {
            json.key("from").string(event.attribute("image"));
        }
    }
    json.key("Type").string(event.type).key("Action").string(event.action);
    json.key("Actor").begin_object().key("ID").string(event.actor_id);
    json.key("Attributes").string_map(event.attributes).end_object();
    json.key("scope").string("local").key("time").number(nanoseconds / 1'000'000'000);
    json.key("timeNano").number(nanoseconds).end_object();
    line += '\n';
    return line;
}

struct Window {
    std::optional<WallTime> since;
    std::optional<WallTime> until;
};

Result<Window> window_of(const ApiContext& context) {
    Window window;
    const auto time_of = [&](std::string_view key) -> Result<std::optional<WallTime>> {
        const std::string_view text = context.query.get(key);
        if (text.empty()) {
            return std::optional<WallTime>{};
        }
        TRY(const WallTime time, timestamp_parse(text, wall_now()));
        return std::optional<WallTime>(time);
    };
    TRY(window.since, time_of("since"));
    TRY(window.until, time_of("until"));
    if (window.since && window.until && *window.since > *window.until) {
        return Error(ErrorKind::invalid_argument, "`since` is after `until`");
    }
    return window;
}

/// Wait for an event. False if until comes first.
Task<bool> wait_for(EventBus& bus, std::uint64_t next, std::optional<WallTime> until) {
    if (bus.next_sequence() > next) {
        co_return true;
    }
    if (!until) {
        CO_CHECK(co_await bus.reach(next));
        co_return true;
    }
    // The wall clock may be set meanwhile: until is a time of day, not a duration.
    for (Nanoseconds left = *until - wall_now(); left > Nanoseconds{}; left = *until - wall_now()) {
        const Result<void> reached = co_await with_timeout(left, bus.reach(next));
        if (reached || reached.error().kind() != ErrorKind::timed_out) {
            CO_CHECK(reached);
            co_return true;
        }
    }
    co_return false;
}

/// Write events from a position on. Only the wait for the next one ends at until: a write is never
/// cut off, and a slow reader still gets what happened before.
Task<void> follow(ApiContext& context,
                  const EventFilter& filter,
                  std::uint64_t next,
                  std::optional<WallTime> until) {
    EventBus& bus = context.daemon.events;
    for (std::size_t looked_at = 1;; ++next, ++looked_at) {
        CO_TRY(const bool there, co_await wait_for(bus, next, until));
        if (!there) {
            co_return ok;
        }
        if (looked_at % events_per_turn == 0) {
            co_await yield_now();
        }
        CO_TRY(const Event* event, bus.find(next));
        if (until && event->time > *until) {
            co_return ok;
        }
        if (filter.admits(*event)) {
            const std::string line = event_json(*event);
            CO_CHECK(co_await context.job.write(line));
        }
    }
}

}  // namespace

Task<void> events(ApiContext& context) {
    CO_TRY(const EventFilter filter, EventFilter::parse(context.query.get("filters")));
    CO_TRY(const Window window, window_of(context));
    const EventBus& bus = context.daemon.events;
    const std::uint64_t first =
        window.since ? bus.sequence_since(*window.since) : bus.next_sequence();
    CO_CHECK(co_await context.response.begin(200, "application/json"));
    CO_CHECK(co_await follow(context, filter, first, window.until));
    co_return co_await context.response.end();
}

}  // namespace davit::api
