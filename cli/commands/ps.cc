// davit ps
#include <algorithm>

#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/list_printer.h"
#include "cli/table_writer.h"
#include "cli/units.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct PsOptions {
    bool all = false;
    std::vector<std::string> filters;
    std::string format;
    std::int64_t last = -1;
    bool latest = false;
    bool no_trunc = false;
    bool quiet = false;
    bool size = false;
};

constexpr Flag ps_flags[] = {
    flag<PsOptions, &PsOptions::all>("all", 'a', "", "Show all containers, not only running ones"),
    flag<PsOptions, &PsOptions::filters>("filter", 'f', "filter", "Show what fulfils key=value"),
    flag<PsOptions, &PsOptions::format>(
        "format", 0, "string", "table, json, or a template like '{{.ID}} {{.Names}}'"),
    flag<PsOptions, &PsOptions::last>("last", 'n', "int", "Show the last n created containers"),
    flag<PsOptions, &PsOptions::latest>("latest", 'l', "", "Show the last created container"),
    flag<PsOptions, &PsOptions::no_trunc>("no-trunc", 0, "", "Do not shorten columns"),
    flag<PsOptions, &PsOptions::quiet>("quiet", 'q', "", "Show only IDs"),
    flag<PsOptions, &PsOptions::size>("size", 's', "", "Show the sizes of files"),
};

constexpr ListField fields[] = {
    {"Command", "COMMAND"},
    {"CreatedAt", "CREATED AT"},
    {"ID", "CONTAINER ID"},
    {"Image", "IMAGE"},
    {"Labels", "LABELS"},
    {"LocalVolumes", "LOCAL VOLUMES"},
    {"Mounts", "MOUNTS"},
    {"Names", "NAMES"},
    {"Networks", "NETWORKS"},
    {"Ports", "PORTS"},
    {"RunningFor", "CREATED"},
    {"Size", "SIZE"},
    {"State", "STATE"},
    {"Status", "STATUS"},
};

constexpr std::string_view default_table =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
constexpr std::size_t short_id_digits = 12;
constexpr std::size_t command_width = 20;
constexpr std::size_t mount_width = 15;
constexpr int size_digits = 3;

/// As Go's strconv.Quote does for what commands contain.
std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\t') {
            out += "\\t";
        } else if (c == '\r') {
            out += "\\r";
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            out += fmt::format("\\x{:02x}", c);
        } else {
            out += c;
        }
    }
    return out + "\"";
}

std::string joined(const std::vector<std::string>& texts, std::string_view separator) {
    std::string out;
    for (const std::string& text : texts) {
        out += (out.empty() ? "" : std::string(separator)) + text;
    }
    return out;
}

/// "0.0.0.0:8080->80/tcp, 90/udp"
Result<std::string> ports_text(const JsonValue& container) {
    struct Port {
        std::int64_t inside;
        std::int64_t outside;
        std::string ip;
        std::string protocol;

        auto operator<=>(const Port&) const = default;
    };

    TRY(const JsonValue list, container.array("Ports"));
    TRY(const std::vector<JsonValue> items, list.as_array());
    std::vector<Port> ports;
    for (const JsonValue& item : items) {
        Port port{};
        TRY(port.inside, item.int64_or("PrivatePort", 0));
        TRY(port.outside, item.int64_or("PublicPort", 0));
        TRY(port.ip, item.string_or("IP", ""));
        TRY(port.protocol, item.string_or("Type", "tcp"));
        ports.push_back(std::move(port));
    }
    std::ranges::sort(ports);
    std::vector<std::string> texts;
    for (const Port& port : ports) {
        const std::string inside = fmt::format("{}/{}", port.inside, port.protocol);
        if (port.outside == 0) {
            texts.push_back(inside);
        } else if (port.ip.find(':') != std::string::npos) {
            texts.push_back(fmt::format("[{}]:{}->{}", port.ip, port.outside, inside));
        } else {
            texts.push_back(fmt::format("{}:{}->{}", port.ip, port.outside, inside));
        }
    }
    return joined(texts, ", ");
}

struct Mounts {
    std::string names;
    std::size_t local_volumes = 0;
};

Result<Mounts> mounts_of(const JsonValue& container, bool no_trunc) {
    TRY(const JsonValue list, container.array("Mounts"));
    TRY(const std::vector<JsonValue> items, list.as_array());
    Mounts mounts;
    std::vector<std::string> names;
    for (const JsonValue& item : items) {
        TRY(std::string name, item.string_or("Name", ""));
        TRY(const std::string source, item.string_or("Source", ""));
        TRY(const std::string driver, item.string_or("Driver", ""));
        if (name.empty()) {
            name = source;
        }
        names.push_back(no_trunc ? name : text_ellipsis(name, mount_width));
        mounts.local_volumes += driver == "local" ? 1 : 0;
    }
    mounts.names = joined(names, ",");
    return mounts;
}

/// Names without their slash; a link's name has another slash, and is shown only in full.
Result<std::string> names_text(const JsonValue& container, bool no_trunc) {
    TRY(std::vector<std::string> names, container.strings("Names"));
    for (std::string& name : names) {
        if (name.starts_with('/')) {
            name.erase(0, 1);
        }
    }
    if (!no_trunc) {
        std::erase_if(names,
                      [](const std::string& name) { return name.find('/') != std::string::npos; });
    }
    return joined(names, ",");
}

Result<std::string> size_column(const JsonValue& container) {
    TRY(const std::int64_t writable, container.int64_or("SizeRw", 0));
    TRY(const std::int64_t whole, container.int64_or("SizeRootFs", 0));
    std::string text = size_text(static_cast<double>(writable), size_digits);
    if (whole > 0) {
        text += fmt::format(" (virtual {})", size_text(static_cast<double>(whole), size_digits));
    }
    return text;
}

/// The image as the user named it; an id is shortened.
Result<std::string> image_text(const JsonValue& container, bool no_trunc) {
    constexpr std::string_view prefix = "sha256:";
    TRY(std::string image, container.string_or("Image", ""));
    TRY(const std::string id, container.string_or("ImageID", ""));
    if (image.empty()) {
        return std::string("<no image>");
    }
    if (!no_trunc && image == id && image.starts_with(prefix)) {
        return image.substr(prefix.size(), short_id_digits);
    }
    return image;
}

Result<ListRow> row_make(const JsonValue& container, const PsOptions& options, WallTime now) {
    TRY(std::string id, container.string_or("Id", ""));
    TRY(std::string image, image_text(container, options.no_trunc));
    TRY(std::string command, container.string_or("Command", ""));
    TRY(const std::int64_t created_seconds, container.int64_or("Created", 0));
    TRY(const auto labels, container.string_map("Labels"));
    TRY(Mounts mounts, mounts_of(container, options.no_trunc));
    TRY(std::string names, names_text(container, options.no_trunc));
    TRY(std::string ports, ports_text(container));
    TRY(std::string state, container.string_or("State", ""));
    TRY(std::string status, container.string_or("Status", ""));
    TRY(std::string size, size_column(container));
    TRY(const JsonValue networks, container.member("NetworkSettings").object("Networks"));
    TRY(const auto network_members, networks.as_object());
    std::vector<std::string> network_names;
    for (const auto& [name, endpoint] : network_members) {
        network_names.emplace_back(name);
    }
    std::ranges::sort(network_names);
    std::vector<std::string> label_texts;
    ListRow row;
    for (const auto& [key, value] : labels) {
        label_texts.push_back(fmt::format("{}={}", key, value));
        row.labels.emplace_back(key, value);
    }
    const WallTime created = wall_from_unix_nanoseconds(created_seconds * 1'000'000'000);
    row.values = {quoted(options.no_trunc ? command : text_ellipsis(command, command_width)),
                  date_text(created),
                  options.no_trunc ? id : id.substr(0, short_id_digits),
                  std::move(image),
                  joined(label_texts, ","),
                  std::to_string(mounts.local_volumes),
                  std::move(mounts.names),
                  std::move(names),
                  joined(network_names, ","),
                  std::move(ports),
                  duration_text(now - created) + " ago",
                  std::move(size),
                  std::move(state),
                  std::move(status)};
    return row;
}

Result<ApiCall> ps_call(const PsOptions& options) {
    ApiCall call{"GET", "/containers/json"};
    if (options.all) {
        call.query.add("all", "1");
    }
    const std::int64_t limit = options.latest ? 1 : options.last;
    if (limit > 0) {
        call.query.add("limit", std::to_string(limit));
    }
    if (options.size || options.format.find(".Size") != std::string::npos) {
        call.query.add("size", "1");
    }
    TRY(std::string filters, filters_json(options.filters));
    if (!filters.empty()) {
        call.query.add("filters", std::move(filters));
    }
    return call;
}

Task<int> ps(Context& context, PsOptions options, Arguments) {
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(ApiCall call, ps_call(options));
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::vector<JsonValue> containers, document.root().as_array());
    std::vector<ListRow> rows;
    const WallTime now = wall_now();
    for (const JsonValue& container : containers) {
        CO_TRY(ListRow row, row_make(container, options, now));
        rows.push_back(std::move(row));
    }
    std::string format = options.format;
    std::string table(default_table);
    if (options.quiet) {
        format = "{{.ID}}";
    } else if (options.size) {
        table += "\t{{.Size}}";
    }
    CO_CHECK(list_print(context.out, format, table, fields, rows));
    co_return 0;
}

}  // namespace

constexpr Command ps_command{
    .name = "ps",
    .group = "container",
    .group_names = "ls list ps",
    .usage = "[OPTIONS]",
    .summary = "List containers",
    .count = {.max = 0},
    .flags = ps_flags,
    .body = command_body<PsOptions, ps>,
};

}  // namespace davit::cli
