#include "jobs/container_copy.h"

#include <sys/statvfs.h>

#include <array>
#include <cerrno>
#include <memory>

#include "graph/inflate.h"
#include "graph/layer_extract.h"
#include "graph/tree_archive.h"
#include "jobs/container_files.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "libcontainer/user.h"
#include "libcontainer/user_namespace.h"
#include "reactor/base/limits.h"
#include "reactor/offload.h"

namespace davit {

namespace {

/// In Docker's words, and with its status: what is not there is the client's mistake, the rest
/// ours.
Error path_error(Error error, const CopyPath& path) {
    if (error.errno_value() == ENOENT) {
        return Error(ErrorKind::not_found,
                     "Could not find the file " + path.path + " in container " + path.container);
    }
    return error.errno_value() == 0 ? std::move(error)
                                    : std::move(error).with_kind(ErrorKind::internal);
}

Task<ContainerPath> find(int root, std::string path) {
    auto look = [root, path = std::move(path)] { return container_path_find(root, path); };
    co_return co_await offload(std::move(look));
}

/// The tree to pack: the directory itself, or one name of the directory that it is in.
Result<TreeArchive> tree_open(const ContainerFiles& files,
                              const ContainerPath& found,
                              const std::string& path) {
    const int root = files.tree->root.get();
    TreeArchiveOptions options;
    options.ids = files.ids;
    options.mounts = true;
    if (found.is_directory()) {
        // Through the descriptor that was looked at: the name may be something else by now.
        TRY(Fd directory, Fd::openat(found.named.get(), ".", O_RDONLY | O_DIRECTORY));
        const std::string base = copy_path_base(path);
        options.top = base == "/" ? "" : base;
        return TreeArchive(std::move(directory), std::move(options));
    }
    TRY(Fd parent, container_directory_open(root, copy_path_parent(path)));
    options.only = copy_path_base(path);
    return TreeArchive(std::move(parent), std::move(options));
}

std::uint64_t mount_id(int fd) {
    struct statx info {};

    return ::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) == 0 ? info.stx_mnt_id : 0;
}

/// Follows: moby daemon/archive_unix.go checkIfPathIsInAVolume(), but asks the mounts themselves.
Result<void> writable_check(int root, int directory) {
    struct statvfs info {};

    if (::fstatvfs(directory, &info) != 0) {
        return Error::from_errno(errno, "fstatvfs");
    }
    if ((info.f_flag & ST_RDONLY) == 0) {
        return ok;
    }
    return Error(ErrorKind::permission_denied,
                 mount_id(root) == mount_id(directory) ? "container rootfs is marked read-only"
                                                       : "mounted volume is marked read-only");
}

/// In the tree of a user namespace only those who are in there can make anything.
std::unique_ptr<FileOwnerGuard> owner_become(const IdMap& ids) {
    if (ids.is_identity()) {
        return nullptr;
    }
    return std::make_unique<FileOwnerGuard>(ids.uid_outside(0).value_or(0),
                                            ids.gid_outside(0).value_or(0));
}

/// Compressed or plain bytes of an archive, onto the disk. Runs on a worker, one call at a time.
class Unpacking {
  public:
    Unpacking(LayerExtract extract, const IdMap& ids) : extract_(std::move(extract)), ids_(ids) {}

    Result<void> take(std::span<const std::uint8_t> bytes) {
        const auto owner = owner_become(ids_);
        for (;;) {
            TRY(const InflateProgress step, inflate_.step(bytes, plain_));
            bytes = bytes.subspan(step.consumed);
            TRY_VOID(extract_.feed(std::span(plain_).first(step.produced)));
            if (bytes.empty() && step.produced < plain_.size()) {
                return ok;
            }
        }
    }

    Result<void> finish() {
        const auto owner = owner_become(ids_);
        TRY_VOID(inflate_.finish());
        TRY([[maybe_unused]] const LayerExtractResult result, extract_.finish());
        return ok;
    }

  private:
    LayerExtract extract_;
    const IdMap& ids_;
    Inflate inflate_{limits::layer_bytes_max, Compressions::archive};
    std::vector<std::uint8_t> plain_ = std::vector<std::uint8_t>(limits::layer_inflate_bytes);
};

Task<void> unpack(Job& job, Unpacking& unpacking) {
    std::vector<char> buffer(limits::layer_chunk_bytes);
    for (;;) {
        CO_TRY(const std::size_t got, co_await job.read(buffer));
        if (got == 0) {
            auto finish = [&unpacking] { return unpacking.finish(); };
            co_return co_await offload(finish);
        }
        const void* bytes = buffer.data();
        const std::span<const std::uint8_t> piece(static_cast<const std::uint8_t*>(bytes), got);
        auto take = [&unpacking, piece] { return unpacking.take(piece); };
        CO_CHECK(co_await offload(take));
    }
}

/// What is wrong with an archive that a client made is the client's to put right; what the disk
/// refuses is not.
Error unpack_error(Error error) {
    if (error.kind() == ErrorKind::corrupt) {
        return std::move(error).with_kind(ErrorKind::invalid_argument);
    }
    return error.errno_value() != 0 ? std::move(error).with_kind(ErrorKind::internal)
                                    : std::move(error);
}

/// Where the archive goes, and how.
struct Target {
    Fd directory;
    std::shared_ptr<ExtractInto> into;
};

Result<Target> target_open(const ContainerFiles& files,
                           const ContainerCopyIn& request,
                           const std::string& user) {
    const int root = files.tree->root.get();
    Target target;
    const std::string path = copy_path_clean(request.path.path);
    TRY(target.directory, container_directory_open(root, path));
    TRY_VOID(writable_check(root, target.directory.get()));
    target.into = std::make_shared<ExtractInto>();
    TRY(target.into->root, Fd::duplicate(root));
    TRY(target.into->path, container_links_follow(root, path));
    target.into->ids = files.ids;
    target.into->directories_stay = request.no_overwrite_dir_non_dir;
    if (request.copy_uid_gid && !user.empty()) {
        TRY(const ResolvedUser owner, user_resolve_in_root(root, user));
        target.into->owner = std::pair(owner.uid, owner.gid);
    }
    return target;
}

}  // namespace

Task<PathStat> container_path_stat(Daemon& daemon,
                                   std::shared_ptr<Container> container,
                                   CopyPath path) {
    CO_TRY(const ContainerFiles files, co_await container_files_open(daemon, container));
    auto found = co_await find(files.tree->root.get(), copy_path_clean(path.path));
    if (!found) {
        co_return path_error(std::move(found).error(), path);
    }
    co_return std::move(found->stat);
}

Task<void> container_copy_out(Daemon& daemon,
                              std::shared_ptr<Container> container,
                              CopyPath path,
                              std::function<void(const PathStat&)> found_call,
                              ExportOutput output) {
    CO_TRY(const ContainerFiles files, co_await container_files_open(daemon, container));
    const int root = files.tree->root.get();
    const std::string clean = copy_path_clean(path.path);
    auto found = co_await find(root, clean);
    if (!found) {
        co_return path_error(std::move(found).error(), path);
    }
    auto open = [&files, &found, &clean] { return tree_open(files, *found, clean); };
    auto tree = co_await offload(open);
    if (!tree) {
        co_return path_error(std::move(tree).error(), path);
    }
    found_call(found->stat);
    container_event(daemon, *container, "archive-path");
    std::vector<std::uint8_t> buffer(limits::layer_chunk_bytes);
    for (;;) {
        auto step = [&tree, &buffer] { return tree->read(buffer); };
        CO_TRY(const std::size_t got, co_await offload(step));
        if (got == 0) {
            co_return ok;
        }
        const void* bytes = buffer.data();
        const std::string_view text(static_cast<const char*>(bytes), got);
        CO_CHECK(co_await output(text));
    }
}

Task<void> container_copy_in(Job& job,
                             Daemon& daemon,
                             std::shared_ptr<Container> container,
                             ContainerCopyIn request) {
    CO_TRY(const ContainerFiles files, co_await container_files_open(daemon, container));
    const std::string& user = container->record.config.user;
    auto open = [&files, &request, &user] { return target_open(files, request, user); };
    auto target = co_await offload(open);
    if (!target) {
        co_return path_error(std::move(target).error(), request.path);
    }
    LayerExtractOptions options;
    options.whiteouts = WhiteoutForm::literal;
    options.into = std::move(target->into);
    if (!files.ids.is_identity()) {
        options.helpers = 0;
    }
    CO_TRY(LayerExtract extract,
           LayerExtract::open(std::move(target->directory), std::move(options)));
    Unpacking unpacking(std::move(extract), files.ids);
    Result<void> unpacked = co_await unpack(job, unpacking);
    if (!unpacked) {
        co_return unpack_error(std::move(unpacked).error());
    }
    container_event(daemon, *container, "extract-to-dir");
    co_return ok;
}

}  // namespace davit
