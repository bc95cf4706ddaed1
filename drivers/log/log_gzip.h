#pragma once
/// Rotated log files in gzip: how they are made, and read again.
///
/// A file starts with an empty member whose comment says which file it was made from, so that a
/// reader which holds that one knows it again. Any gzip reads the records behind it.
/// Follows: RFC 1952, sections 2.2 (members) and 2.3.1 (FCOMMENT).
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "graph/inflate.h"
#include "reactor/base/fd.h"

namespace davit {

/// Compress a file into one that has no name yet.
/// Takes:  directory: on whose file system it is made.
/// Errors: of the system calls (unsupported where there is no O_TMPFILE).
/// Blocks: for all of the file; through offload_bulk().
Result<Fd> log_compress(int source, const std::string& directory);

/// The records of such a file, in order.
class LogInflate {
  public:
    /// Takes: fd, which must stay open. Errors: corrupt (not one of ours).
    static Result<LogInflate> open(int fd);

    /// The inode of the file that it was made from.
    std::uint64_t made_from() const { return made_from_; }

    /// At least one byte into output (not empty); 0 at the end. Errors: corrupt, once; then the
    /// end.
    Result<std::size_t> read(std::span<char> output);

    /// Start again with the first record.
    void rewind();

  private:
    LogInflate(int fd, std::uint64_t made_from) : fd_(fd), made_from_(made_from) { rewind(); }

    Result<std::size_t> input_fill();

    int fd_;
    std::uint64_t made_from_;
    std::optional<Inflate> inflate_;
    std::string input_;
    std::size_t input_used_ = 0;
    std::uint64_t offset_ = 0;  // Of what comes behind input_.
    bool ended_ = false;
};

}  // namespace davit
