#pragma once
/// UploadFeed: a blob's bytes from its source to a request's body, hashed on the way. Only for
/// blob_upload.cc.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "http/registry/blob_upload.h"
#include "reactor/base/digest.h"

namespace davit {

class UploadFeed {
  public:
    /// Takes: the digest and size that the whole must have; an empty digest is not checked.
    UploadFeed(BlobBytes source, Digest expected, std::uint64_t bytes);

    /// Read to this byte. Errors: as read(); corrupt if the source ends before.
    Task<void> skip(std::uint64_t position);

    /// Give no more than so many bytes until the next call of this.
    void limit(std::optional<std::uint64_t> bytes) { left_ = bytes; }

    /// The next bytes; 0 at the end, or at the limit. The last bytes come out only if the whole has
    /// the digest it should have. Errors: the source's; corrupt.
    Task<std::size_t> read(std::span<char> buffer);

    /// What was given so far.
    std::uint64_t position() const { return position_; }

    /// Of the whole; only when all of it was given.
    const Digest& digest() const { return digest_; }

    /// The source could not give what it should: no failure of the registry that is pushed to.
    bool failed() const { return failed_; }

  private:
    Task<void> fill();
    Task<void> fill_from_source();
    Task<void> finish();

    BlobBytes source_;
    Digest expected_;
    std::uint64_t bytes_;
    Hasher hasher_;
    Digest digest_;
    std::vector<char> buffer_;
    std::span<const char> ready_;
    std::uint64_t read_ = 0;
    std::uint64_t position_ = 0;
    std::optional<std::uint64_t> left_;
    bool ended_ = false;
    bool failed_ = false;
};

}  // namespace davit
