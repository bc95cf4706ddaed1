#pragma once
/// DataRootLock: at most one daemon per data root, and per run directory.
/// Follows: flock(2): the kernel drops the lock with the process, however that ends.
#include <string>

#include "reactor/base/fd.h"

namespace davit {

class [[nodiscard]] DataRootLock {
  public:
    /// Take the lock; held until destruction. The directory is made if it is not there.
    /// Takes:  what: how the error calls it.
    /// Errors: conflict "data root X is in use by another davit daemon (pid N)".
    static Result<DataRootLock> acquire(const std::string& directory,
                                        std::string_view what = "data root");

  private:
    explicit DataRootLock(Fd file) : file_(std::move(file)) {}

    Fd file_;
};

}  // namespace davit
