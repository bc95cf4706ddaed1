#include "jobs/image/layer_decode.h"

#include <string>

namespace davit {

namespace {

std::string_view algorithm_of(const Digest& digest) {
    return digest.empty() ? "sha256" : digest.algorithm();
}

Error digest_mismatch(const char* what, const Digest& expected, const Digest& got) {
    return Error(ErrorKind::corrupt,
                 std::string(what) + " verification failed for digest " + expected.str() +
                     ": it is " + got.str());
}

}  // namespace

LayerDecode::LayerDecode(LayerExpected expected)
    : expected_(std::move(expected)),
      blob_hasher_(algorithm_of(expected_.blob)),
      diff_hasher_(algorithm_of(expected_.diff_id)),
      inflate_(limits::layer_bytes_max, expected_.compressions) {}

void LayerDecode::hash_blob(std::span<const std::uint8_t> bytes) {
    blob_hasher_.update(bytes);
    decoded_.blob_bytes += bytes.size();
}

Result<InflateProgress> LayerDecode::inflate(std::span<const std::uint8_t> input,
                                             std::span<std::uint8_t> output) {
    return inflate_.step(input, output);
}

void LayerDecode::hash_archive(std::span<const std::uint8_t> bytes) {
    diff_hasher_.update(bytes);
    decoded_.archive_bytes += bytes.size();
}

Result<LayerDecoded> LayerDecode::finish() {
    // The blob's digest first: damage on the way must not be blamed on the image.
    decoded_.blob = blob_hasher_.finish();
    if (!expected_.blob.empty() && decoded_.blob != expected_.blob) {
        return digest_mismatch("filesystem layer", expected_.blob, decoded_.blob);
    }
    TRY_VOID(inflate_.finish());
    decoded_.diff_id = diff_hasher_.finish();
    if (!expected_.diff_id.empty() && decoded_.diff_id != expected_.diff_id) {
        return digest_mismatch("layer diff id", expected_.diff_id, decoded_.diff_id);
    }
    return std::move(decoded_);
}

}  // namespace davit
