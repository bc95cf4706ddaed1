#include "jobs/image/load_archive.h"

#include <algorithm>
#include <cstring>

#include "reactor/base/limits.h"
#include "reactor/offload.h"

namespace davit {

ArchiveStream::ArchiveStream(LayerSource& source, std::uint64_t entries_max)
    : source_(source),
      inflate_(limits::layer_bytes_max, Compressions::archive),
      reader_(entries_max),
      compressed_(limits::layer_chunk_bytes),
      plain_(limits::layer_inflate_bytes) {}

/// More plain bytes, or the end of the source.
Task<void> ArchiveStream::refill() {
    if (compressed_at_ == compressed_end_ && !output_full_) {
        void* bytes = compressed_.data();
        const std::span<char> room(static_cast<char*>(bytes), compressed_.size());
        CO_TRY(const std::size_t got, co_await source_.read(room));
        compressed_at_ = 0;
        compressed_end_ = got;
        source_ended_ = got == 0;
        if (source_ended_) {
            co_return inflate_.finish();
        }
    }
    const auto input = std::span<const std::uint8_t>(compressed_)
                           .subspan(compressed_at_)
                           .first(compressed_end_ - compressed_at_);
    auto step = [this, input] { return inflate_.step(input, plain_); };
    CO_TRY(const InflateProgress progress, co_await offload_bulk(std::move(step)));
    compressed_at_ += progress.consumed;
    output_full_ = progress.produced == plain_.size();
    rest_ = std::span<const std::uint8_t>(plain_).first(progress.produced);
    co_return ok;
}

/// need_input: the source has ended.
Task<TarEvent> ArchiveStream::event() {
    for (;;) {
        Result<TarEvent> event = reader_.next(rest_);
        if (!event) {
            failed_ = true;
            co_return std::move(event).error();
        }
        if (event->kind != TarEvent::Kind::need_input) {
            co_return *event;
        }
        if (Result<void> more = co_await refill(); !more) {
            failed_ = true;
            co_return std::move(more).error();
        }
        if (source_ended_) {
            Result<void> whole = reader_.finish();
            failed_ = !whole;
            CO_CHECK(std::move(whole));
            co_return *event;
        }
    }
}

Task<bool> ArchiveStream::next() {
    data_ = {};
    while (!ended_) {
        CO_TRY(const TarEvent event, co_await this->event());
        if (event.kind == TarEvent::Kind::entry) {
            in_member_ = true;
            co_return true;
        }
        ended_ = event.kind == TarEvent::Kind::need_input;
    }
    co_return false;
}

Task<std::size_t> ArchiveStream::read(std::span<char> buffer) {
    while (data_.empty() && in_member_) {
        CO_TRY(const TarEvent event, co_await this->event());
        if (event.kind == TarEvent::Kind::data) {
            data_ = event.data;
        } else {
            in_member_ = false;
        }
    }
    const std::size_t part = std::min(buffer.size(), data_.size());
    if (part != 0) {
        std::memcpy(buffer.data(), data_.data(), part);
        data_ = data_.subspan(part);
    }
    co_return part;
}

}  // namespace davit
