#include "jobs/image/push.h"

#include <algorithm>
#include <map>
#include <span>

#include "graph/graph_writer.h"
#include "graph/tag_store.h"
#include "http/json_writer.h"
#include "jobs/image/image_names.h"
#include "jobs/image/image_service.h"
#include "jobs/image/layer_flight.h"
#include "jobs/image/layer_reader.h"
#include "jobs/image/push_index.h"
#include "jobs/image/push_manifest.h"

namespace davit {

namespace {

void say(ProgressSink& progress, std::string status) {
    ProgressMessage message;
    message.status = std::move(status);
    progress.update(message);
}

/// One tag on its way.
struct Push {
    ImageService& images;
    const PushRequest& request;
    RegistryRepository& repository;
    ProgressSink& progress;
    Reference tagged;
    PushImage image;
    /// All of its layers, so that nobody removes them meanwhile.
    LayersHeld held;
    /// By diff id: an image may have the same layer twice.
    std::map<Digest, LayerBlob> pushed;
};

PushAccess access_of(const Push& push) {
    return PushAccess{push.tagged.domain(), push.request.credentials};
}

std::uint64_t bytes_of(const PushLayer& layer) {
    return layer.forms.empty() ? 0 : layer.forms.front().blob.size;
}

/// The layer in the form that the registry has already, if it has any of these.
Task<std::optional<LayerBlob>> layer_find_there(Push& push, std::span<const PushForm> forms) {
    for (const PushForm& form : forms) {
        CO_TRY(const bool there, co_await push.repository.blob_exists(form.blob.digest));
        if (there) {
            co_return std::optional<LayerBlob>(form.blob);
        }
    }
    co_return std::optional<LayerBlob>();
}

BlobUploadRequest upload_of(LayerProgress& progress) {
    BlobUploadRequest upload;
    upload.sent = [&progress](std::uint64_t bytes) { progress.count("Pushing", bytes); };
    return upload;
}

/// Takes: why, to say why not.
Task<BlobBytes> form_open(ImageService& images,
                          PushForm form,
                          PushAccess access,
                          std::string& why) {
    Result<std::shared_ptr<LayerSource>> source =
        co_await push_source_open(images, std::move(form), std::move(access));
    if (!source) {
        why = source.error().message();
        co_return std::move(source).error();
    }
    co_return push_bytes(*std::move(source));
}

Task<BlobBytes> archive_open(ImageService& images, const LayerRecord& layer) {
    CO_TRY(std::shared_ptr<LayerSource> source, push_archive_open(images, layer));
    co_return push_bytes(std::move(source));
}

const LayerRecord& held_layer(const Push& push, const Digest& diff_id) {
    return *std::ranges::find(push.held.layers, diff_id, &LayerRecord::diff_id);
}

/// Get the layer there in this form. Takes: why, to say why its bytes cannot be had; nothing is
/// given then. What the registry refuses is an error.
Task<std::optional<BlobUploaded>> form_push(Push& push,
                                            const PushForm& form,
                                            LayerProgress& progress,
                                            std::string& why) {
    std::string missing;
    BlobUploadRequest upload = upload_of(progress);
    upload.digest = form.blob.digest;
    upload.bytes = form.blob.size;
    upload.mount_from = form.mounts(push.tagged.domain(), push.tagged.path());
    upload.open = [&images = push.images, &missing, form, access = access_of(push)] {
        return form_open(images, form, access, missing);
    };
    Result<BlobUploaded> done = co_await blob_upload(push.repository, std::move(upload));
    if (!done && !missing.empty() && done.error().kind() != ErrorKind::cancelled) {
        why = std::move(missing);
        co_return std::optional<BlobUploaded>();
    }
    if (!done) {
        co_return std::move(done).error();
    }
    co_return std::optional<BlobUploaded>(*std::move(done));
}

/// Get the layer there, in the first form whose bytes can be had. Of the first that was looked for
/// already, of another one only now: it makes another manifest, even if it is there.
Task<LayerBlob> layer_send(Push& push, const PushLayer& layer, LayerProgress& progress) {
    std::string why = "no registry is known to have it";
    for (std::size_t i = 0; i < layer.forms.size(); ++i) {
        const PushForm& form = layer.forms[i];
        if (i > 0) {
            const std::span<const PushForm> other(&form, 1);
            CO_TRY(std::optional<LayerBlob> there, co_await layer_find_there(push, other));
            if (there) {
                progress.step("Layer already exists");
                co_return *std::move(there);
            }
        }
        if (form.origins.empty() && form.urls.empty()) {
            continue;
        }
        CO_TRY(const std::optional<BlobUploaded> done,
               co_await form_push(push, form, progress, why));
        if (done) {
            progress.step(done->mounted_from.empty() ? "Pushed"
                                                     : "Mounted from " + done->mounted_from);
            co_return form.blob;
        }
    }
    const LayerRecord& record = held_layer(push, layer.place.diff_id);
    if (const auto archive = push_archive_open(push.images, record); !archive) {
        co_return Error(archive.error().kind(),
                        "layer " + layer.place.diff_id.short_hex() +
                            " cannot be pushed: no registry gives it (" + why +
                            "), and it cannot be packed again: " + archive.error().message());
    }
    BlobUploadRequest upload = upload_of(progress);
    upload.open = [&images = push.images, &record] { return archive_open(images, record); };
    CO_TRY(const BlobUploaded done, co_await blob_upload(push.repository, std::move(upload)));
    progress.step("Pushed");
    co_return LayerBlob{
        done.digest, "application/vnd.docker.image.rootfs.diff.tar.gzip", done.bytes};
}

Task<void> layer_push(Push& push, const PushLayer& layer) {
    LayerProgress progress(layer.place.diff_id.short_hex(), bytes_of(layer));
    progress.watch(push.progress);
    Semaphore& turns = push.images.registry().uploads();
    if (turns.free() == 0) {
        progress.step("Waiting");
    }
    CO_TRY(const Semaphore::Permit turn, co_await turns.acquire());
    std::span<const PushForm> forms = layer.forms;
    if (push.image.manifest && !forms.empty()) {
        forms = forms.first(1);
    }
    CO_TRY(std::optional<LayerBlob> there, co_await layer_find_there(push, forms));
    if (there) {
        progress.step("Layer already exists");
    } else {
        CO_TRY(there, co_await layer_send(push, layer, progress));
    }
    push.pushed[layer.place.diff_id] = *std::move(there);
    co_return ok;
}

Task<void> layers_push(Push& push) {
    TaskGroup group;
    // From the top, as Docker shows them.
    std::vector<const PushLayer*> order;
    for (auto layer = push.image.layers.rbegin(); layer != push.image.layers.rend(); ++layer) {
        const bool is_new = push.pushed.emplace(layer->place.diff_id, LayerBlob()).second;
        if (is_new) {
            order.push_back(&*layer);
            LayerProgress preparing(layer->place.diff_id.short_hex(), 0);
            preparing.watch(push.progress);
            preparing.step("Preparing");
        }
    }
    for (const PushLayer* layer : order) {
        group.spawn(layer_push(push, *layer));
    }
    co_return co_await group.join();
}

Task<void> config_push(Push& push) {
    CO_TRY(const bool there, co_await push.repository.blob_exists(push.image.id));
    if (there) {
        co_return ok;
    }
    BlobUploadRequest upload;
    upload.digest = push.image.id;
    upload.bytes = push.image.config_bytes.size();
    upload.open = [&text = push.image.config_bytes]() -> Task<BlobBytes> {
        auto open = [](std::string_view bytes) -> Task<BlobBytes> {
            auto rest = std::make_shared<std::string_view>(bytes);
            co_return BlobBytes([rest](std::span<char> buffer) {
                const std::size_t count = std::min(buffer.size(), rest->size());
                std::copy_n(rest->data(), count, buffer.data());
                rest->remove_prefix(count);
                auto give = [](std::size_t bytes_given) -> Task<std::size_t> {
                    co_return bytes_given;
                };
                return give(count);
            });
        };
        return open(text);
    };
    CO_CHECK(co_await blob_upload(push.repository, std::move(upload)));
    co_return ok;
}

bool same_blob(const LayerBlob& a, const LayerBlob& b) {
    return a.digest == b.digest;
}

/// Note what is there now: the image's digest in this registry, and its layers' origin. An image
/// that was removed meanwhile has nothing to note. Takes: blobs: none, if it is not known in which
/// form its layers are there.
Task<void> push_record(Push& push, const StoredManifest& manifest, std::vector<LayerBlob> blobs) {
    ImagePut put;
    put.config = push.image.config_bytes;
    put.manifests = {manifest};
    put.stored = wall_now();
    auto record = [put = std::move(put),
                   blobs = std::move(blobs),
                   name = push.tagged,
                   diff_ids = push.image.config.diff_ids,
                   id = push.image.id,
                   root = manifest.digest](WriteTxn& txn) -> Result<void> {
        TRY(const std::optional<ImageRecord> image, image_get(txn, id));
        if (!image) {
            return ok;
        }
        TRY_VOID(image_put(txn, put));
        TRY_VOID(digest_name_set(txn, name, root, id));
        return blobs.empty() ? Result<void>(ok) : origins_note(txn, name, diff_ids, blobs);
    };
    co_return co_await push.images.writer().update(std::move(record));
}

void say_pushed(Push& push, const StoredManifest& manifest) {
    say(push.progress,
        push.tagged.tag() + ": digest: " + manifest.digest.str() +
            " size: " + std::to_string(manifest.bytes.size()));
    ProgressMessage result;
    JsonWriter json(result.aux);
    json.begin_object().key("Tag").string(push.tagged.tag());
    json.key("Digest").string(manifest.digest.str());
    json.key("Size").number(manifest.bytes.size()).end_object();
    push.progress.update(result);
}

Task<void> held_push(Push& push) {
    push.progress.phase("layers");
    CO_CHECK(co_await layers_push(push));
    push.progress.phase("manifest");
    CO_CHECK(co_await config_push(push));
    std::vector<LayerBlob> blobs;
    for (const Digest& diff_id : push.image.config.diff_ids) {
        blobs.push_back(push.pushed.at(diff_id));
    }
    StoredManifest manifest;
    if (push.image.manifest && std::ranges::equal(blobs, push.image.manifest_blobs, same_blob)) {
        manifest = *push.image.manifest;
    } else {
        CO_TRY(manifest, push_manifest_make(push.image, blobs));
    }
    CO_CHECK(co_await push.repository.manifest_put(
        push.tagged.tag(), manifest.media_type, manifest.bytes));
    push.progress.phase("record");
    CO_CHECK(co_await push_record(push, manifest, std::move(blobs)));
    say_pushed(push, manifest);
    co_return ok;
}

Task<void> tag_push(Push& push) {
    CO_TRY(push.held, co_await layers_hold(push.images, layer_places(push.image.config.diff_ids)));
    Result<void> pushed = co_await held_push(push);
    CO_CHECK(co_await layers_give_back(push.images, std::move(push.held)));
    co_return pushed;
}

Task<void> whole_push(Push& push, const PushIndex& index) {
    CO_TRY(const std::set<Digest> documents,
           co_await push_index(push.images,
                               index,
                               push.tagged,
                               push.repository,
                               push.request.credentials,
                               push.progress));
    std::vector<LayerBlob> blobs;
    if (push.image.manifest && documents.contains(push.image.manifest->digest)) {
        blobs = push.image.manifest_blobs;
    }
    push.progress.phase("record");
    CO_CHECK(co_await push_record(push, index.document, std::move(blobs)));
    say_pushed(push, index.document);
    co_return ok;
}

struct TaggedImage {
    Reference tagged;
    Digest image;
};

/// What is to be pushed. Errors: not_found, in Docker's words.
Result<std::vector<TaggedImage>> tags_find(const ReadTxn& txn, const Reference& wanted) {
    TRY(const auto all, reference_list(txn));
    bool any = false;
    std::vector<TaggedImage> found;
    for (const auto& [name, image] : all) {
        if (name.name() != wanted.name()) {
            continue;
        }
        any = true;
        if (!name.has_digest() && (wanted.is_name_only() || name.tag() == wanted.tag())) {
            found.push_back(TaggedImage{name, image});
        }
    }
    if (!any) {
        return Error(ErrorKind::not_found,
                     "An image does not exist locally with the tag: " + wanted.familiar_name());
    }
    if (found.empty()) {
        return Error(ErrorKind::not_found,
                     wanted.is_name_only() ? "no tags to push for " + wanted.familiar_name()
                                           : "tag does not exist: " + wanted.familiar());
    }
    return found;
}

/// Every repository of the target's registry that a layer may be mounted from.
std::vector<std::string> mounts_of(const PushImage& image, const Reference& target) {
    std::vector<std::string> paths;
    for (const PushLayer& layer : image.layers) {
        for (const PushForm& form : layer.forms) {
            for (std::string& path : form.mounts(target.domain(), target.path())) {
                if (std::ranges::find(paths, path) == paths.end()) {
                    paths.push_back(std::move(path));
                }
            }
        }
    }
    return paths;
}

}  // namespace

Task<void> image_push(ImageService& images, PushRequest request, ProgressSink& progress) {
    const Reference& wanted = request.reference;
    if (wanted.has_digest()) {
        co_return Error(ErrorKind::invalid_argument, "cannot push a digest reference");
    }
    if (request.platform && request.all_platforms) {
        co_return Error(ErrorKind::invalid_argument,
                        "either one platform or all platforms can be pushed");
    }
    say(progress, "The push refers to repository [" + wanted.name() + "]");
    const auto find = [&wanted](const ReadTxn& txn) { return tags_find(txn, wanted); };
    CO_TRY(const std::vector<TaggedImage> tags, images.db().view(find));
    for (const TaggedImage& one : tags) {
        const auto read = [&one](const ReadTxn& txn) { return push_image_read(txn, one.image); };
        CO_TRY(PushImage image, images.db().view(read));
        if (request.platform) {
            CO_CHECK(
                platform_require(one.tagged.familiar(), *request.platform, image.config.platform));
        }
        RegistrySubject subject{one.tagged.familiar_name(), one.tagged.familiar()};
        CO_TRY(RegistryRepository repository,
               RegistryRepository::make(images.registry(),
                                        one.tagged.domain(),
                                        one.tagged.path(),
                                        std::move(subject),
                                        request.credentials));
        std::vector<std::string> mounts = mounts_of(image, one.tagged);
        PushIndex index;
        if (request.all_platforms) {
            const auto find_index = [&one](const ReadTxn& txn) {
                return push_index_read(txn, one.image);
            };
            CO_TRY(index, images.db().view(find_index));
            mounts = push_index_mounts(index, one.tagged);
        }
        repository.push_prepare(std::move(mounts));
        Push push{images, request, repository, progress, one.tagged, std::move(image), {}, {}};
        if (request.all_platforms) {
            CO_CHECK(co_await whole_push(push, index));
        } else {
            CO_CHECK(co_await tag_push(push));
        }
    }
    co_return ok;
}

}  // namespace davit
