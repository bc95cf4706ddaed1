#include "tests/unit/http/registry/fake_registry.h"

#include <charconv>

#include "reactor/timer.h"

namespace davit::test {

namespace {

Listener listener_make() {
    Result<Listener> listener = Listener::tcp("127.0.0.1", 0);
    assert(listener);
    return *std::move(listener);
}

/// At least so many bytes in the buffer.
Task<void> buffer_fill(FdStream& stream, std::string& buffer, std::size_t bytes) {
    while (buffer.size() < bytes) {
        char chunk[4096];
        CO_TRY(const std::size_t got, co_await stream.read(chunk));
        if (got == 0) {
            co_return Error(ErrorKind::unavailable, "the client went away");
        }
        buffer.append(chunk, got);
    }
    co_return ok;
}

Task<std::string> chunks_read(FdStream& stream, std::string& buffer) {
    std::string body;
    for (;;) {
        std::size_t end = 0;
        while ((end = buffer.find("\r\n")) == std::string::npos) {
            CO_CHECK(co_await buffer_fill(stream, buffer, buffer.size() + 1));
        }
        const std::size_t size = std::stoul(buffer.substr(0, end), nullptr, 16);
        CO_CHECK(co_await buffer_fill(stream, buffer, end + 2 + size + 2));
        body.append(buffer, end + 2, size);
        buffer.erase(0, end + 2 + size + 2);
        if (size == 0) {
            co_return std::move(body);
        }
    }
}

/// The next request; nothing at the end of the stream, or if it is no HTTP. hang_up: as
/// FakeRegistry::hang_up; nothing is given then, but the request is put into `cut`.
Task<std::optional<FakeRequest>> request_read(
    FdStream& stream,
    std::string& buffer,
    const std::function<std::optional<std::size_t>(const FakeRequest&)>& hang_up,
    std::vector<FakeRequest>& cut) {
    std::size_t end = std::string::npos;
    while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
        char chunk[4096];
        CO_TRY(const std::size_t got, co_await stream.read(chunk));
        if (got == 0 || (buffer.empty() && chunk[0] == 0x16)) {
            co_return std::optional<FakeRequest>();
        }
        buffer.append(chunk, got);
    }
    FakeRequest request;
    const std::string head = buffer.substr(0, end + 2);
    buffer.erase(0, end + 4);
    std::size_t at = head.find("\r\n");
    const std::string line = head.substr(0, at);
    request.method = line.substr(0, line.find(' '));
    request.target = line.substr(request.method.size() + 1);
    request.target.erase(request.target.rfind(' '));
    for (at += 2; at < head.size();) {
        const std::size_t next = head.find("\r\n", at);
        const std::string field = head.substr(at, next - at);
        const std::size_t colon = field.find(':');
        request.headers.add(field.substr(0, colon),
                            field.substr(field.find_first_not_of(' ', colon + 1)));
        at = next + 2;
    }
    if (const auto bytes = hang_up ? hang_up(request) : std::nullopt) {
        CO_CHECK(co_await buffer_fill(stream, buffer, *bytes));
        request.body = buffer.substr(0, *bytes);
        cut.push_back(std::move(request));
        co_return std::optional<FakeRequest>();
    }
    if (request.headers.has_token("Transfer-Encoding", "chunked")) {
        CO_TRY(request.body, co_await chunks_read(stream, buffer));
        co_return std::optional<FakeRequest>(std::move(request));
    }
    const std::string length(request.headers.get("Content-Length"));
    const std::size_t bytes = length.empty() ? 0 : std::stoul(length);
    CO_CHECK(co_await buffer_fill(stream, buffer, bytes));
    request.body = buffer.substr(0, bytes);
    buffer.erase(0, bytes);
    co_return std::optional<FakeRequest>(std::move(request));
}

}  // namespace

FakeRegistry::FakeRegistry(Script script)
    : listener_(listener_make()), script_(std::move(script)) {}

Task<void> FakeRegistry::serve() {
    TaskGroup connections(GroupPolicy::independent);
    for (;;) {
        Result<std::unique_ptr<FdStream>> stream = co_await listener_.accept();
        if (!stream) {
            break;
        }
        connections.spawn(serve_one(*std::move(stream)));
    }
    connections.cancel();
    static_cast<void>(co_await shielded(connections.join()));
    co_return ok;
}

Task<void> FakeRegistry::serve_one(std::unique_ptr<FdStream> stream) {
    std::string buffer;
    for (;;) {
        CO_TRY(std::optional<FakeRequest> request,
               co_await request_read(*stream, buffer, hang_up, requests));
        if (!request) {
            co_return ok;
        }
        requests.push_back(*request);
        const FakeReply reply = script_(*request);
        std::string out = "HTTP/1.1 " + std::to_string(reply.status) + " X\r\n";
        reply.headers.append_to(out);
        out += "Content-Length: " +
               (reply.length.empty() ? std::to_string(reply.body.size()) : reply.length) +
               "\r\n\r\n";
        if (request->method != "HEAD") {
            out += reply.body.substr(0, reply.cut);
        }
        CO_CHECK(co_await stream->write(out));
        if (reply.stall) {
            char byte[1];
            static_cast<void>(co_await stream->read(byte));  // Until the client hangs up.
            co_return ok;
        }
        if (reply.cut != std::string::npos || !reply.length.empty()) {
            co_return ok;
        }
    }
}

std::size_t FakeRegistry::count(std::string_view method, std::string_view target) const {
    std::size_t found = 0;
    for (const FakeRequest& request : requests) {
        found += request.method == method && request.target == target ? 1 : 0;
    }
    return found;
}

RegistryOptions fast_options() {
    RegistryOptions options;
    options.retry.pause = std::chrono::milliseconds(1);
    options.retry.pause_max = std::chrono::milliseconds(4);
    options.http.stall_timeout = std::chrono::seconds(1);
    options.http.proxy_from_environment = false;
    return options;
}

RegistryRepository repository_of(RegistryClient& client,
                                 const FakeRegistry& registry,
                                 RegistryCredentials credentials) {
    RegistrySubject subject{registry.domain() + "/app", registry.domain() + "/app:1"};
    Result<RegistryRepository> repository = RegistryRepository::make(
        client, registry.domain(), "app", std::move(subject), std::move(credentials));
    assert(repository);
    return *std::move(repository);
}

}  // namespace davit::test
