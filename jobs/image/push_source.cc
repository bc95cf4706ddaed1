#include "jobs/image/push_source.h"

#include <algorithm>

#include "graph/manifest.h"
#include "jobs/image/blob_source.h"
#include "jobs/image/image_service.h"
#include "jobs/image/layer_reader.h"

namespace davit {

namespace {

/// Registries are asked in vain for a mount no more often than this.
constexpr std::size_t mounts_max = 3;

Result<std::shared_ptr<RegistryRepository>> repository_of(ImageService& images,
                                                          const LayerOrigin& origin,
                                                          const PushAccess& access) {
    RegistryCredentials credentials;
    if (origin.domain == access.domain) {
        credentials = access.credentials;
    }
    const std::string name = origin.domain + "/" + origin.path;
    TRY(RegistryRepository repository,
        RegistryRepository::make(images.registry(),
                                 origin.domain,
                                 origin.path,
                                 RegistrySubject{name, name},
                                 std::move(credentials)));
    return std::make_shared<RegistryRepository>(std::move(repository));
}

/// Nothing if the origin does not have the blob.
Task<std::shared_ptr<LayerSource>> origin_open(ImageService& images,
                                               LayerOrigin origin,
                                               PushForm form,
                                               PushAccess access) {
    CO_TRY(std::shared_ptr<RegistryRepository> repository, repository_of(images, origin, access));
    CO_TRY(const bool there, co_await repository->blob_exists(origin.blob.digest));
    if (!there && form.urls.empty()) {
        co_return std::shared_ptr<LayerSource>();
    }
    BlobDescriptor blob;
    blob.digest = form.blob.digest;
    blob.bytes = form.blob.size;
    blob.urls = std::move(form.urls);
    co_return std::shared_ptr<LayerSource>(
        std::make_shared<BlobSource>(std::move(repository), std::move(blob)));
}

}  // namespace

std::vector<std::string> PushForm::mounts(const std::string& domain,
                                          const std::string& path) const {
    std::vector<std::string> paths;
    for (const LayerOrigin& origin : origins) {
        if (origin.domain == domain && origin.path != path && paths.size() < mounts_max) {
            paths.push_back(origin.path);
        }
    }
    return paths;
}

Task<std::shared_ptr<LayerSource>> push_source_open(ImageService& images,
                                                    PushForm form,
                                                    PushAccess access) {
    std::optional<Error> last;
    for (const LayerOrigin& origin : form.origins) {
        Result<std::shared_ptr<LayerSource>> source =
            co_await origin_open(images, origin, form, access);
        if (source && *source) {
            co_return std::move(source);
        }
        if (!source && source.error().kind() == ErrorKind::cancelled) {
            co_return std::move(source);
        }
        const std::string name = origin.domain + "/" + origin.path;
        if (source) {
            last = Error(ErrorKind::not_found, name + " has it no more");
        } else {
            last = std::move(source).error().context(name);
        }
    }
    if (last) {
        co_return *std::move(last);
    }
    co_return Error(ErrorKind::not_found, "no registry is known to have it");
}

Result<std::shared_ptr<LayerSource>> push_archive_open(ImageService& images,
                                                       const LayerRecord& layer) {
    TRY(std::unique_ptr<LayerReader> reader, LayerReader::open(images, layer, Compression::gzip));
    return std::shared_ptr<LayerSource>(std::move(reader));
}

BlobBytes push_bytes(std::shared_ptr<LayerSource> source) {
    return [source = std::move(source)](std::span<char> buffer) { return source->read(buffer); };
}

}  // namespace davit
