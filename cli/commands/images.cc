// davit images, rmi, tag
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/list_printer.h"
#include "cli/units.h"
#include "graph/reference.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct ImagesOptions {
    bool all = false;
    bool digests = false;
    std::vector<std::string> filters;
    std::string format;
    bool no_trunc = false;
    bool quiet = false;
};

constexpr Flag images_flags[] = {
    flag<ImagesOptions, &ImagesOptions::all>("all", 'a', "", "Show intermediate images too"),
    flag<ImagesOptions, &ImagesOptions::digests>("digests", 0, "", "Show digests"),
    flag<ImagesOptions, &ImagesOptions::filters>(
        "filter", 'f', "filter", "Show what fulfils key=value"),
    flag<ImagesOptions, &ImagesOptions::format>(
        "format", 0, "string", "table, json, or a template like '{{.ID}} {{.Repository}}'"),
    flag<ImagesOptions, &ImagesOptions::no_trunc>("no-trunc", 0, "", "Do not shorten IDs"),
    flag<ImagesOptions, &ImagesOptions::quiet>("quiet", 'q', "", "Show only IDs"),
};

constexpr ListField fields[] = {
    {"Containers", "CONTAINERS"},
    {"CreatedAt", "CREATED AT"},
    {"CreatedSince", "CREATED"},
    {"Digest", "DIGEST"},
    {"ID", "IMAGE ID"},
    {"Repository", "REPOSITORY"},
    {"SharedSize", "SHARED SIZE"},
    {"Size", "SIZE"},
    {"Tag", "TAG"},
    {"UniqueSize", "UNIQUE SIZE"},
};

constexpr std::string_view default_table =
    "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
constexpr std::string_view digests_table =
    "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
constexpr std::string_view none = "<none>";
constexpr std::size_t image_id_digits = 12;
constexpr int image_size_digits = 3;

/// One name of an image: a row of the list.
struct ImageName {
    std::string repository{none};
    std::string tag{none};
    std::string digest{none};
};

std::string_view before_last(std::string_view text, char separator) {
    return text.substr(0, text.rfind(separator));
}

std::string_view after_last(std::string_view text, char separator) {
    return text.substr(text.rfind(separator) + 1);
}

/// A row per tag; digests that no tag of their repository stands for have rows of their own.
std::vector<ImageName> names_make(std::vector<std::string> tags,
                                  std::vector<std::string> digests,
                                  bool with_digests) {
    std::erase(tags, "<none>:<none>");
    std::erase(digests, "<none>@<none>");
    std::vector<ImageName> names;
    for (const std::string& tag : tags) {
        ImageName name;
        name.repository = before_last(tag, ':');
        name.tag = after_last(tag, ':');
        bool found = false;
        for (const std::string& digest : digests) {
            if (with_digests && before_last(digest, '@') == name.repository) {
                name.digest = after_last(digest, '@');
                names.push_back(name);
                found = true;
            }
        }
        if (!found) {
            names.push_back(std::move(name));
        }
    }
    if (names.empty()) {
        for (const std::string& digest : digests) {
            ImageName name;
            name.repository = before_last(digest, '@');
            name.digest = after_last(digest, '@');
            names.push_back(std::move(name));
            if (!with_digests) {
                break;
            }
        }
    }
    if (names.empty()) {
        names.emplace_back();
    }
    return names;
}

std::string size_column(std::int64_t bytes) {
    return bytes < 0 ? "N/A" : size_text(static_cast<double>(bytes), image_size_digits);
}

Result<void> rows_add(std::vector<ListRow>& rows,
                      const JsonValue& image,
                      const ImagesOptions& options,
                      WallTime now) {
    constexpr std::string_view prefix = "sha256:";
    TRY(const std::string id, image.string_or("Id", ""));
    TRY(const std::int64_t created_seconds, image.int64_or("Created", 0));
    TRY(const std::int64_t size, image.int64_or("Size", 0));
    TRY(const std::int64_t shared, image.int64_or("SharedSize", -1));
    TRY(const std::int64_t containers, image.int64_or("Containers", -1));
    TRY(std::vector<std::string> tags, image.strings("RepoTags"));
    TRY(std::vector<std::string> digests, image.strings("RepoDigests"));
    const std::string short_id =
        id.starts_with(prefix) ? id.substr(prefix.size(), image_id_digits) : id;
    const WallTime created = wall_from_unix_nanoseconds(created_seconds * 1'000'000'000);
    const bool with_digests =
        options.digests || options.format.find(".Digest") != std::string::npos;
    for (const ImageName& name : names_make(std::move(tags), std::move(digests), with_digests)) {
        rows.push_back({{containers < 0 ? "N/A" : std::to_string(containers),
                         date_text(created),
                         created_seconds == 0 ? "N/A" : duration_text(now - created) + " ago",
                         name.digest,
                         options.no_trunc ? id : short_id,
                         name.repository,
                         size_column(shared),
                         size_column(size),
                         name.tag,
                         size_column(shared < 0 ? -1 : size - shared)}});
    }
    return ok;
}

Result<ApiCall> images_call(const ImagesOptions& options, const Arguments& arguments) {
    ApiCall call{"GET", "/images/json"};
    if (options.all) {
        call.query.add("all", "1");
    }
    std::vector<std::string> filters = options.filters;
    if (!arguments.empty()) {
        filters.push_back("reference=" + arguments[0]);
    }
    TRY(std::string json, filters_json(filters));
    if (!json.empty()) {
        call.query.add("filters", std::move(json));
    }
    return call;
}

Task<int> images(Context& context, ImagesOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(ApiCall call, images_call(options, arguments));
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::vector<JsonValue> list, document.root().as_array());
    std::vector<ListRow> rows;
    const WallTime now = wall_now();
    for (const JsonValue& image : list) {
        CO_CHECK(rows_add(rows, image, options, now));
    }
    const std::string_view format = options.quiet ? "{{.ID}}" : std::string_view(options.format);
    CO_CHECK(list_print(
        context.out, format, options.digests ? digests_table : default_table, fields, rows));
    co_return 0;
}

struct RemoveOptions {
    bool force = false;
    bool no_prune = false;
};

constexpr Flag remove_flags[] = {
    flag<RemoveOptions, &RemoveOptions::force>("force", 'f', "", "Remove although it is in use"),
    flag<RemoveOptions, &RemoveOptions::no_prune>(
        "no-prune", 0, "", "Keep parents that have no name"),
};

Result<void> removed_print(Context& context, const std::string& body) {
    TRY(const JsonDocument document, JsonDocument::parse(body));
    TRY(const std::vector<JsonValue> items, document.root().as_array());
    for (const JsonValue& item : items) {
        for (const std::string_view key : {"Deleted", "Untagged"}) {
            TRY(const std::string name, item.string_or(key, ""));
            if (!name.empty()) {
                context.out.line(fmt::format("{}: {}", key, name));
            }
        }
    }
    return ok;
}

Task<int> remove(Context& context, RemoveOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    bool fatal = false;
    std::string failures;
    for (const std::string& name : arguments) {
        ApiCall call{"DELETE", "/images/" + percent_encode(name, true)};
        if (options.force) {
            call.query.add("force", "1");
        }
        if (options.no_prune) {
            call.query.add("noprune", "1");
        }
        Result<std::string> body = co_await api->call(std::move(call));
        Result<void> done = ok;
        if (body) {
            done = removed_print(context, *body);
        } else {
            done = std::move(body).error();
        }
        if (!done) {
            fatal = fatal || done.error().kind() != ErrorKind::not_found;
            failures += (failures.empty() ? "" : "\n") + done.error().message();
        }
    }
    if (failures.empty()) {
        co_return 0;
    }
    context.out.flush();
    context.err.line(failures);
    co_return fatal || !options.force ? exit_failure : 0;
}

struct TagOptions {};

Task<int> tag(Context& context, TagOptions, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(const Reference target, Reference::parse(arguments[1]));
    if (target.has_digest()) {
        co_return Error(ErrorKind::invalid_argument,
                        "refusing to create a tag with a digest reference");
    }
    ApiCall call{"POST", "/images/" + percent_encode(arguments[0], true) + "/tag"};
    call.query.add("repo", target.familiar_name());
    call.query.add("tag", target.with_default_tag().tag());
    CO_TRY(const std::string answer, co_await api->call(std::move(call)));
    co_return 0;
}

}  // namespace

constexpr Command images_command{
    .name = "images",
    .group = "image",
    .group_names = "ls list",
    .usage = "[OPTIONS] [REPOSITORY[:TAG]]",
    .summary = "List images",
    .count = {.max = 1},
    .flags = images_flags,
    .body = command_body<ImagesOptions, images>,
};

constexpr Command rmi_command{
    .name = "rmi",
    .group = "image",
    .group_names = "rm remove",
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .summary = "Remove one or more images",
    .count = {.min = 1},
    .flags = remove_flags,
    .body = command_body<RemoveOptions, remove>,
};

constexpr Command tag_command{
    .name = "tag",
    .group = "image",
    .group_names = "tag",
    .usage = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    .summary = "Give an image another name",
    .count = {.min = 2, .max = 2},
    .body = command_body<TagOptions, tag>,
};

}  // namespace davit::cli
