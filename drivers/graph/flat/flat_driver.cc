#include "drivers/graph/flat/flat_driver.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "drivers/graph/directory_names.h"
#include "drivers/graph/flat/tree_changes.h"
#include "libcontainer/mount.h"
#include "libcontainer/user_namespace.h"
#include "reactor/base/digest.h"
#include "reactor/base/ids.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

constexpr const char* chains_dir = "chains";
constexpr const char* empty_dir = "empty";

/// Of one slice on a worker: some milliseconds.
constexpr std::size_t slice_entries = 1024;

std::string lines_of(const std::vector<std::string>& layers) {
    std::string lines;
    for (const std::string& layer : layers) {
        lines.append(layer).push_back('\n');
    }
    return lines;
}

std::string chain_key(const std::vector<std::string>& layers) {
    return std::string(sha256_of(lines_of(layers)).hex());
}

std::string chain_dir(const std::string& key) {
    return std::string(chains_dir) + "/" + key;
}

std::vector<std::string> lines_parse(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(text.size(), end + 1));
    }
    return lines;
}

/// Steps of TreeApply or TreeChanges on workers, to their end.
template <typename Steps>
Task<void> run_steps(Steps& steps) {
    for (bool more = true; more;) {
        auto step = [&steps] { return steps.step(slice_entries); };
        CO_TRY(more, co_await offload(std::move(step)));
    }
    co_return ok;
}

Result<void> rename_new(int dir, const std::string& from, const std::string& to) {
    if (::renameat2(dir, from.c_str(), dir, to.c_str(), RENAME_NOREPLACE) != 0) {
        return Error::from_errno(errno, "renameat2", to);
    }
    return ok;
}

}  // namespace

Result<DirectoryDriver::Base> FlatDriver::flat_open(const std::string& path,
                                                    TrashBin::Dissolve dissolve) {
    static constexpr const char* more[] = {chains_dir, empty_dir};
    return base_open(path, more, std::move(dissolve));
}

Result<void> FlatDriver::chains_load() {
    TRY(const std::vector<std::string> keys, directory_names(base_.get(), chains_dir));
    for (const std::string& key : keys) {
        const Result<std::string> lines = file_read(base_.get(), chain_dir(key) + "/layers");
        std::vector<std::string> layers = lines ? lines_parse(*lines) : std::vector<std::string>();
        if (!lines || chain_key(layers) != key) {
            LOG_WARN("graph driver: chain {} does not say what it is made of: removing it", key);
            TRY_VOID(trash_->take(base_.get(), chain_dir(key)));
            continue;
        }
        chains_.emplace(key, std::move(layers));
    }
    return ok;
}

std::string FlatDriver::chain_tree(const Layers& layers) {
    return layers.empty() ? empty_dir : chain_dir(chain_key(layers)) + "/tree";
}

void FlatDriver::discard(const std::string& staged) {
    (void)trash_->take(base_.get(), staged).has_value();
}

std::shared_ptr<AsyncMutex> FlatDriver::making(const std::string& name) {
    std::erase_if(making_, [](const auto& entry) { return entry.second.expired(); });
    std::weak_ptr<AsyncMutex>& place = making_[name];
    std::shared_ptr<AsyncMutex> mutex = place.lock();
    if (!mutex) {
        mutex = std::make_shared<AsyncMutex>();
        place = mutex;
    }
    return mutex;
}

Task<void> FlatDriver::apply(std::string from, std::string to, TreeApplyOptions options) {
    CO_TRY(Fd source, Fd::openat(base_.get(), from, O_RDONLY | O_DIRECTORY));
    CO_TRY(Fd target, Fd::openat(base_.get(), to, O_RDONLY | O_DIRECTORY));
    TreeApply tree(std::move(source), std::move(target), options);
    co_return co_await run_steps(tree);
}

Task<void> FlatDriver::prepare(RootfsSpec spec) {
    CO_CHECK(co_await chain_prepare(spec.layers));
    if (!spec.rw_name.empty()) {
        CO_CHECK(co_await rw_prepare(spec.rw_name, spec.layers));
    }
    co_return ok;
}

Task<void> FlatDriver::chain_prepare(Layers layers) {
    const std::string key = chain_key(layers);
    if (layers.empty() || chains_.contains(key)) {
        co_return ok;
    }
    const std::shared_ptr<AsyncMutex> mutex = making(key);
    CO_TRY(const Semaphore::Permit turn, co_await mutex->lock());
    if (chains_.contains(key)) {
        co_return ok;
    }
    for (const std::string& layer : layers) {
        if (!layer_exists(layer)) {
            co_return Error(ErrorKind::not_found, "layer " + layer + " is not there");
        }
    }
    const std::string staged = staged_path("chain-" + random_hex(8));
    Result<void> built = co_await chain_build(layers, staged);
    if (built) {
        built = rename_new(base_.get(), staged, chain_dir(key));
    }
    if (!built) {
        discard(staged);
        co_return std::move(built).error().context("make the root file system of an image");
    }
    chains_.emplace(key, std::move(layers));
    co_return ok;
}

Task<void> FlatDriver::chain_build(Layers layers, std::string staged) {
    CO_CHECK(make_dir(staged, 0700));
    CO_CHECK(file_replace(base_.get(), staged + "/layers", lines_of(layers), 0600));
    // Below us may be a chain already: the image that this one was built on.
    Layers below(layers.begin(), layers.end() - 1);
    while (!below.empty() && !chains_.contains(chain_key(below))) {
        below.pop_back();
    }
    const std::string tree = staged + "/tree";
    auto begin = [this, &below, &tree]() -> Result<bool> {
        if (!below.empty()) {
            TRY(const bool whole, trees_->snapshot(base_.get(), chain_tree(below), tree));
            if (whole) {
                return true;
            }
        }
        TRY_VOID(trees_->make(base_.get(), tree));
        return below.empty();
    };
    CO_TRY(const bool begun, co_await offload(std::move(begin)));
    if (!begun) {
        const TreeApplyOptions as_it_is{trees_->files(), false};
        CO_CHECK(co_await apply(chain_tree(below), tree, as_it_is));
    }
    const TreeApplyOptions as_diff{trees_->files(), true};
    for (std::size_t i = below.size(); i < layers.size(); ++i) {
        CO_CHECK(co_await apply(layer_path(layers[i]), tree, as_diff));
    }
    // A chain that is there is whole, after a power cut, too.
    auto write = [this] { return sync(); };
    co_return co_await offload(std::move(write));
}

Task<void> FlatDriver::rw_prepare(std::string name, Layers layers) {
    const std::string tree = rw_path(name) + "/tree";
    if (exists(tree)) {
        co_return ok;
    }
    const std::shared_ptr<AsyncMutex> mutex = making(tree);
    CO_TRY(const Semaphore::Permit turn, co_await mutex->lock());
    if (exists(tree)) {
        co_return ok;
    }
    if (!exists(rw_path(name))) {
        co_return Error(ErrorKind::not_found, "no writable directory " + name);
    }
    const std::string staged = staged_path("rw-" + random_hex(8));
    Result<void> built = co_await rw_build(std::move(layers), staged);
    if (built) {
        built = rename_new(base_.get(), staged, tree);
    }
    if (!built) {
        discard(staged);
        co_return std::move(built).error().context("make a container's root file system");
    }
    co_return ok;
}

Task<void> FlatDriver::rw_build(Layers layers, std::string staged) {
    const std::string from = chain_tree(layers);
    auto begin = [this, &layers, &from, &staged]() -> Result<bool> {
        if (!layers.empty()) {
            TRY(const bool whole, trees_->snapshot(base_.get(), from, staged));
            if (whole) {
                return true;
            }
        }
        TRY_VOID(trees_->make(base_.get(), staged));
        return layers.empty();
    };
    CO_TRY(const bool begun, co_await offload(std::move(begin)));
    if (!begun) {
        const TreeApplyOptions own{TreeFiles::copy, false};
        CO_CHECK(co_await apply(from, staged, own));
    }
    co_return ok;
}

Task<RwChanges> FlatDriver::rw_changes(RootfsSpec spec) {
    if (!exists(rw_path(spec.rw_name))) {
        co_return Error(ErrorKind::not_found, "no writable directory " + spec.rw_name);
    }
    const std::string staged = staged_path("changes-" + random_hex(8));
    CO_CHECK(make_dir(staged, 0755));
    RwChanges changes(Fd(), [this, staged] { discard(staged); });
    CO_CHECK(co_await changes_find(std::move(spec), staged));
    CO_TRY(Fd directory, Fd::openat(base_.get(), staged, O_RDONLY | O_DIRECTORY));
    co_return RwChanges(std::move(directory), std::move(changes).release());
}

Task<void> FlatDriver::changes_find(RootfsSpec spec, std::string staged) {
    const std::string tree = rw_path(spec.rw_name) + "/tree";
    if (!exists(tree)) {
        co_return ok;  // Never started.
    }
    CO_CHECK(co_await chain_prepare(spec.layers));
    CO_TRY(Fd before, Fd::openat(base_.get(), chain_tree(spec.layers), O_RDONLY | O_DIRECTORY));
    CO_TRY(Fd after, Fd::openat(base_.get(), tree, O_RDONLY | O_DIRECTORY));
    CO_TRY(Fd diff, Fd::openat(base_.get(), staged, O_RDONLY | O_DIRECTORY));
    TreeChanges found(std::move(before), std::move(after), std::move(diff), trees_->files());
    co_return co_await run_steps(found);
}

Result<Fd> FlatDriver::mount(const RootfsSpec& spec) const {
    if (spec.layers.empty() && spec.rw_name.empty()) {
        return Error(ErrorKind::invalid_argument, "nothing to mount: no layer, and read-only");
    }
    const std::string tree =
        spec.rw_name.empty() ? chain_tree(spec.layers) : rw_path(spec.rw_name) + "/tree";
    Result<Fd> mounted = open_tree_clone(base_.get(), tree, false);
    if (!mounted) {
        return std::move(mounted).error().context("mount the root file system");
    }
    // The data root's own flags are not the container's.
    MountAttributes attributes;
    attributes.clear = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    attributes.propagation = MS_PRIVATE;
    if (spec.rw_name.empty()) {
        attributes.set = MOUNT_ATTR_RDONLY;
    } else {
        attributes.clear |= MOUNT_ATTR_RDONLY;
    }
    TRY_VOID(mount_attributes_change(mounted->get(), attributes));
    if (spec.maps_ids) {
        TRY_VOID(mount_map_ids(mounted->get(), user_namespace_.get(), path_));
    }
    return mounted;
}

Result<void> FlatDriver::map_ids(Fd user_namespace, const IdMap& /*ids*/) {
    TRY(const Fd trial, open_tree_clone(base_.get(), "", false));
    TRY_VOID(mount_map_ids(trial.get(), user_namespace.get(), path_));
    user_namespace_ = std::move(user_namespace);
    return ok;
}

Result<void> FlatDriver::rw_create(const std::string& name) {
    return make_dir(rw_path(name), 0700);
}

Result<Fd> FlatDriver::rw_open(const std::string& name) const {
    return Error(ErrorKind::unsupported,
                 "storage driver " + std::string(this->name()) +
                     " does not keep the changes of a container (" + name + ") apart");
}

Result<void> FlatDriver::layer_remove(const std::string& cache_id) {
    // The chains first: one without all its layers is never seen.
    auto gone = [&cache_id](const std::string& layer) { return layer == cache_id; };
    TRY([[maybe_unused]] const std::size_t count, chains_trash(gone));
    return DirectoryDriver::layer_remove(cache_id);
}

Result<std::size_t> FlatDriver::chains_trash(
    const std::function<bool(const std::string&)>& layer_gone) {
    std::size_t count = 0;
    for (auto chain = chains_.begin(); chain != chains_.end();) {
        if (std::ranges::none_of(chain->second, layer_gone)) {
            ++chain;
            continue;
        }
        TRY_VOID(trash_->take(base_.get(), chain_dir(chain->first)));
        chain = chains_.erase(chain);
        ++count;
    }
    return count;
}

Result<std::size_t> FlatDriver::recover(const DriverKnown& known) {
    TRY(const std::size_t count, DirectoryDriver::recover(known));
    auto gone = [this](const std::string& layer) { return !layer_exists(layer); };
    TRY(const std::size_t chains, chains_trash(gone));
    return count + chains;
}

}  // namespace davit
