#pragma once
/// TarReader: a push parser for archives from strangers.
///
/// The caller hands it bytes in slices of any size and pulls events until it asks for more; the
/// same bytes give the same events however they are cut (only data events are cut differently). It
/// makes no system calls, holds no more than one extended header, and never copies file data: a
/// data event points into the caller's slice.
///
/// Understood: v7, ustar, star, GNU (long names and links, base-256 numbers, sparse files) and PAX
/// (per entry and global, xattrs, sparse formats 0.0, 0.1 and 1.0). Names are handed on as spelled:
/// whoever touches a file system cleans them first (tar_path_clean).
///
/// The end of an archive is two zero blocks; what follows is ignored, as GNU tar does. An archive
/// that just ends between two entries is whole, too. A lone zero block with more behind it is an
/// error: GNU tar stops there with a warning, which would lose files silently.
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "graph/pax.h"
#include "graph/tar_entry.h"
#include "graph/tar_header.h"
#include "reactor/base/limits.h"
#include "reactor/base/result.h"

namespace davit {

struct TarEvent {
    enum class Kind : std::uint8_t {
        need_input,   ///< The slice is used up.
        entry,        ///< TarReader::entry() is a new member.
        data,         ///< `data` belongs at `offset` of the file. Offsets rise.
        entry_end,    ///< All its data was given.
        archive_end,  ///< The end marker; further input is swallowed.
    };

    Kind kind = Kind::need_input;
    std::uint64_t offset = 0;
    std::span<const std::uint8_t> data;
};

class TarReader {
  public:
    explicit TarReader(std::uint64_t entries_max = limits::layer_entries_max)
        : entries_max_(entries_max) {}

    /// The next event; input is advanced past what was consumed. Call until need_input.
    /// Errors: corrupt (the message names the entry); unsupported (entry types that stand for
    ///         nothing on this system); resource_exhausted (a limit). An error is final.
    Result<TarEvent> next(std::span<const std::uint8_t>& input);

    /// There is no more input. Errors: corrupt if the archive was cut short.
    Result<void> finish() const;

    /// The current entry, from its entry event to its entry_end.
    const TarEntry& entry() const { return entry_; }

    /// Headers seen, extended ones included.
    std::uint64_t entry_count() const { return entry_count_; }

  private:
    enum class State : std::uint8_t {
        header,
        meta,          ///< The body of an extended header or a GNU long name.
        sparse_block,  ///< An old GNU sparse extension block.
        sparse_map,    ///< PAX sparse 1.0: the map in front of the data.
        data,
        skip,     ///< Data that means nothing here.
        padding,  ///< After data.
        zero,     ///< One zero block was seen.
        end,
    };

    const std::uint8_t* block_take(std::span<const std::uint8_t>& input);
    Result<std::optional<TarEvent>> step(std::span<const std::uint8_t>& input);
    Result<std::optional<TarEvent>> header_step(TarBlock block);
    Result<std::optional<TarEvent>> header_take(TarHeader header, TarBlock block);
    Result<void> meta_begin(const TarHeader& header);
    Result<bool> meta_step(std::span<const std::uint8_t>& input);
    Result<void> meta_apply();
    Result<std::optional<TarEvent>> entry_begin(TarHeader header, TarBlock block);
    Result<void> entry_fields(TarHeader& header);
    Result<void> entry_type(const TarHeader& header);
    Result<std::optional<TarEvent>> sparse_begin(const TarHeader& header, TarBlock block);
    Result<std::optional<TarEvent>> sparse_block_step(TarBlock block);
    Result<std::optional<TarEvent>> sparse_map_step(TarBlock block);
    Result<void> regions_check() const;
    TarEvent entry_event();
    std::optional<TarEvent> data_step(std::span<const std::uint8_t>& input);
    bool skip_step(std::span<const std::uint8_t>& input);
    Error entry_error(ErrorKind kind, std::string_view what) const;

    std::uint64_t entries_max_;
    std::uint64_t entry_count_ = 0;
    State state_ = State::header;
    bool ended_ = false;  ///< archive_end was given.
    TarEntry entry_;
    std::uint64_t data_left_ = 0;    ///< Bytes of the state's data still to come.
    std::uint64_t padding_ = 0;      ///< That follow them.
    std::uint64_t data_offset_ = 0;  ///< Where the next data goes.
    std::size_t region_ = 0;         ///< Sparse: the region it belongs to.

    char meta_type_ = 0;
    std::string meta_;
    bool pending_ = false;  ///< An extended header waits for its entry.
    PaxRecords global_;
    std::uint64_t global_bytes_ = 0;
    std::optional<PaxRecords> pax_;
    std::optional<std::string> long_name_;
    std::optional<std::string> long_link_;

    // The map of PAX sparse 1.0, while it is read.
    std::string map_digits_;
    std::uint64_t map_numbers_left_ = 0;
    bool map_counted_ = false;

    std::uint8_t block_[tar_block_bytes] = {};
    std::size_t block_used_ = 0;
    std::optional<Error> failed_;
};

}  // namespace davit
