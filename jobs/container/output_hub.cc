#include "jobs/container/output_hub.h"

#include <algorithm>

#include "reactor/base/limits.h"
#include "reactor/offload.h"
#include "reactor/timer.h"

namespace davit {

OutputHub::Reader::Reader(OutputHub& hub)
    : hub_(hub), place_(hub.readers_.insert(hub.readers_.end(), this)) {
    if (hub.log_) {
        log_position_ = hub.log_->position();
    }
}

OutputHub::Reader::~Reader() {
    if (!ended_) {
        hub_.readers_.erase(place_);
    }
    hub_.room_.wake_all();
}

Task<std::optional<OutputChunk>> OutputHub::Reader::next() {
    while (chunks_.empty()) {
        if (ended_) {
            co_return std::optional<OutputChunk>{};
        }
        CO_CHECK(co_await waiters_.wait());
    }
    std::optional<OutputChunk> chunk(std::move(chunks_.front()));
    chunks_.pop_front();
    bytes_ -= chunk->bytes->size();
    if (bytes_ < limits::attach_backlog_bytes_max) {
        hub_.room_.wake_all();
    }
    co_return std::move(chunk);
}

void OutputHub::log_to(std::optional<JsonFileWriter> log) {
    log_ = std::move(log);
    for (Reader* reader : readers_) {
        if (log_ && !reader->log_position_) {
            reader->log_position_ = log_->position();
        }
    }
}

template <typename Operation>
void OutputHub::log_note(OutputStream stream, const std::string_view& left, Operation&& operation) {
    if (slot_ != nullptr) {
        slot_->log_begins(stream, log_->place());
    }
    log_result(operation());
    if (slot_ != nullptr) {
        slot_->logged(stream, log_->held_bytes(stream) + left.size());
    }
}

/// To the log and to the readers as much as is one step's work; takes it off bytes. The two go
/// together: a reader that comes later finds it in the log, and in no chunk.
void OutputHub::publish_step(OutputStream stream, std::string_view& bytes) {
    const std::string_view all = bytes;
    if (log_) {
        log_note(stream, bytes, [&] { return log_->append_step(stream, bytes); });
    } else {
        bytes = {};
    }
    if (readers_.empty()) {
        return;
    }
    const auto shared =
        std::make_shared<const std::string>(all.substr(0, all.size() - bytes.size()));
    for (Reader* reader : readers_) {
        reader->chunks_.push_back({stream, shared});
        reader->bytes_ += shared->size();
        reader->waiters_.wake_one();
    }
}

Task<void> OutputHub::publish(OutputStream stream, std::string_view bytes) {
    std::string rest;  // bytes are the caller's only up to the first wait.
    for (;;) {
        publish_step(stream, bytes);
        if (!bytes.empty() && rest.empty()) {
            rest = bytes;
            bytes = rest;
        }
        while (!draining_ && std::ranges::any_of(readers_, [](const Reader* reader) {
            return reader->bytes_ >= limits::attach_backlog_bytes_max;
        })) {
            CO_CHECK(co_await room_.wait());
        }
        if (auto retired = log_ ? log_->retired_take() : nullptr) {
            // Its last name is gone: closing it frees its blocks, which takes a while.
            auto close = [file = std::move(retired)]() mutable -> Result<void> {
                file.reset();
                return ok;
            };
            CO_CHECK(co_await offload(std::move(close)));
        }
        CO_CHECK(co_await log_compress());
        if (bytes.empty()) {
            co_return ok;
        }
        co_await yield_now();
    }
}

/// The stream that filled the file waits for it, so that one which writes faster than files can be
/// compressed does not leave them to grow in number.
Task<void> OutputHub::log_compress() {
    while (!compressing_) {
        std::shared_ptr<const Fd> source = log_ ? log_->compress_next() : nullptr;
        if (!source) {
            break;
        }
        compressing_ = true;
        auto compress = [source, directory = log_->directory()] {
            return davit::log_compress(source->get(), directory);
        };
        const Result<Fd> made = co_await offload_bulk(std::move(compress));
        compressing_ = false;
        if (!made && made.error().kind() == ErrorKind::cancelled) {
            co_return made.error();
        }
        Result<void> put = log_ ? log_->compressed(*source, made) : ok;
        if (!put && !log_error_) {
            log_error_ = std::move(put).error();
        }
    }
    co_return ok;
}

void OutputHub::stream_ended(OutputStream stream) {
    if (log_) {
        log_note(stream, {}, [&] { return log_->end(stream); });
        if (log_->dropped() > 0 && !log_error_) {
            log_error_ = Error(ErrorKind::resource_exhausted,
                               std::to_string(log_->dropped()) +
                                   " records were dropped: the logging service did not take them");
        }
    }
}

void OutputHub::log_result(Result<void> written) {
    if (!written && !log_error_) {
        log_error_ = std::move(written).error();
    }
    log_wake();
}

void OutputHub::log_wake() {
    ++log_version_;
    log_waiters_.wake_all();
}

void OutputHub::writers_ended() {
    draining_ = true;
    room_.wake_all();
}

void OutputHub::run_ended() {
    draining_ = false;
    for (Reader* reader : std::exchange(readers_, {})) {
        reader->ended_ = true;
        reader->waiters_.wake_all();
    }
    log_.reset();
    slot_ = nullptr;
    log_error_.reset();
    log_wake();
    room_.wake_all();
}

}  // namespace davit
