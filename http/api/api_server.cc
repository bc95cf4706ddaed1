#include "http/api/api_server.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "http/api/context.h"
#include "http/api/handlers.h"
#include "http/json_reader.h"
#include "http/json_writer.h"
#include "http/router.h"
#include "jobs/daemon.h"
#include "jobs/version.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

ServerOptions server_options() {
    ServerOptions options;
    options.on_error = error_response;
    options.base_headers.add("Api-Version", api_version_max.text());
    options.base_headers.add("Docker-Experimental", "false");
    options.base_headers.add("Ostype", "linux");
    options.base_headers.add("Server", "Docker/" + std::string(engine_version) + " (linux)");
    return options;
}

int status_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid_argument:
            return 400;
        case ErrorKind::unauthorized:
            return 401;
        case ErrorKind::permission_denied:
            return 403;
        case ErrorKind::not_found:
            return 404;
        case ErrorKind::conflict:
            return 409;
        case ErrorKind::not_modified:
            return 304;
        case ErrorKind::unsupported:
            return 501;
        case ErrorKind::unavailable:
            return 503;
        case ErrorKind::resource_exhausted:
        case ErrorKind::timed_out:
        case ErrorKind::cancelled:
        case ErrorKind::corrupt:
        case ErrorKind::internal:
            return 500;
    }
    return 500;
}

struct VersionedPath {
    std::string_view path;
    ApiVersion version = api_version_max;
};

/// Take "/v1.44" off a path. Errors: invalid_argument with the texts that clients match.
Result<VersionedPath> version_split(std::string_view path) {
    const std::size_t end = path.find('/', 1);
    const std::string_view first = path.substr(0, end);
    if (first.size() < 4 || !first.starts_with("/v")) {
        return VersionedPath{path};
    }
    const auto version = api_version_parse(first.substr(2));
    if (!version) {
        return VersionedPath{path};
    }
    if (*version > api_version_max) {
        return Error(ErrorKind::invalid_argument,
                     "client version " + version->text() +
                         " is too new. Maximum supported API version is " + api_version_max.text());
    }
    if (*version < api_version_min) {
        return Error(ErrorKind::invalid_argument,
                     "client version " + version->text() +
                         " is too old. Minimum supported API version is " + api_version_min.text() +
                         ", please upgrade your client to a newer version");
    }
    return VersionedPath{end == std::string_view::npos ? "/" : path.substr(end), *version};
}

/// One call, on its way into its job.
struct ApiCall {
    const ApiRoute& route;
    ServerRequest& request;
    ServerResponse& response;
    RouteParams params;
    ApiVersion version;
    std::span<const ApiCallCount> counts;
};

/// A call's standard input: the request's body.
class RequestInput final : public JobInput {
  public:
    explicit RequestInput(ServerRequest& request) : request_(request) {}

    Task<std::size_t> read(std::span<char> buffer) override { return request_.read_body(buffer); }

  private:
    ServerRequest& request_;
};

/// A call's standard output: the response's body, once its head was sent.
class ResponseOutput final : public JobOutput {
  public:
    explicit ResponseOutput(ServerResponse& response) : response_(response) {}

    Task<void> write(std::string_view bytes) override { return response_.write(bytes); }

  private:
    ServerResponse& response_;
};

Task<void> api_call(Job& job, Daemon& daemon, ApiCall call) {
    RequestInput input(call.request);
    ResponseOutput output(call.response);
    job.connect(input, output);
    const RequestHead& head = call.request.head();
    ApiContext context{.daemon = daemon,
                       .job = job,
                       .request = call.request,
                       .response = call.response,
                       .params = std::move(call.params),
                       .query = Query::parse(head.query()),
                       .version = call.version,
                       .counts = call.counts};
    if (head.headers.get("Content-Type").starts_with("application/x-www-form-urlencoded")) {
        CO_TRY(const std::string form, co_await call.request.read_body_all());
        context.query.merge(Query::parse(form));
    }
    co_return co_await call.route.handler(context);
}

}  // namespace

ErrorResponse error_response(const Error& error) {
    ErrorResponse response;
    response.status = status_of(error.kind());
    JsonWriter json(response.body);
    json.begin_object().key("message").string(error.message()).end_object();
    response.body += '\n';
    return response;
}

Task<void> ApiContext::send_json(int status, std::string body) {
    body += '\n';
    CO_CHECK(co_await response.send(status, "application/json", body));
    job.count_written(body.size());
    co_return ok;
}

Task<void> ApiContext::send_empty(int status) {
    co_return co_await response.send(status, "", "");
}

Task<std::string> ApiContext::json_body() {
    const std::string_view type = request.head().headers.get("Content-Type");
    CO_TRY(std::string body, co_await request.read_body_all());
    job.count_read(body.size());
    if (!body.empty() && !type.empty() && !type.starts_with("application/json")) {
        co_return Error(ErrorKind::invalid_argument,
                        "unsupported Content-Type header (" + std::string(type) +
                            "): must be 'application/json'");
    }
    co_return std::move(body);
}

namespace {

/// The answer to a path without a route. Clients take 503 for a host that is in no swarm, and 404
/// for an old engine.
Error no_route(std::string_view path) {
    static constexpr auto swarm = std::to_array<std::string_view>(
        {"swarm", "nodes", "services", "tasks", "secrets", "configs"});
    path.remove_prefix(std::min<std::size_t>(path.size(), 1));
    const std::string_view group = path.substr(0, path.find('/'));
    if (std::ranges::find(swarm, group) != swarm.end()) {
        return api::no_swarm();
    }
    if (group == "plugins") {
        return Error(ErrorKind::unsupported, "davit has no plugins");
    }
    if (group == "build" || group == "session" || group == "grpc") {
        return Error(ErrorKind::unsupported,
                     "davit does not build images yet: build them elsewhere, then pull or load");
    }
    return Error(ErrorKind::not_found, "page not found");
}

}  // namespace

ApiServer::ApiServer(Daemon& daemon)
    : daemon_(daemon),
      router_(std::make_unique<Router>()),
      counts_(api_routes().size()),
      server_([this](ServerRequest& request,
                     ServerResponse& response) { return handle(request, response); },
              server_options()) {
    std::size_t number = 0;
    for (const ApiRoute& route : api_routes()) {
        router_->add(route.method, route.pattern, number++);
    }
}

ApiServer::~ApiServer() = default;

Task<void> ApiServer::serve(Listener& listener) {
    return server_.serve(listener);
}

Task<void> ApiServer::handle(ServerRequest& request, ServerResponse& response) {
    const RequestHead& head = request.head();
    CO_TRY(const VersionedPath versioned, version_split(head.path()));
    if (head.method == "OPTIONS") {
        co_return co_await response.send(200, "", "");
    }
    std::optional<RouteMatch> match = router_->match(head.method, versioned.path);
    if (!match) {
        co_return no_route(versioned.path);
    }
    const ApiRoute& route = api_routes()[match->route];
    ApiCall call{route, request, response, std::move(match->params), versioned.version, counts_};
    std::vector<std::string> shown{std::string(versioned.path)};
    if (!head.query().empty()) {
        shown.emplace_back(head.query());
    }
    Result<void> handled = co_await daemon_.engine.run(
        route.job, std::move(shown), api_call, daemon_, std::move(call));
    ApiCallCount& count = counts_[match->route];
    const int error = handled ? 0 : handled.error().errno_value();
    const bool cancelled = !handled && (handled.error().kind() == ErrorKind::cancelled ||
                                        error == EPIPE || error == ECONNRESET);
    ++(handled ? count.done : cancelled ? count.cancelled : count.failed);
    if (!handled && handled.error().kind() == ErrorKind::internal) {
        LOG_ERROR("{} {}: {}", head.method, head.path(), handled.error().message());
    }
    co_return handled;
}

}  // namespace davit
