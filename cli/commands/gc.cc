// davit gc, image pin, image unpin: which images go when the disk fills.
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/table_writer.h"
#include "cli/units.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct GcOptions {
    std::string high = "85%";
    std::string low = "70%";
    bool explain = false;
    bool dry_run = false;
};

constexpr Flag gc_flags[] = {
    flag<GcOptions, &GcOptions::high>(
        "high", 0, "percent", "Do nothing while less of the disk is used (default 85%)"),
    flag<GcOptions, &GcOptions::low>(
        "low", 0, "percent", "Remove images until less would be used (default 70%)"),
    flag<GcOptions, &GcOptions::explain>(
        "explain", 0, "", "Say of every image when it was used and why it stays or goes"),
    flag<GcOptions, &GcOptions::dry_run>("dry-run", 0, "", "Remove nothing"),
};

/// "85%" or "85", as the API takes it.
Result<std::string> percent_parse(std::string_view text) {
    if (text.ends_with('%')) {
        text.remove_suffix(1);
    }
    const Result<std::int64_t> value = integer_parse(text);
    if (!value || *value < 0 || *value > 100) {
        return Error(ErrorKind::invalid_argument,
                     "invalid percentage \"" + std::string(text) + "\": use 0% to 100%");
    }
    return std::to_string(*value);
}

std::string bytes_text(std::int64_t bytes) {
    return size_text(static_cast<double>(bytes), 4);
}

Result<void> rows_add(TableWriter& table, const JsonValue& steps, bool goes) {
    TRY(const std::vector<JsonValue> items, steps.as_array());
    for (const JsonValue& item : items) {
        TRY(const std::string name, item.string_or("Name", ""));
        TRY(const std::string used, item.string_or("LastUsed", ""));
        TRY(const std::int64_t bytes, item.int64_or("Bytes", 0));
        TRY(const std::string reason, item.string_or("Reason", ""));
        table.row({name,
                   used.substr(0, 19) + "Z",
                   goes ? "goes" : "stays",
                   goes ? "frees " + bytes_text(bytes) : reason});
    }
    return ok;
}

Task<int> gc(Context& context, GcOptions options, Arguments) {
    ApiCall call{"POST", "/davit/gc"};
    CO_TRY(std::string high, percent_parse(options.high));
    CO_TRY(std::string low, percent_parse(options.low));
    call.query.add("high", std::move(high));
    call.query.add("low", std::move(low));
    if (options.dry_run) {
        call.query.add("dry-run", "1");
    }
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    const JsonValue report = document.root();
    if (options.explain) {
        TableWriter table;
        table.row({"IMAGE", "LAST USED", "", "WHY"});
        CO_CHECK(rows_add(table, report.member("Remove"), true));
        CO_CHECK(rows_add(table, report.member("Keep"), false));
        context.out.write(table.text());
    }
    CO_TRY(const std::vector<JsonValue> removed, report.member("Remove").as_array());
    if (!options.explain) {
        for (const JsonValue& image : removed) {
            CO_TRY(const std::string name, image.string_or("Name", ""));
            context.out.line((options.dry_run ? "would remove " : "removed ") + name);
        }
    }
    CO_TRY(const std::int64_t wanted, report.int64_or("BytesWanted", 0));
    std::int64_t freed = 0;
    for (const JsonValue& image : removed) {
        CO_TRY(const std::int64_t bytes, image.int64_or("Bytes", 0));
        freed += bytes;
    }
    context.out.line(fmt::format("{} to free, {} {}freed by {} images",
                                 bytes_text(wanted),
                                 bytes_text(freed),
                                 options.dry_run ? "would be " : "",
                                 removed.size()));
    co_return 0;
}

struct PinOptions {};

Task<int> pin_each(Context& context, Arguments names, std::string action) {
    CO_TRY(ApiClient * api, context.api());
    int code = 0;
    for (const std::string& name : names) {
        ApiCall call{"POST", "/davit/images/" + percent_encode(name, true) + "/" + action};
        const Result<std::string> answer = co_await api->call(std::move(call));
        if (answer) {
            context.out.line(name);
        } else {
            context.err.line(answer.error().message());
            code = exit_failure;
        }
    }
    co_return code;
}

Task<int> pin(Context& context, PinOptions, Arguments names) {
    return pin_each(context, std::move(names), "pin");
}

Task<int> unpin(Context& context, PinOptions, Arguments names) {
    return pin_each(context, std::move(names), "unpin");
}

}  // namespace

constexpr Command gc_command{
    .name = "gc",
    .usage = "[OPTIONS]",
    .summary = "Remove the images that were not used for longest, if the disk is full",
    .count = {.min = 0, .max = 0},
    .flags = gc_flags,
    .body = command_body<GcOptions, gc>,
};

constexpr Command image_pin_command{
    .group = "image",
    .group_names = "pin",
    .usage = "IMAGE [IMAGE...]",
    .summary = "Keep images from being collected by gc",
    .count = {.min = 1},
    .body = command_body<PinOptions, pin>,
};

constexpr Command image_unpin_command{
    .group = "image",
    .group_names = "unpin",
    .usage = "IMAGE [IMAGE...]",
    .summary = "Let gc collect images again",
    .count = {.min = 1},
    .body = command_body<PinOptions, unpin>,
};

}  // namespace davit::cli
