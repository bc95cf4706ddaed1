// Endpoints of a container's life.
#include <algorithm>
#include <array>

#include "graph/image_store.h"
#include "http/api/container_json.h"
#include "http/api/filters.h"
#include "http/api/handlers.h"
#include "http/json_reader.h"
#include "http/json_writer.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "jobs/signal_name.h"

namespace davit::api {

namespace {

Result<std::shared_ptr<Container>> container_of(const ApiContext& context) {
    return context.daemon.containers.find(context.params.get("id"));
}

Result<ContainerCreateRequest> create_request(const ApiContext& context, std::string_view body) {
    if (body.empty()) {
        return Error(ErrorKind::invalid_argument,
                     "config cannot be empty in order to create a container");
    }
    TRY(const JsonDocument document, JsonDocument::parse(body));
    ContainerCreateRequest request;
    request.name = context.query.get("name");
    request.platform = context.query.get("platform");
    TRY(request.config, container_config_parse(document.root()));
    TRY(const JsonValue host_config, document.root().object("HostConfig"));
    TRY(request.host_config, host_config_parse(host_config));
    if (context.version < ApiVersion{1, 25}) {
        request.host_config.auto_remove = false;  // Such clients remove the container themselves.
    }
    return request;
}

Result<ContainerStopRequest> stop_request(const ApiContext& context) {
    ContainerStopRequest request;
    TRY(const auto seconds, context.query.integer("t"));
    if (seconds) {
        request.timeout_seconds = static_cast<int>(std::clamp<std::int64_t>(*seconds, -1, 1 << 30));
    }
    const std::string_view signal = context.query.get("signal");
    if (!signal.empty() && context.version >= ApiVersion{1, 42}) {
        TRY(request.signal, signal_parse(signal));
    }
    return request;
}

Result<WaitCondition> wait_condition(const ApiContext& context) {
    const std::string_view text = context.query.get("condition");
    if (text.empty() || text == "not-running" || context.version < ApiVersion{1, 30}) {
        return WaitCondition::not_running;
    }
    if (text == "next-exit") {
        return WaitCondition::next_exit;
    }
    if (text == "removed") {
        return WaitCondition::removed;
    }
    return Error(ErrorKind::invalid_argument, "invalid condition: \"" + std::string(text) + "\"");
}

/// What a list shows as the image: the name given, unless that names another image by now.
std::string image_name(const Daemon& daemon, const ContainerRecord& record) {
    const auto match = daemon.graph->view(
        [&](const ReadTxn& txn) { return image_resolve(txn, record.config.image); });
    return match && match->id == record.image_id ? record.config.image : record.image_id.str();
}

constexpr std::array<std::string_view, 11> list_filters{"ancestor",
                                                        "before",
                                                        "since",
                                                        "exited",
                                                        "id",
                                                        "label",
                                                        "name",
                                                        "status",
                                                        "network",
                                                        "health",
                                                        "is-task"};

/// The creation time of the container that a before or since filter names.
Result<std::optional<WallTime>> bound_of(const ApiContext& context,
                                         const Filters& filters,
                                         std::string_view key) {
    if (!filters.has(key)) {
        return std::optional<WallTime>{};
    }
    TRY(const auto container, context.daemon.containers.find(filters.all(key).front()));
    return std::optional<WallTime>(container->record.created);
}

/// The images that an ancestor filter means, by id; a name that is no image matches nothing.
std::vector<Digest> ancestors_of(const ApiContext& context, const Filters& filters) {
    std::vector<Digest> images;
    for (const std::string& name : filters.all("ancestor")) {
        const auto match = context.daemon.graph->view(
            [&](const ReadTxn& txn) { return image_resolve(txn, name); });
        if (match) {
            images.push_back(match->id);
        }
    }
    return images;
}

Result<bool> admits_names(const Filters& filters, const ContainerRecord& record) {
    const auto& wanted = filters.all("name");
    bool found = wanted.empty();
    for (const std::string& expression : wanted) {
        TRY(const bool with_slash, name_matches(expression, record.name));
        TRY(const bool without, name_matches(expression, record.name.substr(1)));
        found = found || with_slash || without;
    }
    return found;
}

bool admits_exit(const Filters& filters, const ContainerStateRecord& state) {
    return !filters.has("exited") || (state.status == ContainerState::exited &&
                                      filters.admits("exited", std::to_string(state.exit_code)));
}

class ListSelection {
  public:
    static Result<ListSelection> make(const ApiContext& context) {
        ListSelection selection;
        TRY(selection.filters_, Filters::parse(context.query.get("filters"), list_filters));
        TRY(selection.before_, bound_of(context, selection.filters_, "before"));
        TRY(selection.since_, bound_of(context, selection.filters_, "since"));
        selection.ancestors_ = ancestors_of(context, selection.filters_);
        TRY(const auto limit, context.query.integer("limit"));
        selection.limit_ = limit && *limit > 0 ? static_cast<std::size_t>(*limit) : SIZE_MAX;
        const bool limited = selection.limit_ != SIZE_MAX;
        selection.all_ = context.query.boolean("all") || limited ||
                         selection.filters_.has("status") || selection.filters_.has("exited");
        for (const std::string& status : selection.filters_.all("status")) {
            TRY([[maybe_unused]] const ContainerState state, container_state_parse(status));
        }
        return selection;
    }

    std::size_t limit() const { return limit_; }

    Result<bool> admits(const ContainerRecord& record) const {
        const ContainerState status = record.state.status;
        const bool running = status == ContainerState::running || status == ContainerState::paused;
        if ((!all_ && !running) || !filters_.admits("status", container_state_name(status)) ||
            !filters_.admits_prefix("id", record.id.str()) ||
            !filters_.admits_labels("label", record.config.labels) ||
            !admits_exit(filters_, record.state) || !admits_rest(record)) {
            return false;
        }
        return admits_names(filters_, record);
    }

  private:
    bool admits_rest(const ContainerRecord& record) const {
        const std::string& mode = record.host_config.network_mode;
        return (!before_ || record.created < *before_) && (!since_ || record.created > *since_) &&
               (!filters_.has("ancestor") ||
                std::ranges::find(ancestors_, record.image_id) != ancestors_.end()) &&
               filters_.admits("network", mode == "default" ? "bridge" : mode) &&
               filters_.admits("health", "none") && filters_.admits("is-task", "false");
    }

    Filters filters_;
    std::optional<WallTime> before_;
    std::optional<WallTime> since_;
    std::vector<Digest> ancestors_;
    std::size_t limit_ = SIZE_MAX;
    bool all_ = false;
};

}  // namespace

Task<void> container_list(ApiContext& context) {
    if (context.query.boolean("size")) {
        co_return Error(ErrorKind::unsupported,
                        "sizes of containers are not supported yet: leave out size");
    }
    CO_TRY(const ListSelection selection, ListSelection::make(context));
    const WallTime now = wall_now();
    std::string body;
    JsonWriter json(body);
    json.begin_array();
    std::size_t count = 0;
    for (const auto& container : context.daemon.containers.list()) {
        CO_TRY(const bool wanted, selection.admits(container->record));
        if (!wanted) {
            continue;
        }
        if (count++ == selection.limit()) {
            break;
        }
        const ContainerView view{
            container->record, image_name(context.daemon, container->record), now};
        container_summary_write(json, view, context.version);
    }
    json.end_array();
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> container_inspect(ApiContext& context) {
    CO_TRY(const auto container, container_of(context));
    if (context.query.boolean("size")) {
        co_return Error(ErrorKind::unsupported,
                        "sizes of containers are not supported yet: leave out size");
    }
    std::string body;
    JsonWriter json(body);
    const ContainerView view{container->record, container->record.config.image, wall_now()};
    container_inspect_write(json, view, context.version);
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> container_create(ApiContext& context) {
    CO_TRY(const std::string body, co_await context.json_body());
    CO_TRY(ContainerCreateRequest request, create_request(context, body));
    CO_TRY(const ContainerCreated created,
           co_await davit::container_create(context.job, context.daemon, std::move(request)));
    std::string answer;
    JsonWriter json(answer);
    json.begin_object().key("Id").string(created.id.str());
    json.key("Warnings").strings(created.warnings).end_object();
    co_return co_await context.send_json(201, std::move(answer));
}

Task<void> container_start(ApiContext& context) {
    CO_TRY(const auto container, container_of(context));
    if (context.query.contains("checkpoint")) {
        co_return Error(ErrorKind::unsupported, "start: checkpoints are not supported yet");
    }
    CO_CHECK(co_await davit::container_start(context.job, context.daemon, container));
    co_return co_await context.send_empty(204);
}

Task<void> container_stop(ApiContext& context) {
    CO_TRY(const auto container, container_of(context));
    CO_TRY(const ContainerStopRequest request, stop_request(context));
    CO_CHECK(co_await davit::container_stop(context.job, context.daemon, container, request));
    co_return co_await context.send_empty(204);
}

Task<void> container_restart(ApiContext& context) {
    CO_TRY(const auto container, container_of(context));
    CO_TRY(const ContainerStopRequest request, stop_request(context));
    CO_CHECK(co_await davit::container_restart(context.job, context.daemon, container, request));
    co_return co_await context.send_empty(204);
}

Task<void> container_kill(ApiContext& context) {
    CO_TRY(const auto container, container_of(context));
    const std::string_view name = context.query.get("signal");
    CO_TRY(const int signal, signal_parse(name.empty() ? "KILL" : name));
    CO_CHECK(co_await davit::container_kill(context.job, context.daemon, container, signal));
    co_return co_await context.send_empty(204);
}

Task<void> container_remove(ApiContext& context) {
    CO_TRY(const auto container, container_of(context));
    if (context.query.boolean("link")) {
        co_return Error(ErrorKind::unsupported, "remove: links are not supported");
    }
    const ContainerRemoveRequest request{.force = context.query.boolean("force")};
    CO_CHECK(co_await davit::container_remove(context.job, context.daemon, container, request));
    co_return co_await context.send_empty(204);
}

Task<void> container_wait(ApiContext& context) {
    CO_TRY(const auto container, container_of(context));
    CO_TRY(const WaitCondition condition, wait_condition(context));
    ContainerWaiter waiter(container, condition);
    const bool early_head = context.version >= ApiVersion{1, 30};
    if (early_head) {
        // Clients start the container once they have this head: the waiter is registered before.
        CO_CHECK(co_await context.response.begin(200, "application/json"));
    }
    CO_TRY(const int code, co_await waiter.wait());
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("StatusCode").number(code).end_object();
    body += '\n';
    if (!early_head) {
        co_return co_await context.response.send(200, "application/json", body);
    }
    CO_CHECK(co_await context.response.write(body));
    co_return co_await context.response.end();
}

}  // namespace davit::api
