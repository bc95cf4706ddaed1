#include "http/api/image_json.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "graph/image_config.h"
#include "graph/image_store.h"
#include "graph/tag_store.h"
#include "http/api/duration.h"
#include "http/api/graph_data.h"
#include "http/api/image_filter.h"
#include "http/api/platform_json.h"
#include "http/json_reader.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"
#include "jobs/image/history.h"

namespace davit::api {

namespace {

/// An image with everything that is shown of it, from one snapshot.
struct ImageView {
    ImageRecord record;
    ImageConfig config;
    std::vector<std::string> tags;
    std::vector<std::string> digests;
    std::string name;  // What the client asked for, or the first tag.
};

Result<ImageView> view_make(const ReadTxn& txn, ImageRecord record) {
    ImageView view;
    TRY(const std::string bytes, image_config_bytes(txn, record.id));
    TRY(view.config, image_config_parse(bytes));
    TRY(const std::vector<Reference> names, image_references(txn, record.id));
    for (const Reference& name : names) {
        (name.has_digest() ? view.digests : view.tags).push_back(name.familiar());
    }
    view.record = std::move(record);
    return view;
}

Result<ImageView> view_find(const ReadTxn& txn, const std::string& name) {
    TRY(const ImageMatch match, image_resolve(txn, name));
    TRY(auto record, image_get(txn, match.id));
    if (!record) {
        return Error(ErrorKind::not_found, "No such image: " + name);
    }
    TRY(ImageView view, view_make(txn, *std::move(record)));
    view.name = name;
    return view;
}

Result<std::vector<ImageView>> view_all(const ReadTxn& txn) {
    TRY(std::vector<ImageRecord> records, davit::image_list(txn));
    std::vector<ImageView> views;
    for (ImageRecord& record : records) {
        TRY(ImageView view, view_make(txn, std::move(record)));
        views.push_back(std::move(view));
    }
    std::ranges::sort(views, [](const ImageView& a, const ImageView& b) {
        return a.record.stored > b.record.stored;
    });
    return views;
}

std::optional<WallTime> created_of(const ImageView& view) {
    const auto time = rfc3339_parse(view.record.created);
    return time ? std::optional<WallTime>(*time) : std::nullopt;
}

std::int64_t created_seconds(const ImageView& view) {
    const auto time = created_of(view);
    return time ? unix_nanoseconds(*time) / 1'000'000'000 : 0;
}

bool select(const ImageFilter& filter, ImageView& view) {
    FilteredImage image;
    image.created = created_of(view);
    image.labels = view.config.config.labels;
    image.tags = std::move(view.tags);
    image.digests = std::move(view.digests);
    const bool selected = filter.select(image);
    view.tags = std::move(image.tags);
    view.digests = std::move(image.digests);
    return selected;
}

void write_summary(JsonWriter& json,
                   const ImageView& view,
                   std::int64_t users,
                   std::optional<std::uint64_t> shared,
                   ApiVersion version) {
    // Older clients leave out an image that has neither, unless it says so in both fields.
    const bool nameless = view.tags.empty() && view.digests.empty();
    const bool old_names = nameless && version < ApiVersion{1, 43};
    using Names = std::vector<std::string>;
    json.begin_object().key("Id").string(view.record.id.str());
    json.key("ParentId").string(view.record.parent.str()).key("RepoTags");
    json.strings(old_names ? Names{"<none>:<none>"} : view.tags);
    json.key("RepoDigests").strings(old_names ? Names{"<none>@<none>"} : view.digests);
    json.key("Created").number(created_seconds(view)).key("Size").number(view.record.size);
    if (shared) {
        json.key("SharedSize").number(*shared);
    } else {
        json.key("SharedSize").number(-1);
    }
    if (version < ApiVersion{1, 44}) {
        json.key("VirtualSize").number(view.record.size);
    }
    json.key("Labels").string_map(view.config.config.labels);
    json.key("Containers").number(users).end_object();
}

void write_rootfs(JsonWriter& json, const ImageConfig& config) {
    json.key("RootFS").begin_object().key("Type").string("layers").key("Layers").begin_array();
    for (const Digest& diff_id : config.diff_ids) {
        json.string(diff_id.str());
    }
    json.end_array().end_object();
}

/// Takes: sizes, or null to leave the shared ones out.
Result<std::string> summaries(const ApiContext& context,
                              const ImageFilter& filter,
                              const GraphSizes* sizes) {
    TRY(std::vector<ImageView> views,
        context.daemon.graph->view([](const ReadTxn& txn) { return view_all(txn); }));
    std::map<Digest, std::int64_t> users;
    for (const auto& container : context.daemon.containers.list()) {
        ++users[container->record.image_id];
    }
    std::string body;
    JsonWriter json(body);
    json.begin_array();
    for (ImageView& view : views) {
        if (!select(filter, view)) {
            continue;
        }
        std::optional<std::uint64_t> shared;
        if (sizes != nullptr) {
            const auto found = sizes->images.find(view.record.id);
            shared = found == sizes->images.end() ? 0 : found->second.shared;
        }
        write_summary(json, view, users[view.record.id], shared, context.version);
    }
    json.end_array();
    return body;
}

}  // namespace

/// What an image says of how to run it, with keys that say nothing: up to 1.49 all that a container
/// has. Follows: moby api/server/router/image, legacyConfigFields.
void write_config(JsonWriter& json, const RunConfig& config, ApiVersion version) {
    struct Default {
        std::string_view key;
        std::string_view value;
        bool only_old;
    };

    static constexpr auto defaults = std::to_array<Default>({
        {"AttachStderr", "false", true},
        {"AttachStdin", "false", true},
        {"AttachStdout", "false", true},
        {"Cmd", "null", false},
        {"Domainname", "\"\"", true},
        {"Entrypoint", "null", false},
        {"Env", "null", false},
        {"Hostname", "\"\"", true},
        {"Image", "\"\"", true},
        {"Labels", "null", false},
        {"OnBuild", "null", false},
        {"OpenStdin", "false", true},
        {"StdinOnce", "false", true},
        {"Tty", "false", true},
        {"User", "\"\"", false},
        {"Volumes", "null", false},
        {"WorkingDir", "\"\"", false},
    });
    std::string own;
    JsonWriter writer(own);
    run_config_write(writer, config);
    const auto document = JsonDocument::parse(own);
    assert(document);
    const JsonValue root = document->root();
    json.begin_object();
    for (const Default& one : defaults) {
        const bool wanted = !one.only_old || version < ApiVersion{1, 50};
        if (wanted && !root.member(one.key).present()) {
            json.key(one.key).raw(one.value);
        }
    }
    const auto members = root.as_object();
    assert(members);
    for (const auto& [key, value] : *members) {
        json.key(key).raw(value.to_json());
    }
    json.end_object();
}

Result<std::string> image_list_json(const ApiContext& context) {
    const auto created = [&](const std::string& name) -> Result<std::optional<WallTime>> {
        TRY(const ImageView view,
            context.daemon.graph->view([&](const ReadTxn& txn) { return view_find(txn, name); }));
        return created_of(view);
    };
    TRY(const ImageFilter filter,
        ImageFilter::parse(context.query.get("filters"), created, wall_now()));
    if (!context.query.boolean("shared-size")) {
        return summaries(context, filter, nullptr);
    }
    TRY(const GraphSizes sizes,
        context.daemon.graph->view([](const ReadTxn& txn) { return graph_sizes(txn); }));
    return summaries(context, filter, &sizes);
}

Result<std::string> image_usage_json(const ApiContext& context, const GraphSizes& sizes) {
    const auto none = [](const std::string&) -> Result<std::optional<WallTime>> {
        return std::optional<WallTime>{};
    };
    TRY(const ImageFilter everything, ImageFilter::parse("", none, wall_now()));
    return summaries(context, everything, &sizes);
}

Result<std::string> image_inspect_json(const ApiContext& context) {
    TRY(const std::optional<Platform> wanted, platform_json_parse(context.query.get("platform")));
    if (wanted && context.query.boolean("manifests")) {
        return Error(ErrorKind::invalid_argument,
                     "conflicting options: manifests and platform options cannot both be set");
    }
    TRY(const ImageView view, context.daemon.graph->view([&](const ReadTxn& txn) {
        return view_find(txn, context.params.get("name"));
    }));
    const Platform& platform = view.config.platform;
    if (wanted) {
        TRY_VOID(platform_require(view.name, *wanted, platform));
    }
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("Id").string(view.record.id.str());
    json.key("RepoTags").strings(view.tags).key("RepoDigests").strings(view.digests);
    json.key("Parent").string(view.record.parent.str());
    json.key("Comment").string(view.config.history.empty() ? std::string()
                                                           : view.config.history.back().comment);
    json.key("Created").string(view.record.created);
    if (context.version < ApiVersion{1, 45}) {
        json.key("Container").string("");
    }
    // Docker has left it out since 1.45; docker-compose 1.29 fails without, at any version.
    json.key("ContainerConfig");
    run_config_write(json, view.config.config);
    json.key("DockerVersion").string("").key("Author").string(view.config.author);
    json.key("Config");
    write_config(json, view.config.config, context.version);
    json.key("Architecture").string(platform.architecture);
    if (!platform.variant.empty()) {
        json.key("Variant").string(platform.variant);
    }
    json.key("Os").string(platform.os).key("Size").number(view.record.size);
    if (context.version < ApiVersion{1, 44}) {
        json.key("VirtualSize").number(view.record.size);
    }
    json.key("GraphDriver").begin_object().key("Data");
    json.string_map(graph_data(context.daemon, view.record.chain_id)).key("Name");
    json.string(context.daemon.graph_driver->name()).end_object();
    write_rootfs(json, view.config);
    json.key("Metadata").begin_object().key("LastTagTime");
    json.string(rfc3339_nano(view.record.stored)).end_object().end_object();
    return body;
}

Result<std::string> image_history_json(const ApiContext& context) {
    TRY(const std::optional<Platform> wanted, platform_json_parse(context.query.get("platform")));
    const auto read = [&](const ReadTxn& txn) -> Result<std::vector<HistoryRow>> {
        TRY(const ImageView view, view_find(txn, context.params.get("name")));
        if (wanted) {
            TRY_VOID(platform_require(view.name, *wanted, view.config.platform));
        }
        return davit::image_history(txn, view.record.id);
    };
    TRY(const std::vector<HistoryRow> rows, context.daemon.graph->view(read));
    std::string body;
    JsonWriter json(body);
    json.begin_array();
    for (const HistoryRow& row : rows) {
        const auto created = rfc3339_parse(row.created);
        json.begin_object().key("Id").string(row.image.empty() ? "<missing>" : row.image.str());
        json.key("Created").number(created ? unix_nanoseconds(*created) / 1'000'000'000 : 0);
        json.key("CreatedBy").string(row.created_by).key("Tags");
        if (row.tags.empty()) {
            json.null();
        } else {
            json.strings(row.tags);
        }
        json.key("Size").number(row.size).key("Comment").string(row.comment).end_object();
    }
    json.end_array();
    return body;
}

}  // namespace davit::api
