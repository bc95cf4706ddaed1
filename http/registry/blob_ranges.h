#pragma once
/// BlobRanges: a large blob by several transfers at a time, its bytes in order.
///
/// The first piece is asked for alone, and given on as it comes: it tells whether the registry
/// gives parts of blobs at all, and how fast one connection is. If that is slow, workers fetch the
/// pieces behind it, each into a buffer of its own that is reused once it was read; a reader that
/// is slower than the network holds them. If it is fast, the rest comes by one more transfer, since
/// pieces would only cost requests and copies. A registry that knows no parts sends the whole blob
/// at first, and nothing else is asked for.
#include <optional>
#include <vector>

#include "http/registry/blob_reader.h"
#include "reactor/base/clock.h"
#include "reactor/base/limits.h"
#include "reactor/task_group.h"

namespace davit {

struct BlobRangesOptions {
    std::size_t piece_bytes = limits::blob_piece_bytes;
    /// Pieces at a time, not counting the first one.
    std::size_t pieces_max = limits::blob_pieces_max;
    /// From this rate on one connection is enough: what decoding and the disk take is not far off.
    std::uint64_t fast_bytes_per_second = 32 * 1024 * 1024;
};

class BlobRanges {
  public:
    /// The repository must outlive it, and it must be closed.
    BlobRanges(RegistryRepository& repository, BlobDescriptor blob, BlobRangesOptions options = {});

    /// As BlobReader::read(). One read at a time; the buffer may be smaller than a piece.
    Task<std::size_t> read(std::span<char> buffer);

    /// The bytes came by several transfers, which may have mixed two different blobs.
    bool resumed() const { return !pieces_.empty() || tail_ || head_.resumed(); }

    /// End the transfers. Nothing is read afterwards.
    Task<void> close();

  private:
    struct Piece {
        std::vector<char> buffer = {};
        std::uint64_t begin = 0;
        std::size_t bytes = 0;  ///< 0: it stands for no part of the blob yet.
        std::size_t filled = 0;
        std::size_t taken = 0;
        std::optional<Error> error = {};
    };

    Task<std::size_t> read_head(std::span<char> buffer);
    bool is_fast() const;
    Task<void> go_on();
    Task<void> fetch_pieces(std::size_t index);
    Task<void> fetch_piece(Piece& piece);
    /// The piece with the next byte; null if nobody fetches it yet.
    Piece* current();
    std::size_t take(Piece& piece, std::span<char> buffer);
    Task<void> go_on_alone();

    RegistryRepository& repository_;
    BlobDescriptor blob_;
    BlobRangesOptions options_;
    BlobReader head_;
    std::optional<BlobReader> tail_;  ///< All that is left, by one transfer.
    std::vector<Piece> pieces_;
    std::uint64_t given_ = 0;
    std::uint64_t next_ = 0;  ///< Where the first piece begins that nobody fetches yet.
    /// How long the head's bytes were waited for, but for the first ones, which bring along the
    /// connection and redirects; and how many those were.
    Nanoseconds head_waited_{};
    std::uint64_t head_first_bytes_ = 0;
    WaitList arrived_;  ///< The reader, for bytes.
    WaitList taken_;    ///< Workers, for the reader to have taken all of their piece.
    std::optional<Error> late_error_;  ///< Of a piece that had all its bytes already.
    TaskGroup workers_{GroupPolicy::independent};
};

}  // namespace davit
