// davit events
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/line_reader.h"
#include "cli/list_printer.h"
#include "cli/units.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct EventsOptions {
    std::vector<std::string> filters;
    std::string format;
    std::string since;
    std::string until;
};

constexpr Flag events_flags[] = {
    flag<EventsOptions, &EventsOptions::filters>(
        "filter", 'f', "filter", "Show what fulfils key=value"),
    flag<EventsOptions, &EventsOptions::format>(
        "format", 0, "string", "json, or a template like '{{.Action}} {{.Actor.ID}}'"),
    flag<EventsOptions, &EventsOptions::since>("since", 0, "string", "From this time on"),
    flag<EventsOptions, &EventsOptions::until>("until", 0, "string", "Until this time"),
};

/// "2026-01-02T15:04:05.000000006Z container start ID (image=x, name=y)"
Result<std::string> event_line(const JsonValue& event) {
    TRY(const std::int64_t time, event.int64_or("timeNano", 0));
    TRY(const std::string type, event.string_or("Type", ""));
    TRY(const std::string action, event.string_or("Action", ""));
    TRY(const JsonValue actor, event.object("Actor"));
    TRY(const std::string id, actor.string_or("ID", ""));
    TRY(const auto attributes, actor.string_map("Attributes"));
    std::string line = fmt::format(
        "{} {} {} {}", local_time_text(wall_from_unix_nanoseconds(time)), type, action, id);
    std::string list;
    for (const auto& [key, value] : attributes) {
        list += fmt::format("{}{}={}", list.empty() ? "" : ", ", key, value);
    }
    return list.empty() ? line : fmt::format("{} ({})", line, list);
}

Result<ApiCall> events_call(const EventsOptions& options) {
    ApiCall call{"GET", "/events"};
    const std::pair<const char*, const std::string*> times[] = {{"since", &options.since},
                                                                {"until", &options.until}};
    for (const auto& [name, text] : times) {
        if (text->empty()) {
            continue;
        }
        Result<std::string> time = timestamp_parse(*text, wall_now());
        if (!time) {
            return std::move(time.error())
                .context("invalid value for \"" + std::string(name) + "\"");
        }
        call.query.add(name, *std::move(time));
    }
    TRY(std::string filters, filters_json(options.filters));
    if (!filters.empty()) {
        call.query.add("filters", std::move(filters));
    }
    return call;
}

/// Ctrl-C ends this command as it would any other: nothing has to be given back.
Task<int> events(Context& context, EventsOptions options, Arguments) {
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(ApiCall call, events_call(options));
    CO_TRY(ApiStream stream, co_await api->open(std::move(call)));
    LineReader lines(stream);
    for (;;) {
        CO_TRY(const std::optional<std::string> line, co_await lines.next());
        if (!line) {
            co_return 0;
        }
        if (!options.format.empty()) {
            CO_CHECK(object_print(context.out, options.format, *line));
        } else {
            CO_TRY(const JsonDocument document, JsonDocument::parse(*line));
            CO_TRY(const std::string text, event_line(document.root()));
            context.out.line(text);
        }
        if (!lines.has_buffered_line()) {
            context.out.flush();
        }
    }
}

}  // namespace

constexpr Command events_command{
    .name = "events",
    .group = "system",
    .group_names = "events",
    .usage = "[OPTIONS]",
    .summary = "Show what happens in the daemon, as it happens",
    .count = {.max = 0},
    .flags = events_flags,
    .body = command_body<EventsOptions, events>,
};

}  // namespace davit::cli
