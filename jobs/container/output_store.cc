#include "jobs/container/output_store.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "libcontainer/keeper/protocol.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

constexpr std::uint64_t magic = 0x3174756f74697664;  // "dvitout1", which is the layout's version.
constexpr std::uint32_t slots_max = keeper::slots_max;
constexpr std::size_t stream_bytes = 64 * 1024;
constexpr std::size_t take_bytes = limits::output_read_bytes;
constexpr std::size_t page_bytes = 4096;

/// What is held back is less than a record; then a move to the front never overlaps itself.
static_assert(stream_bytes - take_bytes >= 2 * limits::log_line_bytes_max);

enum class WritePhase : std::uint32_t { idle, to_stage, to_memory };

}  // namespace

/// Members are written in an order that makes sense at every point in between: by one thread, which
/// may end anywhere.
struct OutputStore::Stream {
    /// Of what is in no record yet: where it begins, and behind its end (in the low half).
    std::atomic<std::uint64_t> range;
    /// 1 + where it began when a write to the log began; 0: none is under way.
    std::atomic<std::uint64_t> log_begin;
    LogPlace log_place;

    std::uint32_t begin() const { return static_cast<std::uint32_t>(range >> 32); }

    std::uint32_t end() const { return static_cast<std::uint32_t>(range); }

    void set(std::size_t begin, std::size_t end) {
        assert(begin <= end && end <= stream_bytes);
        range = std::uint64_t{begin} << 32 | end;
    }
};

struct OutputStore::Layout {
    struct Slot {
        std::array<char, 64> id;
        Stream streams[2];
    };

    std::uint64_t magic;
    std::atomic<WritePhase> phase;
    /// What is being taken: in phase to_memory, so many bytes are to be put behind `end`.
    std::uint32_t slot;
    std::uint32_t stream;
    std::uint32_t count;
    std::uint32_t end;
    Slot slots[slots_max];
    alignas(page_bytes) char bytes[slots_max][2][stream_bytes];
};

OutputSlot::~OutputSlot() {
    if (store_ != nullptr) {
        store_->slot_give_back(number_);
    }
}

std::string_view OutputSlot::unlogged(OutputStream stream) const {
    const OutputStore::Stream& state = store_->stream(number_, stream);
    return {store_->bytes(number_, stream) + state.begin(),
            std::size_t{state.end()} - state.begin()};
}

void OutputSlot::log_begins(OutputStream stream, const LogPlace& place) {
    OutputStore::Stream& state = store_->stream(number_, stream);
    state.log_place = place;
    state.log_begin = std::uint64_t{state.begin()} + 1;
}

void OutputSlot::logged(OutputStream stream, std::size_t bytes_left) {
    OutputStore::Stream& state = store_->stream(number_, stream);
    state.set(state.end() - bytes_left, state.end());
    state.log_begin = 0;
}

std::optional<LogPlace> OutputSlot::log_cut_off(OutputStream stream) const {
    const OutputStore::Stream& state = store_->stream(number_, stream);
    if (state.log_begin != std::uint64_t{state.begin()} + 1) {
        return std::nullopt;  // Whatever was being written is in the file, and no longer in range.
    }
    return state.log_place;
}

Result<std::optional<std::string_view>> OutputSlot::take(OutputStream stream, int fd) {
    OutputStore::Stream& state = store_->stream(number_, stream);
    OutputStore::Layout& layout = *store_->layout_;
    char* const bytes = store_->bytes(number_, stream);
    const std::size_t held = state.end() - state.begin();
    // No write is under way: what one left that its process died right behind is not to be taken
    // for another that begins at the same byte.
    state.log_begin = 0;
    if (held == 0) {
        state.set(0, 0);
    } else if (state.end() + take_bytes > stream_bytes) {
        assert(held <= state.begin());
        std::memcpy(bytes, bytes + state.begin(), held);
        state.set(0, held);
    }
    layout.slot = number_;
    layout.stream = static_cast<std::uint32_t>(stream);
    layout.phase = WritePhase::to_stage;
    ssize_t moved = -1;
    do {
        moved = ::splice(fd,
                         nullptr,
                         store_->files_.stage_write.get(),
                         nullptr,
                         take_bytes,
                         SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    } while (moved < 0 && errno == EINTR);
    if (moved <= 0) {
        const int error = errno;
        layout.phase = WritePhase::idle;
        if (moved == 0 || error == EIO) {  // pty(7): the last one that had the terminal closed it.
            return std::optional<std::string_view>(std::in_place);
        }
        if (error == EAGAIN) {
            return std::optional<std::string_view>{};
        }
        return Error::from_errno(error, "splice");
    }
    layout.count = static_cast<std::uint32_t>(moved);
    layout.end = state.end();
    layout.phase = WritePhase::to_memory;
    const auto count = static_cast<std::size_t>(moved);
    char* const to = bytes + state.end();
    TRY_VOID(store_->stage_read(to, count));
    state.set(state.begin(), state.end() + count);
    layout.phase = WritePhase::idle;
    if (state.end() > page_bytes) {
        store_->large_[number_] = true;
    }
    return std::optional<std::string_view>(std::in_place, to, count);
}

Result<OutputStore::Layout*> OutputStore::map(int memory) {
    void* const at = ::mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (at == MAP_FAILED) {
        return Error::from_errno(errno, "mmap", "output store");
    }
    ::madvise(at, sizeof(Layout), MADV_DONTDUMP);
    return static_cast<Layout*>(at);
}

Result<std::unique_ptr<OutputStore>> OutputStore::make() {
    Files files;
    files.memory = Fd(::memfd_create("davit-output", MFD_CLOEXEC));
    if (!files.memory || ::ftruncate(files.memory.get(), sizeof(Layout)) != 0) {
        return Error::from_errno(errno, "memfd_create", "output store");
    }
    TRY(Pipe stage, pipe_make(O_NONBLOCK));
    files.stage_read = std::move(stage.read_end);
    files.stage_write = std::move(stage.write_end);
    TRY(Layout * layout, map(files.memory.get()));
    layout->magic = magic;
    return std::unique_ptr<OutputStore>(new OutputStore(std::move(files), layout));
}

Result<std::unique_ptr<OutputStore>> OutputStore::adopt(Files files) {
    TRY(Layout * layout, map(files.memory.get()));
    if (layout->magic != magic) {
        ::munmap(layout, sizeof(Layout));
        return Error(ErrorKind::unsupported, "the output store was made by another davit");
    }
    std::unique_ptr<OutputStore> store(new OutputStore(std::move(files), layout));
    store->finish();
    return store;
}

OutputStore::~OutputStore() {
    ::munmap(layout_, sizeof(Layout));
}

/// Do what is left of a take() that was cut off.
void OutputStore::finish() {
    Layout& layout = *layout_;
    int staged = 0;
    ::ioctl(files_.stage_read.get(), FIONREAD, &staged);
    const auto left = static_cast<std::uint32_t>(staged);
    const auto which = static_cast<OutputStream>(layout.stream);
    Stream& state = stream(layout.slot, which);
    if (layout.phase == WritePhase::to_stage) {
        layout.count = left;
        layout.end = state.end();
        layout.phase = WritePhase::to_memory;  // This may be cut off as well.
    }
    if (layout.phase != WritePhase::idle && layout.count > 0) {
        const std::uint32_t read = layout.count - left;
        if (stage_read(bytes(layout.slot, which) + layout.end + read, left)) {
            state.set(state.begin(), layout.end + layout.count);
        }
    }
    layout.phase = WritePhase::idle;
}

/// It is all there, and no signal handler interrupts a read that need not wait.
Result<void> OutputStore::stage_read(char* to, std::size_t count) const {
    while (count > 0) {
        const ssize_t got = ::read(files_.stage_read.get(), to, count);
        if (got <= 0) {
            return Error::from_errno(errno, "read", "stage");
        }
        to += got;
        count -= static_cast<std::size_t>(got);
    }
    return ok;
}

OutputStore::Stream& OutputStore::stream(std::uint32_t number, OutputStream stream) const {
    return layout_->slots[number].streams[stream == OutputStream::standard_output ? 0 : 1];
}

char* OutputStore::bytes(std::uint32_t number, OutputStream stream) const {
    return layout_->bytes[number][stream == OutputStream::standard_output ? 0 : 1];
}

void OutputStore::slot_reset(std::uint32_t number) {
    Layout::Slot& slot = layout_->slots[number];
    slot.id = {};
    for (Stream& state : slot.streams) {
        state.log_begin = 0;
        state.set(0, 0);
    }
}

Result<OutputSlot> OutputStore::slot_take(const ContainerId& id) {
    while (free_hint_ < used_.size() && used_[free_hint_]) {
        ++free_hint_;
    }
    if (free_hint_ == slots_max) {
        return Error(ErrorKind::resource_exhausted,
                     "no more than " + std::to_string(slots_max) + " containers can run at a time");
    }
    if (free_hint_ == used_.size()) {
        used_.push_back(false);
        large_.push_back(false);
    }
    used_[free_hint_] = true;
    slot_reset(free_hint_);
    std::ranges::copy(id.str(), layout_->slots[free_hint_].id.begin());
    return OutputSlot(*this, free_hint_);
}

OutputSlot OutputStore::slot_adopt(std::uint32_t number, const ContainerId& id) {
    assert(number < slots_max);
    used_.resize(std::max<std::size_t>(used_.size(), number + 1));
    large_.resize(used_.size());
    assert(!used_[number]);
    used_[number] = large_[number] = true;
    const std::array<char, 64>& kept = layout_->slots[number].id;
    if (std::string_view(kept.data(), kept.size()) != id.str()) {
        slot_reset(number);
        std::ranges::copy(id.str(), layout_->slots[number].id.begin());
    }
    return {*this, number};
}

void OutputStore::slot_give_back(std::uint32_t number) {
    slot_reset(number);
    if (large_[number]) {
        // What is beyond the first page of each stream, which the next one needs as well.
        for (char* bytes : layout_->bytes[number]) {
            ::madvise(bytes + page_bytes, stream_bytes - page_bytes, MADV_REMOVE);
        }
        large_[number] = false;
    }
    used_[number] = false;
    free_hint_ = std::min(free_hint_, number);
}

}  // namespace davit
