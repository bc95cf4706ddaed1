// The io_uring backend of ExtractFiles.
//
// A small file is one linked chain, openat2 into a fixed slot, write, close, with its data copied
// aside; up to 256 are in flight, shared out among the kernel's workers, while the caller goes on
// parsing. io_uring has no utimensat, fchown or fchmod: those follow by name when a chain is done.
// A larger file is opened as usual and its pieces are written through the ring.
//
// Order: only files with names that are new travel as chains. Whoever touches a name that is in
// flight waits for it first (settle), and a name where this layer made a directory or a symbolic
// link is never given to a chain, because what comes after it in the archive may depend on it.
#include <fcntl.h>
#include <liburing.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <functional>
#include <optional>
#include <unordered_set>
#include <utility>

#include "graph/layer_extract_files.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

constexpr unsigned slot_count = limits::extract_files_in_flight_max;
constexpr unsigned chunk_count = limits::extract_chunks_in_flight_max;

/// Chains queued before they are handed to the kernel, so that its workers do not starve.
constexpr unsigned queued_max = 48;

/// Completions waited for when every slot is taken: waking up for each file would cost more than
/// the file, so wait for a quarter of them.
constexpr unsigned wait_completions_max = 3 * slot_count / 4;

/// The step of a chain that a completion is of, in the low bits of its user data.
enum Step : std::uint64_t { step_open = 0, step_write = 1, step_close = 2, step_chunk = 3 };

constexpr unsigned step_bits = 2;
constexpr unsigned chain_entries_max = 3;

struct Ring {
    Ring() = default;
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    ~Ring() {
        if (open) {
            ::io_uring_queue_exit(&ring);
        }
    }

    io_uring ring{};
    bool open = false;
};

/// A buffer that only grows, and is not zeroed.
struct Buffer {
    std::unique_ptr<std::uint8_t[]> bytes;
    std::size_t capacity = 0;

    void reserve(std::size_t size) {
        if (capacity < size) {
            bytes.reset(new std::uint8_t[size]);
            capacity = size;
        }
    }
};

/// A file in a chain.
struct Slot {
    ExtractFile file;
    std::uint64_t key = 0;
    Buffer buffer;
    std::size_t used = 0;
    open_how how{};
    unsigned pending = 0;  ///< Completions to come.
    std::array<int, chain_entries_max> results{};
    bool chown = false;
    bool chmod = false;
};

/// A piece of a large file.
struct Chunk {
    Buffer buffer;
    std::uint64_t offset = 0;
    std::size_t used = 0;
    bool busy = false;
};

std::uint64_t name_key(const ExtractDir& dir, std::string_view name) {
    // A collision only makes somebody wait, or takes the other path to the same result.
    return std::hash<std::string_view>{}(name) ^ (dir.inode * 0x9e3779b97f4a7c15ULL);
}

class RingFiles : public ExtractFiles {
  public:
    explicit RingFiles(ExtractTree& tree) : tree_(tree), plain_(tree) {}

    ~RingFiles() override;

    Result<void> open();

    Result<void> begin(ExtractFile file) override;
    Result<void> data(std::uint64_t offset, std::span<const std::uint8_t> bytes) override;
    Result<void> end() override;
    Result<void> settle(const ExtractDir& dir, std::string_view name) override;
    Result<void> drain() override;
    Result<void> pump() override;
    bool ready() override;

    int ring_fd() const override { return ring_.ring.ring_fd; }

  private:
    bool chain_fits(const ExtractFile& file, std::uint64_t key) const;
    io_uring_sqe* entry_get();
    Result<void> space_make(unsigned entries);
    Result<void> submit();
    Result<void> wait();
    Result<void> reap();
    void completion_take(const io_uring_cqe& completion);
    Result<void> finished_take();
    Result<void> slot_finish(Slot& slot);
    Result<void> slot_redo(Slot& slot);
    Result<void> slot_continue(Slot& slot, std::size_t written, unsigned index);
    Result<void> slot_attributes(const Slot& slot) const;
    Result<void> chunks_wait();
    Result<Chunk*> chunk_get(std::uint64_t offset);
    Result<void> chunk_submit(Chunk& chunk);

    ExtractTree& tree_;
    ExtractPlainFile plain_;
    Ring ring_;
    std::array<Slot, slot_count> slots_;
    std::vector<unsigned> free_;
    std::vector<unsigned> finished_;  ///< All completions are in; the rest of the work is not done.
    std::unordered_multiset<std::uint64_t> in_flight_;
    std::unordered_set<std::uint64_t> special_;  ///< Directories and symbolic links of this layer.
    std::optional<unsigned> current_;            ///< The slot being filled.
    std::array<Chunk, chunk_count> chunks_;
    Chunk* filling_ = nullptr;
    unsigned queued_ = 0;
    unsigned pending_ = 0;  ///< Completions to come, of all kinds.
    bool first_ = true;
    bool chains_ = true;
    std::optional<Error> chunk_failed_;
};

RingFiles::~RingFiles() {
    // The kernel may still read the buffers. What was not handed out yet stays undone.
    while (ring_.open && pending_ > ::io_uring_sq_ready(&ring_.ring)) {
        io_uring_cqe* completion = nullptr;
        const int code = ::io_uring_wait_cqe(&ring_.ring, &completion);
        if (code == 0) {
            ::io_uring_cqe_seen(&ring_.ring, completion);
            --pending_;
        } else if (code != -EINTR && code != -EAGAIN) {
            break;
        }
    }
}

Result<void> RingFiles::open() {
    io_uring_params params{};
    params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = 4 * slot_count;
    int code = ::io_uring_queue_init_params(2 * slot_count, &ring_.ring, &params);
    if (code < 0) {
        return Error::from_errno(-code, "io_uring_setup");
    }
    ring_.open = true;
    std::array<int, slot_count> none;
    none.fill(-1);
    code = ::io_uring_register_files(&ring_.ring, none.data(), none.size());
    if (code < 0) {
        return Error::from_errno(-code, "io_uring_register_files");
    }
    for (unsigned i = slot_count; i-- > 0;) {
        free_.push_back(i);
    }
    tree_.made_with([this](const ExtractDir& dir, std::string_view name) {
        special_.insert(name_key(dir, name));
        if (special_.size() > limits::extract_special_names_max) {
            special_.clear();
            chains_ = false;
        }
    });
    return ok;
}

bool RingFiles::chain_fits(const ExtractFile& file, std::uint64_t key) const {
    return chains_ && !first_ && !file.sparse &&
           file.size <= limits::extract_small_file_bytes_max && file.meta.xattrs.empty() &&
           !special_.contains(key);
}

Result<void> RingFiles::begin(ExtractFile file) {
    const std::uint64_t key = name_key(*file.dir, file.name);
    if (in_flight_.contains(key)) {
        TRY_VOID(drain());
    }
    if (!chain_fits(file, key)) {
        first_ = false;  // The first file showed whom new files belong to.
        return plain_.begin(std::move(file));
    }
    while (free_.empty()) {
        TRY_VOID(wait());
    }
    const unsigned index = free_.back();
    free_.pop_back();
    Slot& slot = slots_[index];
    slot.chown = tree_.chown_needed(*file.dir, file.meta.uid, file.meta.gid);
    slot.chmod = slot.chown || tree_.chmod_needed(file.meta.mode);
    slot.how = open_how{};
    slot.how.flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    slot.how.mode = slot.chmod ? 0600 : file.meta.mode;
    slot.file = std::move(file);
    slot.key = key;
    slot.used = 0;
    slot.buffer.reserve(slot.file.size);
    current_ = index;
    return ok;
}

Result<void> RingFiles::data(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
    if (current_) {
        Slot& slot = slots_[*current_];
        std::copy(bytes.begin(), bytes.end(), slot.buffer.bytes.get() + slot.used);
        slot.used += bytes.size();
        return ok;
    }
    while (!bytes.empty()) {
        TRY(Chunk * chunk, chunk_get(offset));
        const std::size_t part = std::min(bytes.size(), limits::extract_chunk_bytes - chunk->used);
        std::copy_n(bytes.begin(), part, chunk->buffer.bytes.get() + chunk->used);
        chunk->used += part;
        offset += part;
        bytes = bytes.subspan(part);
        if (chunk->used == limits::extract_chunk_bytes) {
            TRY_VOID(chunk_submit(*chunk));
        }
    }
    return ok;
}

/// The chunk being filled, if it ends at offset; else the next free one.
Result<Chunk*> RingFiles::chunk_get(std::uint64_t offset) {
    if (filling_ != nullptr && filling_->offset + filling_->used != offset) {
        TRY_VOID(chunk_submit(*filling_));
    }
    while (filling_ == nullptr) {
        for (Chunk& chunk : chunks_) {
            if (!chunk.busy) {
                filling_ = &chunk;
                break;
            }
        }
        if (filling_ == nullptr) {
            TRY_VOID(wait());
            continue;
        }
        filling_->buffer.reserve(limits::extract_chunk_bytes);
        filling_->offset = offset;
        filling_->used = 0;
    }
    return filling_;
}

Result<void> RingFiles::chunk_submit(Chunk& chunk) {
    TRY_VOID(space_make(1));
    const auto index = static_cast<std::uint64_t>(&chunk - chunks_.data());
    io_uring_sqe* entry = entry_get();
    ::io_uring_prep_write(entry,
                          plain_.fd(),
                          chunk.buffer.bytes.get(),
                          static_cast<unsigned>(chunk.used),
                          chunk.offset);
    entry->user_data = index << step_bits | step_chunk;
    chunk.busy = true;
    filling_ = nullptr;
    return submit();
}

Result<void> RingFiles::chunks_wait() {
    const auto busy = [this] {
        for (const Chunk& chunk : chunks_) {
            if (chunk.busy) {
                return true;
            }
        }
        return false;
    };
    while (busy()) {
        TRY_VOID(wait());
    }
    return ok;
}

Result<void> RingFiles::end() {
    if (!current_) {
        // A file of one piece has nothing to gain from the ring.
        if (filling_ != nullptr) {
            Chunk& last = *std::exchange(filling_, nullptr);
            TRY_VOID(plain_.write(last.offset, std::span(last.buffer.bytes.get(), last.used)));
        }
        TRY_VOID(chunks_wait());
        return plain_.end();
    }
    TRY_VOID(space_make(chain_entries_max));
    const unsigned index = *std::exchange(current_, std::nullopt);
    Slot& slot = slots_[index];
    const std::uint64_t data = std::uint64_t{index} << step_bits;
    slot.results = {0, 0, 0};
    slot.pending = 0;
    io_uring_sqe* open = entry_get();
    ::io_uring_prep_openat2_direct(
        open, slot.file.dir->fd.get(), slot.file.name.c_str(), &slot.how, index);
    open->flags |= IOSQE_IO_LINK;
    open->user_data = data | step_open;
    if (slot.used != 0) {
        io_uring_sqe* write = entry_get();
        ::io_uring_prep_write(write,
                              static_cast<int>(index),
                              slot.buffer.bytes.get(),
                              static_cast<unsigned>(slot.used),
                              0);
        write->flags |= IOSQE_IO_LINK | IOSQE_FIXED_FILE;
        write->user_data = data | step_write;
        ++slot.pending;
    }
    io_uring_sqe* close = entry_get();
    ::io_uring_prep_close_direct(close, index);
    close->user_data = data | step_close;
    slot.pending += 2;
    in_flight_.insert(slot.key);
    if (++queued_ >= queued_max) {
        TRY_VOID(submit());
        return reap();
    }
    return ok;
}

/// A chain must not be cut in two by a full queue.
Result<void> RingFiles::space_make(unsigned entries) {
    while (::io_uring_sq_space_left(&ring_.ring) < entries) {
        TRY_VOID(wait());
    }
    return ok;
}

io_uring_sqe* RingFiles::entry_get() {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_.ring);
    assert(entry != nullptr);
    ++pending_;
    return entry;
}

Result<void> RingFiles::submit() {
    queued_ = 0;
    const int code = ::io_uring_submit(&ring_.ring);
    if (code < 0 && code != -EINTR && code != -EAGAIN && code != -EBUSY) {
        return Error::from_errno(-code, "io_uring_enter");
    }
    return ok;
}

void RingFiles::completion_take(const io_uring_cqe& completion) {
    --pending_;
    const auto step = static_cast<Step>(completion.user_data & ((1U << step_bits) - 1));
    const std::size_t index = completion.user_data >> step_bits;
    if (step != step_chunk) {
        Slot& slot = slots_[index];
        slot.results[step] = completion.res;
        if (--slot.pending == 0) {
            finished_.push_back(static_cast<unsigned>(index));
        }
        return;
    }
    Chunk& chunk = chunks_[index];
    chunk.busy = false;
    if (chunk_failed_) {
        return;
    }
    if (completion.res < 0) {
        chunk_failed_ = Error::from_errno(-completion.res, "write", plain_.file().path);
    } else if (static_cast<std::size_t>(completion.res) < chunk.used) {
        const auto done = static_cast<std::size_t>(completion.res);
        auto rest = plain_.write(chunk.offset + done,
                                 std::span(chunk.buffer.bytes.get(), chunk.used).subspan(done));
        if (!rest) {
            chunk_failed_ = std::move(rest).error();
        }
    }
}

/// Take in what has completed.
Result<void> RingFiles::reap() {
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* completion = nullptr;
    io_uring_for_each_cqe(&ring_.ring, head, completion) {
        completion_take(*completion);
        ++count;
    }
    ::io_uring_cq_advance(&ring_.ring, count);
    return finished_take();
}

Result<void> RingFiles::finished_take() {
    if (chunk_failed_) {
        return Error(*chunk_failed_);
    }
    while (!finished_.empty()) {
        const unsigned index = finished_.back();
        finished_.pop_back();
        Slot& slot = slots_[index];
        auto done = slot_finish(slot);
        in_flight_.erase(in_flight_.find(slot.key));
        slot.file = ExtractFile{};
        free_.push_back(index);
        if (!done) {
            return done;
        }
    }
    return ok;
}

/// Hand out what is queued and wait until something completes, or much of it.
Result<void> RingFiles::wait() {
    if (pending_ != 0) {
        queued_ = 0;
        const int code =
            ::io_uring_submit_and_wait(&ring_.ring, std::min(wait_completions_max, pending_));
        if (code < 0 && code != -EINTR && code != -EAGAIN && code != -EBUSY) {
            return Error::from_errno(-code, "io_uring_enter");
        }
    }
    return reap();
}

Result<void> RingFiles::slot_finish(Slot& slot) {
    const auto index = static_cast<unsigned>(&slot - slots_.data());
    const auto [open, write, close] = slot.results;
    if (open == -EEXIST) {
        return slot_redo(slot);
    }
    if (open < 0) {
        return Error::from_errno(-open, "openat2", slot.file.path);
    }
    if (write < 0) {
        return Error::from_errno(-write, "write", slot.file.path);
    }
    if (static_cast<std::size_t>(write) < slot.used) {
        TRY_VOID(slot_continue(slot, static_cast<std::size_t>(write), index));
    } else if (close < 0) {
        return Error::from_errno(-close, "close", slot.file.path);
    }
    return slot_attributes(slot);
}

/// Something of that name is there already: a file, since nothing else is left to a chain.
Result<void> RingFiles::slot_redo(Slot& slot) {
    ExtractPlainFile again(tree_);
    const std::size_t used = slot.used;
    TRY_VOID(again.begin(std::move(slot.file)));
    TRY_VOID(again.write(0, std::span(slot.buffer.bytes.get(), used)));
    return again.end();
}

/// A short write broke the chain: write the rest, which also tells why it was short.
Result<void> RingFiles::slot_continue(Slot& slot, std::size_t written, unsigned index) {
    int none = -1;
    ::io_uring_register_files_update(&ring_.ring, index, &none, 1);
    TRY(const Fd fd, Fd::openat(slot.file.dir->fd.get(), slot.file.name, O_WRONLY | O_NOFOLLOW));
    return extract_write_all(fd.get(),
                             written,
                             std::span(slot.buffer.bytes.get(), slot.used).subspan(written),
                             slot.file.path);
}

Result<void> RingFiles::slot_attributes(const Slot& slot) const {
    const int dir = slot.file.dir->fd.get();
    const char* name = slot.file.name.c_str();
    const ExtractMeta& meta = slot.file.meta;
    if (slot.chown && ::fchownat(dir, name, meta.uid, meta.gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return Error::from_errno(errno, "fchownat", slot.file.path);
    }
    // fchmodat(2) would follow a link, but this is the file the chain has made.
    if (slot.chmod && ::fchmodat(dir, name, meta.mode, 0) != 0) {
        return Error::from_errno(errno, "fchmodat", slot.file.path);
    }
    const ExtractTimes times(meta.mtime);
    if (::utimensat(dir, name, times.values, AT_SYMLINK_NOFOLLOW) != 0) {
        return Error::from_errno(errno, "utimensat", slot.file.path);
    }
    return ok;
}

Result<void> RingFiles::settle(const ExtractDir& dir, std::string_view name) {
    return in_flight_.contains(name_key(dir, name)) ? drain() : Result<void>(ok);
}

Result<void> RingFiles::drain() {
    while (pending_ != 0 || !finished_.empty()) {
        TRY_VOID(wait());
    }
    return ok;
}

Result<void> RingFiles::pump() {
    if (queued_ != 0) {
        TRY_VOID(submit());
    }
    return reap();
}

bool RingFiles::ready() {
    return current_.has_value() || plain_.is_open() || !free_.empty();
}

}  // namespace

Result<std::unique_ptr<ExtractFiles>> extract_files_uring(ExtractTree& tree) {
    auto files = std::make_unique<RingFiles>(tree);
    TRY_VOID(files->open());
    return std::unique_ptr<ExtractFiles>(std::move(files));
}

}  // namespace davit
