#pragma once
/// What both ways to attach have in common: POST .../attach and GET .../attach/ws.
#include <memory>
#include <string_view>

#include "http/api/context.h"
#include "jobs/container_streams.h"

namespace davit::api {

/// GET /containers/{id}/attach/ws.
Task<void> container_attach_websocket(ApiContext& context);

/// Errors: invalid_argument (nothing is asked for; detach keys that are none).
Result<AttachRequest> attach_request(const ApiContext& context, const Container& container);

/// Takes: name, as the client gave it. Errors: conflict, in Docker's words. Follows: moby
/// daemon/attach.go.
Result<void> attachable(const Container& container, std::string_view name);

/// The job, and the events that tell of it. Takes: a client that knows that it is attached.
/// Errors: as the job.
Task<AttachEnd> attach_to_end(ApiContext& context,
                              std::shared_ptr<Container> container,
                              AttachRequest request,
                              std::unique_ptr<OutputHub::Reader> reader,
                              std::shared_ptr<AttachedClient> client);

/// The same where nothing is left to be told.
Task<void> attach_carry(ApiContext& context,
                        std::shared_ptr<Container> container,
                        AttachRequest request,
                        std::unique_ptr<OutputHub::Reader> reader,
                        std::shared_ptr<AttachedClient> client);

/// "ctrl-p,ctrl-q" of the query, or Docker's default. Errors: invalid_argument, naming the key.
Result<std::string> detach_keys(const ApiContext& context);

}  // namespace davit::api
