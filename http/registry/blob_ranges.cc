#include "http/registry/blob_ranges.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace davit {

namespace {

BlobPart head_part(const BlobDescriptor& blob, const BlobRangesOptions& options) {
    return BlobPart{0, std::min<std::uint64_t>(options.piece_bytes, blob.bytes)};
}

}  // namespace

BlobRanges::BlobRanges(RegistryRepository& repository,
                       BlobDescriptor blob,
                       BlobRangesOptions options)
    : repository_(repository),
      blob_(std::move(blob)),
      options_(options),
      head_(repository, blob_, head_part(blob_, options)),
      next_(head_part(blob_, options).end) {
    assert(options_.pieces_max > 0);
}

Task<std::size_t> BlobRanges::read(std::span<char> buffer) {
    if (given_ == head_.offset()) {
        CO_TRY(const std::size_t got, co_await read_head(buffer));
        if (got > 0 || !head_.is_part()) {
            co_return got;
        }
        CO_CHECK(co_await go_on());
    }
    while (!tail_) {
        if (given_ == blob_.bytes) {
            co_return std::size_t{0};
        }
        if (late_error_) {
            co_return *late_error_;
        }
        Piece* piece = current();
        if (piece != nullptr && piece->filled > piece->taken) {
            co_return take(*piece, buffer);
        }
        if (piece == nullptr || !piece->error) {
            CO_CHECK(co_await arrived_.wait());
        } else if (piece->error->kind() == ErrorKind::unsupported) {
            CO_CHECK(co_await go_on_alone());
        } else {
            co_return *piece->error;
        }
    }
    CO_TRY(const std::size_t got, co_await tail_->read(buffer));
    given_ += got;
    co_return got;
}

Task<std::size_t> BlobRanges::read_head(std::span<char> buffer) {
    const MonotonicTime begun = monotonic_now();
    CO_TRY(const std::size_t got, co_await head_.read(buffer));
    if (given_ == 0) {
        head_first_bytes_ = got;
    } else {
        head_waited_ += monotonic_now() - begun;
    }
    given_ += got;
    co_return got;
}

bool BlobRanges::is_fast() const {
    const double seconds = std::chrono::duration<double>(head_waited_).count();
    return static_cast<double>(given_ - head_first_bytes_) >
           seconds * static_cast<double>(options_.fast_bytes_per_second);
}

Task<void> BlobRanges::go_on() {
    if (!pieces_.empty() || tail_) {
        co_return ok;
    }
    if (is_fast()) {
        co_return co_await go_on_alone();
    }
    pieces_.resize(options_.pieces_max);
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
        workers_.spawn(fetch_pieces(i));
    }
    co_return ok;
}

Task<void> BlobRanges::fetch_pieces(std::size_t index) {
    Piece& piece = pieces_[index];
    while (next_ < blob_.bytes) {
        piece.begin = next_;
        piece.bytes = static_cast<std::size_t>(
            std::min<std::uint64_t>(options_.piece_bytes, blob_.bytes - next_));
        piece.filled = piece.taken = 0;
        next_ += piece.bytes;
        piece.buffer.resize(std::max(piece.buffer.size(), piece.bytes));
        Result<void> fetched = co_await fetch_piece(piece);
        if (!fetched) {
            // The reader gets it in its turn, or at once if it may be past the piece.
            (piece.filled < piece.bytes ? piece.error : late_error_) = std::move(fetched).error();
            arrived_.wake_all();
            co_return ok;
        }
        while (piece.taken < piece.bytes) {
            CO_CHECK(co_await taken_.wait());
        }
    }
    // What was read last stands for nothing any more.
    piece.bytes = 0;
    co_return ok;
}

Task<void> BlobRanges::fetch_piece(Piece& piece) {
    BlobReader reader(repository_, blob_, BlobPart{piece.begin, piece.begin + piece.bytes});
    for (;;) {
        char none = 0;
        std::span<char> room = std::span(piece.buffer).first(piece.bytes).subspan(piece.filled);
        if (room.empty()) {
            // One more read sees the answer's end, and the connection is free again.
            room = std::span(&none, 1);
        }
        CO_TRY(const std::size_t got, co_await reader.read(room));
        if (got == 0) {
            co_return ok;
        }
        piece.filled += got;
        arrived_.wake_all();
    }
}

BlobRanges::Piece* BlobRanges::current() {
    const auto found = std::ranges::find_if(pieces_, [this](const Piece& piece) {
        return piece.begin <= given_ && given_ - piece.begin < piece.bytes;
    });
    return found == pieces_.end() ? nullptr : &*found;
}

std::size_t BlobRanges::take(Piece& piece, std::span<char> buffer) {
    const std::size_t bytes = std::min(buffer.size(), piece.filled - piece.taken);
    std::memcpy(buffer.data(), piece.buffer.data() + piece.taken, bytes);
    piece.taken += bytes;
    given_ += bytes;
    if (piece.taken == piece.bytes) {
        taken_.wake_all();
    }
    return bytes;
}

Task<void> BlobRanges::go_on_alone() {
    CO_CHECK(co_await close());
    tail_.emplace(repository_, blob_, BlobPart{given_, blob_.bytes});
    co_return ok;
}

Task<void> BlobRanges::close() {
    workers_.cancel();
    static_cast<void>(co_await workers_.join());
    co_return ok;
}

}  // namespace davit
