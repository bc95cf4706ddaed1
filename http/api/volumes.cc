// Endpoints of volumes. Follows: Docker Engine API, operations Volume*.
#include <algorithm>
#include <array>

#include "http/api/filters.h"
#include "http/api/handlers.h"
#include "http/api/usage.h"
#include "http/json_reader.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"
#include "jobs/volume/volume_options.h"

namespace davit::api {

namespace {

void map_or_null(JsonWriter& json,
                 std::string_view key,
                 const std::map<std::string, std::string>& map) {
    json.key(key);
    if (map.empty()) {
        json.null();
    } else {
        json.string_map(map);
    }
}

struct VolumeUsage {
    std::size_t users = 0;
    std::uint64_t bytes = 0;
};

void volume_write(JsonWriter& json,
                  const ApiContext& context,
                  const Volume& volume,
                  const std::optional<VolumeUsage>& usage = {}) {
    const VolumeRecord& record = volume.record;
    json.begin_object();
    json.key("CreatedAt");
    json.string(rfc3339_nano(std::chrono::floor<std::chrono::seconds>(record.created)));
    json.key("Driver").string(record.driver);
    map_or_null(json, "Labels", record.labels);
    json.key("Mountpoint").string(context.daemon.volumes->mountpoint(record));
    json.key("Name").string(record.name);
    map_or_null(json, "Options", record.options);
    json.key("Scope").string("local");
    if (usage) {
        json.key("UsageData").begin_object().key("RefCount").number(usage->users);
        json.key("Size").number(usage->bytes).end_object();
    }
    json.end_object();
}

/// What a list or a prune takes.
class VolumeFilter {
  public:
    static Result<VolumeFilter> parse(std::string_view text,
                                      std::span<const std::string_view> known) {
        VolumeFilter filter;
        TRY(filter.filters_, Filters::parse(text, known));
        TRY(filter.dangling_, filter.filters_.boolean("dangling"));
        TRY(filter.all_, filter.filters_.boolean("all"));
        for (const std::string& name : filter.filters_.all("name")) {
            TRY(NamePattern pattern, NamePattern::compile(name));
            filter.names_.push_back(std::move(pattern));
        }
        return filter;
    }

    bool admits(const Volume& volume) const {
        return (!dangling_ || *dangling_ == volume.users.empty()) && admits_record(volume.record);
    }

    bool admits_record(const VolumeRecord& record) const {
        const auto matches = [&](const NamePattern& name) { return name.matches(record.name); };
        const auto has = [&](const std::string& wanted) {
            const std::size_t sign = wanted.find('=');
            const auto label = record.labels.find(wanted.substr(0, sign));
            return label != record.labels.end() &&
                   (sign == std::string::npos || label->second == wanted.substr(sign + 1));
        };
        return filters_.admits("driver", record.driver) &&
               filters_.admits_labels("label", record.labels) &&
               std::ranges::none_of(filters_.all("label!"), has) &&
               (names_.empty() || std::ranges::any_of(names_, matches));
    }

    /// Of a prune: named volumes, too.
    bool all() const { return all_.value_or(false); }

  private:
    Filters filters_;
    std::optional<bool> dangling_;
    std::optional<bool> all_;
    std::vector<NamePattern> names_;
};

Result<VolumeRequest> create_request(std::string_view body) {
    if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) {
        return Error(ErrorKind::invalid_argument,
                     "invalid JSON: got EOF while reading request body");
    }
    TRY(const JsonDocument document, JsonDocument::parse(body));
    const JsonValue root = document.root();
    if (root.member("ClusterVolumeSpec").present()) {
        return no_swarm();
    }
    VolumeRequest request;
    TRY(request.name, root.string_or("Name", ""));
    TRY(request.driver, root.string_or("Driver", ""));
    TRY(request.options, root.member("DriverOpts").as_string_map());
    TRY(request.labels, root.member("Labels").as_string_map());
    return request;
}

}  // namespace

Task<void> volume_list(ApiContext& context) {
    static constexpr std::array<std::string_view, 4> known{"dangling", "driver", "label", "name"};
    CO_TRY(const VolumeFilter filter, VolumeFilter::parse(context.query.get("filters"), known));
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("Volumes").begin_array();
    for (const auto& volume : context.daemon.volumes->list()) {
        if (filter.admits(*volume)) {
            volume_write(json, context, *volume);
        }
    }
    json.end_array().key("Warnings").null().end_object();
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> volume_create(ApiContext& context) {
    CO_TRY(const std::string body, co_await context.json_body());
    CO_TRY(VolumeRequest request, create_request(body));
    CO_TRY(const std::shared_ptr<Volume> volume,
           co_await context.daemon.volumes->create(std::move(request), ""));
    std::string answer;
    JsonWriter json(answer);
    volume_write(json, context, *volume);
    co_return co_await context.send_json(201, std::move(answer));
}

Task<void> volume_inspect(ApiContext& context) {
    CO_TRY(const std::shared_ptr<Volume> volume,
           context.daemon.volumes->find(context.params.get("name")));
    std::string body;
    JsonWriter json(body);
    volume_write(json, context, *volume);
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> volume_remove(ApiContext& context) {
    std::string name(context.params.get("name"));
    Result<void> removed = co_await context.daemon.volumes->remove(std::move(name));
    const bool forgiven = !removed && removed.error().kind() == ErrorKind::not_found &&
                          context.query.boolean("force");
    if (!removed && !forgiven) {
        co_return removed;
    }
    co_return co_await context.send_empty(204);
}

Task<void> volumes_prune(ApiContext& context) {
    static constexpr std::array<std::string_view, 3> known{"all", "label", "label!"};
    CO_TRY(const VolumeFilter filter, VolumeFilter::parse(context.query.get("filters"), known));
    // Before 1.42 a prune took all that nobody used, named or not.
    const bool all = filter.all() || context.version < ApiVersion{1, 42};
    auto admits = [&filter, all](const VolumeRecord& record) {
        return (all || record.labels.contains(volume_anonymous_label)) &&
               filter.admits_record(record);
    };
    std::function<bool(const VolumeRecord&)> admitted(admits);
    CO_TRY(const VolumesPruned pruned, co_await context.daemon.volumes->prune(std::move(admitted)));
    std::vector<std::pair<std::string, std::string>> attributes;
    attributes.emplace_back("reclaimed", std::to_string(pruned.bytes));
    context.daemon.events.publish("volume", "prune", "", std::move(attributes));
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("VolumesDeleted");
    if (pruned.names.empty()) {
        json.null();
    } else {
        json.strings(pruned.names);
    }
    json.key("SpaceReclaimed").number(pruned.bytes).end_object();
    co_return co_await context.send_json(200, std::move(body));
}

Task<std::string> volume_usage_json(ApiContext& context) {
    std::string body;
    JsonWriter json(body);
    json.begin_array();
    for (const auto& volume : context.daemon.volumes->list()) {
        if (volume->removed) {
            continue;
        }
        const Result<std::uint64_t> bytes = co_await context.daemon.volumes->size(volume);
        if (bytes) {
            const VolumeUsage usage{volume->users.size(), *bytes};
            volume_write(json, context, *volume, usage);
        } else if (bytes.error().kind() != ErrorKind::not_found) {
            co_return bytes.error();
        }
    }
    json.end_array();
    co_return std::move(body);
}

}  // namespace davit::api
