#include "bench/support/api_client.h"

#include <poll.h>

#include <cerrno>

#include <fmt/format.h>

#include "bench/bench.h"
#include "bench/support/interrupt.h"

namespace davit::bench {
namespace {

Error unexpected(std::string_view step, const HttpAnswer& answer) {
    return Error(ErrorKind::unavailable,
                 fmt::format("{}: status {}: {}", step, answer.status, answer.body));
}

Result<HttpAnswer> call(HttpUnix& connection,
                        std::string_view step,
                        const char* method,
                        const std::string& target,
                        const std::string& body = "") {
    const char* type = body.empty() ? "" : "application/json";
    TRY(HttpAnswer answer, connection.exchange({method, "/v1.41" + target, type, body}));
    if (answer.status >= 400) {
        return unexpected(step, answer);
    }
    return answer;
}

std::string argv_json(const std::vector<std::string>& argv) {
    std::string json;
    for (const std::string& word : argv) {
        json += (json.empty() ? "[" : ",") + json_quote(word);
    }
    return json + "]";
}

int ports_of(Network network) {
    return network == Network::ports ? ports_many : network == Network::port ? 1 : 0;
}

std::string config_json(const ApiContainer& container) {
    std::string exposed;
    std::string bound;
    for (int port = 0; port < ports_of(container.network); ++port) {
        const char* comma = port == 0 ? "" : ",";
        exposed += fmt::format(R"({}"{}/tcp":{{}})", comma, 1000 + port);
        bound += fmt::format(R"({}"{}/tcp":[{{"HostPort":""}}])", comma, 1000 + port);
    }
    const bool plain = container.network == Network::none || container.network == Network::host;
    const std::string labels =
        container.label.empty() ? "" : fmt::format(R"({}:"")", json_quote(container.label));
    return fmt::format(R"({{"Image":{},"Cmd":{},"AttachStdout":true,"AttachStderr":true,)"
                       R"("Labels":{{{}}},"ExposedPorts":{{{}}},"HostConfig":{{"NetworkMode":"{}",)"
                       R"("PortBindings":{{{}}},"AutoRemove":{}}}}})",
                       json_quote(container.image),
                       argv_json(container.argv),
                       labels,
                       exposed,
                       plain ? name_of(container.network) : "bridge",
                       bound,
                       container.auto_remove);
}

/// The payload of the frames of an attached stream. Follows: Engine API, ContainerAttach.
std::string frames_text(std::string_view raw) {
    std::string text;
    while (raw.size() >= 8) {
        std::size_t size = 0;
        for (std::size_t at = 4; at < 8; ++at) {
            size = size << 8 | static_cast<unsigned char>(raw[at]);
        }
        text += raw.substr(8, size);
        raw.remove_prefix(std::min(raw.size(), 8 + size));
    }
    return text;
}

/// "Davit":{"StartPhases":[{"Name":...,"StartNs":...,"DurationNs":...}]} of an inspect; none of
/// others'.
std::vector<Step> phases_find(std::string_view json) {
    std::vector<Step> phases;
    const std::size_t begin = json.find("\"StartPhases\":[");
    if (begin == std::string_view::npos) {
        return phases;
    }
    json = json.substr(begin, json.find(']', begin) - begin);
    for (std::size_t at = json.find('{'); at != std::string_view::npos; at = json.find('{', at)) {
        const std::string_view one = json.substr(at, json.find('}', at) - at);
        const Result<double> start = json_number_find(one, "StartNs");
        const Result<double> duration = json_number_find(one, "DurationNs");
        if (start && duration) {
            phases.push_back({json_string_find(one, "Name"),
                              Nanoseconds(static_cast<long long>(*start)),
                              Nanoseconds(static_cast<long long>(*duration))});
        }
        ++at;
    }
    return phases;
}

}  // namespace

Result<ApiClient> ApiClient::connect(const std::string& socket_path, Nanoseconds limit) {
    TRY(HttpUnix main, HttpUnix::connect(socket_path, limit));
    TRY(HttpUnix waiting, HttpUnix::connect(socket_path, limit));
    return ApiClient(socket_path, limit, std::move(main), std::move(waiting));
}

Result<std::string> ApiClient::create(const ApiContainer& container) {
    const std::string query = container.name.empty() ? "" : "?name=" + container.name;
    TRY(const HttpAnswer created,
        call(main_, "create", "POST", "/containers/create" + query, config_json(container)));
    std::string id = json_string_find(created.body, "Id");
    if (id.empty()) {
        return unexpected("create", created);
    }
    return id;
}

Result<void> ApiClient::wait_begin(const std::string& id, const char* condition) {
    const HttpRequest wait = {
        "POST", fmt::format("/v1.41/containers/{}/wait?condition={}", id, condition), "", ""};
    HttpAnswer answer;
    TRY(answer.status, waiting_.begin(wait));
    return answer.status == 200 ? Result<void>(ok) : unexpected("wait", answer);
}

Result<int> ApiClient::wait_finish() {
    HttpAnswer ended;
    TRY_VOID(waiting_.finish([&ended](std::string_view piece) { ended.body += piece; }));
    TRY(const double code, json_number_find(ended.body, "StatusCode"));
    return static_cast<int>(code);
}

Result<ApiOutcome> ApiClient::run(const ApiContainer& container) {
    ApiOutcome outcome;
    const MonotonicTime begun = monotonic_now();
    TRY(const std::string id, create(container));
    outcome.timing.step("create", begun, monotonic_now());
    TRY_VOID(wait_begin(id, "removed"));
    const MonotonicTime asked = monotonic_now();
    TRY_VOID(call(main_, "start", "POST", "/containers/" + id + "/start"));
    outcome.timing.step("start", asked, monotonic_now());
    TRY(outcome.code, wait_finish());
    outcome.timing.whole = monotonic_now() - begun;
    return outcome;
}

/// The three answers come in any order: each is timed when it is here.
Result<void> ApiClient::start_and_watch(const std::string& id,
                                        HttpUnix& attached,
                                        ApiOutcome& outcome) {
    const MonotonicTime asked = monotonic_now();
    const std::optional<MonotonicTime> deadline = deadline_in(limit_);
    TRY_VOID(main_.send({"POST", "/v1.41/containers/" + id + "/start", "", ""}));
    MonotonicTime started = asked;
    std::string raw;
    const auto keep = [&raw](std::string_view piece) { raw += piece; };
    pollfd waited[] = {{main_.fd(), POLLIN, 0},
                       {attached.fd(), POLLIN, 0},
                       {waiting_.fd(), POLLIN, 0},
                       {interrupt_fd(), POLLIN, 0}};
    while (waited[0].fd >= 0 || waited[1].fd >= 0 || waited[2].fd >= 0) {
        const int found = poll(waited, 4, poll_timeout(deadline));
        if (found < 0 && errno == EINTR) {
            continue;
        }
        if (found == 0 || waited[3].revents != 0) {
            return found == 0 ? Error(ErrorKind::timed_out, "no end of the container in time")
                              : Error(ErrorKind::cancelled, "interrupted");
        }
        if (waited[1].fd >= 0 && waited[1].revents != 0) {
            const bool first = raw.empty();
            TRY(const bool more, attached.read_piece(keep));
            if (first && !raw.empty()) {
                outcome.timing.step("first", asked, monotonic_now());
            }
            waited[1].fd = more ? waited[1].fd : -1;
        }
        if (waited[0].fd >= 0 && waited[0].revents != 0) {
            HttpAnswer answer;
            TRY(answer.status, main_.receive_head());
            TRY_VOID(main_.finish([&](std::string_view piece) { answer.body += piece; }));
            if (answer.status != 204) {
                return unexpected("start", answer);
            }
            started = monotonic_now();
            outcome.timing.step("start", asked, started);
            waited[0].fd = -1;
        }
        if (waited[2].fd >= 0 && waited[2].revents != 0) {
            TRY(outcome.code, wait_finish());
            outcome.timing.step("wait", started, monotonic_now());
            waited[2].fd = -1;
        }
    }
    outcome.output = frames_text(raw);
    return ok;
}

Result<ApiOutcome> ApiClient::steps(const ApiContainer& container) {
    ApiOutcome outcome;
    const MonotonicTime begun = monotonic_now();
    TRY(const std::string id, create(container));
    outcome.timing.step("create", begun, monotonic_now());
    TRY(HttpUnix attached, HttpUnix::connect(socket_path_, limit_));
    TRY(const int status,
        attached.begin(
            {"POST", "/v1.41/containers/" + id + "/attach?stream=1&stdout=1&stderr=1", "", ""}));
    if (status >= 400) {
        return unexpected("attach", {status, ""});
    }
    TRY_VOID(wait_begin(id, "next-exit"));
    TRY_VOID(start_and_watch(id, attached, outcome));
    const MonotonicTime ended = monotonic_now();
    outcome.timing.whole = ended - begun;
    TRY(const HttpAnswer details, call(main_, "inspect", "GET", "/containers/" + id + "/json"));
    outcome.timing.phases = phases_find(details.body);
    const MonotonicTime asked = monotonic_now();
    TRY_VOID(call(main_, "remove", "DELETE", "/containers/" + id));
    const MonotonicTime removed = monotonic_now();
    outcome.timing.step("rm", asked, removed);
    outcome.timing.whole += removed - asked;
    return outcome;
}

Result<ApiOutcome> ApiClient::exec(const std::string& container,
                                   const std::vector<std::string>& argv) {
    ApiOutcome outcome;
    const MonotonicTime begun = monotonic_now();
    TRY(const HttpAnswer created,
        call(main_,
             "exec create",
             "POST",
             "/containers/" + container + "/exec",
             fmt::format(R"({{"AttachStdout":true,"AttachStderr":true,"Cmd":{}}})",
                         argv_json(argv))));
    const std::string path = "/exec/" + json_string_find(created.body, "Id");
    TRY(HttpUnix stream, HttpUnix::connect(socket_path_, limit_));
    const MonotonicTime asked = monotonic_now();
    HttpAnswer started;
    TRY(started.status,
        stream.begin(
            {"POST", "/v1.41" + path + "/start", "application/json", R"({"Detach":false})"}));
    std::string raw;
    TRY_VOID(stream.finish([&](std::string_view piece) {
        if (raw.empty()) {
            outcome.timing.step("first", asked, monotonic_now());
        }
        raw += piece;
    }));
    if (started.status >= 400) {
        return unexpected("exec start", {started.status, raw});
    }
    TRY(const HttpAnswer ended, call(main_, "exec inspect", "GET", path + "/json"));
    outcome.timing.whole = monotonic_now() - begun;
    TRY(const double code, json_number_find(ended.body, "ExitCode"));
    outcome.code = static_cast<int>(code);
    outcome.output = frames_text(raw);
    return outcome;
}

Result<std::string> ApiClient::begin(const ApiContainer& container) {
    TRY(std::string id, create(container));
    TRY_VOID(call(main_, "start", "POST", "/containers/" + id + "/start"));
    return id;
}

Result<int> ApiClient::remove_all(const std::string& prefix) {
    const std::string filter = fmt::format("%7B%22name%22:%5B%22{}%22%5D%7D", prefix);
    TRY(const HttpAnswer list,
        call(main_, "list", "GET", "/containers/json?all=1&filters=" + filter));
    int count = 0;
    constexpr std::string_view key = "\"Id\":\"";
    for (std::size_t at = 0; (at = list.body.find(key, at)) != std::string::npos; ++count) {
        at += key.size();
        const std::string id = list.body.substr(at, list.body.find('"', at) - at);
        TRY_VOID(remove(id));
    }
    return count;
}

Result<void> ApiClient::remove(const std::string& id) {
    TRY(HttpAnswer removed,
        main_.exchange({"DELETE", "/v1.41/containers/" + id + "?force=1&v=1", "", ""}));
    // 404 and 409: it was on its way out already.
    if (removed.status >= 400 && removed.status != 404 && removed.status != 409) {
        return unexpected("remove", removed);
    }
    return ok;
}

Result<std::string> ApiClient::ask(const char* method, const std::string& target) {
    TRY(HttpAnswer answer, call(main_, target, method, target));
    if (const std::size_t at = answer.body.find("\"error\""); at != std::string::npos) {
        return Error(ErrorKind::unavailable, target + ": " + answer.body.substr(at));
    }
    return std::move(answer.body);
}

}  // namespace davit::bench
