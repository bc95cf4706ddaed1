#pragma once
/// OutputStore: what containers wrote and their logs do not hold yet, where it outlives the daemon.
///
/// A byte that the daemon takes from a container's pipe must not be in the daemon's memory alone: a
/// kill -9 would lose it. So it is in a pipe or in the store's memory file at every moment, and
/// which of the two is never in doubt:
///
///     the container's pipe --splice(2)--> the stage, a pipe --read(2)--> the memory file --> the
///     log
///
/// The keeper holds descriptors of stage and file, and gives them to the next daemon, which goes on
/// from the very byte. Whether a step was done shows in the stage: only we write to it, so what is
/// in it is what was not read yet. Where the log ends before each write is noted: a write that was
/// cut off is taken back and done again.
///
/// There is one stage, since take() is never interrupted by another one. A container's part of the
/// file is a *slot*; slots are numbered as the keeper numbers them
/// (libcontainer/keeper/protocol.h). Pages that are not touched take no memory: a container that
/// writes lines takes one or two.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "drivers/log/json_file.h"
#include "reactor/base/fd.h"
#include "reactor/base/ids.h"

namespace davit {

class OutputStore;

/// One container's part, given back when destroyed.
class OutputSlot {
  public:
    OutputSlot(OutputSlot&& other) noexcept
        : store_(std::exchange(other.store_, nullptr)), number_(other.number_) {}

    OutputSlot& operator=(OutputSlot&&) = delete;
    OutputSlot(const OutputSlot&) = delete;
    OutputSlot& operator=(const OutputSlot&) = delete;
    ~OutputSlot();

    std::uint32_t number() const { return number_; }

    /// Move what can be read from a pipe or terminal into the slot, without waiting.
    /// Gives: the new bytes, valid until the stream's next take(); none at the end of the stream;
    ///        nothing if it would wait. Errors: of splice(2).
    Result<std::optional<std::string_view>> take(OutputStream stream, int fd);

    /// What was taken and is in no log record; nothing is taken meanwhile.
    std::string_view unlogged(OutputStream stream) const;

    /// The log, which ends there now, is about to be written to.
    void log_begins(OutputStream stream, const LogPlace& place);

    /// It was: of the bytes taken, so many at the end are in no record yet.
    void logged(OutputStream stream, std::size_t bytes_left);

    /// Where the log ended before a write whose end nobody knows, if the last one is such.
    std::optional<LogPlace> log_cut_off(OutputStream stream) const;

  private:
    friend class OutputStore;

    OutputSlot(OutputStore& store, std::uint32_t number) : store_(&store), number_(number) {}

    OutputStore* store_;
    std::uint32_t number_;
};

class OutputStore {
  public:
    /// What the keeper holds.
    struct Files {
        Fd memory;
        Fd stage_read;
        Fd stage_write;
    };

    /// An empty one. Errors: resource_exhausted.
    static Result<std::unique_ptr<OutputStore>> make();

    /// An earlier daemon's; what it was doing is finished.
    /// Errors: unsupported (made by a davit that lays it out differently).
    static Result<std::unique_ptr<OutputStore>> adopt(Files files);

    ~OutputStore();
    OutputStore(const OutputStore&) = delete;
    OutputStore& operator=(const OutputStore&) = delete;

    const Files& files() const { return files_; }

    /// A free slot for a run that begins. Errors: resource_exhausted.
    Result<OutputSlot> slot_take(const ContainerId& id);

    /// The slot that a container had with an earlier daemon; empty if it is not this container's.
    /// Takes: a number that no slot has.
    OutputSlot slot_adopt(std::uint32_t number, const ContainerId& id);

  private:
    friend class OutputSlot;
    struct Layout;
    struct Stream;

    OutputStore(Files files, Layout* layout) : files_(std::move(files)), layout_(layout) {}

    static Result<Layout*> map(int memory);
    void finish();
    Result<void> stage_read(char* to, std::size_t count) const;
    void slot_reset(std::uint32_t number);
    void slot_give_back(std::uint32_t number);
    Stream& stream(std::uint32_t number, OutputStream stream) const;
    char* bytes(std::uint32_t number, OutputStream stream) const;

    Files files_;
    Layout* layout_;
    std::vector<bool> used_;
    std::vector<bool> large_;      // Has touched more than the first pages.
    std::uint32_t free_hint_ = 0;  // No lower one is free.
};

}  // namespace davit
