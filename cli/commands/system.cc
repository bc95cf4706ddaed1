// davit system df, prune
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/list_printer.h"
#include "cli/prune.h"
#include "cli/table_writer.h"
#include "cli/units.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

constexpr int disk_digits = 4;

struct DfOptions {
    std::string format;
    bool verbose = false;
};

constexpr Flag df_flags[] = {
    flag<DfOptions, &DfOptions::format>(
        "format", 0, "string", "table, json, or a template like '{{.Type}} {{.Size}}'"),
    flag<DfOptions, &DfOptions::verbose>("verbose", 'v', "", "Show each object"),
};

constexpr ListField df_fields[] = {
    {"Type", "TYPE"},
    {"TotalCount", "TOTAL"},
    {"Active", "ACTIVE"},
    {"Size", "SIZE"},
    {"Reclaimable", "RECLAIMABLE"},
};

constexpr std::string_view df_table =
    "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

std::string bytes_text(std::int64_t bytes) {
    return size_text(static_cast<double>(bytes), disk_digits);
}

/// A line of the summary.
struct DiskUsage {
    std::int64_t total = 0;
    std::int64_t active = 0;
    std::int64_t bytes = 0;
    std::int64_t reclaimable = 0;

    ListRow row(std::string type) const {
        std::string free = bytes_text(reclaimable);
        if (bytes > 0) {
            free += fmt::format(" ({}%)", reclaimable * 100 / bytes);
        }
        return {.values = {std::move(type),
                           std::to_string(total),
                           std::to_string(active),
                           bytes_text(bytes),
                           std::move(free)}};
    }
};

/// Layers are counted once each; an image that is used keeps what is its alone.
Result<DiskUsage> images_usage(const JsonValue& root) {
    TRY(const std::vector<JsonValue> images, root.member("Images").as_array());
    DiskUsage usage;
    TRY(usage.bytes, root.int64_or("LayersSize", 0));
    usage.total = static_cast<std::int64_t>(images.size());
    usage.reclaimable = usage.bytes;
    for (const JsonValue& image : images) {
        TRY(const std::int64_t containers, image.int64_or("Containers", 0));
        TRY(const std::int64_t size, image.int64_or("Size", -1));
        TRY(const std::int64_t shared, image.int64_or("SharedSize", -1));
        if (containers > 0) {
            ++usage.active;
            usage.reclaimable -= size >= 0 && shared >= 0 ? size - shared : 0;
        }
    }
    return usage;
}

Result<DiskUsage> containers_usage(const JsonValue& root) {
    TRY(const std::vector<JsonValue> containers, root.member("Containers").as_array());
    DiskUsage usage;
    usage.total = static_cast<std::int64_t>(containers.size());
    for (const JsonValue& container : containers) {
        TRY(const std::int64_t size, container.int64_or("SizeRw", 0));
        TRY(const std::string state, container.string_or("State", ""));
        const bool active = state == "running" || state == "paused" || state == "restarting";
        usage.active += active ? 1 : 0;
        usage.bytes += size;
        usage.reclaimable += active ? 0 : size;
    }
    return usage;
}

Result<DiskUsage> volumes_usage(const JsonValue& root) {
    TRY(const std::vector<JsonValue> volumes, root.member("Volumes").as_array());
    DiskUsage usage;
    usage.total = static_cast<std::int64_t>(volumes.size());
    for (const JsonValue& volume : volumes) {
        TRY(const std::int64_t size, volume.member("UsageData").int64_or("Size", -1));
        TRY(const std::int64_t links, volume.member("UsageData").int64_or("RefCount", 0));
        usage.active += links > 0 ? 1 : 0;
        usage.bytes += std::max<std::int64_t>(size, 0);
        usage.reclaimable += links == 0 ? std::max<std::int64_t>(size, 0) : 0;
    }
    return usage;
}

Result<void> images_show(Context& context, const JsonValue& root) {
    TRY(const std::vector<JsonValue> images, root.member("Images").as_array());
    TableWriter table;
    table.row({"REPOSITORY:TAG", "IMAGE ID", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"});
    for (const JsonValue& image : images) {
        TRY(const std::vector<std::string> tags, image.strings("RepoTags"));
        TRY(const std::string id, image.string_or("Id", ""));
        TRY(const std::int64_t size, image.int64_or("Size", 0));
        TRY(const std::int64_t shared, image.int64_or("SharedSize", 0));
        TRY(const std::int64_t containers, image.int64_or("Containers", 0));
        constexpr std::size_t algorithm_size = std::string_view("sha256:").size();
        constexpr std::size_t short_size = 12;
        table.row({tags.empty() ? "<none>" : tags.front(),
                   id.size() > algorithm_size ? id.substr(algorithm_size, short_size) : id,
                   bytes_text(size),
                   bytes_text(shared),
                   bytes_text(size - shared),
                   std::to_string(containers)});
    }
    context.out.write("Images space usage:\n\n" + table.text());
    return ok;
}

Result<void> containers_show(Context& context, const JsonValue& root) {
    TRY(const std::vector<JsonValue> containers, root.member("Containers").as_array());
    TableWriter table;
    table.row({"CONTAINER ID", "IMAGE", "SIZE", "STATUS", "NAMES"});
    for (const JsonValue& container : containers) {
        TRY(const std::vector<std::string> names, container.strings("Names"));
        TRY(const std::string id, container.string_or("Id", ""));
        TRY(const std::string image, container.string_or("Image", ""));
        TRY(const std::string status, container.string_or("Status", ""));
        TRY(const std::int64_t size, container.int64_or("SizeRw", 0));
        constexpr std::size_t short_size = 12;
        const std::string name = names.empty() ? "" : names.front();
        table.row({id.substr(0, short_size),
                   image,
                   bytes_text(size),
                   status,
                   name.starts_with('/') ? name.substr(1) : name});
    }
    context.out.write("\nContainers space usage:\n\n" + table.text());
    return ok;
}

Result<void> volumes_show(Context& context, const JsonValue& root) {
    TRY(const std::vector<JsonValue> volumes, root.member("Volumes").as_array());
    TableWriter table;
    table.row({"VOLUME NAME", "LINKS", "SIZE"});
    for (const JsonValue& volume : volumes) {
        TRY(const std::string name, volume.string_or("Name", ""));
        TRY(const std::int64_t size, volume.member("UsageData").int64_or("Size", -1));
        TRY(const std::int64_t links, volume.member("UsageData").int64_or("RefCount", 0));
        table.row({name, std::to_string(links), size < 0 ? "N/A" : bytes_text(size)});
    }
    context.out.write("\nLocal Volumes space usage:\n\n" + table.text());
    return ok;
}

Task<int> df(Context& context, DfOptions options, Arguments /*arguments*/) {
    if (options.verbose && !options.format.empty()) {
        co_return Error(ErrorKind::invalid_argument,
                        "the verbose and the format option cannot be used together");
    }
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", "/system/df"};
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    const JsonValue root = document.root();
    if (options.verbose) {
        CO_CHECK(images_show(context, root));
        CO_CHECK(containers_show(context, root));
        CO_CHECK(volumes_show(context, root));
        co_return 0;
    }
    CO_TRY(const DiskUsage images, images_usage(root));
    CO_TRY(const DiskUsage containers, containers_usage(root));
    CO_TRY(const DiskUsage volumes, volumes_usage(root));
    const std::array<ListRow, 4> rows{images.row("Images"),
                                      containers.row("Containers"),
                                      volumes.row("Local Volumes"),
                                      DiskUsage().row("Build Cache")};
    CO_CHECK(list_print(context.out, options.format, df_table, df_fields, rows));
    co_return 0;
}

struct PruneOptions {
    bool all = false;
    std::vector<std::string> filters;
    bool force = false;
    bool volumes = false;
};

constexpr Flag prune_flags[] = {
    flag<PruneOptions, &PruneOptions::all>(
        "all", 'a', "", "Remove all images without a container, not only those without a name"),
    flag<PruneOptions, &PruneOptions::filters>(
        "filter", 0, "filter", "Remove only what fulfils key=value (until, label, label!)"),
    flag<PruneOptions, &PruneOptions::force>("force", 'f', "", "Do not ask"),
    flag<PruneOptions, &PruneOptions::volumes>("volumes", 0, "", "Remove anonymous volumes, too"),
};

std::string warning_of(const PruneOptions& options) {
    std::string what =
        ":\n  - all stopped containers\n"
        "  - all networks not used by at least one container\n";
    if (options.volumes) {
        what += "  - all anonymous volumes not used by at least one container\n";
    }
    what += options.all ? "  - all images without at least one container associated to them\n"
                        : "  - all dangling images\n";
    for (const std::string& filter : options.filters) {
        what += (&filter == options.filters.data()
                     ? "\n  Items to be pruned will be filtered with:\n  - "
                     : "  - ") +
                filter + "\n";
    }
    return what;
}

Task<int> prune(Context& context, PruneOptions options, Arguments /*arguments*/) {
    if (options.volumes) {
        for (const std::string& filter : options.filters) {
            if (filter.starts_with("until=")) {
                co_return Error(ErrorKind::invalid_argument,
                                "the \"until\" filter is not supported with \"--volumes\"");
            }
        }
    }
    if (!options.force) {
        CO_CHECK(co_await prune_confirm(context, warning_of(options), "system prune"));
    }
    std::uint64_t total = 0;
    CO_TRY(const std::uint64_t containers,
           co_await prune_run(context, prune_containers, options.filters));
    total += containers;
    CO_CHECK(co_await prune_run(context, prune_networks, options.filters));
    if (options.volumes) {
        CO_TRY(const std::uint64_t volumes,
               co_await prune_run(context, prune_volumes, options.filters));
        total += volumes;
    }
    if (options.all) {
        options.filters.emplace_back("dangling=false");
    }
    CO_TRY(const std::uint64_t images, co_await prune_run(context, prune_images, options.filters));
    total += images;
    prune_total_print(context, total);
    co_return 0;
}

}  // namespace

constexpr Command system_df_command{
    .group = "system",
    .group_names = "df",
    .usage = "[OPTIONS]",
    .summary = "Show how much of the disk is used",
    .count = {.max = 0},
    .flags = df_flags,
    .body = command_body<DfOptions, df>,
};

constexpr Command system_prune_command{
    .group = "system",
    .group_names = "prune",
    .usage = "[OPTIONS]",
    .summary = "Remove what nobody uses",
    .count = {.max = 0},
    .flags = prune_flags,
    .body = command_body<PruneOptions, prune>,
};

}  // namespace davit::cli
