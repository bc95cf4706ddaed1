#pragma once
/// A fresh btrfs in a file, mounted in this process's own mount namespace, so that nothing of it
/// stays whatever becomes of the test.
#include <string>

namespace davit::test {

/// From here on mounts of this process are its own. Ends the process as skipped (77) where it may
/// not do that.
void mounts_are_private();

class BtrfsMount {
  public:
    BtrfsMount();
    BtrfsMount(const BtrfsMount&) = delete;
    BtrfsMount& operator=(const BtrfsMount&) = delete;
    ~BtrfsMount();

    /// Where it is mounted.
    std::string path() const { return directory_ + "/mnt"; }

  private:
    std::string directory_;
};

}  // namespace davit::test
