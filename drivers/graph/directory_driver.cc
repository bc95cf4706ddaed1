#include "drivers/graph/directory_driver.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "drivers/graph/directory_layer.h"
#include "drivers/graph/directory_names.h"

namespace davit {

namespace {

constexpr const char* layers_dir = "layers";
constexpr const char* staging_dir = "staging";
constexpr const char* rw_dir = "rw";
constexpr const char* trash_dir = "trash";

std::string layer_dir(const std::string& cache_id) {
    return std::string(layers_dir) + "/" + cache_id;
}

}  // namespace

std::string DirectoryDriver::layer_path(const std::string& cache_id) {
    return layer_dir(cache_id) + "/diff";
}

std::string DirectoryDriver::staged_path(const std::string& name) {
    return std::string(staging_dir) + "/" + name;
}

std::string DirectoryDriver::rw_path(const std::string& name) {
    return std::string(rw_dir) + "/" + name;
}

bool DirectoryDriver::exists(const std::string& path) const {
    return ::faccessat(base_.get(), path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<void> DirectoryDriver::make_dir(const std::string& path, mode_t mode) const {
    if (::mkdirat(base_.get(), path.c_str(), mode) != 0) {
        return Error::from_errno(errno, "mkdirat", path);
    }
    return ok;
}

Result<DirectoryDriver::Base> DirectoryDriver::base_open(const std::string& path,
                                                         std::span<const char* const> more,
                                                         TrashBin::Dissolve dissolve) {
    TRY_VOID(make_directories(path, 0700));
    Base base;
    base.path = path;
    TRY(base.fd, Fd::open(path, O_RDONLY | O_DIRECTORY));
    std::vector<const char*> names = {layers_dir, staging_dir, rw_dir, trash_dir};
    names.insert(names.end(), more.begin(), more.end());
    for (const char* name : names) {
        if (::mkdirat(base.fd.get(), name, 0700) != 0 && errno != EEXIST) {
            return Error::from_errno(errno, "mkdirat", name);
        }
    }
    TRY(Fd trash, Fd::openat(base.fd.get(), trash_dir, O_RDONLY | O_DIRECTORY));
    TRY(base.trash, TrashBin::open(std::move(trash), std::move(dissolve)));
    return base;
}

Result<std::unique_ptr<LayerWriter>> DirectoryDriver::staged_writer(
    const std::string& staged) const {
    TRY_VOID(make_dir(staged + "/diff", 0755));
    TRY(Fd root, Fd::openat(base_.get(), staged + "/diff", O_RDONLY | O_DIRECTORY));
    TRY(Fd beside, Fd::openat(base_.get(), staged, O_RDONLY | O_DIRECTORY));
    return directory_layer_writer(std::move(root), std::move(beside));
}

Result<StagedLayer> DirectoryDriver::layer_stage(const std::string& cache_id) {
    const std::string staged = staged_path(cache_id);
    if (exists(layer_dir(cache_id))) {
        return Error::from_errno(EEXIST, "mkdirat", cache_id);
    }
    TRY_VOID(make_dir(staged, 0700));
    Result<std::unique_ptr<LayerWriter>> writer = staged_writer(staged);
    if (!writer) {
        // At once: the trash is the loop's. What cannot go is in staging, where the next start
        // finds it.
        ::unlinkat(base_.get(), (staged + "/diff").c_str(), AT_REMOVEDIR);
        ::unlinkat(base_.get(), staged.c_str(), AT_REMOVEDIR);
        return std::move(writer).error();
    }
    auto discard = [this, staged] {
        // A failure leaves it in staging, as above.
        (void)trash_->take(base_.get(), staged).has_value();
    };
    return StagedLayer(cache_id, *std::move(writer), std::move(discard));
}

Result<void> DirectoryDriver::layer_publish(StagedLayer& staged) {
    const std::string from = staged_path(staged.cache_id());
    const std::string to = layer_dir(staged.cache_id());
    if (::renameat2(base_.get(), from.c_str(), base_.get(), to.c_str(), RENAME_NOREPLACE) != 0) {
        return Error::from_errno(errno, "renameat2", from);
    }
    staged.published();
    return ok;
}

Result<void> DirectoryDriver::layer_remove(const std::string& cache_id) {
    return trash_->take(base_.get(), layer_dir(cache_id));
}

bool DirectoryDriver::layer_exists(const std::string& cache_id) const {
    return exists(layer_path(cache_id));
}

Result<LayerFiles> DirectoryDriver::layer_open(const std::string& cache_id) const {
    LayerFiles files;
    TRY(files.directory, Fd::openat(base_.get(), layer_dir(cache_id), O_RDONLY | O_DIRECTORY));
    TRY(files.root, Fd::openat(files.directory.get(), "diff", O_RDONLY | O_DIRECTORY));
    return files;
}

Result<std::vector<std::string>> DirectoryDriver::names_staying(
    const std::string& directory) const {
    TRY(std::vector<std::string> names, directory_names(base_.get(), directory));
    std::erase_if(names, [this, &directory](const std::string& name) {
        return trash_->is_leaving(directory + "/" + name);
    });
    return names;
}

Result<std::vector<std::string>> DirectoryDriver::layer_names() const {
    return names_staying(layers_dir);
}

Result<std::vector<std::string>> DirectoryDriver::rw_names() const {
    return names_staying(rw_dir);
}

Result<void> DirectoryDriver::rw_remove(const std::string& name) {
    return trash_->take(base_.get(), rw_path(name));
}

Result<std::size_t> DirectoryDriver::recover(const DriverKnown& known) {
    TRY(const std::size_t count,
        trash_unknown(staging_dir, [](std::string_view) { return false; }));
    TRY(const std::size_t containers, trash_unknown(rw_dir, known.rw));
    TRY(const std::size_t layers, trash_unknown(layers_dir, known.layer));
    return count + containers + layers;
}

Result<std::size_t> DirectoryDriver::trash_unknown(
    const std::string& directory, const std::function<bool(std::string_view)>& known) {
    std::size_t count = 0;
    TRY(const std::vector<std::string> names, directory_names(base_.get(), directory));
    for (const std::string& name : names) {
        if (!known(name)) {
            TRY_VOID(trash_->take(base_.get(), directory + "/" + name));
            ++count;
        }
    }
    return count;
}

Result<void> DirectoryDriver::sync_names() const {
    // The new place first: a name in both is found, a name in neither is lost.
    for (const char* name : {layers_dir, staging_dir}) {
        TRY(const Fd directory, Fd::openat(base_.get(), name, O_RDONLY | O_DIRECTORY));
        if (::fsync(directory.get()) != 0) {
            return Error::from_errno(errno, "fsync", name);
        }
    }
    return ok;
}

Result<void> DirectoryDriver::sync() const {
    if (::syncfs(base_.get()) != 0) {
        return Error::from_errno(errno, "syncfs", path_);
    }
    return ok;
}

}  // namespace davit
