#pragma once
/// FakeDaemon: a unix socket with scripted answers, and the command line run against it in the same
/// loop, with its output kept.
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "reactor/base/fd.h"
#include "reactor/listener.h"
#include "reactor/task_group.h"

namespace davit::test {

struct FakeRequest {
    std::string method;
    /// Without its version: "/containers/create?name=x".
    std::string target;
    std::string version;
    Headers headers;
    std::string body;

    /// Decoded.
    std::string path() const {
        const std::string raw = target.substr(0, target.find('?'));
        const auto decoded = percent_decode(raw);
        return decoded ? *decoded : raw;
    }

    Query query() const {
        const std::size_t mark = target.find('?');
        return mark == std::string::npos ? Query() : Query::parse(target.substr(mark + 1));
    }
};

/// Writes the whole answer to the stream; what it leaves open ends with the connection.
using FakeHandler = std::function<Task<void>(FakeRequest request, FdStream& stream)>;

class FakeDaemon {
  public:
    FakeDaemon();
    ~FakeDaemon();
    FakeDaemon(const FakeDaemon&) = delete;
    FakeDaemon& operator=(const FakeDaemon&) = delete;

    /// "unix:///tmp/.../socket"
    std::string host() const { return "unix://" + directory_ + "/socket"; }

    const std::string& directory() const { return directory_; }

    /// route: "POST /containers/create". The last handler given for a route counts.
    void on(std::string route, FakeHandler handler);

    /// Answer a route with this status and body.
    void answer(std::string route, int status, std::string body);

    /// Every request so far, in the order of arrival.
    std::vector<FakeRequest> requests;

    /// Connections so far that sent anything.
    std::size_t connections = 0;

    /// "POST /containers/create" of each.
    std::vector<std::string> routes() const;

    /// The first request of a route; asserts that there is one.
    const FakeRequest& request(std::string_view route) const;

    /// Serve until cancelled.
    Task<void> serve();

  private:
    Task<void> serve_connection(std::unique_ptr<FdStream> stream);

    std::string directory_;
    std::optional<Listener> listener_;
    std::map<std::string, FakeHandler> handlers_;
};

/// Write an answer with a length.
Task<void> write_answer(FdStream& stream, int status, std::string body);

/// Write the head of a chunked answer, one chunk, the end.
Task<void> write_chunk_head(FdStream& stream);
Task<void> write_chunk(FdStream& stream, std::string text);
Task<void> write_chunk_end(FdStream& stream);

/// Write the head of a 101, then whatever the handler writes is the raw stream.
Task<void> write_upgrade(FdStream& stream);

/// A frame of the multiplexed stream: 1 stdout, 2 stderr.
std::string frame(int stream, std::string_view text);

struct CliResult {
    int code = -1;
    std::string out;
    std::string err;
};

/// Run `davit words...` against a daemon. in: what its stdin holds.
CliResult cli_run(FakeDaemon& daemon, std::vector<std::string> words, std::string_view in = "");

/// As cli_run(), with a terminal as its three streams, whose other end is master.
int cli_run_on_terminal(FakeDaemon& daemon, std::vector<std::string> words, int terminal);

}  // namespace davit::test
