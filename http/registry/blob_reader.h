#pragma once
/// BlobReader: one blob as a stream of bytes that survives a failing network.
///
/// A transfer that breaks off, stalls, or is turned away for now is resumed where it stopped (a
/// Range request), after a pause, until RegistryRetry::attempts_max repetitions in a row have
/// brought next to nothing. Exactly as many bytes come out as the descriptor says. Whether they are
/// the right ones is the reader's caller's to check: it hashes them anyway, on a worker.
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "http/registry/registry_client.h"

namespace davit {

struct BlobDescriptor {
    Digest digest;
    std::uint64_t bytes = 0;
    /// Where else it can be had (foreign layers), tried after the registry.
    std::vector<std::string> urls;
};

/// The bytes of a blob from begin on, up to and without end.
struct BlobPart {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

class BlobReader {
  public:
    /// The repository must outlive the reader.
    BlobReader(RegistryRepository& repository, BlobDescriptor blob);

    /// For a part of the blob, not empty. From a registry that sends all of it whatever the range:
    /// a part from the blob's beginning becomes the whole blob (is_part() then says so), one up to
    /// its end skips what comes before, any other is refused.
    BlobReader(RegistryRepository& repository, BlobDescriptor blob, BlobPart part);

    /// At least one byte into buffer (not empty); 0 once all of the blob, or part, was given.
    /// Errors: corrupt (more bytes than announced, or a range that was not asked for); unavailable
    /// or
    ///         timed_out, after all attempts; unsupported (a part in the middle, and no ranges
    ///         there); as registry_error(); cancelled.
    Task<std::size_t> read(std::span<char> buffer);

    std::uint64_t offset() const { return offset_; }

    /// What read() gives ends before the blob does.
    bool is_part() const { return part_.end < blob_.bytes; }

    /// Some of the bytes came by a resumed transfer, which may have mixed two different blobs.
    bool resumed() const { return resumed_; }

  private:
    Task<void> connect();
    Task<RegistryResponse> request();
    Task<void> answered(RegistryResponse answer);
    Task<void> skip(std::uint64_t bytes);
    Task<void> pause_or_fail(Error error);
    Result<std::size_t> take(std::size_t got);

    bool is_middle() const { return part_.begin > 0 && is_part(); }

    RegistryRepository* repository_;
    BlobDescriptor blob_;
    BlobPart part_;
    std::optional<ClientResponse> response_;
    std::uint64_t offset_ = 0;
    std::uint64_t progress_mark_ = 0;  ///< The offset when attempts_ was last set to 0.
    unsigned attempts_ = 0;
    std::optional<Nanoseconds> retry_after_;
    std::size_t url_index_ = 0;  ///< 0: the registry; else urls[url_index_ - 1].
    bool resumed_ = false;
    bool range_refused_ = false;  ///< By a 416: what is resumed is asked for from 0.
    bool passing_ = false;        ///< The last refusal is worth another try.
};

}  // namespace davit
