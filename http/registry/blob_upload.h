#pragma once
/// blob_upload(): one blob on its way into a repository.
///
/// First the repositories of the same registry that may have it are asked for a mount. Else its
/// bytes go in one PUT, or, where the registry asks for that or the blob's digest is not known yet,
/// by PATCH and a closing PUT. A transfer that breaks off goes on where the registry says that it
/// stopped, and from the beginning if it does not say; after RegistryRetry::attempts_max
/// repetitions in a row that brought next to nothing it is given up, and the upload is cancelled at
/// the registry.
///
/// Every byte is hashed on the way, on a worker: the last ones are sent only if the whole has the
/// digest that was promised.
///
/// Follows: OCI distribution-spec "Push"; Docker Registry HTTP API V2.
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "http/registry/registry_client.h"

namespace davit {

/// Fills its buffer with the next bytes, one at least; 0 at the end. Owns what it reads from.
using BlobBytes = std::function<Task<std::size_t>(std::span<char>)>;

struct BlobUploadRequest {
    /// Empty: not known before all bytes were read.
    Digest digest;
    /// Counts only with a digest.
    std::uint64_t bytes = 0;
    /// Gives the blob from its beginning, the same bytes each time; called again after a transfer
    /// that broke off. Not called for what is mounted.
    std::function<Task<BlobBytes>()> open;
    /// Repositories of the same registry that may have the blob, tried in order.
    std::vector<std::string> mount_from;
    /// What a registry that wants pieces gets at a time, unless it wants larger ones.
    std::uint64_t piece_bytes = 16ULL * 1024 * 1024;
    /// Told how many bytes are on their way, in total.
    std::function<void(std::uint64_t bytes)> sent = [](std::uint64_t) {};
};

struct BlobUploaded {
    Digest digest;
    std::uint64_t bytes = 0;
    /// The repository it was mounted from; "" if its bytes were sent.
    std::string mounted_from;
};

/// Takes:  a repository after push_prepare(); it outlives the task.
/// Errors: as registry_error(); corrupt (the bytes are not those of the digest); unavailable or
///         timed_out, after all attempts; open()'s and its bytes'.
/// Cancel: at every point; the registry is told.
Task<BlobUploaded> blob_upload(RegistryRepository& repository, BlobUploadRequest request);

}  // namespace davit
