// Endpoints of networks.
#include <algorithm>
#include <array>

#include "http/api/duration.h"
#include "http/api/filters.h"
#include "http/api/handlers.h"
#include "http/api/network_json.h"
#include "http/json_reader.h"
#include "jobs/daemon.h"

namespace davit::api {

namespace {

constexpr std::array<std::string_view, 7> list_keys{
    "dangling", "driver", "id", "label", "name", "scope", "type"};
constexpr std::array<std::string_view, 3> prune_keys{"label", "label!", "until"};

Result<std::shared_ptr<Network>> network_of(const ApiContext& context) {
    return context.daemon.networks->find(context.params.get("id"));
}

/// Whether any container, running or not, is in it.
bool is_used(const Daemon& daemon, const Network& network) {
    return !network.members.empty() ||
           std::ranges::any_of(daemon.containers.list(), [&](const auto& container) {
               return container->record.networks.contains(network.record.name);
           });
}

/// A name or id matches by containing the value, as Docker has it.
bool contains_any(const Filters& filters, std::string_view key, const std::string& text) {
    return !filters.has(key) || std::ranges::any_of(filters.all(key), [&](const auto& value) {
        return text.find(value) != std::string::npos;
    });
}

Result<bool> admits(const Daemon& daemon, const Filters& filters, const Network& network) {
    const NetworkRecord& record = network.record;
    TRY(const std::optional<bool> dangling, filters.boolean("dangling"));
    if (dangling && *dangling != (!record.is_builtin() && !is_used(daemon, network))) {
        return false;
    }
    for (const std::string& type : filters.all("type")) {
        if (type != "custom" && type != "builtin") {
            return Error(ErrorKind::invalid_argument, "invalid filter: 'type'='" + type + "'");
        }
    }
    return filters.admits("driver", record.driver) && filters.admits("scope", "local") &&
           filters.admits("type", record.is_builtin() ? "builtin" : "custom") &&
           contains_any(filters, "name", record.name) &&
           contains_any(filters, "id", record.id.str()) &&
           filters.admits_labels("label", record.labels);
}

bool has_label(const NetworkRecord& record, const std::string& wanted) {
    const std::size_t sign = wanted.find('=');
    const auto label = record.labels.find(wanted.substr(0, sign));
    return label != record.labels.end() &&
           (sign == std::string::npos || label->second == wanted.substr(sign + 1));
}

struct EndpointBody {
    std::string container;
    bool force = false;
    EndpointSettings settings;
};

Result<EndpointBody> endpoint_body(std::string_view body) {
    TRY(const JsonDocument document, JsonDocument::parse(body));
    EndpointBody parsed;
    TRY(parsed.container, document.root().string_or("Container", ""));
    TRY(parsed.force, document.root().bool_or("Force", false));
    TRY(const JsonValue config, document.root().object("EndpointConfig"));
    TRY(parsed.settings, endpoint_settings_parse(config));
    return parsed;
}

}  // namespace

Task<void> network_list(ApiContext& context) {
    CO_TRY(const Filters filters, Filters::parse(context.query.get("filters"), list_keys));
    std::string body;
    JsonWriter json(body);
    json.begin_array();
    for (const auto& network : context.daemon.networks->list()) {
        CO_TRY(const bool admitted, admits(context.daemon, filters, *network));
        if (admitted) {
            network_write(json, *network, false);
        }
    }
    json.end_array();
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> network_inspect(ApiContext& context) {
    CO_TRY(const auto network, network_of(context));
    const std::string_view scope = context.query.get("scope");
    if (!scope.empty() && scope != "local") {
        co_return Error(ErrorKind::not_found,
                        "network " + std::string(context.params.get("id")) + " not found");
    }
    std::string body;
    JsonWriter json(body);
    network_write(json, *network, true);
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> network_create(ApiContext& context) {
    CO_TRY(const std::string body, co_await context.json_body());
    CO_TRY(NetworkCreateRequest request, network_create_parse(body));
    CO_TRY(const auto network, co_await context.daemon.networks->create(std::move(request)));
    std::string answer;
    JsonWriter json(answer);
    json.begin_object().key("Id").string(network->record.id.str());
    json.key("Warning").string("").end_object();
    co_return co_await context.send_json(201, std::move(answer));
}

Task<void> network_connect(ApiContext& context) {
    CO_TRY(const std::string body, co_await context.json_body());
    CO_TRY(EndpointBody parsed, endpoint_body(body));
    CO_TRY(const auto network, network_of(context));
    CO_TRY(const auto container, context.daemon.containers.find(parsed.container));
    CO_TRY(const auto permit, co_await container->operations.lock());
    CO_CHECK(
        co_await context.daemon.networks->connect(container, network, std::move(parsed.settings)));
    co_return co_await context.response.send(200, "", "");
}

Task<void> network_disconnect(ApiContext& context) {
    CO_TRY(const std::string body, co_await context.json_body());
    CO_TRY(const EndpointBody parsed, endpoint_body(body));
    CO_TRY(const auto network, network_of(context));
    CO_TRY(const auto container, context.daemon.containers.find(parsed.container));
    CO_TRY(const auto permit, co_await container->operations.lock());
    CO_CHECK(co_await context.daemon.networks->disconnect(container, network));
    co_return co_await context.response.send(200, "", "");
}

Task<void> network_remove(ApiContext& context) {
    CO_TRY(const auto network, network_of(context));
    CO_CHECK(co_await context.daemon.networks->remove(network));
    co_return co_await context.send_empty(204);
}

Task<void> networks_prune(ApiContext& context) {
    CO_TRY(const Filters filters, Filters::parse(context.query.get("filters"), prune_keys));
    std::optional<WallTime> until;
    for (const std::string& value : filters.all("until")) {
        CO_TRY(until, timestamp_parse(value, wall_now()));
    }
    std::vector<std::string> deleted;
    for (const auto& network : context.daemon.networks->list()) {
        const NetworkRecord& record = network->record;
        const auto labelled = [&](const std::string& label) { return has_label(record, label); };
        if (record.is_builtin() || is_used(context.daemon, *network) ||
            (until && record.created > *until) || !filters.admits_labels("label", record.labels) ||
            std::ranges::any_of(filters.all("label!"), labelled)) {
            continue;
        }
        const Result<void> removed = co_await context.daemon.networks->remove(network);
        if (removed) {
            deleted.push_back(record.name);
        }
    }
    std::vector<std::pair<std::string, std::string>> attributes;
    attributes.emplace_back("reclaimed", "0");
    context.daemon.events.publish("network", "prune", "", std::move(attributes));
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("NetworksDeleted");
    if (deleted.empty()) {
        json.null();
    } else {
        json.strings(deleted);
    }
    json.end_object();
    co_return co_await context.send_json(200, std::move(body));
}

}  // namespace davit::api
