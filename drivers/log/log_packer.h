#pragma once
/// LogPacker: makes the rotated files of a log gzip (log_gzip.h), beside the one that writes it.
///
/// Whoever writes does not wait for it. A file that is rotated on meanwhile is found again by its
/// inode; what is made of it has no name before it is whole, and takes its place in one step. So a
/// crash leaves the file itself, which the next packer takes, or both, of which readers take the
/// first, and the next rotation leaves the second. One that is slower than the writer takes the
/// newest first, and loses to rotation the same files as everybody.
#include <memory>
#include <string>
#include <utility>

#include "reactor/base/fd.h"

namespace davit {

class LogPacker {
  public:
    /// Takes: path: of the file that is written to; files_max: as LogRotation's.
    LogPacker(std::string path, unsigned files_max)
        : path_(std::move(path)), files_max_(files_max) {}

    /// The newest file that is to be packed; null if there is none.
    std::shared_ptr<const Fd> next() const;

    /// Where log_compress() makes what takes its place.
    std::string directory() const { return path_.substr(0, path_.rfind('/')); }

    /// Put what a file was made into in its place, unless it has gone meanwhile. Not while the log
    /// is rotated. Errors: of the system calls.
    Result<void> put(const Fd& source, const Fd& made) const;

  private:
    std::string name(unsigned number) const { return path_ + "." + std::to_string(number); }

    std::string path_;
    unsigned files_max_;
};

}  // namespace davit
