#include "jobs/image/pull_manifest.h"

#include <deque>

namespace davit {

namespace {

/// A document still to be looked at.
struct Candidate {
    std::string reference;
    /// Of the descriptor; 0 for the root, of which nothing is known.
    std::uint64_t size = 0;
    /// The platform was matched already, or there was no choice.
    bool platform_known = false;
    /// The indexes on the way here.
    std::vector<StoredManifest> path;
};

Result<void> check_config(const ImageManifest& manifest, const ImageConfig& config) {
    if (config.diff_ids.size() != manifest.layers.size()) {
        return Error(ErrorKind::corrupt,
                     "the image's config names " + std::to_string(config.diff_ids.size()) +
                         " layers, its manifest " + std::to_string(manifest.layers.size()));
    }
    if (!config.platform.os.empty() && config.platform.os != "linux") {
        return Error(ErrorKind::unsupported,
                     "image operating system \"" + config.platform.os +
                         "\" cannot be used on this platform");
    }
    return ok;
}

Task<ResolvedImage> take_manifest(RegistryRepository& repository,
                                  ImageManifest manifest,
                                  Candidate candidate) {
    ResolvedImage image;
    const Descriptor& config = manifest.config;
    CO_TRY(
        image.config_bytes,
        co_await repository.blob_get(config.digest, config.size, limits::image_config_bytes_max));
    Result<ImageConfig> parsed = image_config_parse(image.config_bytes);
    if (!parsed) {
        co_return std::move(parsed).error().context("image config", config.digest.str());
    }
    image.config = *std::move(parsed);
    CO_CHECK(check_config(manifest, image.config));
    image.image = config.digest;
    image.documents = std::move(candidate.path);
    image.root = image.documents.front().digest;
    image.manifest = std::move(manifest);
    co_return std::move(image);
}

Result<void> add_candidates(const ImageIndex& index,
                            const Platform& wanted,
                            const Candidate& from,
                            std::deque<Candidate>& queue) {
    TRY(const std::vector<Descriptor> suitable, index_candidates(index, wanted));
    for (auto descriptor = suitable.rbegin(); descriptor != suitable.rend(); ++descriptor) {
        Candidate candidate;
        candidate.reference = descriptor->digest.str();
        candidate.size = descriptor->size;
        candidate.platform_known = descriptor->platform.has_value();
        candidate.path = from.path;
        queue.push_front(std::move(candidate));
    }
    return ok;
}

}  // namespace

Task<ResolvedImage> manifest_resolve(RegistryRepository& repository,
                                     std::string reference,
                                     Platform wanted) {
    std::deque<Candidate> queue;
    Candidate root;
    root.reference = std::move(reference);
    root.platform_known = true;
    queue.push_back(std::move(root));
    std::optional<Error> not_suitable;
    for (std::size_t fetched = 0; !queue.empty(); ++fetched) {
        if (fetched == limits::pull_manifests_max) {
            co_return Error(ErrorKind::resource_exhausted,
                            "too many manifests to look at for " + repository.subject().familiar);
        }
        Candidate candidate = std::move(queue.front());
        queue.pop_front();
        CO_TRY(FetchedManifest document, co_await repository.manifest_get(candidate.reference));
        if (candidate.size != 0 && candidate.size != document.body.size()) {
            co_return Error(ErrorKind::corrupt,
                            "manifest " + candidate.reference + " has " +
                                std::to_string(document.body.size()) + " bytes, not " +
                                std::to_string(candidate.size));
        }
        CO_TRY(Manifest parsed, manifest_parse(document.body, document.media_type));
        StoredManifest stored;
        stored.digest = document.digest;
        stored.bytes = std::move(document.body);
        if (const auto* index = std::get_if<ImageIndex>(&parsed)) {
            stored.media_type = index->media_type;
            candidate.path.push_back(std::move(stored));
            if (Result<void> added = add_candidates(*index, wanted, candidate, queue); !added) {
                not_suitable = std::move(added).error();
            }
            continue;
        }
        auto& manifest = std::get<ImageManifest>(parsed);
        stored.media_type = manifest.media_type;
        candidate.path.push_back(std::move(stored));
        const bool platform_known = candidate.platform_known;
        CO_TRY(ResolvedImage image,
               co_await take_manifest(repository, std::move(manifest), std::move(candidate)));
        if (platform_known || platform_match(wanted, image.config.platform) > 0) {
            co_return std::move(image);
        }
    }
    if (not_suitable) {
        co_return *std::move(not_suitable);
    }
    co_return Error(ErrorKind::not_found,
                    "no matching manifest for " + wanted.str() + " in the manifest list entries");
}

}  // namespace davit
