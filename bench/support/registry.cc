#include "bench/support/registry.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <random>

#include <fmt/format.h>

#include "bench/support/process.h"
#include "reactor/base/digest.h"

namespace davit::bench {
namespace {

constexpr const char* name = "davit-bench-pull";
constexpr int small_files = 1024;
constexpr std::size_t small_bytes = 16 << 10;
constexpr std::size_t large_bytes = 48 << 20;
constexpr std::size_t layer_bytes_max = 256 << 20;
constexpr std::size_t head_bytes_max = 64 << 10;
constexpr const char* manifest_type = "application/vnd.docker.distribution.manifest.v2+json";

/// Digits: half of it compresses away.
std::string digits(std::mt19937_64& chance, std::size_t bytes) {
    constexpr std::string_view alphabet = "0123456789abcdef";
    std::string text;
    text.reserve(bytes + 16);
    while (text.size() < bytes) {
        std::uint64_t value = chance();
        for (int digit = 0; digit < 16; ++digit, value >>= 4) {
            text += alphabet[value & 15];
        }
    }
    text.resize(bytes);
    return text;
}

bool send_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

}  // namespace

struct Registry::Connection {
    Fd socket;
    std::atomic<bool> done = false;
    std::thread thread;
};

struct Registry::Answer {
    int status = 404;
    const char* type = "application/json";
    std::string digest;
    std::string_view body;
};

Result<std::unique_ptr<Registry>> Registry::start(const Workspace& workspace) {
    std::unique_ptr<Registry> registry(new Registry());
    TRY_VOID(registry->image_make(workspace));
    TRY_VOID(registry->listen());
    registry->accepting_ = std::thread([all = registry.get()] { all->accept_all(); });
    return registry;
}

/// Follows: distribution's "Image Manifest Version 2, Schema 2": all engines take it.
Result<void> Registry::image_make(const Workspace& workspace) {
    std::mt19937_64 chance(1);
    std::vector<std::pair<std::string, std::string>> files;
    for (int file = 0; file < small_files; ++file) {
        files.emplace_back(fmt::format("small-{}", file), digits(chance, small_bytes));
    }
    files.emplace_back("large", digits(chance, large_bytes));
    const std::string tar = Workspace::tar_of(files);
    config_ = Workspace::image_config(tar, {"true"});
    const std::string path = workspace.path() + "/pull.tar";
    TRY_VOID(file_replace(AT_FDCWD, path, tar));
    TRY_VOID(process_run({{"gzip", "-1", "-n", path}, {}, "", -1}));
    TRY(layer_, file_read(path + ".gz", layer_bytes_max));
    layer_digest_ = sha256_of(layer_).str();
    config_digest_ = sha256_of(config_).str();
    manifest_ = fmt::format(
        R"({{"schemaVersion":2,"mediaType":"{}","config":{{)"
        R"("mediaType":"application/vnd.docker.container.image.v1+json","size":{},"digest":"{}"}},)"
        R"("layers":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip",)"
        R"("size":{},"digest":"{}"}}]}})",
        manifest_type,
        config_.size(),
        config_digest_,
        layer_.size(),
        layer_digest_);
    manifest_digest_ = sha256_of(manifest_).str();
    return ok;
}

Result<void> Registry::listen() {
    socket_ = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket_) {
        return Error::from_errno(errno, "socket");
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    if (bind(socket_.get(), raw, size) != 0 || ::listen(socket_.get(), SOMAXCONN) != 0 ||
        getsockname(socket_.get(), raw, &size) != 0) {
        return Error::from_errno(errno, "listen", "127.0.0.1");
    }
    repository_ = fmt::format("127.0.0.1:{}/{}", ntohs(address.sin_port), name);
    return ok;
}

Registry::~Registry() {
    if (!accepting_.joinable()) {
        return;
    }
    shutdown(socket_.get(), SHUT_RDWR);  // Ends accept(2) and read(2) in the threads.
    accepting_.join();
    for (Connection& connection : connections_) {
        shutdown(connection.socket.get(), SHUT_RDWR);
        connection.thread.join();
    }
}

void Registry::accept_all() {
    for (;;) {
        Fd accepted(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!accepted && (errno == EINTR || errno == ECONNABORTED)) {
            continue;
        }
        if (!accepted) {
            return;
        }
        connections_.remove_if([](Connection& connection) {
            if (connection.done) {
                connection.thread.join();
            }
            return !connection.thread.joinable();
        });
        Connection& connection = connections_.emplace_back();
        connection.socket = std::move(accepted);
        connection.thread = std::thread([this, &connection] {
            serve(connection.socket.get());
            shutdown(connection.socket.get(), SHUT_RDWR);
            connection.done = true;
        });
    }
}

/// Requests without a body, one after the other, until the client goes.
void Registry::serve(int socket) const {
    std::string received;
    for (;;) {
        std::size_t end = 0;
        while ((end = received.find("\r\n\r\n")) == std::string::npos) {
            char chunk[4096];
            const ssize_t count = read(socket, chunk, sizeof chunk);
            if (count <= 0 || received.size() > head_bytes_max) {
                return;
            }
            received.append(chunk, static_cast<std::size_t>(count));
        }
        const std::size_t space = received.find(' ');
        const std::string method = received.substr(0, space);
        const std::string path =
            received.substr(space + 1, received.find(' ', space + 1) - space - 1);
        received.erase(0, end + 4);
        const bool asks = method == "GET" || method == "HEAD";
        const Answer answer = asks ? find(path) : Answer{405, "application/json", "", "{}"};
        const std::string digest =
            answer.digest.empty() ? "" : "Docker-Content-Digest: " + answer.digest + "\r\n";
        const std::string head = fmt::format(
            "HTTP/1.1 {} .\r\nDocker-Distribution-Api-Version: registry/2.0\r\n{}"
            "Content-Type: {}\r\nContent-Length: {}\r\n\r\n",
            answer.status,
            digest,
            answer.type,
            answer.body.size());
        if (!send_all(socket, head) || (method != "HEAD" && !send_all(socket, answer.body))) {
            return;
        }
    }
}

/// Follows: OCI distribution-spec v1.1, "Pulling manifests" and "Pulling blobs".
Registry::Answer Registry::find(const std::string& path) const {
    if (path == "/v2/" || path == "/v2") {
        return {200, "application/json", "", "{}"};
    }
    const std::string manifests = fmt::format("/v2/{}/manifests/", name);
    if (path == manifests + tag || path == manifests + manifest_digest_) {
        return {200, manifest_type, manifest_digest_, manifest_};
    }
    const std::string blobs = fmt::format("/v2/{}/blobs/", name);
    if (path == blobs + layer_digest_) {
        return {200, "application/octet-stream", layer_digest_, layer_};
    }
    if (path == blobs + config_digest_) {
        return {200, "application/octet-stream", config_digest_, config_};
    }
    return {404, "application/json", "", R"({"errors":[{"code":"MANIFEST_UNKNOWN"}]})"};
}

}  // namespace davit::bench
