#pragma once
/// Fd: a file descriptor that closes itself. Every Fd is close-on-exec from birth.
#include <fcntl.h>
#include <linux/openat2.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "reactor/base/result.h"

namespace davit {

class [[nodiscard]] Fd {
  public:
    Fd() = default;

    /// Takes ownership. The descriptor must already be close-on-exec.
    explicit Fd(int fd) : fd_(fd) {}

    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }

    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;

    ~Fd() { reset(); }

    /// open(2) with O_CLOEXEC added.
    static Result<Fd> open(const std::string& path, int flags, mode_t mode = 0);

    /// openat(2) with O_CLOEXEC added. dir may be AT_FDCWD.
    static Result<Fd> openat(int dir, const std::string& path, int flags, mode_t mode = 0);

    /// openat2(2) with O_CLOEXEC added; resolve takes RESOLVE_* flags (RESOLVE_IN_ROOT for
    /// untrusted names).
    static Result<Fd> openat2(int dir,
                              const std::string& path,
                              std::uint64_t flags,
                              std::uint64_t resolve,
                              mode_t mode = 0);

    /// fcntl(2) F_DUPFD_CLOEXEC.
    static Result<Fd> duplicate(int fd);

    int get() const { return fd_; }

    explicit operator bool() const { return fd_ >= 0; }

    /// Gives up ownership.
    [[nodiscard]] int release() { return std::exchange(fd_, -1); }

    void reset();

  private:
    int fd_ = -1;
};

/// pipe2(2), close-on-exec, with extra flags (O_NONBLOCK).
struct Pipe {
    Fd read_end;
    Fd write_end;
};

Result<Pipe> pipe_make(int flags = 0);

/// Read a whole file (procfs and cgroupfs included); fails with resource_exhausted beyond
/// bytes_max.
Result<std::string> file_read(int dir, const std::string& path, std::size_t bytes_max = 1 << 20);
Result<std::string> file_read(const std::string& path, std::size_t bytes_max = 1 << 20);

/// Write text to an existing file in one write(2) (cgroupfs, procfs need exactly that).
Result<void> file_write_existing(int dir, const std::string& path, std::string_view text);

/// Create a file, or replace it atomically (temporary name, rename). Not synced.
Result<void> file_replace(int dir,
                          const std::string& path,
                          std::string_view text,
                          mode_t mode = 0644);

/// write(2) until everything is written; for regular files and blocking descriptors.
Result<void> write_all(int fd, std::string_view bytes);

/// mkdir -p. Existing directories are fine.
Result<void> make_directories(const std::string& path, mode_t mode = 0755);

/// rm -rf below dir, never following symbolic links nor entering a mount; a missing entry is fine.
/// Blocks: as long as the tree is large; TreeRemove does the same in slices.
Result<void> remove_tree(int dir, const std::string& path);

}  // namespace davit
