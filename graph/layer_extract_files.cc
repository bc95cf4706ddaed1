#include "graph/layer_extract_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "graph/tar_path.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

/// Files are handed to the helpers by so many, or so many bytes: to wake a thread up costs about
/// as much as a small file does.
constexpr std::size_t publish_files = 24;
constexpr std::size_t publish_bytes = 160 * 1024;

/// More do not help: names are made by one thread, and that is half of the work.
constexpr unsigned helpers_max = 3;

}  // namespace

unsigned extract_helpers() {
    const unsigned processors = std::max(1U, std::thread::hardware_concurrency());
    return std::min(processors - 1, helpers_max);
}

Result<void> extract_write_all(int fd,
                               std::uint64_t offset,
                               std::span<const std::uint8_t> bytes,
                               const std::string& path) {
    while (!bytes.empty()) {
        const ssize_t done = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            return Error::from_errno(errno, "write", path);
        }
        bytes = bytes.subspan(static_cast<std::size_t>(done));
        offset += static_cast<std::uint64_t>(done);
    }
    return ok;
}

ExtractFiles::ExtractFiles(ExtractTree& tree, unsigned helpers)
    : tree_(tree), slots_(limits::extract_files_in_flight_max), helpers_max_(helpers) {
    for (Open& slot : slots_) {
        free_.push_back(&slot);
    }
}

ExtractFiles::~ExtractFiles() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    work_.notify_all();
    for (std::thread& helper : helpers_) {
        helper.join();
    }
}

Result<void> ExtractFiles::create(Open& open) {
    const ExtractFile& file = open.file;
    // With a foreign owner the setuid bit must not be there before the owner is; chown(2) would
    // take it away again anyway.
    const mode_t mode = open.chown || open.chmod ? 0600 : file.meta.mode;
    constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    auto fd = Fd::openat(file.dir->fd.get(), file.name, flags, mode);
    if (!fd && fd.error().errno_value() == EEXIST) {
        TRY_VOID(tree_.make_room(*file.dir, file.name, file.path));
        fd = Fd::openat(file.dir->fd.get(), file.name, flags, mode);
    }
    TRY(open.fd, std::move(fd));
    return ok;
}

Result<void> ExtractFiles::begin(ExtractFile file) {
    Open& open = slot_take();
    open.file = std::move(file);
    open.number = ++number_;
    open.piece_count = 0;
    open.chown = tree_.chown_needed(*open.file.dir, open.file.meta.uid, open.file.meta.gid);
    open.chmod = open.chown || tree_.chmod_needed(open.file.meta.mode);
    TRY_VOID(create(open));
    current_ = &open;
    if (!std::exchange(owner_checked_, true)) {
        // Mount options (grpid, squashing) may give new files to somebody else.
        struct stat info {};

        if (::fstat(open.fd.get(), &info) != 0) {
            return Error::from_errno(errno, "fstat", open.file.path);
        }
        if (!open.file.dir->setgid) {
            tree_.owner_seen(info.st_uid, info.st_gid);
            open.chown = tree_.chown_needed(*open.file.dir, open.file.meta.uid, open.file.meta.gid);
            open.chmod = open.chmod || open.chown;
        }
    }
    return ok;
}

Result<void> ExtractFiles::data(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
    Open& open = *current_;
    if (open.piece_count == open.pieces.size()) {
        TRY_VOID(pieces_write(open));
    }
    open.pieces[open.piece_count++] = {offset, bytes};
    return ok;
}

Result<void> ExtractFiles::end() {
    Open& open = *std::exchange(current_, nullptr);
    for (std::size_t i = 0; i < open.piece_count; ++i) {
        ended_bytes_ += open.pieces[i].bytes.size();
    }
    ended_.push_back(&open);
    if (ended_.size() >= publish_files || ended_bytes_ >= publish_bytes) {
        publish();
    }
    return ok;
}

Result<void> ExtractFiles::pieces_write(Open& open) {
    const std::size_t count = std::exchange(open.piece_count, 0);
    for (std::size_t i = 0; i < count; ++i) {
        const Piece& piece = open.pieces[i];
        TRY_VOID(extract_write_all(open.fd.get(), piece.offset, piece.bytes, open.file.path));
    }
    return ok;
}

/// The rest of the content; size, owner, mode, attributes, times; then closed.
Result<void> ExtractFiles::complete(Open& open, std::uint64_t& xattrs_dropped) {
    TRY_VOID(pieces_write(open));
    const int fd = open.fd.get();
    const ExtractFile& file = open.file;
    if (file.sparse && ::ftruncate(fd, static_cast<off_t>(file.size)) != 0) {
        return Error::from_errno(errno, "ftruncate", file.path);
    }
    if (open.chown && ::fchown(fd, file.meta.uid, file.meta.gid) != 0) {
        return Error::from_errno(errno, "fchown", file.path);
    }
    if (open.chmod && ::fchmod(fd, file.meta.mode) != 0) {
        return Error::from_errno(errno, "fchmod", file.path);
    }
    if (!file.meta.xattrs.empty()) {
        TRY_VOID(extract_xattrs_set(fd, file.meta.xattrs, xattrs_dropped));
    }
    const ExtractTimes times(file.meta.mtime);
    if (::futimens(fd, times.values) != 0) {
        return Error::from_errno(errno, "futimens", file.path);
    }
    open.fd.reset();
    return ok;
}

/// A slot that is free. If there is none, the caller does what waits: the disk sets the pace.
ExtractFiles::Open& ExtractFiles::slot_take() {
    Lock lock(mutex_);
    while (free_.empty()) {
        if (!waiting_.empty()) {
            work_run(lock);
        } else if (!ended_.empty()) {
            lock.unlock();
            publish();
            lock.lock();
        } else {
            done_.wait(lock);
        }
    }
    Open& open = *free_.back();
    free_.pop_back();
    return open;
}

/// Hand out what has ended, with one more helper if those there are cannot keep up.
void ExtractFiles::publish() {
    bool behind = false;
    {
        const Lock lock(mutex_);
        behind = helpers_.empty() || !waiting_.empty();
        waiting_.insert(waiting_.end(), ended_.begin(), ended_.end());
    }
    ended_.clear();
    ended_bytes_ = 0;
    work_.notify_one();
    if (behind) {
        helper_start();
    }
}

void ExtractFiles::helper_start() {
    if (helpers_.size() == helpers_max_) {
        return;
    }
    try {
        helpers_.emplace_back([this] { help(); });
    } catch (const std::system_error&) {
        // No thread to be had: those there are do it, if only the caller's.
    }
}

void ExtractFiles::beside(const std::function<void()>& work) {
    {
        const Lock lock(mutex_);
        beside_ = &work;
    }
    work_.notify_one();
    if (helpers_.empty()) {
        helper_start();
    }
}

/// Complete the file that has waited longest, or do what is beside. After a failure the other files
/// are only given up.
void ExtractFiles::work_run(Lock& lock) {
    if (beside_ != nullptr) {
        const std::function<void()>& work = *std::exchange(beside_, nullptr);
        ++running_;
        lock.unlock();
        work();
        lock.lock();
        --running_;
        done_.notify_one();
        return;
    }
    Open& open = *waiting_.front();
    waiting_.pop_front();
    ++running_;
    const bool failed = failed_.has_value();
    lock.unlock();
    std::uint64_t xattrs_dropped = 0;
    Result<void> completed = failed ? Result<void>(ok) : complete(open, xattrs_dropped);
    open.fd.reset();
    lock.lock();
    --running_;
    xattrs_dropped_ += xattrs_dropped;
    free_.push_back(&open);
    if (!completed) {
        failure_keep(open, std::move(completed).error());
    }
    done_.notify_one();
}

/// Those before it in the archive were begun earlier, and have failed or will be looked at yet.
void ExtractFiles::failure_keep(const Open& open, Error error) {
    if (!failed_ || open.number < failed_->number) {
        const auto shown = std::string_view(open.file.path).substr(0, shown_bytes_max);
        failed_ = Failure{open.number, std::move(error).context("extract", shown)};
    }
}

void ExtractFiles::help() {
    Lock lock(mutex_);
    for (;;) {
        work_.wait(lock, [this] { return stop_ || has_work(); });
        if (stop_) {
            return;
        }
        work_run(lock);
    }
}

Result<void> ExtractFiles::settle() {
    Result<void> written = current_ != nullptr ? pieces_write(*current_) : Result<void>(ok);
    Lock lock(mutex_);
    if (!written) {
        failure_keep(*current_, std::move(written).error());
    }
    // What has ended since is done sooner than a helper wakes up.
    waiting_.insert(waiting_.end(), ended_.begin(), ended_.end());
    ended_.clear();
    ended_bytes_ = 0;
    while (has_work()) {
        work_run(lock);
    }
    done_.wait(lock, [this] { return running_ == 0; });
    tree_.xattrs_dropped_add(std::exchange(xattrs_dropped_, 0));
    return failed_ ? Result<void>(Error(failed_->error)) : Result<void>(ok);
}

}  // namespace davit
