#pragma once
/// ExtractFiles: the regular files of a layer being extracted, written by several threads.
///
/// Every name is made by the caller's thread, in the archive's order, so that whatever depends on
/// the order (a name that comes twice, a link, a parent that is replaced) is as it would be with
/// one thread. What comes after goes by the open descriptor and has no order among files: content,
/// owner, mode, attributes, times, close. Helper threads take their share of that. Nothing is
/// copied: until settle() returns, the bytes given are still read.
#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "graph/layer_extract_tree.h"
#include "graph/tar_entry.h"
#include "reactor/base/result.h"

namespace davit {

/// A regular file to be made.
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
    /// helpers: threads beside the caller's, at most; each is started when there is work for it.
    ExtractFiles(ExtractTree& tree, unsigned helpers);
    ExtractFiles(const ExtractFiles&) = delete;
    ExtractFiles& operator=(const ExtractFiles&) = delete;

    /// Gives up the files that nobody has begun to write. Blocks for those that are being written.
    ~ExtractFiles();

    /// One file: begin, its data in order, end. What stands in its place is replaced.
    /// Errors: those of this file. One that failed earlier is told by settle() alone.
    Result<void> begin(ExtractFile file);
    Result<void> data(std::uint64_t offset, std::span<const std::uint8_t> bytes);
    Result<void> end();

    /// Work of another kind, to be done before the next settle() returns. Lives until then.
    void beside(const std::function<void()>& work);

    /// Waits until all bytes given so far are written and all files that have ended are complete.
    /// Errors: that of the file that failed, the first in the archive's order. It is final.
    Result<void> settle();

    unsigned helpers_started() const { return static_cast<unsigned>(helpers_.size()); }

  private:
    struct Piece {
        std::uint64_t offset = 0;
        std::span<const std::uint8_t> bytes;
    };

    /// A file that has its name. Of its content the pieces are missing, all else is written.
    struct Open {
        ExtractFile file;
        Fd fd;
        bool chown = false;
        bool chmod = false;
        std::array<Piece, 2> pieces;
        std::size_t piece_count = 0;
        std::uint64_t number = 0;  ///< Its place in the archive's order.
    };

    struct Failure {
        std::uint64_t number = 0;
        Error error;
    };

    using Lock = std::unique_lock<std::mutex>;

    Open& slot_take();
    Result<void> create(Open& open);
    static Result<void> pieces_write(Open& open);
    static Result<void> complete(Open& open, std::uint64_t& xattrs_dropped);
    void publish();
    void helper_start();

    bool has_work() const { return beside_ != nullptr || !waiting_.empty(); }

    void work_run(Lock& lock);
    void failure_keep(const Open& open, Error error);
    void help();

    ExtractTree& tree_;
    bool owner_checked_ = false;
    std::uint64_t number_ = 0;
    std::vector<Open> slots_;
    Open* current_ = nullptr;   ///< Between begin() and end().
    std::vector<Open*> ended_;  ///< Not handed out yet.
    std::size_t ended_bytes_ = 0;
    const unsigned helpers_max_;
    std::vector<std::thread> helpers_;

    std::mutex mutex_;  ///< For all that follows.
    std::condition_variable work_;
    std::condition_variable done_;  ///< The caller waits for a file that is being written.
    std::vector<Open*> free_;
    std::deque<Open*> waiting_;
    const std::function<void()>* beside_ = nullptr;
    std::size_t running_ = 0;
    std::uint64_t xattrs_dropped_ = 0;
    std::optional<Failure> failed_;
    bool stop_ = false;
};

/// How many threads beside the caller's are of use on this machine.
unsigned extract_helpers();

/// pwrite(2) of everything.
Result<void> extract_write_all(int fd,
                               std::uint64_t offset,
                               std::span<const std::uint8_t> bytes,
                               const std::string& path);

}  // namespace davit
