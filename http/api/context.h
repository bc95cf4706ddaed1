#pragma once
/// ApiContext: one API call, as its handler sees it.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "http/api/api_version.h"
#include "http/message.h"
#include "http/router.h"
#include "http/server.h"
#include "reactor/task.h"

namespace davit {

class Daemon;
class Job;

/// How often an endpoint was called, by how the call ended.
struct ApiCallCount {
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
    std::uint64_t cancelled = 0;  // The client went, or the daemon ends.
};

struct ApiContext {
    Daemon& daemon;
    /// The job that this call is.
    Job& job;
    ServerRequest& request;
    ServerResponse& response;
    RouteParams params;
    Query query;
    ApiVersion version;
    /// In the order of api_routes().
    std::span<const ApiCallCount> counts;

    /// Answer with one JSON document; a newline is added.
    Task<void> send_json(int status, std::string body);

    /// 204, 304: no body.
    Task<void> send_empty(int status);

    /// The JSON body. Errors: invalid_argument (not JSON where JSON is due); resource_exhausted.
    Task<std::string> json_body();
};

using ApiHandler = Task<void> (*)(ApiContext&);

struct ApiRoute {
    std::string_view method;
    std::string_view pattern;
    /// The job that a call runs as: a row of jobs/job_table.cc.
    std::string_view job;
    ApiHandler handler;
};

/// Every endpoint, in the order of the reference.
std::span<const ApiRoute> api_routes();

}  // namespace davit
