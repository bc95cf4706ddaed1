#include "cli/context.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>

namespace davit::cli {

namespace {

constexpr std::string_view default_host = "unix:///run/davit/davit.sock";
constexpr std::size_t output_buffer_bytes = 64 * 1024;

}  // namespace

void Output::write(std::string_view text) {
    buffer_ += text;
    if (buffer_.size() >= output_buffer_bytes) {
        flush();
    }
}

void Output::line(std::string_view text) {
    write(text);
    write("\n");
}

void Output::flush() {
    std::string_view rest = buffer_;
    while (!rest.empty()) {
        const ssize_t done = ::write(fd_, rest.data(), rest.size());
        if (done >= 0) {
            rest.remove_prefix(static_cast<std::size_t>(done));
        } else if (errno == EAGAIN) {
            // Whoever shares the descriptor made it non-blocking.
            pollfd waiting{fd_, POLLOUT, 0};
            ::poll(&waiting, 1, -1);
        } else if (errno == EPIPE) {
            ::signal(SIGPIPE, SIG_DFL);
            ::raise(SIGPIPE);
        } else if (errno != EINTR) {
            failure_ = errno;
            break;
        }
    }
    buffer_.clear();
}

std::string environment_get(const char* name) {
    const char* value = ::getenv(name);
    return value == nullptr ? "" : value;
}

Result<ApiClient*> Context::api() {
    if (!api_) {
        std::string host = host_;
        for (const char* name : {"DAVIT_HOST", "DOCKER_HOST"}) {
            if (host.empty()) {
                host = environment_get(name);
            }
        }
        if (host.empty()) {
            host = default_host;
        }
        TRY(ApiEndpoint endpoint, ApiEndpoint::parse(host));
        if (endpoint.socket_path.empty() && !environment_get("DOCKER_TLS_VERIFY").empty()) {
            return Error(ErrorKind::unsupported,
                         "DOCKER_TLS_VERIFY is set, but TLS to the daemon is not supported");
        }
        api_.emplace(std::move(endpoint), environment_get("DOCKER_API_VERSION"));
    }
    return &*api_;
}

std::string Context::config_directory() const {
    if (!config_directory_.empty()) {
        return config_directory_;
    }
    if (std::string directory = environment_get("DOCKER_CONFIG"); !directory.empty()) {
        return directory;
    }
    return environment_get("HOME") + "/.docker";
}

}  // namespace davit::cli
