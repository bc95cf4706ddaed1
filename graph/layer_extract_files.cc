#include "graph/layer_extract_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace davit {

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

Result<void> ExtractPlainFile::create() {
    // With a foreign owner the setuid bit must not be there before the owner is; chown(2) would
    // take it away again anyway.
    const mode_t mode = chown_ || chmod_ ? 0600 : file_.meta.mode;
    constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    auto fd = Fd::openat(file_.dir->fd.get(), file_.name, flags, mode);
    if (!fd && fd.error().errno_value() == EEXIST) {
        TRY_VOID(tree_.make_room(*file_.dir, file_.name, file_.path));
        fd = Fd::openat(file_.dir->fd.get(), file_.name, flags, mode);
    }
    TRY(fd_, std::move(fd));
    return ok;
}

Result<void> ExtractPlainFile::begin(ExtractFile file) {
    file_ = std::move(file);
    chown_ = tree_.chown_needed(*file_.dir, file_.meta.uid, file_.meta.gid);
    chmod_ = chown_ || tree_.chmod_needed(file_.meta.mode);
    TRY_VOID(create());
    if (!std::exchange(owner_checked_, true)) {
        // Mount options (grpid, squashing) may give new files to somebody else.
        struct stat info {};

        if (::fstat(fd_.get(), &info) != 0) {
            return Error::from_errno(errno, "fstat", file_.path);
        }
        if (!file_.dir->setgid) {
            tree_.owner_seen(info.st_uid, info.st_gid);
            chown_ = tree_.chown_needed(*file_.dir, file_.meta.uid, file_.meta.gid);
            chmod_ = chmod_ || chown_;
        }
    }
    return ok;
}

Result<void> ExtractPlainFile::write(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
    return extract_write_all(fd_.get(), offset, bytes, file_.path);
}

Result<void> ExtractPlainFile::end() {
    const int fd = fd_.get();
    const ExtractMeta& meta = file_.meta;
    if (file_.sparse && ::ftruncate(fd, static_cast<off_t>(file_.size)) != 0) {
        return Error::from_errno(errno, "ftruncate", file_.path);
    }
    if (chown_ && ::fchown(fd, meta.uid, meta.gid) != 0) {
        return Error::from_errno(errno, "fchown", file_.path);
    }
    if (chmod_ && ::fchmod(fd, meta.mode) != 0) {
        return Error::from_errno(errno, "fchmod", file_.path);
    }
    if (!meta.xattrs.empty()) {
        std::uint64_t dropped = 0;
        TRY_VOID(extract_xattrs_set(fd, meta.xattrs, dropped));
        tree_.xattrs_dropped_add(dropped);
    }
    const ExtractTimes times(meta.mtime);
    if (::futimens(fd, times.values) != 0) {
        return Error::from_errno(errno, "futimens", file_.path);
    }
    fd_.reset();
    return ok;
}

namespace {

class SyncFiles : public ExtractFiles {
  public:
    explicit SyncFiles(ExtractTree& tree) : plain_(tree) {}

    Result<void> begin(ExtractFile file) override { return plain_.begin(std::move(file)); }

    Result<void> data(std::uint64_t offset, std::span<const std::uint8_t> bytes) override {
        return plain_.write(offset, bytes);
    }

    Result<void> end() override { return plain_.end(); }

    Result<void> settle(const ExtractDir& /*dir*/, std::string_view /*name*/) override {
        return ok;
    }

    Result<void> drain() override { return ok; }

    Result<void> pump() override { return ok; }

    bool ready() override { return true; }

    int ring_fd() const override { return -1; }

  private:
    ExtractPlainFile plain_;
};

}  // namespace

std::unique_ptr<ExtractFiles> extract_files_sync(ExtractTree& tree) {
    return std::make_unique<SyncFiles>(tree);
}

}  // namespace davit
