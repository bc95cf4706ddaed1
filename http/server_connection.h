#pragma once
/// One connection of an HttpServer: its states, in order, are reading a head, handling (with the
/// body pulled by the handler), skipping what is left of the body, and again; or the end. Internal.
#include <optional>

#include "http/codec.h"
#include "http/server.h"
#include "reactor/async_event.h"
#include "reactor/loop.h"
#include "reactor/stream.h"
#include "reactor/task_group.h"

namespace davit {

/// What the connections of one server share.
struct ServerShared {
    ServerShared(Handler answer, ServerOptions with);

    Handler handler;
    ServerOptions options;
    /// options.base_headers, ready to be sent.
    std::string base_headers;
    Semaphore places;
    std::size_t connections = 0;
};

/// Cancels one read at a time when it takes too long. The timer is left armed between reads and
/// looks at the deadline of the day when it fires, so a busy connection re-arms it once per
/// timeout, not once per request.
class ReadDeadline {
  public:
    void begin(MonotonicTime deadline, CancelScope& scope);

    /// True if the deadline passed.
    bool end();

  private:
    static void on_timer(void* context) noexcept;

    TimerNode timer_;
    MonotonicTime armed_for_{};
    MonotonicTime deadline_{};
    CancelScope* scope_ = nullptr;
    bool expired_ = false;
};

class ServerConnection {
  public:
    ServerConnection(ServerShared& shared, std::unique_ptr<FdStream> stream);
    ServerConnection(const ServerConnection&) = delete;
    ServerConnection& operator=(const ServerConnection&) = delete;

    /// Until the connection ends. Never fails: what goes wrong here is between us and the client.
    Task<void> run();

  private:
    friend class ServerRequest;
    friend class ServerResponse;

    // server_connection.cc: the request's side.
    Task<bool> read_head();
    Result<void> head_check() const;
    Task<void> handle();
    Task<void> invoke();
    Task<void> settle(Result<void> outcome);
    Task<bool> skip_body();
    Task<std::size_t> read_body(std::span<char> buffer);
    Task<std::string> read_body_all(std::size_t bytes_max);
    Result<std::size_t> take_body(std::span<char> buffer);
    Task<std::size_t> fill(std::size_t bytes_min, MonotonicTime deadline, bool wait_first);
    Task<void> linger();
    void next();
    Error fault(int status, Error error);
    void watch_start();
    void watch_stop();
    Task<void> watch();
    Task<void> watch_until_gone();
    bool client_gone() const;

    // server_response.cc: the response's side.
    Task<void> send(int status, std::string_view content_type, std::string_view body);
    Task<void> begin(int status, std::string_view content_type);
    Task<void> write(std::string_view bytes);
    Task<void> end();
    Task<Hijacked> hijack(std::string_view content_type, std::string_view protocol);
    Task<void> refuse(const Error& error);
    void head_begin(int status, std::string_view content_type);
    void head_end();
    Task<void> put(std::string_view more);
    bool reads_head_apart() const;

    ServerShared& shared_;
    std::unique_ptr<FdStream> stream_;
    InBuffer in_;
    MessageParser parser_;
    ServerRequest request_{*this};
    ServerResponse response_{*this};

    /// A part of the body inside in_ that the handler has not taken yet.
    std::string_view piece_;
    std::uint64_t body_bytes_ = 0;
    /// The client waits for "100 Continue" before it sends its body.
    bool expects_continue_ = false;
    /// The status for what the client did wrong; 0 if nothing.
    int fault_status_ = 0;

    Headers headers_;
    std::string out_;
    bool started_ = false;
    bool ended_ = false;
    bool chunked_ = false;

    /// No further request on this connection.
    bool closing_ = false;
    /// The client still sends: close only after reading on for a while.
    bool lingering_ = false;
    /// The client sends no more.
    bool eof_ = false;
    bool gone_ = false;
    /// hijack() was called: the stream is the handler's, soon or now, and not watched any more.
    bool hijacking_ = false;
    bool hijacked_ = false;

    ReadDeadline deadline_;
    TaskGroup group_{GroupPolicy::independent};
    std::optional<Result<void>> outcome_;
    CancelScope* handler_scope_ = nullptr;
    CancelScope* watch_scope_ = nullptr;
    bool handler_waited_ = false;
    bool watching_ = false;
};

}  // namespace davit
