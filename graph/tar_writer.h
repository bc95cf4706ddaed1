#pragma once
/// TarWriter: entries into archive bytes, for save, export, commit and tests.
///
/// The same entries always give the same bytes. Headers are ustar; whatever does not fit (long
/// names, fractions of seconds, big numbers, xattrs) goes into a PAX header in front. The caller
/// empties the buffer as it likes, so that file data need not pass through it.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "graph/tar_entry.h"
#include "reactor/base/result.h"

namespace davit {

class TarWriter {
  public:
    /// Bytes are appended to out, which must outlive the writer.
    explicit TarWriter(std::string& out) : out_(out) {}

    /// Starts an entry; a file's entry.size bytes of data follow. Sparse files are not written as
    /// such: give the holes as zeros.
    /// Errors: invalid_argument (empty name, a NUL in a name, PAX header beyond its limit).
    Result<void> begin(const TarEntry& entry);

    /// Data of the entry begun, through the buffer.
    void data(std::span<const std::uint8_t> bytes);
    void data(std::string_view bytes);

    /// The caller has sent (or will send, after emptying the buffer) this much data itself.
    void data_elsewhere(std::uint64_t bytes);

    /// The end of the entry: pads to a whole block. All announced data must have been given.
    void end();

    /// begin, data and end in one.
    Result<void> add(const TarEntry& entry, std::string_view content = {});

    /// The end of the archive: two zero blocks.
    void finish();

  private:
    std::string& out_;
    std::uint64_t data_left_ = 0;
    std::uint64_t padding_ = 0;
};

}  // namespace davit
