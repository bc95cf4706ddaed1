#pragma once
// A registry in the test's own loop, which answers by script and misbehaves to order.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "http/message.h"
#include "http/registry/registry_client.h"
#include "reactor/listener.h"
#include "reactor/loop.h"
#include "reactor/task_group.h"

namespace davit::test {

struct FakeRequest {
    std::string method;
    std::string target;
    Headers headers;
    std::string body;
};

struct FakeReply {
    int status = 200;
    Headers headers;
    std::string body;
    /// Content-Length, if it is to be another than the body's.
    std::string length;
    /// After so many bytes of the body: close, or with stall say nothing more.
    std::size_t cut = std::string::npos;
    bool stall = false;

    static FakeReply of(int status, std::string body = {}) {
        FakeReply reply;
        reply.status = status;
        reply.body = std::move(body);
        return reply;
    }

    FakeReply&& with(std::string name, std::string value) && {
        headers.set(name, std::move(value));
        return std::move(*this);
    }
};

class FakeRegistry {
  public:
    using Script = std::function<FakeReply(const FakeRequest&)>;

    /// Listens on a free port of 127.0.0.1. Speaks http; a TLS hello is answered by hanging up.
    explicit FakeRegistry(Script script);

    /// Serve until cancelled.
    Task<void> serve();

    std::string domain() const { return "127.0.0.1:" + std::to_string(listener_.port()); }

    std::string url(const std::string& path) const { return "http://" + domain() + path; }

    /// Every request so far.
    std::vector<FakeRequest> requests;

    /// Looked at when a request's head is here: after so many bytes of its body hang up.
    std::function<std::optional<std::size_t>(const FakeRequest&)> hang_up;

    std::size_t count(std::string_view method, std::string_view target) const;

  private:
    Task<void> serve_one(std::unique_ptr<FdStream> stream);

    Listener listener_;
    Script script_;
};

/// Options for tests: short pauses, short stalls.
RegistryOptions fast_options();

/// A repository "app" of the registry.
RegistryRepository repository_of(RegistryClient& client,
                                 const FakeRegistry& registry,
                                 RegistryCredentials credentials = {});

/// Run a task beside the registries' servers. The loop must be older than they are.
template <typename T>
Result<T> run_beside(Loop& loop, std::vector<FakeRegistry*> registries, Task<T> task) {
    auto all = [](std::vector<FakeRegistry*> servers, Task<T> inner) -> Task<T> {
        TaskGroup group(GroupPolicy::independent);
        for (FakeRegistry* server : servers) {
            group.spawn(server->serve());
        }
        Result<T> result = co_await std::move(inner);
        group.cancel();
        static_cast<void>(co_await group.join());
        co_return std::move(result);
    };
    return loop.run(all(std::move(registries), std::move(task)));
}

}  // namespace davit::test
