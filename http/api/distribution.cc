// GET /distribution/{name}/json: what a reference stands for in its registry.
#include "graph/image_config.h"
#include "graph/manifest.h"
#include "http/api/handlers.h"
#include "http/api/registry_auth.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"
#include "jobs/image/image_service.h"

namespace davit::api {

namespace {

void platform_write(JsonWriter& json, const Platform& platform) {
    json.begin_object().key("architecture").string(platform.architecture);
    json.key("os").string(platform.os);
    if (!platform.os_version.empty()) {
        json.key("os.version").string(platform.os_version);
    }
    if (!platform.os_features.empty()) {
        json.key("os.features").strings(platform.os_features);
    }
    if (!platform.variant.empty()) {
        json.key("variant").string(platform.variant);
    }
    json.end_object();
}

/// The platforms of an index are in it, that of an image is in its config.
Task<std::vector<Platform>> platforms_of(RegistryRepository& repository, const Manifest& parsed) {
    std::vector<Platform> platforms;
    if (const auto* index = std::get_if<ImageIndex>(&parsed)) {
        for (const Descriptor& entry : index->manifests) {
            if (entry.platform) {
                platforms.push_back(*entry.platform);
            }
        }
        co_return std::move(platforms);
    }
    const Descriptor& config = std::get<ImageManifest>(parsed).config;
    CO_TRY(
        const std::string bytes,
        co_await repository.blob_get(config.digest, config.size, limits::image_config_bytes_max));
    CO_TRY(ImageConfig image, image_config_parse(bytes));
    platforms.push_back(std::move(image.platform));
    co_return std::move(platforms);
}

}  // namespace

Task<void> distribution_inspect(ApiContext& context) {
    CO_TRY(const Reference parsed_name, Reference::parse(context.params.get("name")));
    const Reference reference = parsed_name.with_default_tag();
    CO_TRY(
        RegistryRepository repository,
        RegistryRepository::make(context.daemon.images->registry(),
                                 reference.domain(),
                                 reference.path(),
                                 RegistrySubject{reference.familiar_name(), reference.familiar()},
                                 registry_credentials(context)));
    CO_TRY(const FetchedManifest manifest,
           co_await repository.manifest_get(reference.has_digest() ? reference.digest().str()
                                                                   : reference.tag()));
    CO_TRY(const Manifest parsed, manifest_parse(manifest.body, manifest.media_type));
    CO_TRY(const std::vector<Platform> platforms, co_await platforms_of(repository, parsed));
    std::string media_type;
    if (const auto* index = std::get_if<ImageIndex>(&parsed)) {
        media_type = index->media_type;
    } else {
        media_type = std::get<ImageManifest>(parsed).media_type;
    }
    std::string answer;
    JsonWriter json(answer);
    json.begin_object().key("Descriptor").begin_object();
    json.key("mediaType").string(media_type).key("digest").string(manifest.digest.str());
    json.key("size").number(manifest.body.size()).end_object();
    json.key("Platforms").begin_array();
    for (const Platform& platform : platforms) {
        platform_write(json, platform);
    }
    json.end_array().end_object();
    co_return co_await context.send_json(200, std::move(answer));
}

}  // namespace davit::api
