#pragma once
/// Containers through the Docker API, step by step, as a client that keeps its connections.
#include "bench/support/contender.h"
#include "bench/support/http_unix.h"

namespace davit::bench {

/// What a container is made of.
struct ApiContainer {
    std::string image;
    std::vector<std::string> argv;
    std::string name;  // Empty: the engine chooses.
    Network network = Network::none;
    bool auto_remove = false;
    std::string label = {};  // Empty: none.
};

/// How one ended, and what was timed.
struct ApiOutcome {
    Timing timing;
    int code = -1;
    std::string output;  // Of steps() and exec().
};

/// Over two kept connections: one client, one thread.
class ApiClient {
  public:
    /// Takes: how long an answer may take; 0: for ever.
    static Result<ApiClient> connect(const std::string& socket_path,
                                     Nanoseconds limit = Nanoseconds(0));

    /// create, wait (sent, and its head received, before start), start, read the wait's answer; the
    /// engine removes the container before it gives that (docker run --rm). Steps: create, start.
    Result<ApiOutcome> run(const ApiContainer& container);

    /// The same with its output attached to a connection of its own, and a DELETE at the end. All
    /// steps, and davit's phases.
    Result<ApiOutcome> steps(const ApiContainer& container);

    /// Execute something in a container: create, start and read its output, ask for its exit code.
    Result<ApiOutcome> exec(const std::string& container, const std::vector<std::string>& argv);

    /// Gives the id.
    Result<std::string> create(const ApiContainer& container);

    /// Create and start; gives the id.
    Result<std::string> begin(const ApiContainer& container);

    /// Remove one, running or not; it may have been on its way out already.
    Result<void> remove(const std::string& id);

    /// Any other request with no body. Errors: unavailable, if its status is 400 or above, or if
    /// its stream of progress has an error.
    Result<std::string> ask(const char* method, const std::string& target);

    /// Remove all containers whose names begin so, running or not; gives how many.
    Result<int> remove_all(const std::string& prefix);

  private:
    ApiClient(std::string socket_path, Nanoseconds limit, HttpUnix main, HttpUnix waiting)
        : socket_path_(std::move(socket_path)),
          limit_(limit),
          main_(std::move(main)),
          waiting_(std::move(waiting)) {}

    Result<void> wait_begin(const std::string& id, const char* condition);
    Result<int> wait_finish();
    Result<void> start_and_watch(const std::string& id, HttpUnix& attached, ApiOutcome& outcome);

    std::string socket_path_;
    Nanoseconds limit_;
    HttpUnix main_;
    HttpUnix waiting_;
};

}  // namespace davit::bench
