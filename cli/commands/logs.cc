// davit logs
#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "cli/frame_reader.h"
#include "cli/units.h"
#include "reactor/base/limits.h"

namespace davit::cli {

namespace {

struct LogsOptions {
    bool details = false;
    bool follow = false;
    std::string since;
    std::string tail = "all";
    bool timestamps = false;
    std::string until;
};

constexpr Flag logs_flags[] = {
    flag<LogsOptions, &LogsOptions::details>(
        "details", 0, "", "Show the attributes that were given to logs"),
    flag<LogsOptions, &LogsOptions::follow>("follow", 'f', "", "Follow the output"),
    flag<LogsOptions, &LogsOptions::since>(
        "since", 0, "string", "From this time on (2013-01-02T13:23:37Z, or 42m ago)"),
    flag<LogsOptions, &LogsOptions::tail>(
        "tail", 'n', "string", "Lines to show from the end (default \"all\")"),
    flag<LogsOptions, &LogsOptions::timestamps>(
        "timestamps", 't', "", "Show the time of each line"),
    flag<LogsOptions, &LogsOptions::until>(
        "until", 0, "string", "Up to this time (2013-01-02T13:23:37Z, or 42m ago)"),
};

Result<Query> logs_query(const LogsOptions& options) {
    Query query;
    query.add("stdout", "1");
    query.add("stderr", "1");
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
        query.add(name, *std::move(time));
    }
    const std::pair<const char*, bool> switches[] = {{"details", options.details},
                                                     {"follow", options.follow},
                                                     {"timestamps", options.timestamps}};
    for (const auto& [name, given] : switches) {
        if (given) {
            query.add(name, "1");
        }
    }
    query.add("tail", options.tail);
    return query;
}

/// Ctrl-C ends this command as it would any other: nothing has to be given back.
Task<int> logs(Context& context, LogsOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(Query query, logs_query(options));
    CO_TRY(const ContainerState state, co_await container_state(*api, arguments[0]));
    ApiCall call{"GET", container_path(state.id, "logs"), std::move(query)};
    CO_TRY(ApiStream stream, co_await api->open(std::move(call)));
    FrameReader frames;
    std::vector<char> buffer(limits::stream_read_bytes);
    for (;;) {
        CO_TRY(const std::size_t got, co_await stream.read(buffer));
        if (got == 0) {
            break;
        }
        std::string_view bytes(buffer.data(), got);
        if (state.tty) {
            context.out.write(bytes);
            bytes = {};
        }
        while (!bytes.empty()) {
            CO_TRY(const std::optional<FrameReader::Piece> piece, frames.next(bytes));
            if (piece && piece->stream == FrameReader::Stream::err) {
                // In the order in which they came, where both are the same terminal.
                context.out.flush();
                context.err.write(piece->bytes);
                context.err.flush();
            } else if (piece) {
                context.out.write(piece->bytes);
            }
        }
        context.out.flush();
    }
    co_return 0;
}

}  // namespace

constexpr Command logs_command{
    .name = "logs",
    .group = "container",
    .group_names = "logs",
    .usage = "[OPTIONS] CONTAINER",
    .summary = "Fetch the logs of a container",
    .count = {.min = 1, .max = 1},
    .flags = logs_flags,
    .body = command_body<LogsOptions, logs>,
};

}  // namespace davit::cli
