#include "cli/prune.h"

#include <fcntl.h>

#include <fmt/format.h>

#include "cli/list_printer.h"
#include "cli/stdio_stream.h"
#include "cli/units.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

constexpr std::size_t answer_bytes_max = 64;

constexpr int freed_digits = 4;

Result<std::string> item_text(const JsonValue& item) {
    if (item.is(JsonValue::Type::string)) {
        TRY(const std::string_view name, item.as_string());
        return std::string(name);
    }
    TRY(const std::string untagged, item.string_or("Untagged", ""));
    TRY(const std::string deleted, item.string_or("Deleted", ""));
    return untagged.empty() ? "deleted: " + deleted : "untagged: " + untagged;
}

}  // namespace

Task<void> prune_confirm(Context& context, std::string what, std::string_view action) {
    context.out.write(fmt::format(
        "WARNING! This will remove{}\nAre you sure you want to continue? [y/N] ", what));
    context.out.flush();
    CO_TRY(StdioStream input, StdioStream::open(context.fds().in, O_RDONLY));
    std::string answer;
    char byte = 0;
    while (answer.size() < answer_bytes_max) {
        CO_TRY(const std::size_t got, co_await input.read(std::span<char>(&byte, 1)));
        if (got == 0 || byte == '\n') {
            break;
        }
        answer.push_back(byte);
    }
    if (answer != "y" && answer != "Y") {
        co_return Error(ErrorKind::cancelled, fmt::format("{} has been cancelled", action));
    }
    co_return ok;
}

Task<std::uint64_t> prune_run(Context& context, PruneKind kind, std::vector<std::string> filters) {
    CO_TRY(std::string json, filters_json(filters));
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"POST", std::string(kind.path)};
    if (!json.empty()) {
        call.query.add("filters", std::move(json));
    }
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const JsonValue list, document.root().array(kind.list));
    CO_TRY(const std::vector<JsonValue> items, list.as_array());
    if (!items.empty()) {
        context.out.line(kind.heading);
        for (const JsonValue& item : items) {
            CO_TRY(const std::string text, item_text(item));
            context.out.line(text);
        }
        context.out.line("");
    }
    co_return document.root().uint64_or("SpaceReclaimed", 0);
}

void prune_total_print(Context& context, std::uint64_t bytes) {
    context.out.line("Total reclaimed space: " +
                     size_text(static_cast<double>(bytes), freed_digits));
}

}  // namespace davit::cli
