#include "jobs/image/save.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "graph/image_store.h"
#include "graph/tag_store.h"
#include "graph/tar_writer.h"
#include "http/json_writer.h"
#include "jobs/image/image_service.h"
#include "jobs/image/layer_reader.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

constexpr std::string_view manifest_type = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view index_type = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view config_type = "application/vnd.oci.image.config.v1+json";
constexpr std::string_view plain_layer_type = "application/vnd.oci.image.layer.v1.tar";

struct SavedImage {
    Digest id;
    std::string config;
    Platform platform;
    std::vector<Digest> diff_ids;
    std::set<Reference> tags;
    std::string manifest;
    Digest manifest_digest;
};

/// What one entry of the archive holds: text, or a layer.
struct Blob {
    std::string text;
    LayerReader* layer = nullptr;
};

struct Save {
    std::vector<SavedImage> images;
    std::map<Digest, std::unique_ptr<LayerReader>> layers;
    std::map<std::string, Blob> entries;  ///< By path, as they are written.
};

std::string blob_path(const Digest& digest) {
    return std::string("blobs/").append(digest.algorithm()).append("/").append(digest.hex());
}

Result<void> image_add(const ReadTxn& txn,
                       const Digest& id,
                       std::optional<Reference> tag,
                       std::vector<SavedImage>& images) {
    auto found = std::ranges::find(images, id, &SavedImage::id);
    if (found == images.end()) {
        SavedImage image;
        image.id = id;
        TRY(image.config, image_config_bytes(txn, id));
        TRY(ImageConfig config, image_config_parse(image.config));
        image.platform = std::move(config.platform);
        image.diff_ids = std::move(config.diff_ids);
        found = images.insert(images.end(), std::move(image));
    }
    if (tag) {
        found->tags.insert(*std::move(tag));
    }
    return ok;
}

/// Gives: whether the name was a repository with tags.
Result<bool> repository_add(const ReadTxn& txn,
                            const std::string& name,
                            std::vector<SavedImage>& images) {
    const Result<Reference> repository = Reference::parse(name);
    if (!repository || !repository->is_name_only()) {
        return false;
    }
    TRY(const auto all, reference_list(txn));
    bool any = false;
    for (const auto& [reference, id] : all) {
        if (reference.name() == repository->name() && !reference.tag().empty()) {
            TRY_VOID(image_add(txn, id, reference, images));
            any = true;
        }
    }
    return any;
}

Result<std::vector<SavedImage>> images_find(const ReadTxn& txn,
                                            const std::vector<std::string>& names) {
    std::vector<SavedImage> images;
    for (const std::string& name : names) {
        TRY(const bool repository, repository_add(txn, name, images));
        if (repository) {
            continue;
        }
        TRY(const ImageMatch match, image_resolve(txn, name));
        const bool by_name = match.reference && !match.reference->tag().empty();
        TRY_VOID(image_add(txn, match.id, by_name ? match.reference : std::nullopt, images));
    }
    return images;
}

Result<void> platforms_check(const std::vector<SavedImage>& images,
                             const std::optional<Platform>& wanted) {
    for (const SavedImage& image : images) {
        if (wanted) {
            const std::string name =
                image.tags.empty() ? image.id.str() : image.tags.begin()->familiar();
            TRY_VOID(platform_require(name, *wanted, image.platform));
        }
    }
    return ok;
}

void descriptor_write(JsonWriter& json,
                      std::string_view type,
                      const Digest& digest,
                      std::uint64_t size) {
    json.key("mediaType").string(type).key("digest").string(digest.str());
    json.key("size").number(size);
}

std::string manifest_json(const Save& save, const SavedImage& image) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().key("schemaVersion").number(2).key("mediaType").string(manifest_type);
    json.key("config").begin_object();
    descriptor_write(json, config_type, image.id, image.config.size());
    json.end_object().key("layers").begin_array();
    for (const Digest& layer : image.diff_ids) {
        json.begin_object();
        descriptor_write(json, plain_layer_type, layer, save.layers.at(layer)->archive_bytes());
        json.end_object();
    }
    json.end_array().end_object();
    return out;
}

void index_entry_write(JsonWriter& json, const SavedImage& image, const Reference* tag) {
    json.begin_object();
    descriptor_write(json, manifest_type, image.manifest_digest, image.manifest.size());
    if (tag != nullptr) {
        json.key("annotations").begin_object();
        json.key("io.containerd.image.name").string(tag->str());
        json.key("org.opencontainers.image.ref.name").string(tag->tag());
        json.end_object();
    }
    json.end_object();
}

std::string index_json(const Save& save) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().key("schemaVersion").number(2).key("mediaType").string(index_type);
    json.key("manifests").begin_array();
    for (const SavedImage& image : save.images) {
        if (image.tags.empty()) {
            index_entry_write(json, image, nullptr);
        }
        for (const Reference& tag : image.tags) {
            index_entry_write(json, image, &tag);
        }
    }
    json.end_array().end_object();
    return out;
}

/// manifest.json: what Docker has read since 1.10.
std::string docker_manifest_json(const Save& save) {
    std::string out;
    JsonWriter json(out);
    json.begin_array();
    for (const SavedImage& image : save.images) {
        json.begin_object().key("Config").string(blob_path(image.id)).key("RepoTags");
        if (image.tags.empty()) {
            json.null();
        } else {
            json.begin_array();
            for (const Reference& tag : image.tags) {
                json.string(tag.familiar());
            }
            json.end_array();
        }
        json.key("Layers").begin_array();
        for (const Digest& layer : image.diff_ids) {
            json.string(blob_path(layer));
        }
        json.end_array().key("LayerSources").begin_object();
        const std::set<Digest> sources(image.diff_ids.begin(), image.diff_ids.end());
        for (const Digest& layer : sources) {
            json.key(layer.str()).begin_object();
            descriptor_write(json, plain_layer_type, layer, save.layers.at(layer)->archive_bytes());
            json.end_object();
        }
        json.end_object().end_object();
    }
    json.end_array();
    return out;
}

/// The file that readers before 1.10 wanted; some tools still list tags by it.
std::string repositories_json(const Save& save) {
    std::map<std::string, std::map<std::string, std::string>> repositories;
    for (const SavedImage& image : save.images) {
        for (const Reference& tag : image.tags) {
            const Digest& top = image.diff_ids.empty() ? image.id : image.diff_ids.back();
            repositories[tag.familiar_name()][tag.tag()] = top.hex();
        }
    }
    if (repositories.empty()) {
        return {};
    }
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    for (const auto& [name, tags] : repositories) {
        json.key(name).string_map(tags);
    }
    json.end_object();
    return out;
}

/// Everything that is written, by path; the layers stay closed but their sizes are known.
void entries_make(Save& save) {
    for (SavedImage& image : save.images) {
        image.manifest = manifest_json(save, image);
        image.manifest_digest = sha256_of(image.manifest);
        save.entries[blob_path(image.manifest_digest)].text = image.manifest;
        save.entries[blob_path(image.id)].text = image.config;
    }
    for (const auto& [digest, reader] : save.layers) {
        save.entries[blob_path(digest)].layer = reader.get();
    }
    save.entries["index.json"].text = index_json(save);
    save.entries["manifest.json"].text = docker_manifest_json(save);
    save.entries["oci-layout"].text = R"({"imageLayoutVersion":"1.0.0"})";
    if (std::string text = repositories_json(save); !text.empty()) {
        save.entries["repositories"].text = std::move(text);
    }
}

TarEntry entry_of(TarType type, std::string path, std::uint64_t size) {
    TarEntry entry;
    entry.type = type;
    entry.path = std::move(path);
    entry.mode = type == TarType::directory ? 0755 : 0644;
    entry.size = size;
    return entry;
}

Task<void> layer_write(LayerReader& layer, TarWriter& tar, const SaveOutput& output) {
    std::vector<char> buffer(limits::layer_chunk_bytes);
    for (;;) {
        CO_TRY(const std::size_t got, co_await layer.read(buffer));
        if (got == 0) {
            co_return ok;
        }
        tar.data_elsewhere(got);
        const std::string_view bytes(buffer.data(), got);
        CO_CHECK(co_await output(bytes));
    }
}

Task<void> entries_write(Save& save, const SaveOutput& output) {
    std::string buffer;
    TarWriter tar(buffer);
    std::set<std::string> directories;
    for (const auto& [path, blob] : save.entries) {
        for (std::size_t slash = path.find('/'); slash != std::string::npos;
             slash = path.find('/', slash + 1)) {
            if (directories.insert(path.substr(0, slash)).second) {
                CO_CHECK(tar.add(entry_of(TarType::directory, path.substr(0, slash), 0)));
            }
        }
        if (blob.layer == nullptr) {
            CO_CHECK(tar.add(entry_of(TarType::file, path, 0), blob.text));
        } else {
            CO_CHECK(tar.begin(entry_of(TarType::file, path, blob.layer->archive_bytes())));
            CO_CHECK(co_await output(buffer));
            buffer.clear();
            CO_CHECK(co_await layer_write(*blob.layer, tar, output));
            tar.end();
        }
        if (buffer.size() >= limits::layer_chunk_bytes) {
            CO_CHECK(co_await output(buffer));
            buffer.clear();
        }
    }
    tar.finish();
    co_return co_await output(buffer);
}

Task<void> save_held(ImageService& images,
                     const LayersHeld& held,
                     Save& save,
                     const SaveOutput& output) {
    for (const LayerRecord& layer : held.layers) {
        if (!save.layers.contains(layer.diff_id)) {
            CO_TRY(save.layers[layer.diff_id], LayerReader::open(images, layer));
        }
    }
    entries_make(save);
    co_return co_await entries_write(save, output);
}

}  // namespace

Task<void> image_save(ImageService& images, SaveRequest request, SaveOutput output) {
    Save save;
    const auto find = [&request](const ReadTxn& txn) { return images_find(txn, request.names); };
    CO_TRY(save.images, images.db().view(find));
    if (save.images.empty()) {
        co_return Error(ErrorKind::invalid_argument, "no image is named");
    }
    CO_CHECK(platforms_check(save.images, request.platform));
    std::vector<LayerPlace> places;
    for (const SavedImage& image : save.images) {
        const std::vector<LayerPlace> all = layer_places(image.diff_ids);
        places.insert(places.end(), all.begin(), all.end());
    }
    CO_TRY(LayersHeld held, co_await layers_hold(images, std::move(places)));
    Result<void> saved = co_await save_held(images, held, save, output);
    save.layers.clear();
    CO_CHECK(co_await layers_give_back(images, std::move(held)));
    co_return std::move(saved);
}

}  // namespace davit
