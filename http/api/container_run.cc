#include "http/api/container_run.h"

#include <sys/socket.h>

#include "http/api/api_server.h"
#include "http/api/attach_request.h"
#include "http/api/create_body.h"
#include "http/json_writer.h"
#include "jobs/container_keys.h"
#include "jobs/container_streams.h"
#include "jobs/daemon.h"
#include "reactor/task_group.h"

namespace davit::api {

Result<ContainerCreateRequest> create_request(const ApiContext& context, std::string_view body) {
    TRY(ContainerCreateBody parsed, container_create_body_parse(body, context.version));
    ContainerCreateRequest request;
    request.name = context.query.get("name");
    if (context.version >= ApiVersion{1, 41}) {
        request.platform = context.query.get("platform");
    }
    const auto label = parsed.config.labels.find(std::string(idempotency_label));
    TRY(std::string key,
        container_key_choose(context.request.head().headers.get("Idempotency-Key"),
                             label == parsed.config.labels.end() ? nullptr : &label->second));
    if (!key.empty()) {
        request.create_key.emplace();
        request.create_key->key = std::move(key);
        TRY(const std::string meaning, container_create_body_meaning(body));
        request.create_key->request =
            container_key_request(meaning, request.name, request.platform);
    }
    request.config = std::move(parsed.config);
    request.host_config = std::move(parsed.host_config);
    if (context.version < ApiVersion{1, 41} && request.host_config.cgroupns_mode.empty() &&
        context.daemon.cgroups.mode != CgroupMode::v2) {
        request.host_config.cgroupns_mode = "host";
    }
    request.endpoints = std::move(parsed.endpoints);
    request.read_only_recursive = context.version >= ApiVersion{1, 44};
    return request;
}

/// Who asks, for their turns to start something: the client's process, or its connection.
std::uint64_t client_lane(const ServerRequest& request) {
    ucred peer{};
    socklen_t size = sizeof(peer);
    const int fd = request.connection_fd();
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0) {
        return static_cast<std::uint64_t>(peer.pid);
    }
    constexpr unsigned above_pids = 32;
    return std::uint64_t{1} << above_pids | static_cast<std::uint64_t>(fd);
}

std::string wait_outcome_json(const ContainerWaiter::Outcome& outcome) {
    std::string body;
    JsonWriter json(body);
    json.begin_object();
    if (!outcome.error.empty()) {
        json.key("Error").begin_object().key("Message").string(outcome.error).end_object();
    }
    json.key("StatusCode").number(outcome.exit_code).end_object();
    return body;
}

namespace {

constexpr std::string_view run_stream = "application/vnd.davit.run-stream";

std::string start_error_json(const Error& error) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("StartError").begin_object();
    json.key("Status").number(error_response(error).status);
    json.key("Message").string(error.message()).end_object().end_object();
    return body;
}

Task<void> end_send(AttachedClient& client, std::string text) {
    const std::array<char, 8> header = frame_header(OutputStream{frame_of_end}, text.size());
    const std::array<std::string_view, 2> parts{std::string_view(header.data(), header.size()),
                                                text};
    co_return co_await client.stream->write_parts(parts);
}

/// Of one that is created. What it takes of the attachment is parsed before.
Task<void> run_to_end(ApiContext& context,
                      std::shared_ptr<Container> container,
                      AttachRequest request,
                      std::shared_ptr<AttachedClient> client) {
    const bool removes = container->record.host_config.auto_remove;
    ContainerWaiter waiter(container, removes ? WaitCondition::removed : WaitCondition::next_exit);
    auto reader = std::make_unique<OutputHub::Reader>(container->output);
    Result<AttachEnd> attached = AttachEnd::client_left;
    const auto attach = [&](AttachRequest wanted,
                            std::unique_ptr<OutputHub::Reader> output) -> Task<void> {
        attached = co_await attach_to_end(
            context, container, std::move(wanted), std::move(output), client);
        co_return ok;
    };
    TaskGroup attachment(GroupPolicy::independent);
    attachment.spawn(attach(std::move(request), std::move(reader)));
    const Result<void> started = co_await davit::container_start(
        context.job, context.daemon, container, client_lane(context.request));
    const bool failed = !started && started.error().kind() != ErrorKind::not_modified;
    if (failed) {
        attachment.cancel();
    }
    static_cast<void>(co_await attachment.join());
    std::string last;
    if (failed) {
        last = start_error_json(started.error());
    } else if (attached && *attached == AttachEnd::run_ended) {
        CO_TRY(const ContainerWaiter::Outcome outcome, co_await waiter.wait());
        last = wait_outcome_json(outcome);
    }
    if (!last.empty()) {
        CO_CHECK(co_await end_send(*client, std::move(last)));
    }
    co_return co_await attach_close(*client->stream);
}

}  // namespace

Task<void> container_run(ApiContext& context) {
    CO_TRY(const std::string body, co_await context.json_body());
    CO_TRY(ContainerCreateRequest create, create_request(context, body));
    AttachRequest attach;
    attach.input = context.query.boolean("stdin");
    attach.output = context.query.boolean("stdout");
    attach.error = context.query.boolean("stderr");
    attach.more_follows = true;
    if (create.config.tty) {
        CO_TRY(attach.detach_keys, detach_keys(context));
    }
    CO_TRY(const ContainerCreated created,
           co_await davit::container_create(context.job, context.daemon, std::move(create)));
    CO_TRY(const auto container, context.daemon.containers.find(created.id.str()));
    Headers& headers = context.response.headers();
    headers.set("Davit-Container", created.id.str());
    if (!created.warnings.empty()) {
        std::string warnings;
        JsonWriter(warnings).strings(created.warnings);
        headers.set("Davit-Warnings", std::move(warnings));
    }
    CO_TRY(Hijacked connection, co_await context.response.hijack(run_stream));
    auto client = std::make_shared<AttachedClient>(
        AttachedClient{std::move(connection.stream), std::move(connection.buffered)});
    co_return co_await run_to_end(context, container, std::move(attach), std::move(client));
}

}  // namespace davit::api
