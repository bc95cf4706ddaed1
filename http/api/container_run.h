#pragma once
/// What POST /davit/run has in common with the endpoints that it is made of: create, start, wait.
#include <cstdint>
#include <string>
#include <string_view>

#include "http/api/context.h"
#include "jobs/container_jobs.h"

namespace davit::api {

/// Of the body of a create, and the query. Errors: invalid_argument, naming the field.
Result<ContainerCreateRequest> create_request(const ApiContext& context, std::string_view body);

/// Who asks, for their turns to start something: the client's process, or its connection.
std::uint64_t client_lane(const ServerRequest& request);

/// What a wait is answered with.
std::string wait_outcome_json(const ContainerWaiter::Outcome& outcome);

/// POST /davit/run: create, attach, start and wait in one request, for who would wait for each of
/// their answers. Takes: the body and query of a create, and stdin, stdout, stderr and detachKeys
/// of an attach. Gives: what a create that fails gives; else 101 with the container's id
/// (Davit-Container) and the warnings, a JSON array (Davit-Warnings), and then frames as an attach
/// has them, with a terminal, too. The last one, of stream 4, tells the end: the body of a wait for
/// the exit (with AutoRemove: for the removal), or {"StartError": {"Status", "Message"}}. A client
/// that detaches, or leaves, gets none.
Task<void> container_run(ApiContext& context);

}  // namespace davit::api
