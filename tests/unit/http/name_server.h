#pragma once
/// A name server of a few lines on a UDP socket of the loop.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include "reactor/base/fd.h"
#include "reactor/poller.h"

namespace davit::test {

/// Follows: RFC 1035 section 4. Knows test.example (two A, one AAAA) and alias.example; says "no
/// such name" to missing.example, and nothing at all to silent.example.
class NameServer {
  public:
    static Result<std::unique_ptr<NameServer>> make() {
        auto server = std::make_unique<NameServer>();
        server->fd_ = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        if (::bind(server->fd_.get(), generic, size) != 0 ||
            ::getsockname(server->fd_.get(), generic, &size) != 0) {
            return Error::from_errno(errno, "bind");
        }
        server->port_ = ntohs(address.sin_port);
        TRY(server->poller_, Poller::make(server->fd_.get()));
        return server;
    }

    std::string text() const { return "127.0.0.1:" + std::to_string(port_); }

    int queries = 0;

    Task<void> serve() {
        for (;;) {
            CO_CHECK(co_await poller_.readable());
            char buffer[512];
            sockaddr_storage peer{};
            socklen_t size = sizeof(peer);
            auto* generic = reinterpret_cast<sockaddr*>(&peer);
            const ssize_t got = ::recvfrom(fd_.get(), buffer, sizeof(buffer), 0, generic, &size);
            if (got < 17) {
                continue;
            }
            ++queries;
            const std::string answer = respond({buffer, static_cast<std::size_t>(got)});
            if (!answer.empty()) {
                static_cast<void>(
                    ::sendto(fd_.get(), answer.data(), answer.size(), 0, generic, size));
            }
        }
    }

  private:
    static std::string respond(std::string_view query) {
        std::string name;
        std::size_t at = 12;
        while (query[at] != 0) {
            const auto length = static_cast<std::size_t>(query[at]);
            name.append(query.substr(at + 1, length)).push_back('.');
            at += length + 1;
        }
        const char type = query[at + 2];
        const std::string question(query.substr(12, at + 5 - 12));
        if (name == "silent.example.") {
            return {};
        }
        std::string records;
        char count = 0;
        const auto add = [&](const char* owner, char kind, const std::string& data) {
            records.append(owner).append("\0", 1).push_back(kind);
            records.append("\0\1\0\0\0\x3c\0", 7).push_back(static_cast<char>(data.size()));
            records.append(data);
            ++count;
        };
        const bool known = name == "test.example.";
        if (known && type == 1) {
            add("\xc0\x0c", 1, std::string("\x0a\0\0\1", 4));
            add("\xc0\x0c", 1, std::string("\x0a\0\0\2", 4));
        } else if (known && type == 28) {
            add("\xc0\x0c", 28, std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16));
        }
        const char status = known ? '\0' : '\3';
        std::string out(query.substr(0, 2));
        out.append("\x81", 1).push_back(static_cast<char>('\x80' | status));
        out.append("\0\1\0", 3).push_back(count);
        out.append("\0\0\0\0", 4).append(question).append(records);
        return out;
    }

    Fd fd_;
    Poller poller_;
    std::uint16_t port_ = 0;
};

}  // namespace davit::test
