#pragma once
/// What the HTTP tests share: an HttpServer on one end of a socket pair, and raw clients.
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/server.h"
#include "reactor/stream.h"
#include "reactor/task_group.h"

namespace davit::test {

/// Everything up to the end of the stream. A reset counts as the end.
Task<std::string> read_to_end(ByteStream& stream);

/// Up to and including marker.
Task<std::string> read_until(ByteStream& stream, std::string marker);

using ClientBody = std::function<Task<void>(std::unique_ptr<FdStream>)>;

/// Run client against a server on a loop of its own, and join both. The client's error is returned.
Result<void> with_server(Handler handler, ServerOptions options, ClientBody client);

/// Send bytes, then the end of the stream; everything that comes back.
std::string converse(Handler handler, std::string bytes, ServerOptions options = {});

/// As converse(), one byte at a time.
std::string converse_slowly(Handler handler, std::string bytes, ServerOptions options = {});

std::size_t count_of(std::string_view text, std::string_view part);

/// Answers with "METHOD target body".
Task<void> echo(ServerRequest& request, ServerResponse& response);

/// Text without its Date lines, so that it can be compared.
std::string without_dates(std::string text);

}  // namespace davit::test
