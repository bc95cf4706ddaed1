#include "jobs/image/layer_unpack.h"

#include "reactor/base/limits.h"
#include "reactor/task.h"

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

LayerUnpack::LayerUnpack(std::unique_ptr<LayerWriter> writer, LayerExpected expected)
    : expected_(std::move(expected)),
      blob_hasher_(algorithm_of(expected_.blob)),
      diff_hasher_(algorithm_of(expected_.diff_id)),
      writer_(std::move(writer)) {
    inflated_.resize(limits::layer_inflate_bytes);
}

Result<void> LayerUnpack::feed(std::span<const std::uint8_t> bytes) {
    blob_hasher_.update(bytes);
    blob_bytes_ += bytes.size();
    for (;;) {
        if (cancelled_.load(std::memory_order_relaxed)) {
            return cancelled_error();
        }
        TRY(const InflateProgress progress, inflate_.step(bytes, inflated_));
        bytes = bytes.subspan(progress.consumed);
        if (progress.produced > 0) {
            TRY_VOID(write(std::span(inflated_).first(progress.produced)));
        }
        if (bytes.empty() && progress.produced < inflated_.size()) {
            return ok;
        }
    }
}

Result<void> LayerUnpack::write(std::span<const std::uint8_t> archive) {
    diff_hasher_.update(archive);
    archive_bytes_ += archive.size();
    return writer_->write(archive);
}

Result<LayerUnpacked> LayerUnpack::finish() {
    LayerUnpacked unpacked;
    unpacked.blob_bytes = blob_bytes_;
    unpacked.archive_bytes = archive_bytes_;
    // The blob's digest first: damage on the way must not be blamed on the image.
    unpacked.blob = blob_hasher_.finish();
    if (!expected_.blob.empty() && unpacked.blob != expected_.blob) {
        return digest_mismatch("filesystem layer", expected_.blob, unpacked.blob);
    }
    TRY_VOID(inflate_.finish());
    unpacked.diff_id = diff_hasher_.finish();
    if (!expected_.diff_id.empty() && unpacked.diff_id != expected_.diff_id) {
        return digest_mismatch("layer diff id", expected_.diff_id, unpacked.diff_id);
    }
    TRY(unpacked.contents, writer_->finish());
    writer_.reset();
    return unpacked;
}

}  // namespace davit
