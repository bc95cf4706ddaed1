#pragma once
/// ArchiveStream: an archive of files, member by member, out of a stream that may be compressed.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "graph/inflate.h"
#include "graph/tar_reader.h"
#include "jobs/image/layer_pipeline.h"

namespace davit {

class ArchiveStream {
  public:
    /// source must outlive the stream.
    ArchiveStream(LayerSource& source, std::uint64_t entries_max);

    /// Go to the next member; what was not read of the one before is skipped. False at the end.
    /// Errors: the source's; those of Inflate and TarReader. Final, as are read()'s.
    Task<bool> next();

    const TarEntry& entry() const { return reader_.entry(); }

    /// At least one byte of the member's data (holes are left out); 0 at its end.
    Task<std::size_t> read(std::span<char> buffer);

    /// Whether an error came from the stream itself, so that nothing more will come of it.
    bool failed() const { return failed_; }

  private:
    Task<TarEvent> event();
    Task<void> refill();

    LayerSource& source_;
    Inflate inflate_;
    TarReader reader_;
    std::vector<std::uint8_t> compressed_;
    std::size_t compressed_at_ = 0;
    std::size_t compressed_end_ = 0;
    std::vector<std::uint8_t> plain_;
    std::span<const std::uint8_t> rest_;  ///< Of plain_, not parsed yet.
    std::span<const std::uint8_t> data_;  ///< Of the member, not read yet.
    bool in_member_ = false;
    bool output_full_ = false;
    bool source_ended_ = false;
    bool ended_ = false;
    bool failed_ = false;
};

}  // namespace davit
