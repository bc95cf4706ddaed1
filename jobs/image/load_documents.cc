#include "jobs/image/load_documents.h"

#include <algorithm>
#include <map>

#include "graph/manifest.h"
#include "graph/tar_path.h"
#include "http/json_reader.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

constexpr std::string_view blobs_prefix = "blobs/";

Error missing(std::string_view what, std::string_view path) {
    return Error(ErrorKind::invalid_argument,
                 std::string("invalid archive: ")
                     .append(what)
                     .append(" ")
                     .append(path)
                     .append(" is not there, or too large"));
}

Result<const std::string*> document(const LoadDocuments& documents,
                                    std::string_view what,
                                    std::string_view path) {
    const std::string* text = documents(path);
    if (text == nullptr) {
        return missing(what, path);
    }
    return text;
}

Result<LoadImage> docker_image(const LoadDocuments& documents, const JsonValue& entry) {
    LoadImage image;
    TRY(const std::string config_path, entry.string_or("Config", ""));
    TRY(const std::string* config, document(documents, "config", config_path));
    image.config = *config;
    TRY(image.layer_paths, entry.strings("Layers"));
    TRY(const std::vector<std::string> tags, entry.strings("RepoTags"));
    for (const std::string& tag : tags) {
        TRY(const Reference name, Reference::parse(tag));
        if (name.has_digest()) {
            return Error(ErrorKind::invalid_argument, "invalid tag \"" + tag + "\"");
        }
        image.names.push_back(name.with_default_tag());
    }
    return image;
}

Result<std::vector<LoadImage>> docker_images(const LoadDocuments& documents,
                                             const std::string& text) {
    TRY(const JsonDocument json, JsonDocument::parse(text));
    TRY(const std::vector<JsonValue> entries, json.root().as_array());
    std::vector<LoadImage> images;
    for (const JsonValue& entry : entries) {
        TRY(LoadImage image, docker_image(documents, entry));
        images.push_back(std::move(image));
    }
    return images;
}

/// containerd and Docker write the whole name; others put it, or only a tag, where OCI has a place.
Result<std::optional<Reference>> oci_name(const Descriptor& descriptor) {
    const auto annotation = [&](const char* key) {
        const auto found = descriptor.annotations.find(key);
        return found == descriptor.annotations.end() ? std::string() : found->second;
    };
    std::string text = annotation("io.containerd.image.name");
    if (text.empty()) {
        text = annotation("org.opencontainers.image.ref.name");
        if (text.find_first_of(":/") == std::string::npos) {
            return std::optional<Reference>();
        }
    }
    TRY(const Reference name, Reference::parse(text));
    return std::optional<Reference>(name.has_digest() ? name : name.with_default_tag());
}

/// The entries of an index that suit, and whose manifests the archive has; best first.
std::vector<Descriptor> candidates_here(const LoadDocuments& documents,
                                        const ImageIndex& index,
                                        const Platform& wanted) {
    Result<std::vector<Descriptor>> suitable = index_candidates(index, wanted);
    std::vector<Descriptor> here = suitable ? *std::move(suitable) : std::vector<Descriptor>();
    std::erase_if(here, [&](const Descriptor& candidate) {
        return documents(load_blob_path(candidate.digest)) == nullptr;
    });
    return here;
}

/// The image manifest that a descriptor stands for: of an index, the one for the platform that the
/// archive has. Nothing if a platform is asked for and the index has none for it.
Result<std::optional<ImageManifest>> oci_manifest(const LoadDocuments& documents,
                                                  Descriptor descriptor,
                                                  const std::optional<Platform>& wanted) {
    for (std::size_t depth = 0; depth < limits::pull_manifests_max; ++depth) {
        const std::string path = load_blob_path(descriptor.digest);
        TRY(const std::string* text, document(documents, "manifest", path));
        TRY(Manifest manifest, manifest_parse(*text, descriptor.media_type));
        if (auto* image = std::get_if<ImageManifest>(&manifest)) {
            return std::optional<ImageManifest>(std::move(*image));
        }
        const auto& index = std::get<ImageIndex>(manifest);
        std::vector<Descriptor> here =
            candidates_here(documents, index, wanted.value_or(platform_host()));
        if (here.empty() && wanted) {
            return std::optional<ImageManifest>();
        }
        if (here.empty()) {
            TRY([[maybe_unused]] const auto suitable, index_candidates(index, platform_host()));
            return missing("any manifest of index", path);
        }
        descriptor = std::move(here.front());
    }
    return Error(ErrorKind::invalid_argument, "invalid archive: indexes are nested too deep");
}

Result<std::vector<LoadImage>> oci_images(const LoadDocuments& documents,
                                          const std::string& text,
                                          const std::optional<Platform>& wanted) {
    TRY(Manifest top, manifest_parse(text, "application/vnd.oci.image.index.v1+json"));
    std::vector<LoadImage> images;
    std::map<Digest, std::size_t> by_config;
    for (Descriptor& descriptor : std::get<ImageIndex>(top).manifests) {
        TRY(const std::optional<Reference> name, oci_name(descriptor));
        TRY(const std::optional<ImageManifest> manifest,
            oci_manifest(documents, std::move(descriptor), wanted));
        if (!manifest) {
            continue;
        }
        const auto [at, is_new] = by_config.emplace(manifest->config.digest, images.size());
        if (is_new) {
            LoadImage image;
            const std::string path = load_blob_path(manifest->config.digest);
            TRY(const std::string* config, document(documents, "config", path));
            image.config = *config;
            for (const Descriptor& layer : manifest->layers) {
                image.layer_paths.push_back(load_blob_path(layer.digest));
            }
            images.push_back(std::move(image));
        }
        if (name && !name->has_digest()) {
            images[at->second].names.push_back(*name);
        }
    }
    return images;
}

}  // namespace

std::string load_blob_path(const Digest& digest) {
    return std::string(blobs_prefix).append(digest.algorithm()).append("/").append(digest.hex());
}

std::optional<Digest> load_blob_digest(std::string_view clean_path) {
    if (!clean_path.starts_with(blobs_prefix)) {
        return std::nullopt;
    }
    std::string text(clean_path.substr(blobs_prefix.size()));
    std::replace(text.begin(), text.end(), '/', ':');
    Result<Digest> digest = Digest::parse(text);
    return digest ? std::optional<Digest>(*std::move(digest)) : std::nullopt;
}

Result<std::vector<LoadImage>> load_images(const LoadDocuments& documents,
                                           const std::optional<Platform>& wanted) {
    // An archive that has both has the same in both; Docker's has the names as Docker wants them.
    if (const std::string* text = documents("manifest.json")) {
        return docker_images(documents, *text);
    }
    if (const std::string* text = documents("index.json")) {
        return oci_images(documents, *text, wanted);
    }
    if (documents("repositories") != nullptr) {
        return Error(ErrorKind::unsupported,
                     "the archive is of a form that Docker wrote before 1.10");
    }
    return Error(ErrorKind::invalid_argument,
                 "invalid archive: it has neither a manifest.json nor an index.json");
}

}  // namespace davit
