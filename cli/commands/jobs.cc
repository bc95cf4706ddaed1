// davit jobs, trace: what the daemon is doing, and where a container's start spent its time.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "cli/list_printer.h"
#include "cli/table_writer.h"
#include "cli/terminal.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct JobsOptions {
    std::string format;
    bool quiet = false;
};

constexpr Flag jobs_flags[] = {
    flag<JobsOptions, &JobsOptions::format>(
        "format", 0, "string", "table, json, or a template like '{{.ID}} {{.Name}}'"),
    flag<JobsOptions, &JobsOptions::quiet>("quiet", 'q', "", "Show only IDs"),
};

constexpr ListField job_fields[] = {
    {"Args", "ARGUMENTS"},
    {"Elapsed", "ELAPSED"},
    {"ID", "ID"},
    {"Name", "JOB"},
    {"Phases", "PHASES"},
    {"Started", "STARTED"},
    {"Status", "STATUS"},
    {"Stderr", "STDERR"},
    {"Stdin", "STDIN"},
    {"Stdout", "STDOUT"},
};

constexpr std::string_view job_table =
    "{{.ID}}\t{{.Name}}\t{{.Args}}\t{{.Status}}\t{{.Elapsed}}\t{{.Phases}}";

/// "1.234ms", three digits after the point at most.
std::string elapsed_text(std::int64_t nanoseconds) {
    const auto value = static_cast<double>(nanoseconds);
    if (nanoseconds < 1'000'000) {
        return fmt::format("{:.0f}µs", value / 1e3);
    }
    if (nanoseconds < 1'000'000'000) {
        return fmt::format("{:.2f}ms", value / 1e6);
    }
    return fmt::format("{:.2f}s", value / 1e9);
}

/// One step of a job or of a start, in nanoseconds from its beginning.
struct Phase {
    std::string name;
    std::int64_t start = 0;
    std::int64_t duration = 0;
};

Result<std::vector<Phase>> phases_of(const JsonValue& list) {
    TRY(const std::vector<JsonValue> items, list.as_array());
    std::vector<Phase> phases;
    for (const JsonValue& item : items) {
        Phase phase;
        TRY(phase.name, item.string_or("Name", ""));
        TRY(phase.start, item.int64_or("StartNs", 0));
        TRY(phase.duration, item.int64_or("DurationNs", 0));
        phases.push_back(std::move(phase));
    }
    return phases;
}

Result<ListRow> job_row(const JsonValue& job) {
    TRY(const std::int64_t id, job.int64_or("Id", 0));
    TRY(std::string name, job.string_or("Name", ""));
    TRY(const std::vector<std::string> args, job.strings("Args"));
    TRY(std::string status, job.string_or("Status", ""));
    TRY(std::string started, job.string_or("Started", ""));
    TRY(const std::int64_t elapsed, job.int64_or("ElapsedNs", 0));
    TRY(const std::vector<Phase> phases, phases_of(job.member("Phases")));
    TRY(const std::int64_t bytes_read, job.int64_or("Stdin", 0));
    TRY(const std::int64_t bytes_written, job.int64_or("Stdout", 0));
    TRY(const std::vector<std::string> complaints, job.strings("Stderr"));
    std::string args_text;
    for (const std::string& arg : args) {
        args_text += (args_text.empty() ? "" : " ") + arg;
    }
    std::string phases_text;
    for (const Phase& phase : phases) {
        phases_text += fmt::format(
            "{}{} {}", phases_text.empty() ? "" : ", ", phase.name, elapsed_text(phase.duration));
    }
    ListRow row;
    row.values = {std::move(args_text),
                  elapsed_text(elapsed),
                  std::to_string(id),
                  std::move(name),
                  std::move(phases_text),
                  std::move(started),
                  std::move(status),
                  fmt::format("{}", fmt::join(complaints, "; ")),
                  std::to_string(bytes_read),
                  std::to_string(bytes_written)};
    return row;
}

Task<int> jobs_cancel(Context& context, ApiClient& api, Arguments ids) {
    int code = 0;
    for (const std::string& id : ids) {
        ApiCall call{"POST", "/davit/jobs/" + percent_encode(id) + "/cancel"};
        Result<std::string> answer = co_await api.call(std::move(call));
        if (answer) {
            context.out.line(id);
        } else {
            context.err.line(answer.error().message());
            code = exit_failure;
        }
    }
    co_return code;
}

Task<int> jobs(Context& context, JobsOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    if (!arguments.empty()) {
        if (arguments[0] != "cancel" || arguments.size() < 2) {
            co_return Error(ErrorKind::invalid_argument,
                            "davit: 'davit jobs' takes no arguments but \"cancel ID [ID...]\"");
        }
        arguments.erase(arguments.begin());
        co_return co_await jobs_cancel(context, *api, std::move(arguments));
    }
    ApiCall call{"GET", "/davit/jobs"};
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::vector<JsonValue> list, document.root().as_array());
    std::vector<ListRow> rows;
    for (const JsonValue& job : list) {
        CO_TRY(ListRow row, job_row(job));
        rows.push_back(std::move(row));
    }
    const std::string_view format = options.quiet ? "{{.ID}}" : std::string_view(options.format);
    CO_CHECK(list_print(context.out, format, job_table, job_fields, rows));
    co_return 0;
}

struct TraceOptions {};

constexpr std::size_t gantt_columns_min = 20;
constexpr std::size_t gantt_columns_default = 60;

/// A line per phase: its name, when it began, how long it took, and a bar to scale.
std::string gantt_text(const std::vector<Phase>& phases, std::size_t columns) {
    std::int64_t end = 1;
    std::size_t name_width = 5;
    for (const Phase& phase : phases) {
        end = std::max(end, phase.start + phase.duration);
        name_width = std::max(name_width, text_width(phase.name));
    }
    const double scale = static_cast<double>(columns) / static_cast<double>(end);
    std::string text = fmt::format("{:<{}} {:>10} {:>10}\n", "PHASE", name_width, "AT", "TOOK");
    for (const Phase& phase : phases) {
        const auto left = std::min(
            columns - 1, static_cast<std::size_t>(static_cast<double>(phase.start) * scale));
        const auto length = std::clamp<std::size_t>(
            static_cast<std::size_t>(std::lround(static_cast<double>(phase.duration) * scale)),
            1,
            columns - left);
        text += fmt::format("{:<{}} {:>10} {:>10}  {:{}}{:#<{}}\n",
                            phase.name,
                            name_width,
                            elapsed_text(phase.start),
                            elapsed_text(phase.duration),
                            "",
                            left,
                            "",
                            length);
    }
    return text + fmt::format("{:<{}} {:>10} {:>10}\n", "total", name_width, "", elapsed_text(end));
}

Task<int> trace(Context& context, TraceOptions, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", container_path(arguments[0], "json")};
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const JsonValue davit, document.root().object("Davit"));
    CO_TRY(const std::vector<Phase> phases, phases_of(davit.member("StartPhases")));
    if (phases.empty()) {
        co_return Error(ErrorKind::not_found,
                        "no phases are recorded for " + arguments[0] +
                            ": it was never started, or not by davit");
    }
    std::size_t columns = gantt_columns_default;
    if (const auto size = terminal_size(context.fds().out)) {
        columns = std::max<std::size_t>(size->columns, 45 + gantt_columns_min) - 45;
    }
    context.out.write(gantt_text(phases, columns));
    co_return 0;
}

}  // namespace

constexpr Command jobs_command{
    .name = "jobs",
    .usage = "[OPTIONS] | cancel ID [ID...]",
    .summary = "List what the daemon is doing, or cancel it",
    .flags = jobs_flags,
    .body = command_body<JobsOptions, jobs>,
};

constexpr Command trace_command{
    .name = "trace",
    .usage = "CONTAINER",
    .summary = "Show how long each phase of a container's start took",
    .count = {.min = 1, .max = 1},
    .body = command_body<TraceOptions, trace>,
};

}  // namespace davit::cli
