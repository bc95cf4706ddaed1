#include "jobs/image_gc.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <map>

#include "graph/container_store.h"
#include "graph/edges.h"
#include "graph/image_sizes.h"
#include "graph/image_store.h"
#include "graph/layer_unfinished.h"
#include "graph/tag_store.h"
#include "jobs/daemon.h"
#include "jobs/image/image_service.h"
#include "jobs/image/remove.h"

namespace davit {

namespace {

/// As df(1) counts: what only root may use is neither used nor free.
struct DiskUse {
    std::uint64_t used = 0;
    std::uint64_t total = 0;

    double percent() const {
        return total == 0 ? 0 : 100.0 * static_cast<double>(used) / static_cast<double>(total);
    }
};

Result<DiskUse> disk_use(const std::string& path) {
    struct statvfs status {};

    if (::statvfs(path.c_str(), &status) != 0) {
        return Error::from_errno(errno, "statvfs", path);
    }
    DiskUse disk;
    disk.used = (status.f_blocks - status.f_bfree) * status.f_frsize;
    disk.total = disk.used + status.f_bavail * status.f_frsize;
    return disk;
}

std::uint64_t bytes_wanted(const DiskUse& disk, const GcRequest& request) {
    if (disk.percent() <= request.high_percent) {
        return 0;
    }
    const auto allowed = disk.total / 100 * static_cast<std::uint64_t>(request.low_percent);
    return disk.used > allowed ? disk.used - allowed : 0;
}

Result<bool> has_lease(const ReadTxn& txn, const ImageSizes& sizes) {
    for (const ImageLayer& layer : sizes.layers) {
        TRY(const std::vector<Edge> edges,
            edges_to(txn, Entity{EntityKind::layer, layer.cache_id}));
        const auto is_lease = [](const Edge& edge) {
            return edge.parent.kind == EntityKind::lease;
        };
        if (std::ranges::any_of(edges, is_lease)) {
            return true;
        }
    }
    return false;
}

Result<GcCandidate> candidate_make(const ReadTxn& txn,
                                   const ImageRecord& record,
                                   const ImageSizes& sizes) {
    GcCandidate image;
    image.id = record.id;
    image.parent = record.parent;
    TRY(const std::vector<Reference> names, image_references(txn, record.id));
    image.name = names.empty() ? record.id.short_hex() : names.front().familiar();
    TRY(const std::optional<WallTime> used, image_last_used(txn, record.id));
    // Whoever pulled it meant to use it.
    image.used = std::max(used.value_or(record.stored), record.stored);
    for (const ImageLayer& layer : sizes.layers) {
        image.layers.emplace_back(layer.cache_id, layer.bytes);
    }
    TRY(const bool pinned, image_is_pinned(txn, record.id));
    TRY(const bool leased, has_lease(txn, sizes));
    if (pinned) {
        image.kept_because = "it is pinned";
    } else if (leased) {
        image.kept_because = "a pull needs its layers";
    }
    return image;
}

Result<GcInput> input_read(const ReadTxn& txn, const std::set<Digest>& chains) {
    GcInput input;
    TRY(GraphSizes sizes, graph_sizes(txn));
    TRY(const std::vector<ImageRecord> records, image_list(txn));
    for (const ImageRecord& record : records) {
        TRY(GcCandidate image, candidate_make(txn, record, sizes.images[record.id]));
        input.images.push_back(std::move(image));
    }
    for (const Digest& chain : chains) {
        const auto layers = chain_directories(txn, chain);
        if (layers) {
            input.held_layers.insert(layers->begin(), layers->end());
        }
    }
    return input;
}

Result<GcInput> input_make(const Daemon& daemon) {
    std::set<Digest> chains;
    std::map<Digest, std::string> users;
    for (const auto& container : daemon.containers.list()) {
        if (!container->record.chain_id.empty()) {
            chains.insert(container->record.chain_id);
        }
        users.emplace(container->record.image_id, container->record.name.substr(1));
    }
    TRY(GcInput input,
        daemon.graph->view([&](const ReadTxn& txn) { return input_read(txn, chains); }));
    for (GcCandidate& image : input.images) {
        if (const auto user = users.find(image.id); user != users.end()) {
            image.kept_because = "container " + user->second + " uses it";
        }
    }
    return input;
}

/// How many images still need each layer.
class LayerUse {
  public:
    explicit LayerUse(const GcInput& input) {
        for (const std::string& layer : input.held_layers) {
            ++users_[layer];
        }
        for (const GcCandidate& image : input.images) {
            for (const std::string& layer : distinct(image)) {
                ++users_[layer];
            }
        }
    }

    std::uint64_t freed_by(const GcCandidate& image) const {
        std::uint64_t bytes = 0;
        std::set<std::string> seen;
        for (const auto& [layer, size] : image.layers) {
            bytes += seen.insert(layer).second && users_.at(layer) == 1 ? size : 0;
        }
        return bytes;
    }

    void remove(const GcCandidate& image) {
        for (const std::string& layer : distinct(image)) {
            --users_[layer];
        }
    }

  private:
    static std::set<std::string> distinct(const GcCandidate& image) {
        std::set<std::string> layers;
        for (const auto& [layer, size] : image.layers) {
            layers.insert(layer);
        }
        return layers;
    }

    std::map<std::string, std::size_t> users_;
};

/// As with any removal, but without labels: afterwards there is nobody to ask.
void event_publish(Daemon& daemon, const ImageRemoved::Entry& entry) {
    const bool untagged = entry.kind == ImageRemoved::Entry::Kind::untagged;
    const std::string id = entry.image.str();
    daemon.events.publish("image", untagged ? "untag" : "delete", id, {{"name", id}});
}

GcStep step_of(const GcCandidate& image, std::uint64_t bytes, std::string reason) {
    return {image.id, image.name, image.used, bytes, std::move(reason)};
}

/// By each of its names, so that one that was given meanwhile keeps it; by id if it has none.
Task<void> remove_one(Daemon& daemon, const GcStep& step, GcReport& report) {
    CO_TRY(const std::vector<Reference> names,
           daemon.graph->view([&](const ReadTxn& txn) { return image_references(txn, step.id); }));
    std::vector<std::string> texts;
    for (const Reference& name : names) {
        texts.push_back(name.str());
    }
    if (texts.empty()) {
        texts.push_back(step.id.str());
    }
    for (const std::string& text : texts) {
        ImageRemove request;
        request.text = text;
        request.prune_parents = false;
        for (const auto& container : daemon.containers.list()) {
            if (container->record.image_id == step.id) {
                co_return ok;  // Made meanwhile: it is in use.
            }
            request.users.push_back(
                {container->id().str(), container->record.image_id, container->run != nullptr});
        }
        const ContainerStore store(*daemon.graph, *daemon.run_db);
        CO_TRY(std::vector<Digest> pinned, store.pinned_chains());
        request.pinned = [pinned = std::move(pinned)](const Digest& chain) {
            return std::ranges::find(pinned, chain) != pinned.end();
        };
        Result<ImageRemoved> removed = co_await image_remove(*daemon.images, std::move(request));
        // With the last tag of a repository its digests go as well.
        if (!removed && removed.error().kind() == ErrorKind::not_found) {
            continue;
        }
        if (!removed) {
            co_return std::move(removed).error();
        }
        for (ImageRemoved::Entry& entry : removed->entries) {
            event_publish(daemon, entry);
            report.removed.push_back(std::move(entry));
        }
    }
    report.bytes_freed += step.bytes;
    co_return ok;
}

}  // namespace

Result<double> disk_used_percent(const std::string& path) {
    TRY(const DiskUse disk, disk_use(path));
    return disk.percent();
}

GcPlan gc_plan(GcInput input) {
    GcPlan plan;
    std::ranges::sort(input.images, {}, &GcCandidate::used);
    std::map<Digest, std::size_t> children;
    for (const GcCandidate& image : input.images) {
        if (!image.parent.empty()) {
            ++children[image.parent];
        }
    }
    LayerUse use(input);
    std::uint64_t freed = 0;
    std::vector<const GcCandidate*> left;
    for (const GcCandidate& image : input.images) {
        left.push_back(&image);
    }
    // One at a time: each may free what another one shares with it, or be the last child of its
    // parent.
    while (freed < input.bytes_wanted) {
        const auto next = std::ranges::find_if(left, [&](const GcCandidate* image) {
            return image->kept_because.empty() && children[image->id] == 0 &&
                   use.freed_by(*image) > 0;
        });
        if (next == left.end()) {
            break;
        }
        const GcCandidate& image = **next;
        const std::uint64_t bytes = use.freed_by(image);
        plan.remove.push_back(step_of(image, bytes, ""));
        freed += bytes;
        use.remove(image);
        if (!image.parent.empty()) {
            --children[image.parent];
        }
        left.erase(next);
    }
    const bool enough = freed >= input.bytes_wanted;
    for (const GcCandidate* image : left) {
        std::string reason = image->kept_because;
        if (reason.empty() && children[image->id] > 0) {
            reason = "others were built on it";
        } else if (reason.empty() && enough) {
            reason = input.bytes_wanted == 0 ? "the disk is not above the high mark"
                                             : "it was used after those that go";
        } else if (reason.empty()) {
            reason = "others need all of its layers";
        }
        plan.keep.push_back(step_of(*image, 0, std::move(reason)));
    }
    return plan;
}

Task<GcReport> image_gc(Job& job, Daemon& daemon, GcRequest request) {
    if (request.low_percent < 0 || request.high_percent > 100 ||
        request.low_percent > request.high_percent) {
        co_return Error(ErrorKind::invalid_argument,
                        "the marks are percent, the low one at most the high one");
    }
    job.phases().begin("plan");
    CO_CHECK(co_await daemon.image_uses_flush());
    CO_TRY(const DiskUse disk, disk_use(daemon.config.data_root));
    CO_TRY(GcInput input, input_make(daemon));
    GcReport report;
    report.used_percent = disk.percent();
    report.bytes_wanted = bytes_wanted(disk, request);
    input.bytes_wanted = report.bytes_wanted;
    report.plan = gc_plan(std::move(input));
    if (request.dry_run) {
        co_return std::move(report);
    }
    job.phases().begin("remove");
    if (report.bytes_wanted > 0) {
        auto drop = [](WriteTxn& txn) { return layers_unfinished_drop(txn); };
        CO_TRY(std::vector<std::string> unneeded,
               co_await daemon.graph_writer->update(std::move(drop)));
        CO_CHECK(
            co_await shielded(daemon.images->layers().directories_delete(std::move(unneeded))));
    }
    for (const GcStep& step : report.plan.remove) {
        Result<void> removed = co_await remove_one(daemon, step, report);
        if (!removed && removed.error().kind() == ErrorKind::cancelled) {
            co_return std::move(removed).error();
        }
        if (!removed) {
            job.complain("remove " + step.name + ": " + removed.error().message());
        }
    }
    co_return std::move(report);
}

}  // namespace davit
