#include <algorithm>
#include <set>

#include "graph/graph_writer.h"
#include "graph/image_store.h"
#include "graph/tag_store.h"
#include "graph/tree_archive.h"
#include "jobs/container/freezer.h"
#include "jobs/container_archive.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "jobs/image/config_change.h"
#include "jobs/image/image_service.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

/// What a container changed, as the bytes of a layer.
class TreeSource final : public LayerSource {
  public:
    explicit TreeSource(Fd directory) : tree_(std::move(directory), TreeForm::layer) {}

    Task<std::size_t> read(std::span<char> buffer) override {
        void* bytes = buffer.data();
        const std::span<std::uint8_t> room(static_cast<std::uint8_t*>(bytes), buffer.size());
        auto step = [this, room] { return tree_.read(room); };
        co_return co_await offload(step);
    }

  private:
    TreeArchive tree_;
};

Task<LayerHandle> layer_of_changes(Daemon& daemon, const Container& container) {
    CO_TRY(RootfsSpec spec, container_rootfs_spec(daemon, container.record));
    CO_TRY(const RwChanges changes, co_await daemon.graph_driver->rw_changes(std::move(spec)));
    CO_TRY(Fd directory, Fd::duplicate(changes.directory().get()));
    TreeSource source(std::move(directory));
    LayerWatcher watcher;
    watcher.received = [](std::uint64_t) {};
    watcher.received_all = [] {};
    watcher.unpacked = [](std::uint64_t) {};
    LayerExpected anything;
    co_return co_await daemon.images->layers().unpack(
        source, std::move(anything), std::move(watcher));
}

/// The layer, unpacked, while nothing runs in the container if that is wanted.
Task<LayerHandle> layer_make(Daemon& daemon, Container& container, bool pause) {
    const std::shared_ptr<ContainerRun> run = container.run;
    const bool freeze = pause && container.record.state.status == ContainerState::running;
    const std::shared_ptr<Cgroup> cgroup = freeze && run != nullptr ? run->cgroup : nullptr;
    Result<void> frozen = ok;
    if (cgroup != nullptr) {
        frozen = co_await cgroup_freeze(*cgroup);
    }
    Result<LayerHandle> layer = Error(ErrorKind::internal, "not packed");
    if (frozen) {
        layer = co_await layer_of_changes(daemon, container);
    } else {
        layer = std::move(frozen).error();
    }
    if (cgroup != nullptr) {
        if (Result<void> thawed = cgroup->thaw(); !thawed) {
            LOG_WARN(
                "container={}: thaw: {}, ignoring", container.id().str(), thawed.error().message());
        }
    }
    co_return std::move(layer);
}

/// An archive of nothing: such a layer is left out of the image.
bool is_empty_layer(const Digest& diff_id) {
    static const Digest nothing = sha256_of(std::string(1024, '\0'));
    return diff_id == nothing;
}

std::string words_joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) {
        text.append(text.empty() ? "" : " ").append(word);
    }
    return text;
}

ImageConfig config_make(ImageConfig parent,
                        const ContainerRecord& record,
                        CommitRequest request,
                        const Digest& diff_id) {
    ImageConfig config = std::move(parent);
    config.created = rfc3339_nano(wall_now());
    config.author = request.author;
    config.config = std::move(request.config);
    HistoryEntry entry;
    entry.created = config.created;
    entry.author = request.author;
    entry.comment = request.comment;
    entry.created_by = words_joined(record.config.cmd.value_or(std::vector<std::string>{}));
    entry.empty_layer = is_empty_layer(diff_id);
    if (!entry.empty_layer) {
        config.diff_ids.push_back(diff_id);
    }
    config.history.push_back(std::move(entry));
    return config;
}

/// Record the image, under its name if it gets one.
Task<Digest> record(Daemon& daemon,
                    const ImageConfig& config,
                    const std::optional<Reference>& name,
                    const Digest& parent,
                    LayerHandle layer) {
    ImagePut put;
    put.config = image_config_json(config);
    put.stored = wall_now();
    put.parent = parent;
    const Digest id = sha256_of(put.config);
    auto commit = [put = std::move(put), name, id](WriteTxn& txn) -> Result<void> {
        TRY_VOID(image_put(txn, put));
        if (name) {
            TRY_VOID(reference_set(txn, *name, id));
        }
        return ok;
    };
    std::vector<LayerHandle> layers;
    if (!is_empty_layer(layer->place.diff_id)) {
        layers.push_back(std::move(layer));
    }
    CO_CHECK(co_await daemon.images->layers().publish(
        std::move(layers), LayerSyncing::before, std::move(commit)));
    co_return id;
}

}  // namespace

void commit_config_complete(RunConfig& config, const ContainerConfig& container) {
    const auto fill = [](auto& mine, const auto& theirs) {
        if (mine.empty()) {
            mine = theirs;
        }
    };
    const auto join = [](std::vector<std::string>& mine, const std::set<std::string>& theirs) {
        std::set<std::string> all(mine.begin(), mine.end());
        all.insert(theirs.begin(), theirs.end());
        mine.assign(all.begin(), all.end());
    };
    fill(config.user, container.user);
    join(config.exposed_ports, container.exposed_ports);
    join(config.volumes, container.volumes);
    for (const std::string& variable : container.env) {
        const std::string key = variable.substr(0, variable.find('=')) + "=";
        const bool known = std::ranges::any_of(
            config.env, [&](const std::string& mine) { return mine.starts_with(key); });
        if (!known) {
            config.env.push_back(variable);
        }
    }
    if (config.entrypoint.empty()) {
        fill(config.cmd, container.cmd.value_or(std::vector<std::string>{}));
        config.args_escaped = config.args_escaped || container.args_escaped;
        config.entrypoint = container.entrypoint.value_or(std::vector<std::string>{});
    }
    if (!config.healthcheck) {
        config.healthcheck = container.healthcheck;
    }
    fill(config.working_dir, container.working_dir);
    config.labels.insert(container.labels.begin(), container.labels.end());
    fill(config.stop_signal, container.stop_signal);
    fill(config.shell, container.shell);
    fill(config.on_build, container.on_build);
}

Task<Digest> container_commit(Daemon& daemon,
                              std::shared_ptr<Container> container,
                              CommitRequest request) {
    // As Docker does: what the container has is what changes are made to, where nothing is given.
    commit_config_complete(request.config, container->record.config);
    CO_CHECK(config_change_apply(request.config, request.changes));
    CO_TRY(const Semaphore::Permit turn, co_await container->operations.lock());
    if (container->removed || container->removing) {
        co_return Error(ErrorKind::conflict,
                        "container " + container->id().str() + " is being removed");
    }
    const ContainerRecord& record_of = container->record;
    ImageConfig parent;
    if (!record_of.image_id.empty()) {
        const auto read = [&](const ReadTxn& txn) -> Result<ImageConfig> {
            TRY(const std::string bytes, image_config_bytes(txn, record_of.image_id));
            return image_config_parse(bytes);
        };
        CO_TRY(parent, daemon.graph->view(read));
    }
    CO_TRY(const LayerHandle layer, co_await layer_make(daemon, *container, request.pause));
    layer->unpacked.decoded.blob = Digest();
    std::optional<Reference> name;
    if (request.reference) {
        name = request.reference->with_default_tag();
    }
    std::vector<std::pair<std::string, std::string>> attributes;
    attributes.emplace_back("comment", request.comment);
    const ImageConfig config =
        config_make(std::move(parent), record_of, std::move(request), layer->place.diff_id);
    CO_TRY(const Digest id, co_await record(daemon, config, name, record_of.image_id, layer));
    attributes.emplace_back("imageID", id.str());
    if (name) {
        attributes.emplace_back("imageRef", name->familiar());
    }
    container_event(daemon, *container, "commit", std::move(attributes));
    co_return id;
}

}  // namespace davit
