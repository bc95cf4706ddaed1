// Endpoints of a container's life.
#include <algorithm>
#include <map>

#include "graph/image_store.h"
#include "http/api/container_filter.h"
#include "http/api/container_json.h"
#include "http/api/container_run.h"
#include "http/api/graph_data.h"
#include "http/api/handlers.h"
#include "http/api/usage.h"
#include "http/json_writer.h"
#include "jobs/container_jobs.h"
#include "jobs/container_links.h"
#include "jobs/daemon.h"
#include "libcontainer/signal_name.h"

namespace davit::api {

namespace {

Result<std::shared_ptr<Container>> container_of(const ApiContext& context) {
    return context.daemon.containers.find(context.params.get("id"));
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

/// What a list shows as the image: the name given, unless that names another image by now. Many
/// containers have the same one, which is looked up once.
class ImageNames {
  public:
    explicit ImageNames(const Daemon& daemon) : daemon_(daemon) {}

    const std::string& of(const ContainerRecord& record) {
        const auto [found, is_new] = known_.try_emplace({record.config.image, record.image_id});
        if (is_new) {
            const auto match = daemon_.graph->view(
                [&](const ReadTxn& txn) { return image_resolve(txn, record.config.image); });
            const bool same = match && match->id == record.image_id;
            found->second = same ? record.config.image : record.image_id.str();
        }
        return found->second;
    }

  private:
    const Daemon& daemon_;
    std::map<std::pair<std::string, Digest>, std::string> known_;
};

/// An image and all that were built on it; a name that is no image has no family.
Result<std::vector<Digest>> image_family(const ReadTxn& txn, const std::string& name) {
    std::vector<Digest> family;
    if (const auto match = image_resolve(txn, name)) {
        family.push_back(match->id);
    }
    for (std::size_t i = 0; i < family.size(); ++i) {
        TRY(const std::vector<Digest> children, image_children(txn, family[i]));
        family.insert(family.end(), children.begin(), children.end());
    }
    return family;
}

struct ListSelection {
    static Result<ListSelection> make(const ApiContext& context) {
        const Daemon& daemon = context.daemon;
        ContainerFilterLookups lookups;
        lookups.created = [&](const std::string& name) -> Result<WallTime> {
            TRY(const auto container, daemon.containers.find(name));
            return container->record.created;
        };
        lookups.image_family = [&](const std::string& name) -> Result<std::vector<Digest>> {
            return daemon.graph->view([&](const ReadTxn& txn) { return image_family(txn, name); });
        };
        ListSelection selection;
        TRY(selection.filter, ContainerFilter::parse(context.query.get("filters"), lookups));
        TRY(const auto limit, context.query.integer("limit"));
        selection.limit = limit && *limit > 0 ? static_cast<std::size_t>(*limit) : SIZE_MAX;
        selection.all = context.query.boolean("all") || selection.limit != SIZE_MAX ||
                        selection.filter.wants_all();
        return selection;
    }

    bool admits(const ContainerRecord& record) const {
        const ContainerState status = record.state.status;
        const bool running = status == ContainerState::running ||
                             status == ContainerState::paused ||
                             status == ContainerState::restarting;
        return (all || running) && filter.matches(record);
    }

    ContainerFilter filter;
    std::size_t limit = SIZE_MAX;
    bool all = false;
};

struct Listed {
    std::shared_ptr<Container> container;
    std::optional<ContainerSize> size;
};

/// One after the other: the worker pool has others to serve. Containers that are removed meanwhile
/// are no longer listed.
Task<void> sizes_fill(ApiContext& context, std::vector<Listed>& listed) {
    for (Listed& item : listed) {
        if (item.container->removed) {
            continue;
        }
        Result<ContainerSize> size = co_await container_size(context.daemon, item.container);
        if (size) {
            item.size = *size;
        } else if (size.error().kind() != ErrorKind::not_found) {
            co_return std::move(size).error().context("size of container",
                                                      item.container->id().str());
        }
    }
    std::erase_if(listed, [](const Listed& item) { return item.container->removed; });
    co_return ok;
}

std::string list_json(const ApiContext& context, const std::vector<Listed>& listed) {
    const WallTime now = wall_now();
    ImageNames images(context.daemon);
    constexpr std::size_t usual_bytes = 1024;
    std::string body;
    body.reserve(listed.size() * usual_bytes);
    JsonWriter json(body);
    json.begin_array();
    for (const auto& [container, size] : listed) {
        ContainerView view{container->record, images.of(container->record), now};
        view.size = size;
        view.link_names = link_names(context.daemon, container->id());
        container_summary_write(json, view, context.version);
    }
    json.end_array();
    return body;
}

}  // namespace

Task<void> container_list(ApiContext& context) {
    CO_TRY(const ListSelection selection, ListSelection::make(context));
    std::vector<Listed> listed;
    for (auto& container : context.daemon.containers.list()) {
        if (listed.size() == selection.limit) {
            break;
        }
        if (selection.admits(container->record)) {
            listed.push_back({std::move(container), std::nullopt});
        }
    }
    if (context.query.boolean("size")) {
        CO_CHECK(co_await sizes_fill(context, listed));
    }
    co_return co_await context.send_json(200, list_json(context, listed));
}

Task<std::string> container_usage_json(ApiContext& context) {
    std::vector<Listed> listed;
    for (auto& container : context.daemon.containers.list()) {
        listed.push_back({std::move(container), std::nullopt});
    }
    CO_CHECK(co_await sizes_fill(context, listed));
    co_return list_json(context, listed);
}

Task<void> container_inspect(ApiContext& context) {
    CO_TRY(const auto container, container_of(context));
    std::optional<ContainerSize> size;
    if (context.query.boolean("size")) {
        CO_TRY(size, co_await container_size(context.daemon, container));
    }
    std::string body;
    JsonWriter json(body);
    ContainerView view{container->record, container->record.config.image, wall_now()};
    view.graph_data = graph_data(context.daemon, container->record);
    view.size = size;
    for (const ExecId& exec : container->exec_ids) {
        view.exec_ids.push_back(exec.str());
    }
    view.links = links_shown(context.daemon, container->record);
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
    CO_CHECK(co_await davit::container_start(
        context.job, context.daemon, container, client_lane(context.request)));
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

Task<void> container_rename(ApiContext& context) {
    CO_TRY(const auto container, container_of(context));
    std::string name(context.query.get("name"));
    CO_CHECK(
        co_await davit::container_rename(context.job, context.daemon, container, std::move(name)));
    co_return co_await context.send_empty(204);
}

Task<void> container_pause(ApiContext& context) {
    CO_TRY(const auto container, container_of(context));
    CO_CHECK(co_await davit::container_pause(context.job, context.daemon, container));
    co_return co_await context.send_empty(204);
}

Task<void> container_unpause(ApiContext& context) {
    CO_TRY(const auto container, container_of(context));
    CO_CHECK(co_await davit::container_unpause(context.job, context.daemon, container));
    co_return co_await context.send_empty(204);
}

Task<void> container_remove(ApiContext& context) {
    if (context.query.boolean("link")) {
        std::string link(context.params.get("id"));
        CO_CHECK(co_await container_link_remove(context.job, context.daemon, std::move(link)));
        co_return co_await context.send_empty(204);
    }
    CO_TRY(const auto container, container_of(context));
    const ContainerRemoveRequest request{.force = context.query.boolean("force"),
                                         .volumes = context.query.boolean("v")};
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
    CO_TRY(const ContainerWaiter::Outcome outcome, co_await waiter.wait());
    const std::string body = wait_outcome_json(outcome) + '\n';
    if (!early_head) {
        co_return co_await context.response.send(200, "application/json", body);
    }
    CO_CHECK(co_await context.job.write(body));
    co_return co_await context.response.end();
}

}  // namespace davit::api
