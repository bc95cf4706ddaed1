#pragma once
/// ExtractFiles: regular files of a layer being extracted, one after the other or many at once.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "graph/layer_extract_tree.h"
#include "graph/tar_entry.h"
#include "reactor/base/result.h"

namespace davit {

/// A regular file to be made, or being made.
struct ExtractFile {
    ExtractDirRef dir;
    std::string name;
    std::string path;  ///< For messages, and to find what stands in its way.
    ExtractMeta meta;
    std::uint64_t size = 0;
    bool sparse = false;
};

class ExtractFiles {
  public:
    ExtractFiles() = default;
    ExtractFiles(const ExtractFiles&) = delete;
    ExtractFiles& operator=(const ExtractFiles&) = delete;
    virtual ~ExtractFiles() = default;

    /// One file: begin, its data in order, end. What stands in its place is replaced.
    virtual Result<void> begin(ExtractFile file) = 0;
    virtual Result<void> data(std::uint64_t offset, std::span<const std::uint8_t> bytes) = 0;
    virtual Result<void> end() = 0;

    /// Wait until no file of that name is in flight.
    virtual Result<void> settle(const ExtractDir& dir, std::string_view name) = 0;

    /// Wait until no file is in flight.
    virtual Result<void> drain() = 0;

    /// Hand out what was queued and take in what has finished, without waiting.
    virtual Result<void> pump() = 0;

    /// Whether begin() would not have to wait.
    virtual bool ready() = 0;

    /// To be polled for reading; -1 if there is nothing to wait for.
    virtual int ring_fd() const = 0;
};

/// A file made by plain system calls. Used by both backends.
class ExtractPlainFile {
  public:
    explicit ExtractPlainFile(ExtractTree& tree) : tree_(tree) {}

    Result<void> begin(ExtractFile file);
    Result<void> write(std::uint64_t offset, std::span<const std::uint8_t> bytes);

    /// Size, owner, mode, attributes, times; then closed.
    Result<void> end();

    bool is_open() const { return static_cast<bool>(fd_); }

    int fd() const { return fd_.get(); }

    const ExtractFile& file() const { return file_; }

  private:
    Result<void> create();

    ExtractTree& tree_;
    ExtractFile file_;
    Fd fd_;
    bool chown_ = false;
    bool chmod_ = false;
    bool owner_checked_ = false;
};

/// pwrite(2) of everything.
Result<void> extract_write_all(int fd,
                               std::uint64_t offset,
                               std::span<const std::uint8_t> bytes,
                               const std::string& path);

std::unique_ptr<ExtractFiles> extract_files_sync(ExtractTree& tree);

/// Errors: those of io_uring_setup(2).
Result<std::unique_ptr<ExtractFiles>> extract_files_uring(ExtractTree& tree);

}  // namespace davit
