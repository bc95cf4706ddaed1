// How many requests per second the HTTP server answers on one keep-alive connection over a unix
// socket, beside a floor: the same bytes through a blocking read(2)/write(2) loop without any HTTP.
// Each server runs in a process of its own; the client is the same blocking loop for both, and the
// rounds are interleaved.
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "bench/bench.h"
#include "http/router.h"
#include "http/server.h"
#include "reactor/loop.h"
#include "reactor/stream.h"

namespace davit::bench {

namespace {

constexpr int rounds = 5;

const std::string request =
    "GET /v1.50/containers/json?all=1 HTTP/1.1\r\nHost: api.moby.localhost\r\n"
    "User-Agent: Docker-Client/28.2.2 (linux)\r\nAccept: application/json\r\n\r\n";

struct Peer {
    std::string name;
    int fd = -1;
    pid_t pid = -1;
    Samples each;
    double best_per_second = 0;
};

/// The child's side; returns when the client hangs up.
using Serve = void (*)(Fd fd);

void serve_http(Fd fd) {
    auto body = [](Fd connection) -> Task<void> {
        Router router;
        router.add("GET", "/containers/{id}/json", 1);
        router.add("GET", "/containers/json", 2);
        auto handler = [&router](ServerRequest& asked, ServerResponse& response) -> Task<void> {
            struct Answer {
                static Task<void> give(Router& routes,
                                       const RequestHead& head,
                                       ServerResponse& to) {
                    const auto match = routes.match(head.method, head.path().substr(6));
                    co_return co_await to.send(match ? 200 : 404, "application/json", "[]\n");
                }
            };

            return Answer::give(router, asked.head(), response);
        };
        ServerOptions options;
        options.base_headers.add("Api-Version", "1.50");
        options.base_headers.add("Docker-Experimental", "false");
        options.base_headers.add("Ostype", "linux");
        options.base_headers.add("Server", "Docker/28.2.2 (linux)");
        HttpServer server(handler, std::move(options));
        CO_TRY(auto stream, FdStream::make(std::move(connection)));
        co_return co_await server.serve_connection(std::move(stream));
    };
    Loop loop;
    static_cast<void>(loop.run(body(std::move(fd))));
}

void serve_floor(Fd fd) {
    const std::string answer(230, 'x');
    char buffer[4096];
    while (::read(fd.get(), buffer, sizeof(buffer)) > 0 &&
           ::write(fd.get(), answer.data(), answer.size()) > 0) {
    }
}

Peer start(std::string name, Serve serve) {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        std::abort();
    }
    Peer peer;
    peer.name = std::move(name);
    peer.pid = ::fork();
    if (peer.pid == 0) {
        ::close(fds[0]);
        serve(Fd(fds[1]));
        ::_exit(0);
    }
    ::close(fds[1]);
    peer.fd = fds[0];
    return peer;
}

void run_round(Peer& peer, int count) {
    char buffer[4096];
    const MonotonicTime begun = monotonic_now();
    MonotonicTime last = begun;
    for (int i = 0; i < count; ++i) {
        if (::write(peer.fd, request.data(), request.size()) < 0 ||
            ::read(peer.fd, buffer, sizeof(buffer)) <= 0) {
            std::abort();
        }
        const MonotonicTime now = monotonic_now();
        peer.each.add(now - last);
        last = now;
    }
    const double seconds = std::chrono::duration<double>(last - begun).count();
    peer.best_per_second = std::max(peer.best_per_second, count / seconds);
}

int run(int count) {
    std::signal(SIGPIPE, SIG_IGN);
    Peer peers[] = {start("http server", serve_http), start("floor", serve_floor)};
    for (int round = 0; round < rounds; ++round) {
        for (Peer& peer : peers) {
            run_round(peer, count);
        }
    }
    Table table({"one connection", "requests/s (best round)", "p50 us", "p99 us", "server CPU us"});
    for (const Peer& peer : peers) {
        ::close(peer.fd);  // All first: a later child has inherited the earlier ones' sockets.
    }
    for (Peer& peer : peers) {
        rusage usage{};
        ::wait4(peer.pid, nullptr, 0, &usage);
        const double cpu_us =
            static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
            static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
        table.add({peer.name,
                   std::to_string(static_cast<long>(peer.best_per_second)),
                   number_text(peer.each.percentile_ms(0.5) * 1000),
                   number_text(peer.each.percentile_ms(0.99) * 1000),
                   number_text(cpu_us / static_cast<double>(peer.each.count()))});
    }
    table.print();
    return 0;
}

}  // namespace

}  // namespace davit::bench

int main(int argc, char** argv) {
    return davit::bench::run(argc > 1 ? std::atoi(argv[1]) : 50'000);
}
