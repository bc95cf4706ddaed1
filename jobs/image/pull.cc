#include "jobs/image/pull.h"

#include <algorithm>
#include <map>
#include <utility>

#include "graph/graph_writer.h"
#include "graph/manifest.h"
#include "graph/tag_store.h"
#include "jobs/image/blob_source.h"
#include "jobs/image/image_names.h"
#include "jobs/image/image_service.h"
#include "jobs/image/pull_manifest.h"

namespace davit {

namespace {

void say(ProgressSink& progress, std::string status, std::string id = {}) {
    ProgressMessage message;
    message.id = std::move(id);
    message.status = std::move(status);
    progress.update(message);
}

void say_status(ProgressSink& progress, bool newer, const std::string& what) {
    say(progress,
        (newer ? "Status: Downloaded newer image for " : "Status: Image is up to date for ") +
            what);
}

struct Pull {
    ImageService& images;
    PullRequest request;
    ProgressSink& progress;
    std::shared_ptr<RegistryRepository> repository;
    /// Of the lease that keeps layers found here; "" while there is none.
    std::string lease;
    std::vector<LayerHandle> layers;
};

Platform wanted_platform(const PullRequest& request) {
    return request.platform ? *request.platform : platform_host();
}

/// The image that the reference already names here, if the registry says that it still does.
Task<std::optional<PullResult>> up_to_date(Pull& pull) {
    const Reference& reference = pull.request.reference;
    const auto local = [&reference](const ReadTxn& txn) -> Result<std::optional<ImageRecord>> {
        TRY(const std::optional<Digest> id, reference_get(txn, reference));
        return id ? image_get(txn, *id) : std::optional<ImageRecord>();
    };
    CO_TRY(const std::optional<ImageRecord> image, pull.images.db().view(local));
    if (!image || platform_match(wanted_platform(pull.request), image->platform) == 0) {
        co_return std::optional<PullResult>();
    }
    PullResult result;
    result.image = image->id;
    result.reference = reference;
    if (reference.has_digest()) {
        result.manifest = reference.digest();  // A digest cannot come to mean something else.
        co_return std::optional<PullResult>(std::move(result));
    }
    CO_TRY(const std::optional<ManifestHead> head,
           co_await pull.repository->manifest_head(reference.tag()));
    if (!head || std::find(image->manifests.begin(), image->manifests.end(), head->digest) ==
                     image->manifests.end()) {
        co_return std::optional<PullResult>();
    }
    result.manifest = head->digest;
    co_return std::optional<PullResult>(std::move(result));
}

/// Hold the layers that are here already. Gives: whether each one is.
Task<std::vector<bool>> layers_hold(Pull& pull, std::vector<LayerPlace> places) {
    using Held = std::pair<std::string, std::vector<bool>>;
    auto hold = [places = std::move(places)](WriteTxn& txn) -> Result<Held> {
        Held held;
        TRY(held.first, lease_create(txn));
        for (const LayerPlace& place : places) {
            TRY(const std::optional<LayerRecord> layer, lease_hold(txn, held.first, place));
            held.second.push_back(layer.has_value());
        }
        return held;
    };
    CO_TRY(Held held, co_await pull.images.writer().update(std::move(hold)));
    pull.lease = std::move(held.first);
    co_return std::move(held.second);
}

Task<void> layer_bring(Pull& pull, LayerWanted wanted, LayerHandle& handle) {
    CO_TRY(handle, co_await pull.images.layers().acquire(std::move(wanted), pull.progress));
    co_return ok;
}

LayerWanted layer_wanted(const Pull& pull, const Descriptor& layer, const LayerPlace& place) {
    LayerWanted wanted;
    wanted.place = place;
    wanted.blob = layer.digest;
    wanted.blob_media_type = layer.media_type;
    wanted.blob_bytes = layer.size;
    BlobDescriptor blob;
    blob.digest = layer.digest;
    blob.bytes = layer.size;
    // Only what may not be in the registry has other addresses: else any manifest could make the
    // daemon ask any host.
    const Result<LayerMediaType> type = layer_media_type(layer.media_type);
    if (type && type->foreign) {
        blob.urls = layer.urls;
    }
    wanted.open = [repository = pull.repository, blob]() -> std::unique_ptr<LayerSource> {
        if (blob.bytes >= limits::blob_ranges_bytes_min && blob.urls.empty()) {
            return std::make_unique<BlobRangesSource>(repository, blob);
        }
        return std::make_unique<BlobSource>(repository, blob);
    };
    return wanted;
}

/// Bring in what is missing, all at once.
Task<void> layers_bring(Pull& pull, const ResolvedImage& image) {
    const std::vector<LayerPlace> places = layer_places(image.config.diff_ids);
    CO_TRY(const std::vector<bool> here, co_await layers_hold(pull, places));
    // An image may have the same layer twice.
    std::map<Digest, std::size_t> missing;
    for (std::size_t i = 0; i < places.size(); ++i) {
        if (here[i]) {
            ProgressMessage message;
            message.id = image.manifest.layers[i].digest.short_hex();
            message.status = "Already exists";
            message.step = true;
            pull.progress.update(message);
        } else {
            missing.emplace(places[i].diff_id, i);
        }
    }
    pull.layers.resize(missing.size());
    TaskGroup group;
    std::size_t slot = 0;
    for (std::size_t i = 0; i < places.size(); ++i) {
        const auto found = missing.find(places[i].diff_id);
        if (found != missing.end() && found->second == i) {
            LayerWanted wanted = layer_wanted(pull, image.manifest.layers[i], places[i]);
            wanted.keep_early = missing.size() > 1;
            group.spawn(layer_bring(pull, std::move(wanted), pull.layers[slot++]));
        }
    }
    co_return co_await group.join();
}

/// The names under which the image is found: the one that was asked for, and the digest's.
Result<void> names_set(WriteTxn& txn,
                       const Reference& asked,
                       const Digest& root,
                       const Digest& image) {
    if (!asked.has_digest()) {
        TRY_VOID(reference_set(txn, asked, image));
    }
    return digest_name_set(txn, asked, root, image);
}

/// The image's layers as the registry has them.
std::vector<LayerBlob> blobs_of(const ImageManifest& manifest) {
    std::vector<LayerBlob> blobs;
    for (const Descriptor& layer : manifest.layers) {
        blobs.push_back(LayerBlob{layer.digest, layer.media_type, layer.size});
    }
    return blobs;
}

/// Image, names and layers, in one transaction. Gives: whether the name meant another image before.
Task<bool> record(Pull& pull, ResolvedImage image) {
    struct Outcome {
        bool newer = true;
        std::vector<std::string> unneeded;
    };

    CO_CHECK(layers_stack(image.config.diff_ids, pull.layers));
    auto outcome = std::make_shared<Outcome>();
    ImagePut put;
    put.config = std::move(image.config_bytes);
    put.manifests = std::move(image.documents);
    put.stored = wall_now();
    auto commit = [put = std::move(put),
                   asked = pull.request.reference,
                   root = image.root,
                   id = image.image,
                   blobs = blobs_of(image.manifest),
                   diff_ids = std::move(image.config.diff_ids),
                   lease = pull.lease,
                   outcome](WriteTxn& txn) -> Result<void> {
        TRY(const std::optional<Digest> before, reference_get(txn, asked));
        outcome->newer = before != id;
        TRY_VOID(image_put(txn, put));
        TRY_VOID(names_set(txn, asked, root, id));
        TRY_VOID(origins_note(txn, asked, diff_ids, blobs));
        if (!lease.empty()) {
            TRY(outcome->unneeded, lease_release(txn, lease));
        }
        return ok;
    };
    CO_CHECK(
        co_await pull.images.layers().publish(pull.layers, LayerSyncing::after, std::move(commit)));
    pull.lease.clear();
    CO_CHECK(co_await pull.images.layers().directories_delete(std::move(outcome->unneeded)));
    co_return outcome->newer;
}

Task<PullResult> pull_steps(Pull& pull) {
    const Reference& reference = pull.request.reference;
    pull.progress.phase("manifest");
    CO_TRY(std::optional<PullResult> present, co_await up_to_date(pull));
    const std::string wanted = reference.has_digest() ? reference.digest().str() : reference.tag();
    if (present) {
        say(pull.progress, "Pulling from " + reference.path(), wanted);
        co_return *std::move(present);
    }
    CO_TRY(ResolvedImage image,
           co_await manifest_resolve(*pull.repository, wanted, wanted_platform(pull.request)));
    say(pull.progress, "Pulling from " + reference.path(), wanted);
    PullResult result;
    result.image = image.image;
    result.manifest = image.root;
    result.reference = reference;
    // Also for an image that is here already: its layers must stay until the new names hold it.
    pull.progress.phase("layers");
    CO_CHECK(co_await layers_bring(pull, image));
    if (pull.request.platform &&
        platform_match(*pull.request.platform, image.config.platform) == 0) {
        say(pull.progress,
            "WARNING: image with reference " + reference.familiar() +
                " was found but does not match the specified platform: wanted " +
                pull.request.platform->str() + ", actual: " + image.config.platform.str());
    }
    pull.progress.phase("record");
    CO_TRY(result.newer, co_await record(pull, std::move(image)));
    co_return std::move(result);
}

/// All of a pull but its last line.
Task<PullResult> pull_one(ImageService& images,
                          PullRequest request,
                          std::shared_ptr<RegistryRepository> repository,
                          ProgressSink& progress) {
    Pull pull{images, std::move(request), progress, std::move(repository), {}, {}};
    Result<PullResult> result = co_await pull_steps(pull);
    images.layers().sync().soon();
    if (!pull.lease.empty()) {
        static_cast<void>(co_await shielded(images.layers().give_back(pull.lease)));
    }
    if (result) {
        say(progress, "Digest: " + result->manifest.str());
    } else if (result.error().kind() == ErrorKind::invalid_argument) {
        // The request was checked before: what is malformed here came from the registry.
        co_return std::move(result).error().with_kind(ErrorKind::corrupt);
    }
    co_return std::move(result);
}

Result<std::shared_ptr<RegistryRepository>> repository_of(ImageService& images,
                                                          const PullRequest& request) {
    const Reference& reference = request.reference;
    TRY(RegistryRepository repository,
        RegistryRepository::make(images.registry(),
                                 reference.domain(),
                                 reference.path(),
                                 RegistrySubject{reference.familiar_name(), reference.familiar()},
                                 request.credentials));
    return std::make_shared<RegistryRepository>(std::move(repository));
}

}  // namespace

Task<PullResult> image_pull(ImageService& images, PullRequest request, ProgressSink& progress) {
    request.reference = request.reference.with_default_tag();
    CO_TRY(std::shared_ptr<RegistryRepository> repository, repository_of(images, request));
    CO_TRY(PullResult result,
           co_await pull_one(images, std::move(request), std::move(repository), progress));
    say_status(progress, result.newer, result.reference.familiar());
    co_return std::move(result);
}

Task<bool> image_pull_all(ImageService& images, PullRequest request, ProgressSink& progress) {
    CO_TRY(std::shared_ptr<RegistryRepository> repository, repository_of(images, request));
    progress.phase("tags");
    CO_TRY(const std::vector<std::string> tags, co_await repository->tags_list());
    const std::string name = request.reference.familiar_name();
    if (tags.empty()) {
        co_return Error(ErrorKind::not_found, "repository " + name + " has no tags");
    }
    bool newer = false;
    for (const std::string& tag : tags) {
        PullRequest one = request;
        CO_TRY(one.reference, request.reference.with_tag(tag));
        // Its own repository: what the registry says is missing is told by the tag's name.
        CO_TRY(std::shared_ptr<RegistryRepository> tagged, repository_of(images, one));
        CO_TRY(const PullResult pulled,
               co_await pull_one(images, std::move(one), std::move(tagged), progress));
        newer = newer || pulled.newer;
    }
    say_status(progress, newer, name);
    co_return newer;
}

}  // namespace davit
