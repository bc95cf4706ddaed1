#pragma once
/// The HTTP/1 parser (llhttp) behind a pull interface, and the buffer that it reads from. Internal
/// to http/: servers and clients use server.h and client.h.
#include <llhttp.h>

#include <memory>
#include <span>
#include <string_view>

#include "http/message.h"

namespace davit {

/// Bytes that were read from a stream and are not parsed yet. Small while a connection idles.
class InBuffer {
  public:
    std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }

    bool empty() const { return begin_ == end_; }

    void consume(std::size_t count);

    /// Room for at least so many more bytes. Invalidates views.
    std::span<char> space(std::size_t bytes_min);

    void commit(std::size_t count) { end_ += count; }

    /// Give back the memory of a large body. Invalidates views.
    void shrink();

    static constexpr std::size_t small_bytes = 4096;

  private:
    std::unique_ptr<char[]> data_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

/// Parses one message after the other. Feed it with step() until message_done(), then next().
class MessageParser {
  public:
    enum class Type { request, response };

    /// header_bytes_max bounds the request or status line and the headers together.
    MessageParser(Type type, std::size_t header_bytes_max);
    MessageParser(const MessageParser&) = delete;
    MessageParser& operator=(const MessageParser&) = delete;

    struct Step {
        /// How many of the given bytes are done with; the rest must be given again.
        std::size_t consumed = 0;
        /// A piece of the body, inside the given bytes.
        std::string_view body;
    };

    /// Parse until a piece of the body, the message's end or the bytes' end. bytes may be empty.
    /// Errors: invalid_argument (malformed); resource_exhausted (header_bytes_max,
    /// limits::http_framing_bytes_max).
    Result<Step> step(std::string_view bytes);

    /// The stream ended. Errors: unavailable if the message was not complete.
    Result<void> finish();

    /// Make ready for the next message. without_body: it answers a HEAD request.
    void next(bool without_body = false);

    /// What next() was told.
    bool without_body() const { return without_body_; }

    /// Nothing of the message was seen.
    bool untouched() const { return bytes_ == 0; }

    bool head_done() const { return head_done_; }

    bool message_done() const { return message_done_; }

    /// The message has a body, by its headers: known with head_done().
    bool has_body() const { return has_body_; }

    /// The body's length where the message states it; known with head_done().
    std::optional<std::uint64_t> content_length() const { return content_length_; }

    /// The connection may be used again after this message; known with head_done().
    bool keep_alive() const { return keep_alive_; }

    /// The body goes up to the end of the stream (responses only).
    bool until_end() const { return until_end_; }

    RequestHead& request() { return request_; }

    const RequestHead& request() const { return request_; }

    ResponseHead& response() { return response_; }

  private:
    struct Callbacks;

    Headers& headers() { return type_ == Type::request ? request_.headers : response_.headers; }

    int on_head();
    Error error_of(llhttp_errno_t code) const;

    llhttp_t parser_{};
    Type type_;
    std::size_t header_bytes_max_;
    RequestHead request_;
    ResponseHead response_;
    std::string_view piece_;
    std::size_t bytes_ = 0;
    std::size_t framing_bytes_ = 0;  ///< After the head, less what the body's data explains.
    std::optional<std::uint64_t> content_length_;
    bool in_name_ = false;
    bool without_body_ = false;
    bool head_done_ = false;
    bool message_done_ = false;
    bool has_body_ = false;
    bool keep_alive_ = false;
    bool until_end_ = false;
};

}  // namespace davit
