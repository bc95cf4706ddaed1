#include "http/registry/blob_upload.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "http/registry/upload_feed.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// Telling the registry that an upload is over is a courtesy.
constexpr std::chrono::seconds cancel_time{5};

std::optional<std::uint64_t> number_parse(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

/// "0-41", perhaps with "bytes=": 42 bytes are there. "0-0" is nothing, as registries write it.
std::optional<std::uint64_t> range_end(std::string_view range) {
    if (range.starts_with("bytes=")) {
        range.remove_prefix(6);
    }
    if (!range.starts_with("0-")) {
        return std::nullopt;
    }
    const std::optional<std::uint64_t> last = number_parse(range.substr(2));
    if (!last) {
        return std::nullopt;
    }
    return *last == 0 ? 0 : *last + 1;
}

class Upload {
  public:
    Upload(RegistryRepository& repository, BlobUploadRequest request)
        : repository_(repository), request_(std::move(request)) {}

    Task<BlobUploaded> run();

  private:
    Task<BlobUploaded> attempt();
    Task<bool> mount();
    Task<void> begin();
    Task<void> begun(ClientResponse& response);
    Task<void> resume();
    Task<void> open_at(std::uint64_t offset);
    Task<void> put_whole();
    Task<void> patch_rest();
    Task<void> patch(std::optional<std::uint64_t> bytes);
    Task<void> put_end();
    Task<void> answered(ClientResponse response, int good);
    Task<void> cancel_session();
    Task<void> pause_or_fail(Error error);
    Result<void> location_take(const ClientResponse& response);
    ClientRequest feeding(std::string method, std::optional<std::uint64_t> bytes);
    Url closing_url() const;

    RegistryRepository& repository_;
    BlobUploadRequest request_;
    BlobUploaded result_;
    /// Where the upload goes on; nothing while there is none.
    std::optional<Url> session_;
    std::optional<UploadFeed> feed_;
    std::uint64_t offset_ = 0;  ///< What the registry has.
    std::uint64_t progress_mark_ = 0;
    std::uint64_t piece_bytes_min_ = 0;
    unsigned attempts_ = 0;
    std::optional<Nanoseconds> retry_after_;
    bool in_pieces_ = false;
    bool mount_tried_ = false;
    bool passing_ = false;  ///< The last refusal is worth another try.
    bool logged_in_again_ = false;
    bool source_failed_ = false;  ///< It could not be opened.
};

Task<BlobUploaded> Upload::run() {
    in_pieces_ = request_.digest.empty();
    for (;;) {
        Result<BlobUploaded> done = co_await attempt();
        if (done) {
            co_return std::move(done);
        }
        Result<void> again = co_await pause_or_fail(std::move(done).error());
        if (!again) {
            if (session_) {
                static_cast<void>(co_await shielded(cancel_session()));
            }
            co_return std::move(again).error();
        }
    }
}

Task<BlobUploaded> Upload::attempt() {
    if (attempts_ > 0 && !request_.digest.empty()) {
        // It may have come to its end, and only the answer was lost.
        CO_TRY(const bool there, co_await repository_.blob_exists(request_.digest));
        if (there) {
            session_.reset();
            co_return BlobUploaded{request_.digest, request_.bytes, {}};
        }
    }
    if (!mount_tried_) {
        mount_tried_ = true;
        CO_TRY(const bool mounted, co_await mount());
        if (mounted) {
            co_return result_;
        }
    }
    if (session_ && attempts_ > 0) {
        // Without a digest nobody could tell whether two halves go together.
        if (request_.digest.empty()) {
            static_cast<void>(co_await cancel_session());
        } else {
            CO_CHECK(co_await resume());
        }
    }
    if (!session_) {
        CO_CHECK(co_await begin());
    }
    if (in_pieces_ || offset_ > 0) {
        CO_CHECK(co_await patch_rest());
        CO_CHECK(co_await put_end());
    } else {
        CO_CHECK(co_await put_whole());
    }
    session_.reset();
    result_.digest = feed_->digest();
    result_.bytes = feed_->position();
    co_return result_;
}

/// Ask for the blob from each repository; an upload that the last one begins instead is ours.
Task<bool> Upload::mount() {
    if (request_.digest.empty()) {
        co_return false;
    }
    for (const std::string& from : request_.mount_from) {
        RegistryCall call;
        call.method = "POST";
        call.suffix = "blobs/uploads/?mount=" + percent_encode(request_.digest.str()) +
                      "&from=" + percent_encode(from);
        if (session_) {
            static_cast<void>(co_await cancel_session());
        }
        Result<RegistryResponse> answer = co_await repository_.request_own(std::move(call));
        if (!answer && answer.error().kind() == ErrorKind::cancelled) {
            co_return std::move(answer).error();
        }
        if (!answer) {
            continue;  // Perhaps for want of rights there: that is no failure of the push.
        }
        if (answer->response.status() == 201) {
            result_ = BlobUploaded{request_.digest, request_.bytes, from};
            co_return true;
        }
        if (answer->response.status() == 202) {
            CO_CHECK(co_await begun(answer->response));
        }
    }
    co_return false;
}

Task<void> Upload::begin() {
    RegistryCall call;
    call.method = "POST";
    call.suffix = "blobs/uploads/";
    CO_TRY(RegistryResponse answer, co_await repository_.request_own(std::move(call)));
    if (answer.response.status() != 202) {
        co_return co_await answered(std::move(answer.response), 202);
    }
    co_return co_await begun(answer.response);
}

Task<void> Upload::begun(ClientResponse& response) {
    session_ = repository_.own_url("blobs/uploads/");
    offset_ = 0;
    if (Result<void> taken = location_take(response); !taken) {
        session_.reset();
        co_return std::move(taken).error();
    }
    const auto smallest = number_parse(response.head.headers.get("OCI-Chunk-Min-Length"));
    if (smallest && *smallest > 0) {
        piece_bytes_min_ = *smallest;
        in_pieces_ = true;
    }
    // Read to the end, the connection can be used again.
    static_cast<void>(co_await response.read_body_all(limits::registry_small_body_bytes_max));
    co_return ok;
}

Result<void> Upload::location_take(const ClientResponse& response) {
    const std::string location(response.head.headers.get("Location"));
    if (location.empty()) {
        return Error(ErrorKind::corrupt, "the registry does not say where an upload goes");
    }
    TRY(session_, session_->resolve(location));
    return ok;
}

/// Ask how far the upload came; without an answer there is none any more.
Task<void> Upload::resume() {
    ClientRequest request;
    Url at = *session_;
    Result<ClientResponse> response =
        co_await repository_.send_at(std::move(at), std::move(request));
    if (!response && response.error().kind() == ErrorKind::cancelled) {
        co_return std::move(response).error();
    }
    if (response && (response->status() == 204 || response->status() == 202)) {
        const std::optional<std::uint64_t> end = range_end(response->head.headers.get("Range"));
        if (end && (request_.digest.empty() || *end <= request_.bytes)) {
            offset_ = *end;
            if (response->head.headers.contains("Location")) {
                CO_CHECK(location_take(*response));
            }
            co_return ok;
        }
    }
    // Also for an upload that cannot go on where it stopped: it is begun anew.
    session_.reset();
    offset_ = 0;
    co_return ok;
}

/// Have the feed stand at this byte: where it is, if it stands there, else from the beginning.
Task<void> Upload::open_at(std::uint64_t offset) {
    if (!feed_ || feed_->position() != offset || feed_->failed()) {
        feed_.reset();
        Task<BlobBytes> opening = request_.open();
        Result<BlobBytes> bytes = co_await std::move(opening);
        if (!bytes) {
            source_failed_ = true;
            co_return std::move(bytes).error();
        }
        feed_.emplace(*std::move(bytes), request_.digest, request_.bytes);
        CO_CHECK(co_await feed_->skip(offset));
    }
    co_return ok;
}

ClientRequest Upload::feeding(std::string method, std::optional<std::uint64_t> bytes) {
    ClientRequest request;
    request.method = std::move(method);
    request.headers.set("Content-Type", "application/octet-stream");
    request.body_bytes = bytes;
    feed_->limit(bytes);
    request.producer = [this](std::span<char> buffer) {
        request_.sent(feed_->position());
        return feed_->read(buffer);
    };
    return request;
}

Url Upload::closing_url() const {
    Url url = *session_;
    url.target.append(url.target.find('?') == std::string::npos ? "?" : "&");
    url.target.append("digest=").append(percent_encode(feed_->digest().str()));
    return url;
}

Task<void> Upload::put_whole() {
    CO_CHECK(co_await open_at(0));
    Url url = *session_;
    url.target.append(url.target.find('?') == std::string::npos ? "?" : "&");
    url.target.append("digest=").append(percent_encode(request_.digest.str()));
    ClientRequest request = feeding("PUT", request_.bytes);
    CO_TRY(ClientResponse response,
           co_await repository_.send_at(std::move(url), std::move(request)));
    const int status = response.status();
    if (status == 405 || status == 411 || status == 413 || status == 415 || status == 501) {
        // Not in one piece, then.
        in_pieces_ = passing_ = true;
        static_cast<void>(co_await cancel_session());
    }
    co_return co_await answered(std::move(response), 201);
}

Task<void> Upload::patch_rest() {
    CO_CHECK(co_await open_at(offset_));
    if (request_.digest.empty()) {
        co_return co_await patch(std::nullopt);
    }
    while (offset_ < request_.bytes) {
        const std::uint64_t rest = request_.bytes - offset_;
        // Only the last piece may be smaller than the registry's least.
        const std::uint64_t piece =
            in_pieces_ ? std::max(request_.piece_bytes, piece_bytes_min_) : rest;
        CO_CHECK(co_await patch(std::min(piece, rest)));
    }
    co_return ok;
}

/// Send so many bytes from offset_ on; all that there are, if nothing is said.
Task<void> Upload::patch(std::optional<std::uint64_t> bytes) {
    ClientRequest request = feeding("PATCH", bytes);
    if (bytes) {
        request.headers.set("Content-Range",
                            std::to_string(offset_) + "-" + std::to_string(offset_ + *bytes - 1));
    }
    Url at = *session_;
    CO_TRY(ClientResponse response,
           co_await repository_.send_at(std::move(at), std::move(request)));
    const std::optional<std::uint64_t> end = range_end(response.head.headers.get("Range"));
    if (response.status() == 202) {
        if (response.head.headers.contains("Location")) {
            CO_CHECK(location_take(response));
        }
        offset_ = feed_->position();
        if (end && *end != offset_ && offset_ > 1) {
            passing_ = true;
            co_return Error(ErrorKind::unavailable,
                            "the registry took " + std::to_string(*end) + " of " +
                                std::to_string(offset_) + " bytes");
        }
    }
    co_return co_await answered(std::move(response), 202);
}

Task<void> Upload::put_end() {
    ClientRequest request;
    request.method = "PUT";
    CO_TRY(ClientResponse response,
           co_await repository_.send_at(closing_url(), std::move(request)));
    co_return co_await answered(std::move(response), 201);
}

/// Read a response to its end; one that is not good becomes an error.
Task<void> Upload::answered(ClientResponse response, int good) {
    const int status = response.status();
    if (status == good || (good == 201 && status == 204)) {
        Result<std::string> rest =
            co_await response.read_body_all(limits::registry_small_body_bytes_max);
        if (!rest && rest.error().kind() == ErrorKind::cancelled) {
            co_return std::move(rest).error();
        }
        co_return ok;
    }
    retry_after_ = retry_after_parse(response.head.headers, wall_now());
    if (retry_after_ && *retry_after_ > repository_.retry().retry_after_max) {
        attempts_ = repository_.retry().attempts_max;
    }
    passing_ = passing_ || status == 416 || status == 429 || status >= 500;
    if (status == 404 && attempts_ > 0) {
        session_.reset();  // The upload that was to go on is not there any more.
        passing_ = true;
    }
    if (status == 401 && !logged_in_again_) {
        // The token ended while the bytes went out: resume() or begin() fetch another.
        logged_in_again_ = passing_ = true;
    }
    co_return co_await repository_.fail(std::move(response));
}

Task<void> Upload::cancel_session() {
    ClientRequest request;
    request.method = "DELETE";
    Url at = *std::exchange(session_, std::nullopt);
    Result<ClientResponse> response =
        co_await with_timeout(cancel_time, repository_.send_at(std::move(at), std::move(request)));
    if (!response) {
        co_return std::move(response).error();
    }
    Task<std::string> rest = response->read_body_all(limits::registry_small_body_bytes_max);
    CO_CHECK(co_await with_timeout(cancel_time, std::move(rest)));
    co_return ok;
}

Task<void> Upload::pause_or_fail(Error error) {
    const RegistryRetry& retry = repository_.retry();
    const bool source_failed = source_failed_ || (feed_ && feed_->failed());
    const bool passing = std::exchange(passing_, false) || error.kind() == ErrorKind::unavailable ||
                         error.kind() == ErrorKind::timed_out;
    if (offset_ > progress_mark_ + registry_progress_bytes) {
        progress_mark_ = offset_;
        attempts_ = 0;
    }
    if (!passing || source_failed || error.kind() == ErrorKind::cancelled ||
        attempts_ >= retry.attempts_max) {
        co_return std::move(error);
    }
    ++attempts_;
    const Nanoseconds asked = std::exchange(retry_after_, std::nullopt).value_or(Nanoseconds(0));
    co_return co_await sleep_for(std::max(asked, retry.pause_before(attempts_)));
}

}  // namespace

Task<BlobUploaded> blob_upload(RegistryRepository& repository, BlobUploadRequest request) {
    Upload upload(repository, std::move(request));
    co_return co_await upload.run();
}

}  // namespace davit
