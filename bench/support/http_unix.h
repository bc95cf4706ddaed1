#pragma once
/// A small blocking HTTP/1.1 client over one unix socket connection, with keep-alive.
///
/// Only what the benchmarks send to an engine: a request with a JSON or tar body, an answer with
/// Content-Length or chunked framing. An answer can be taken in two halves, so that a wait request
/// is known to be registered (its headers have arrived) before the container is started.
#include <functional>
#include <string>
#include <string_view>

#include "reactor/base/clock.h"
#include "reactor/base/fd.h"

namespace davit::bench {

struct HttpRequest {
    std::string method;
    std::string target;
    std::string content_type;
    std::string_view body;
};

struct HttpAnswer {
    int status = 0;
    std::string body;
};

/// Called with each piece of a body as it arrives.
using BodySink = std::function<void(std::string_view)>;

class HttpUnix {
  public:
    /// Takes: how long each wait for a piece of an answer may take; 0: for ever. Errors: as
    /// connect(2).
    static Result<HttpUnix> connect(const std::string& socket_path,
                                    Nanoseconds wait_limit = Nanoseconds(0));

    /// Send a request and read the whole answer.
    Result<HttpAnswer> exchange(const HttpRequest& request);

    /// Send a request and read the answer's head; gives the status.
    Result<int> begin(const HttpRequest& request);

    /// The two halves of begin(): fd() is readable when an answer is here.
    Result<void> send(const HttpRequest& request);
    Result<int> receive_head();

    /// Read the body of the answer that begin() started.
    Result<void> finish(const BodySink& sink);

    /// Read what is here of a body without a length (one piece; waits for it). False at its end.
    Result<bool> read_piece(const BodySink& sink);

    int fd() const { return socket_.get(); }

  private:
    HttpUnix(Fd socket, Nanoseconds wait_limit)
        : socket_(std::move(socket)), wait_limit_(wait_limit) {}

    Result<void> fill();
    Result<std::string> read_line();
    Result<void> read_exactly(std::size_t count, const BodySink& sink);
    Result<void> read_chunks(const BodySink& sink);

    Fd socket_;
    Nanoseconds wait_limit_;
    std::string buffer_;  // Received, not yet consumed.
    bool chunked_ = false;
    bool until_end_ = false;
    std::size_t length_ = 0;
};

/// exchange() on a fresh connection; a status of 400 or above is an error with the body's text.
Result<std::string> http_call(const std::string& socket_path, const HttpRequest& request);

}  // namespace davit::bench
