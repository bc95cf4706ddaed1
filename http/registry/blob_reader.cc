#include "http/registry/blob_reader.h"

#include <algorithm>
#include <cassert>
#include <charconv>

#include "reactor/timer.h"

namespace davit {

namespace {

/// "bytes 100-199/200": the first number; nothing if it is not that.
std::optional<std::uint64_t> content_range_start(std::string_view value) {
    if (!value.starts_with("bytes ")) {
        return std::nullopt;
    }
    value.remove_prefix(6);
    std::uint64_t start = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), start);
    if (error != std::errc{} || end == value.data() + value.size() || *end != '-') {
        return std::nullopt;
    }
    return start;
}

}  // namespace

BlobReader::BlobReader(RegistryRepository& repository, BlobDescriptor blob)
    : repository_(&repository), blob_(std::move(blob)), part_{0, blob_.bytes} {}

BlobReader::BlobReader(RegistryRepository& repository, BlobDescriptor blob, BlobPart part)
    : repository_(&repository),
      blob_(std::move(blob)),
      part_(part),
      offset_(part.begin),
      progress_mark_(part.begin) {
    assert(part.begin < part.end && part.end <= blob_.bytes);
}

Task<std::size_t> BlobReader::read(std::span<char> buffer) {
    for (;;) {
        if (!response_ && offset_ == part_.end) {
            co_return std::size_t{0};
        }
        if (!response_) {
            Result<void> connected = co_await connect();
            if (!connected) {
                CO_CHECK(co_await pause_or_fail(std::move(connected).error()));
                continue;
            }
        }
        Result<std::size_t> got = co_await response_->read_body(buffer);
        if (!got) {
            response_.reset();
            CO_CHECK(co_await pause_or_fail(std::move(got).error()));
            continue;
        }
        if (*got > 0) {
            co_return take(*got);
        }
        // The body's end, as the other side framed it.
        response_.reset();
        if (offset_ < part_.end) {
            CO_CHECK(co_await pause_or_fail(Error(ErrorKind::unavailable,
                                                  "the registry sent " + std::to_string(offset_) +
                                                      " of " + std::to_string(part_.end) +
                                                      " bytes of blob " + blob_.digest.str())));
        }
    }
}

Result<std::size_t> BlobReader::take(std::size_t got) {
    if (got > part_.end - offset_) {
        response_.reset();
        return Error(ErrorKind::corrupt,
                     "the registry sent more than the " + std::to_string(part_.end) +
                         " bytes of blob " + blob_.digest.str());
    }
    offset_ += got;
    if (offset_ - progress_mark_ >= registry_progress_bytes) {
        progress_mark_ = offset_;
        attempts_ = 0;
    }
    return got;
}

Task<void> BlobReader::connect() {
    CO_TRY(RegistryResponse answer, co_await request());
    co_return co_await answered(std::move(answer));
}

Task<RegistryResponse> BlobReader::request() {
    Headers headers;
    // Compressed again on the way, lengths and ranges would count other bytes.
    headers.set("Accept-Encoding", "identity");
    if ((offset_ > 0 || is_part()) && !range_refused_) {
        headers.set("Range",
                    "bytes=" + std::to_string(offset_) + "-" +
                        (is_part() ? std::to_string(part_.end - 1) : std::string()));
    }
    if (url_index_ > 0) {
        return repository_->get_url(blob_.urls[url_index_ - 1], std::move(headers));
    }
    return repository_->get("blobs/" + blob_.digest.str(), std::move(headers));
}

Task<void> BlobReader::answered(RegistryResponse answer) {
    const int status = answer.response.status();
    if (status == 206) {
        const std::string_view range = answer.response.head.headers.get("Content-Range");
        if ((offset_ == 0 && !is_part()) || content_range_start(range) != offset_) {
            co_return Error(
                ErrorKind::corrupt,
                "the registry answered another range than was asked for: " + std::string(range));
        }
        resumed_ = resumed_ || offset_ > part_.begin;
        response_.emplace(std::move(answer.response));
        co_return ok;
    }
    if ((status == 200 || status == 416) && is_middle()) {
        co_return Error(ErrorKind::unsupported, "the registry does not give parts of blobs");
    }
    if (status == 200) {
        const std::optional<std::uint64_t> bytes = answer.response.body_bytes();
        if (bytes && *bytes != blob_.bytes) {
            // No accident of the way: asking again would bring the same.
            co_return Error(ErrorKind::corrupt,
                            "the registry announces a size of " + std::to_string(*bytes) +
                                " bytes for blob " + blob_.digest.str() + ", its manifest " +
                                std::to_string(blob_.bytes));
        }
        response_.emplace(std::move(answer.response));
        part_.end = blob_.bytes;
        if (offset_ > 0) {
            // It does not know ranges: all of it again.
            resumed_ = true;
            co_return co_await skip(offset_);
        }
        co_return ok;
    }
    if (status == 404 && url_index_ < blob_.urls.size()) {
        ++url_index_;
        passing_ = true;
        co_return Error(ErrorKind::unavailable, "the registry does not have the blob");
    }
    if (status == 416 && offset_ > 0 && !range_refused_) {
        // A cache that holds less than it sent before: all of it again, once.
        range_refused_ = passing_ = true;
        co_return Error(ErrorKind::unavailable, "the registry refuses to resume the blob");
    }
    retry_after_ = retry_after_parse(answer.response.head.headers, wall_now());
    if (retry_after_ && *retry_after_ > repository_->retry().retry_after_max) {
        attempts_ = repository_->retry().attempts_max;
    }
    // A signed address that has expired: the registry gives a new one.
    const bool expired = answer.elsewhere && url_index_ == 0 && (status == 401 || status == 403);
    passing_ = status == 429 || status >= 500 || expired;
    co_return co_await repository_->fail(std::move(answer.response));
}

Task<void> BlobReader::skip(std::uint64_t bytes) {
    char scratch[16 * 1024];
    while (bytes > 0) {
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, sizeof(scratch)));
        Result<std::size_t> got = co_await response_->read_body(std::span(scratch, want));
        if (!got || *got == 0) {
            response_.reset();
            co_return got ? Error(ErrorKind::unavailable, "the blob is shorter than it was before")
                          : std::move(got).error();
        }
        bytes -= *got;
    }
    co_return ok;
}

Task<void> BlobReader::pause_or_fail(Error error) {
    const RegistryRetry& retry = repository_->retry();
    const bool passing = std::exchange(passing_, false) || error.kind() == ErrorKind::unavailable ||
                         error.kind() == ErrorKind::timed_out;
    if (!passing || error.kind() == ErrorKind::cancelled || attempts_ >= retry.attempts_max) {
        co_return std::move(error).context("download", blob_.digest.str());
    }
    ++attempts_;
    const Nanoseconds asked = std::exchange(retry_after_, std::nullopt).value_or(Nanoseconds(0));
    co_return co_await sleep_for(std::max(asked, retry.pause_before(attempts_)));
}

}  // namespace davit
