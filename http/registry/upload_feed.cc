#include "http/registry/upload_feed.h"

#include <algorithm>
#include <cstring>

#include "reactor/base/limits.h"
#include "reactor/offload.h"

namespace davit {

UploadFeed::UploadFeed(BlobBytes source, Digest expected, std::uint64_t bytes)
    : source_(std::move(source)),
      expected_(std::move(expected)),
      bytes_(bytes),
      hasher_(expected_.empty() ? "sha256" : expected_.algorithm()) {}

Task<void> UploadFeed::skip(std::uint64_t position) {
    std::vector<char> scratch(limits::stream_read_bytes);
    limit(std::nullopt);
    while (position_ < position) {
        const std::uint64_t want = std::min<std::uint64_t>(scratch.size(), position - position_);
        CO_TRY(const std::size_t got,
               co_await read(std::span(scratch).first(static_cast<std::size_t>(want))));
        if (got == 0) {
            failed_ = true;
            co_return Error(ErrorKind::corrupt, "the blob is shorter than it was before");
        }
    }
    co_return ok;
}

Task<std::size_t> UploadFeed::read(std::span<char> buffer) {
    if (left_ && *left_ == 0) {
        co_return std::size_t{0};
    }
    if (ready_.empty() && !ended_) {
        CO_CHECK(co_await fill());
    }
    std::size_t count = std::min(buffer.size(), ready_.size());
    if (left_) {
        count = static_cast<std::size_t>(std::min<std::uint64_t>(count, *left_));
        *left_ -= count;
    }
    std::memcpy(buffer.data(), ready_.data(), count);
    ready_ = ready_.subspan(count);
    position_ += count;
    co_return count;
}

Task<void> UploadFeed::fill() {
    Result<void> filled = co_await fill_from_source();
    failed_ = !filled;
    co_return filled;
}

Task<void> UploadFeed::fill_from_source() {
    buffer_.resize(limits::layer_chunk_bytes);
    std::size_t used = 0;
    while (used < buffer_.size() && !ended_) {
        Task<std::size_t> reading = source_(std::span(buffer_).subspan(used));
        CO_TRY(const std::size_t got, co_await std::move(reading));
        used += got;
        ended_ = got == 0;
    }
    auto hash = [hasher = &hasher_, bytes = std::string_view(buffer_.data(), used)]() {
        hasher->update(bytes);
        return Result<void>(ok);
    };
    CO_CHECK(co_await offload_bulk(hash));
    read_ += used;
    if (ended_ || (!expected_.empty() && read_ >= bytes_)) {
        CO_CHECK(co_await finish());
    }
    ready_ = std::span<const char>(buffer_).first(used);
    co_return ok;
}

/// The whole was read. Of a known blob its last bytes are looked at before the source's end.
Task<void> UploadFeed::finish() {
    char more[1];
    if (!ended_) {
        Task<std::size_t> reading = source_(more);
        CO_TRY(const std::size_t got, co_await std::move(reading));
        read_ += got;
        ended_ = true;
    }
    digest_ = hasher_.finish();
    if (!expected_.empty() && (read_ != bytes_ || digest_ != expected_)) {
        co_return Error(ErrorKind::corrupt,
                        "what was to be pushed as " + expected_.str() + " is " + digest_.str() +
                            ", of " + std::to_string(read_) + " bytes instead of " +
                            std::to_string(bytes_));
    }
    co_return ok;
}

}  // namespace davit
