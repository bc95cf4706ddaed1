#pragma once
/// ApiServer: the Docker Engine API and davit's own endpoints over the daemon's jobs.
#include <memory>
#include <vector>

#include "http/server.h"

namespace davit {

class Daemon;
class Router;
struct ApiCallCount;

/// The one place that turns an Error into a status and Docker's {"message": ...} body.
ErrorResponse error_response(const Error& error);

class ApiServer {
  public:
    explicit ApiServer(Daemon& daemon);
    ~ApiServer();
    ApiServer(const ApiServer&) = delete;
    ApiServer& operator=(const ApiServer&) = delete;

    /// Serve one listener until cancelled.
    Task<void> serve(Listener& listener);

  private:
    Task<void> handle(ServerRequest& request, ServerResponse& response);

    Daemon& daemon_;
    std::unique_ptr<Router> router_;
    std::vector<ApiCallCount> counts_;
    HttpServer server_;
};

}  // namespace davit
