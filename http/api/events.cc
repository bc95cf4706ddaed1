// GET /events.
#include <algorithm>
#include <array>

#include "http/api/duration.h"
#include "http/api/filters.h"
#include "http/api/handlers.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"
#include "reactor/timer.h"

namespace davit::api {

namespace {

constexpr std::array<std::string_view, 13> known_filters{"type",
                                                         "event",
                                                         "container",
                                                         "image",
                                                         "label",
                                                         "network",
                                                         "volume",
                                                         "daemon",
                                                         "scope",
                                                         "plugin",
                                                         "service",
                                                         "node",
                                                         "config"};

std::string attribute(const Event& event, std::string_view name) {
    for (const auto& [key, value] : event.attributes) {
        if (key == name) {
            return value;
        }
    }
    return {};
}

/// An actor filter: by id or name, for events of one type only.
bool admits_actor(const Filters& filters, std::string_view type, const Event& event) {
    if (!filters.has(type)) {
        return true;
    }
    const std::string name = attribute(event, "name");
    return event.type == type &&
           std::ranges::any_of(filters.all(type), [&](const std::string& wanted) {
               return event.actor_id.starts_with(wanted) || name == wanted;
           });
}

std::string without_tag(const std::string& name) {
    const std::size_t colon = name.rfind(':');
    const std::size_t slash = name.rfind('/');
    const bool tagged = colon != std::string::npos && (slash == std::string::npos || colon > slash);
    return tagged ? name.substr(0, colon) : name;
}

/// The image filter also finds containers by the image they were made from.
bool admits_image(const Filters& filters, const Event& event) {
    if (!filters.has("image")) {
        return true;
    }
    const std::string name = event.type == "image" ? event.actor_id : attribute(event, "image");
    return std::ranges::any_of(filters.all("image"), [&](const std::string& wanted) {
        return wanted == name || wanted == without_tag(name) || wanted == attribute(event, "name");
    });
}

bool admits_action(const Filters& filters, const Event& event) {
    const std::string bare = event.action.substr(0, event.action.find(':'));
    return filters.admits("event", event.action) || filters.admits("event", bare);
}

bool admits(const Filters& filters, const Event& event) {
    const std::map<std::string, std::string> labels(event.attributes.begin(),
                                                    event.attributes.end());
    return filters.admits("type", event.type) && admits_action(filters, event) &&
           admits_actor(filters, "container", event) && admits_actor(filters, "network", event) &&
           admits_actor(filters, "volume", event) && admits_image(filters, event) &&
           filters.admits_labels("label", labels) && filters.admits("scope", "local");
}

std::string event_json(const Event& event) {
    const std::int64_t nanoseconds = unix_nanoseconds(event.time);
    std::string line;
    JsonWriter json(line);
    json.begin_object();
    if (event.type == "container" || event.type == "image") {
        json.key("status").string(event.action).key("id").string(event.actor_id);
        if (event.type == "container") {
            json.key("from").string(attribute(event, "image"));
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

/// Write events from a position on, for ever: until ends it from outside.
Task<void> follow(ApiContext& context, const Filters& filters, std::uint64_t next, Window window) {
    for (;; ++next) {
        CO_TRY(const Event event, co_await context.daemon.events.at(next));
        if (window.until && event.time > *window.until) {
            co_return ok;
        }
        if (!admits(filters, event)) {
            continue;
        }
        const std::string line = event_json(event);
        CO_CHECK(co_await context.response.write(line));
    }
}

}  // namespace

Task<void> events(ApiContext& context) {
    CO_TRY(const Filters filters, Filters::parse(context.query.get("filters"), known_filters));
    CO_TRY(const Window window, window_of(context));
    EventBus& bus = context.daemon.events;
    const std::uint64_t first =
        window.since ? bus.sequence_since(*window.since) : bus.next_sequence();
    CO_CHECK(co_await context.response.begin(200, "application/json"));
    if (!window.until) {
        co_return co_await follow(context, filters, first, window);
    }
    const Nanoseconds left = std::max(Nanoseconds{}, *window.until - wall_now());
    const bool over = left == Nanoseconds{};
    if (over) {
        // Only what has happened: an event of now ends the reading.
        const std::uint64_t end = bus.next_sequence();
        for (std::uint64_t next = first; next < end; ++next) {
            CO_TRY(const Event event, co_await bus.at(next));
            if (event.time <= *window.until && admits(filters, event)) {
                const std::string line = event_json(event);
                CO_CHECK(co_await context.response.write(line));
            }
        }
        co_return co_await context.response.end();
    }
    const Result<void> followed =
        co_await with_timeout(left, follow(context, filters, first, window));
    if (!followed && followed.error().kind() != ErrorKind::timed_out) {
        co_return followed;
    }
    co_return co_await context.response.end();
}

}  // namespace davit::api
