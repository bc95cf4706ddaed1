#include "http/codec.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "reactor/base/limits.h"

namespace davit {

void InBuffer::consume(std::size_t count) {
    assert(count <= end_ - begin_);
    begin_ += count;
    if (begin_ == end_) {
        begin_ = end_ = 0;
    }
}

std::span<char> InBuffer::space(std::size_t bytes_min) {
    if (capacity_ - end_ < bytes_min) {
        const std::size_t used = end_ - begin_;
        if (capacity_ - used >= bytes_min) {
            std::memmove(data_.get(), data_.get() + begin_, used);
        } else {
            const std::size_t capacity = std::max(small_bytes, used + bytes_min);
            std::unique_ptr<char[]> data(new char[capacity]);
            if (used > 0) {
                std::memcpy(data.get(), data_.get() + begin_, used);
            }
            data_ = std::move(data);
            capacity_ = capacity;
        }
        begin_ = 0;
        end_ = used;
    }
    return {data_.get() + end_, capacity_ - end_};
}

void InBuffer::shrink() {
    const std::size_t used = end_ - begin_;
    if (capacity_ <= small_bytes || used > small_bytes) {
        return;
    }
    std::unique_ptr<char[]> data(new char[small_bytes]);
    if (used > 0) {
        std::memcpy(data.get(), data_.get() + begin_, used);
    }
    data_ = std::move(data);
    capacity_ = small_bytes;
    begin_ = 0;
    end_ = used;
}

/// llhttp's callbacks. Those that end a step pause the parser.
struct MessageParser::Callbacks {
    static MessageParser& self(llhttp_t* parser) {
        return *static_cast<MessageParser*>(parser->data);
    }

    static int on_url(llhttp_t* parser, const char* at, std::size_t size) {
        self(parser).request_.target.append(at, size);
        return HPE_OK;
    }

    static int on_status(llhttp_t* parser, const char* at, std::size_t size) {
        self(parser).response_.reason.append(at, size);
        return HPE_OK;
    }

    static int on_header_field(llhttp_t* parser, const char* at, std::size_t size) {
        MessageParser& me = self(parser);
        if (me.head_done_) {
            return HPE_OK;  // A trailer: nobody needs them.
        }
        if (me.in_name_) {
            me.headers().back().name.append(at, size);
        } else {
            me.headers().add(std::string(at, size), {});
            me.in_name_ = true;
        }
        return HPE_OK;
    }

    static int on_header_value(llhttp_t* parser, const char* at, std::size_t size) {
        MessageParser& me = self(parser);
        if (!me.head_done_) {
            me.headers().back().value.append(at, size);
        }
        return HPE_OK;
    }

    static int on_header_value_complete(llhttp_t* parser) {
        MessageParser& me = self(parser);
        if (!me.head_done_) {
            me.in_name_ = false;
            std::string& value = me.headers().back().value;
            value.erase(value.find_last_not_of(" \t") + 1);
        }
        return HPE_OK;
    }

    static int on_headers_complete(llhttp_t* parser) { return self(parser).on_head(); }

    static int on_body(llhttp_t* parser, const char* at, std::size_t size) {
        self(parser).piece_ = {at, size};
        return HPE_PAUSED;
    }

    static int on_message_complete(llhttp_t* parser) {
        self(parser).message_done_ = true;
        return HPE_PAUSED;
    }

    static llhttp_settings_t make() {
        llhttp_settings_t settings;
        llhttp_settings_init(&settings);
        settings.on_url = on_url;
        settings.on_status = on_status;
        settings.on_header_field = on_header_field;
        settings.on_header_value = on_header_value;
        settings.on_header_value_complete = on_header_value_complete;
        settings.on_headers_complete = on_headers_complete;
        settings.on_body = on_body;
        settings.on_message_complete = on_message_complete;
        return settings;
    }

    static const llhttp_settings_t settings;
};

const llhttp_settings_t MessageParser::Callbacks::settings = make();

MessageParser::MessageParser(Type type, std::size_t header_bytes_max)
    : type_(type), header_bytes_max_(header_bytes_max) {
    next();
}

void MessageParser::next(bool without_body) {
    llhttp_init(
        &parser_, type_ == Type::request ? HTTP_REQUEST : HTTP_RESPONSE, &Callbacks::settings);
    parser_.data = this;
    if (type_ == Type::request) {
        request_.method.clear();
        request_.target.clear();
        request_.headers.clear();
    } else {
        response_.reason.clear();
        response_.headers.clear();
    }
    bytes_ = framing_bytes_ = 0;
    content_length_.reset();
    without_body_ = without_body;
    in_name_ = head_done_ = message_done_ = has_body_ = keep_alive_ = until_end_ = false;
}

/// The headers are complete. Returns what llhttp wants to know: 1 for "no body follows".
int MessageParser::on_head() {
    head_done_ = true;
    const bool chunked = (parser_.flags & F_CHUNKED) != 0;
    if ((parser_.flags & F_CONTENT_LENGTH) != 0) {
        content_length_ = parser_.content_length;
    }
    if (type_ == Type::request) {
        request_.method = llhttp_method_name(static_cast<llhttp_method_t>(parser_.method));
        request_.version_minor = parser_.http_minor;
        has_body_ = chunked || parser_.content_length > 0;
        keep_alive_ = llhttp_should_keep_alive(&parser_) != 0;
        return 0;
    }
    response_.status = parser_.status_code;
    response_.version_minor = parser_.http_minor;
    const bool bare = without_body_ || response_.status / 100 == 1 || response_.status == 204 ||
                      response_.status == 304;
    if (bare) {
        parser_.flags |= F_SKIPBODY;  // Now, since should_keep_alive looks at it.
    }
    until_end_ = !bare && llhttp_message_needs_eof(&parser_) != 0;
    has_body_ = !bare && (chunked || until_end_ || parser_.content_length > 0);
    keep_alive_ = llhttp_should_keep_alive(&parser_) != 0;
    return bare ? 1 : 0;
}

Result<MessageParser::Step> MessageParser::step(std::string_view bytes) {
    if (message_done_) {
        return Step{};
    }
    Step done;
    piece_ = {};
    const bool head_before = head_done_;
    if (!head_before) {
        // No more than the limit and one is looked at, so that a long head is never stored.
        bytes = bytes.substr(0, header_bytes_max_ + 1 - std::min(bytes_, header_bytes_max_));
    }
    const char* begin = bytes.empty() ? "" : bytes.data();
    const llhttp_errno_t code = llhttp_execute(&parser_, begin, bytes.size());
    if (code == HPE_OK) {
        done.consumed = bytes.size();
    } else if (code == HPE_PAUSED || code == HPE_PAUSED_UPGRADE) {
        done.consumed = static_cast<std::size_t>(llhttp_get_error_pos(&parser_) - begin);
        message_done_ = message_done_ || code == HPE_PAUSED_UPGRADE;
        llhttp_resume(&parser_);
    } else {
        return error_of(code);
    }
    done.body = piece_;
    bytes_ += done.consumed;
    if (!head_before && !head_done_ && bytes_ > header_bytes_max_) {
        return Error(ErrorKind::resource_exhausted, "the message's headers are too large");
    }
    if (head_before) {
        // Small chunks have a right to their sizes; endless extensions and trailers have none.
        constexpr std::size_t chunk_bytes = 16;
        framing_bytes_ += done.consumed - std::min(done.consumed, piece_.size());
        if (!piece_.empty()) {
            framing_bytes_ -= std::min(framing_bytes_, chunk_bytes + 2 * piece_.size());
        }
        if (framing_bytes_ > limits::http_framing_bytes_max) {
            return Error(ErrorKind::resource_exhausted,
                         "the message's chunk extensions or trailers are too large");
        }
    }
    // HTTP/0.9 and HTTP/2.0 are known to the parser, but not spoken here.
    if (head_done_ && parser_.http_major != 1) {
        return Error(ErrorKind::invalid_argument, "unsupported HTTP version");
    }
    return done;
}

Result<void> MessageParser::finish() {
    if (message_done_) {
        return ok;
    }
    // A body that goes up to the stream's end completes here (the callback pauses the parser).
    const llhttp_errno_t code = llhttp_finish(&parser_);
    if (message_done_ || (code == HPE_OK && untouched())) {
        return ok;
    }
    return Error(ErrorKind::unavailable, "the connection ended in the middle of a message");
}

Error MessageParser::error_of(llhttp_errno_t code) const {
    std::string message = "malformed HTTP message";
    const char* reason = llhttp_get_error_reason(&parser_);
    if (reason != nullptr && *reason != '\0') {
        message.append(": ").append(reason);
    } else {
        message.append(": ").append(llhttp_errno_name(code));
    }
    return Error(ErrorKind::invalid_argument, std::move(message));
}

}  // namespace davit
