// davit why
#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct WhyOptions {};

/// "web: killed by SIGTERM from a stop request"
Task<std::string> reason_line(ApiClient& api, std::string container) {
    ApiCall call{"GET", container_path(container, "json")};
    CO_TRY(const std::string body, co_await api.call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::string name, document.root().string_or("Name", ""));
    CO_TRY(const JsonValue state, document.root().object("State"));
    CO_TRY(const std::string reason, state.string_or("ExitReason", ""));
    CO_TRY(const std::string status, state.string_or("Status", ""));
    CO_TRY(const std::string finished, state.string_or("FinishedAt", ""));
    std::string line = name.substr(std::min<std::size_t>(1, name.size())) + ": ";
    if (reason.empty()) {
        co_return line + "has not ended: it is " + status;
    }
    line += reason;
    const bool has_ended = !finished.starts_with("0001-");
    co_return has_ended ? line + " (" + finished + ")" : line;
}

Task<int> why(Context& context, WhyOptions, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    int code = 0;
    for (const std::string& container : arguments) {
        const Result<std::string> line = co_await reason_line(*api, container);
        if (line) {
            context.out.line(*line);
        } else {
            context.err.line(line.error().message());
            code = exit_failure;
        }
    }
    co_return code;
}

}  // namespace

constexpr Command why_command{
    .name = "why",
    .usage = "CONTAINER [CONTAINER...]",
    .summary = "Say why containers ended, or were not started",
    .count = {.min = 1},
    .body = command_body<WhyOptions, why>,
};

}  // namespace davit::cli
