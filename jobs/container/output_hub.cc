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
    packing_.reset();
    if (auto packer = log_ ? log_->packer() : std::nullopt) {
        packing_ = std::make_shared<Packing>(*std::move(packer));
    }
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
        if (log_ && log_->rotated_take() && packing_) {
            packing_->due.set();
        }
        if (bytes.empty()) {
            co_return ok;
        }
        co_await yield_now();
    }
}

Task<void> OutputHub::pack(std::shared_ptr<Packing> packing) {
    while (packing) {
        packing->due.reset();
        while (std::shared_ptr<const Fd> source = packing->packer.next()) {
            auto compress = [source, directory = packing->packer.directory()] {
                return log_compress(source->get(), directory);
            };
            CO_TRY(const Fd made, co_await offload_bulk(std::move(compress)));
            CO_CHECK(packing->packer.put(*source, made));
            auto close = [file = std::move(source)]() mutable -> Result<void> {
                file.reset();  // As above.
                return ok;
            };
            CO_CHECK(co_await offload_bulk(std::move(close)));
        }
        if (packing->run_ended) {
            break;
        }
        CO_CHECK(co_await packing->due.wait());
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
    if (const auto packing = std::exchange(packing_, nullptr)) {
        packing->run_ended = true;
        packing->due.set();
    }
    slot_ = nullptr;
    log_error_.reset();
    log_wake();
    room_.wake_all();
}

}  // namespace davit
