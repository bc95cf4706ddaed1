#include "jobs/image/push_index.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>

#include "graph/manifest.h"
#include "graph/tag_store.h"
#include "jobs/image/image_service.h"
#include "jobs/image/layer_flight.h"
#include "jobs/image/push_source.h"
#include "reactor/base/limits.h"
#include "reactor/task_group.h"

namespace davit {

namespace {

/// Indexes within indexes: as deep as a pull goes.
constexpr std::size_t depth_max = limits::pull_manifests_max;
/// Of all indexes together.
constexpr std::size_t documents_max = 2 * limits::index_manifests_max;

struct IndexPush {
    ImageService& images;
    const Reference& target;
    RegistryRepository& repository;
    PushAccess access;
    ProgressSink& progress;
    /// Where it can be had, and by which repository each is asked.
    std::vector<LayerOrigin> origins;
    std::vector<std::unique_ptr<RegistryRepository>> sources;
    std::set<Digest> documents;
    std::set<Digest> blobs;
};

Result<void> sources_open(IndexPush& push, const PushIndex& index) {
    for (const Reference& source : index.sources) {
        LayerOrigin origin;
        origin.domain = source.domain();
        origin.path = source.path();
        const std::string name = origin.domain + "/" + origin.path;
        TRY(RegistryRepository repository,
            RegistryRepository::make(push.images.registry(),
                                     origin.domain,
                                     origin.path,
                                     RegistrySubject{name, name},
                                     origin.domain == push.access.domain ? push.access.credentials
                                                                         : RegistryCredentials()));
        push.sources.push_back(std::make_unique<RegistryRepository>(std::move(repository)));
        push.origins.push_back(std::move(origin));
    }
    return ok;
}

Task<FetchedManifest> document_fetch(IndexPush& push, const Descriptor& wanted) {
    std::optional<Error> last;
    for (const std::unique_ptr<RegistryRepository>& source : push.sources) {
        Result<FetchedManifest> document = co_await source->manifest_get(wanted.digest.str());
        if (document && document->body.size() != wanted.size) {
            document = Error(ErrorKind::corrupt,
                             "manifest " + wanted.digest.str() + " has " +
                                 std::to_string(document->body.size()) + " bytes, not " +
                                 std::to_string(wanted.size));
        }
        if (document || document.error().kind() == ErrorKind::cancelled) {
            co_return std::move(document);
        }
        last = std::move(document).error().context("manifest " + wanted.digest.short_hex());
    }
    co_return *std::move(last);  // There is one source at least.
}

/// The blob in the form that the sources have.
PushForm form_of(const IndexPush& push, Descriptor blob) {
    PushForm form;
    form.blob = LayerBlob{blob.digest, blob.media_type, blob.size};
    if (const auto type = layer_media_type(blob.media_type); type && type->foreign) {
        form.urls = std::move(blob.urls);
    }
    form.origins = push.origins;
    for (LayerOrigin& origin : form.origins) {
        origin.blob = form.blob;
    }
    return form;
}

Task<BlobBytes> blob_open(ImageService& images, PushForm form, PushAccess access) {
    CO_TRY(std::shared_ptr<LayerSource> source,
           co_await push_source_open(images, std::move(form), std::move(access)));
    co_return push_bytes(std::move(source));
}

Task<void> blob_push(IndexPush& push, Descriptor blob) {
    LayerProgress progress(blob.digest.short_hex(), blob.size);
    progress.watch(push.progress);
    Semaphore& turns = push.images.registry().uploads();
    if (turns.free() == 0) {
        progress.step("Waiting");
    }
    CO_TRY(const Semaphore::Permit turn, co_await turns.acquire());
    CO_TRY(const bool there, co_await push.repository.blob_exists(blob.digest));
    if (there) {
        progress.step("Layer already exists");
        co_return ok;
    }
    BlobUploadRequest upload;
    upload.digest = blob.digest;
    upload.bytes = blob.size;
    upload.sent = [&progress](std::uint64_t bytes) { progress.count("Pushing", bytes); };
    const PushForm form = form_of(push, std::move(blob));
    upload.mount_from = form.mounts(push.target.domain(), push.target.path());
    upload.open = [&push, form] { return blob_open(push.images, form, push.access); };
    CO_TRY(const BlobUploaded done, co_await blob_upload(push.repository, std::move(upload)));
    progress.step(done.mounted_from.empty() ? "Pushed" : "Mounted from " + done.mounted_from);
    co_return ok;
}

Task<void> blobs_push(IndexPush& push, std::vector<Descriptor> blobs) {
    TaskGroup group;
    for (Descriptor& blob : blobs) {
        if (push.blobs.insert(blob.digest).second) {
            group.spawn(blob_push(push, std::move(blob)));
        }
    }
    co_return co_await group.join();
}

/// What the document names, then the document itself.
Task<void> document_push(IndexPush& push, Descriptor wanted, std::size_t depth) {
    if (!push.documents.insert(wanted.digest).second) {
        co_return ok;
    }
    if (depth > depth_max || push.documents.size() > documents_max) {
        co_return Error(ErrorKind::resource_exhausted,
                        "too many manifests to push for " + push.target.familiar());
    }
    const std::string digest = wanted.digest.str();
    CO_TRY(const std::optional<ManifestHead> there, co_await push.repository.manifest_head(digest));
    if (there) {
        co_return ok;  // And so is what it names: no registry takes it before.
    }
    CO_TRY(FetchedManifest document, co_await document_fetch(push, wanted));
    Result<ManifestContents> contents = manifest_contents(document.body, document.media_type);
    if (!contents) {
        co_return std::move(contents)
            .error()
            .context("manifest " + digest)
            .with_kind(ErrorKind::corrupt);
    }
    for (Descriptor& child : contents->manifests) {
        CO_CHECK(co_await document_push(push, std::move(child), depth + 1));
    }
    CO_CHECK(co_await blobs_push(push, std::move(contents->blobs)));
    CO_TRY([[maybe_unused]] const Digest stored,
           co_await push.repository.manifest_put(
               digest, std::move(contents->media_type), std::move(document.body)));
    co_return ok;
}

}  // namespace

Result<PushIndex> push_index_read(const ReadTxn& txn, const Digest& image) {
    TRY(const std::optional<ImageRecord> record, image_get(txn, image));
    if (!record) {
        return Error(ErrorKind::not_found, "No such image: " + image.str());
    }
    TRY(const std::vector<Reference> names, image_references(txn, image));
    for (auto digest = record->manifests.rbegin(); digest != record->manifests.rend(); ++digest) {
        PushIndex index;
        TRY(index.document, manifest_get(txn, *digest));
        if (!is_index_media_type(index.document.media_type)) {
            continue;
        }
        std::ranges::copy_if(names, std::back_inserter(index.sources), [&](const Reference& name) {
            return name.has_digest() && name.digest() == *digest;
        });
        if (!index.sources.empty()) {
            return index;
        }
    }
    return Error(ErrorKind::not_found,
                 "image " + image.short_hex() +
                     " was not pulled by an index, so that nobody knows its other platforms: push "
                     "it without them");
}

std::vector<std::string> push_index_mounts(const PushIndex& index, const Reference& target) {
    std::vector<std::string> paths;
    for (const Reference& source : index.sources) {
        if (source.domain() == target.domain() && source.path() != target.path()) {
            paths.push_back(source.path());
        }
    }
    return paths;
}

Task<std::set<Digest>> push_index(ImageService& images,
                                  const PushIndex& index,
                                  const Reference& target,
                                  RegistryRepository& repository,
                                  const RegistryCredentials& credentials,
                                  ProgressSink& progress) {
    IndexPush push{images,
                   target,
                   repository,
                   PushAccess{target.domain(), credentials},
                   progress,
                   {},
                   {},
                   {},
                   {}};
    CO_CHECK(sources_open(push, index));
    CO_TRY(ManifestContents contents,
           manifest_contents(index.document.bytes, index.document.media_type));
    progress.phase("layers");
    for (Descriptor& child : contents.manifests) {
        CO_CHECK(co_await document_push(push, std::move(child), 1));
    }
    progress.phase("manifest");
    CO_CHECK(co_await repository.manifest_put(
        target.tag(), index.document.media_type, index.document.bytes));
    co_return std::move(push.documents);
}

}  // namespace davit
