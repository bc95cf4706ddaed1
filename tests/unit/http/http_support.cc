#include "tests/unit/http/http_support.h"

#include <csignal>

#include "reactor/loop.h"
#include "reactor/timer.h"

namespace davit::test {

namespace {

/// As the daemon and the CLI do: a write to a closed connection is an error, not a death.
[[maybe_unused]] const auto sigpipe_before = std::signal(SIGPIPE, SIG_IGN);

}  // namespace

Task<std::string> read_to_end(ByteStream& stream) {
    std::string all;
    std::vector<char> buffer(65536);
    for (;;) {
        const Result<std::size_t> got = co_await stream.read(buffer);
        if (!got && got.error().kind() != ErrorKind::unavailable) {
            co_return got.error();
        }
        if (!got || *got == 0) {
            co_return std::move(all);
        }
        all.append(buffer.data(), *got);
    }
}

Task<std::string> read_until(ByteStream& stream, std::string marker) {
    std::string all;
    while (!all.ends_with(marker)) {
        std::array<char, 1> one{};
        CO_TRY(const std::size_t got, co_await stream.read(one));
        if (got == 0) {
            co_return Error(ErrorKind::unavailable, "ended after: " + all);
        }
        all.push_back(one[0]);
    }
    co_return std::move(all);
}

Result<void> with_server(Handler handler, ServerOptions options, ClientBody client) {
    auto body = [](Handler answer, ServerOptions with, ClientBody run) -> Task<void> {
        HttpServer server(std::move(answer), std::move(with));
        CO_TRY(StreamPair pair, stream_pair_make());
        TaskGroup group(GroupPolicy::independent);
        group.spawn(server.serve_connection(std::move(pair.second)));
        Result<void> result = ok;
        {
            Task<void> task = run(std::move(pair.first));
            result = co_await std::move(task);
        }  // The client's connection is closed: the server sees its end.
        CO_CHECK(co_await group.join());
        co_return result;
    };
    Loop loop;
    return loop.run(body(std::move(handler), std::move(options), std::move(client)));
}

namespace {

std::string converse_with(Handler handler, std::string bytes, ServerOptions options, bool slowly) {
    std::string answer;
    auto client = [](std::unique_ptr<FdStream> stream,
                     std::string sent,
                     bool trickle,
                     std::string& received) -> Task<void> {
        auto send = [](FdStream& to, std::string all, bool piecemeal) -> Task<void> {
            const std::string_view view = all;
            const std::size_t step = piecemeal ? 1 : std::max<std::size_t>(view.size(), 1);
            for (std::size_t at = 0; at < view.size(); at += step) {
                CO_CHECK(co_await to.write(view.substr(at, step)));
                if (piecemeal) {
                    co_await yield_now();
                }
            }
            co_return co_await to.shutdown_write();
        };
        TaskGroup group(GroupPolicy::independent);
        group.spawn(send(*stream, std::move(sent), trickle));
        CO_TRY(received, co_await read_to_end(*stream));
        // The server may close before it has read everything.
        static_cast<void>(co_await group.join());
        co_return ok;
    };
    const Result<void> done =
        with_server(std::move(handler), std::move(options), [&](std::unique_ptr<FdStream> stream) {
            return client(std::move(stream), bytes, slowly, answer);
        });
    return done ? answer : "client failed: " + done.error().message();
}

}  // namespace

std::string converse(Handler handler, std::string bytes, ServerOptions options) {
    return converse_with(std::move(handler), std::move(bytes), std::move(options), false);
}

std::string converse_slowly(Handler handler, std::string bytes, ServerOptions options) {
    return converse_with(std::move(handler), std::move(bytes), std::move(options), true);
}

std::size_t count_of(std::string_view text, std::string_view part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string_view::npos;
         at = text.find(part, at + part.size())) {
        ++count;
    }
    return count;
}

Task<void> echo(ServerRequest& request, ServerResponse& response) {
    CO_TRY(const std::string body, co_await request.read_body_all());
    const std::string text = request.head().method + " " + request.head().target + " " + body;
    co_return co_await response.send(200, "text/plain", text);
}

std::string without_dates(std::string text) {
    for (std::size_t at = text.find("Date: "); at != std::string::npos; at = text.find("Date: ")) {
        text.erase(at, text.find("\r\n", at) + 2 - at);
    }
    return text;
}

}  // namespace davit::test
