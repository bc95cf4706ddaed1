#include "jobs/image/load.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "graph/compression.h"
#include "graph/graph_writer.h"
#include "graph/tag_store.h"
#include "graph/tar_header.h"
#include "graph/tar_path.h"
#include "jobs/image/image_service.h"
#include "jobs/image/load_archive.h"
#include "jobs/image/load_documents.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

/// Steps through links of the archive; Docker's go one step.
constexpr int link_depth_max = 8;

/// One member of the archive that is unpacked, its first bytes having been looked at.
class MemberSource final : public LayerSource {
  public:
    MemberSource(ArchiveStream& archive, std::string_view seen) : archive_(archive), seen_(seen) {}

    Task<std::size_t> read(std::span<char> buffer) override {
        if (seen_.empty()) {
            co_return co_await archive_.read(buffer);
        }
        const std::size_t part = seen_.copy(buffer.data(), buffer.size());
        seen_.remove_prefix(part);
        co_return part;
    }

  private:
    ArchiveStream& archive_;
    std::string_view seen_;
};

struct Load {
    ImageService& images;
    ArchiveStream archive;
    LoadOptions options;
    ProgressSink& progress;
    std::map<std::string, std::string, std::less<>> documents;
    std::size_t documents_bytes = 0;
    std::map<std::string, std::string, std::less<>> links;
    /// A layer, or why it is none.
    std::map<std::string, Result<LayerHandle>, std::less<>> layers;
};

/// Whether a file is a layer, by its first block.
bool is_layer(std::string_view first) {
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(first.data()), first.size());
    const std::optional<Compression> compression = compression_detect(bytes);
    if (compression && *compression != Compression::none) {
        return true;
    }
    if (bytes.size() < tar_block_bytes) {
        return false;
    }
    const TarBlock block = bytes.first<tar_block_bytes>();
    // A header that is wrong otherwise makes it a bad layer, which is for the extraction to say.
    return tar_block_is_zero(block) || tar_checksum_matches(block);
}

/// The member's first block, or all of it.
Task<std::string> first_block(ArchiveStream& archive) {
    std::string first(tar_block_bytes, '\0');
    std::size_t filled = 0;
    while (filled < first.size()) {
        CO_TRY(const std::size_t got,
               co_await archive.read(std::span<char>(first).subspan(filled)));
        if (got == 0) {
            break;
        }
        filled += got;
    }
    first.resize(filled);
    co_return std::move(first);
}

/// What people call a layer of which only the name in the archive is known.
std::string shown_id(const std::string& path) {
    constexpr std::size_t digits = 12;
    const std::optional<Digest> digest = load_blob_digest(path);
    return digest ? digest->short_hex() : path.substr(0, std::min(path.find('/'), digits));
}

Task<void> layer_take(Load& load, std::string path, std::string first) {
    if (load.layers.size() >= load_layers_max) {
        co_return Error(ErrorKind::resource_exhausted, "the archive has too many layers");
    }
    ProgressMessage message;
    message.id = shown_id(path);
    message.status = "Loading layer";
    const std::uint64_t total = load.archive.entry().size;
    LayerWatcher watcher;
    watcher.received = [&load, &message, total](std::uint64_t bytes) {
        message.count = ProgressCount{bytes, total};
        if (!load.options.quiet) {
            load.progress.update(message);
        }
    };
    watcher.received_all = [] {};
    watcher.unpacked = [](std::uint64_t) {};
    LayerExpected expected;
    expected.blob = load_blob_digest(path).value_or(Digest());
    expected.compressions = Compressions::archive;
    MemberSource source(load.archive, first);
    Result<LayerHandle> layer =
        co_await load.images.layers().unpack(source, std::move(expected), std::move(watcher));
    if (!layer && (load.archive.failed() || layer.error().kind() == ErrorKind::cancelled ||
                   layer.error().kind() == ErrorKind::resource_exhausted)) {
        co_return std::move(layer).error();
    }
    if (layer) {
        // What came in is no blob of any registry.
        (*layer)->unpacked.decoded.blob = Digest();
    }
    load.layers.insert_or_assign(std::move(path), std::move(layer));
    co_return ok;
}

Task<void> document_take(Load& load, std::string path, std::string text) {
    load.documents_bytes += path.size();
    std::array<char, 4096> buffer{};
    for (bool more = text.size() == tar_block_bytes; more;) {
        CO_TRY(const std::size_t got, co_await load.archive.read(buffer));
        text.append(buffer.data(), got);
        more = got != 0;
        if (text.size() > limits::image_config_bytes_max) {
            co_return ok;  // None that we read. If it is named after all, it is not there.
        }
    }
    load.documents_bytes += text.size();
    if (load.documents_bytes > load_documents_bytes_max) {
        co_return Error(ErrorKind::resource_exhausted, "the archive's documents are too large");
    }
    load.documents.insert_or_assign(std::move(path), std::move(text));
    co_return ok;
}

Task<void> member_take(Load& load) {
    const TarEntry& entry = load.archive.entry();
    CO_TRY(std::string path, tar_path_clean(entry.path));
    switch (entry.type) {
        case TarType::symlink: {
            std::string target = entry.linkpath;
            if (!target.starts_with('/')) {
                target = std::string(tar_path_parent(path)).append("/").append(target);
            }
            CO_TRY(load.links[path], tar_path_clean(target));
            co_return ok;
        }
        case TarType::hardlink: {
            CO_TRY(load.links[path], tar_path_clean(entry.linkpath));
            co_return ok;
        }
        case TarType::file:
            break;
        case TarType::directory:
        case TarType::char_device:
        case TarType::block_device:
        case TarType::fifo:
            co_return ok;
    }
    CO_TRY(std::string first, co_await first_block(load.archive));
    if (is_layer(first)) {
        co_return co_await layer_take(load, std::move(path), std::move(first));
    }
    co_return co_await document_take(load, std::move(path), std::move(first));
}

/// A path as a document spells it, through the archive's links.
std::string path_resolve(const Load& load, std::string_view spelled) {
    Result<std::string> path = tar_path_clean(spelled);
    if (!path) {
        return {};
    }
    for (int depth = 0; depth < link_depth_max; ++depth) {
        const auto link = load.links.find(*path);
        if (link == load.links.end()) {
            break;
        }
        *path = link->second;
    }
    return *std::move(path);
}

/// The image's layers, each the one that its config says.
Result<std::vector<LayerHandle>> layers_of(const Load& load,
                                           const LoadImage& image,
                                           const ImageConfig& config) {
    if (image.layer_paths.size() != config.diff_ids.size()) {
        return Error(ErrorKind::invalid_argument,
                     "invalid manifest, layers length mismatch: expected " +
                         std::to_string(config.diff_ids.size()) + ", got " +
                         std::to_string(image.layer_paths.size()));
    }
    std::vector<LayerHandle> handles;
    for (std::size_t i = 0; i < image.layer_paths.size(); ++i) {
        const auto found = load.layers.find(path_resolve(load, image.layer_paths[i]));
        if (found == load.layers.end()) {
            return Error(ErrorKind::invalid_argument,
                         "invalid archive: layer " + image.layer_paths[i] + " is not there");
        }
        if (!found->second) {
            Error error = found->second.error();
            return std::move(error).context("layer", image.layer_paths[i]);
        }
        const LayerHandle& layer = *found->second;
        if (layer->place.diff_id != config.diff_ids[i]) {
            return Error(ErrorKind::invalid_argument,
                         "invalid diffID for layer " + std::to_string(i) + ": expected \"" +
                             config.diff_ids[i].str() + "\", got \"" + layer->place.diff_id.str() +
                             "\"");
        }
        handles.push_back(layer);
    }
    return handles;
}

struct Loaded {
    std::vector<LoadedImage> images;
    std::vector<ImagePut> puts;
    std::vector<LayerHandle> layers;
};

Result<Loaded> assemble(const Load& load) {
    const LoadDocuments documents = [&load](std::string_view path) -> const std::string* {
        const auto found = load.documents.find(path_resolve(load, path));
        return found == load.documents.end() ? nullptr : &found->second;
    };
    const std::optional<Platform>& wanted = load.options.platform;
    TRY(std::vector<LoadImage> images, load_images(documents, wanted));
    Loaded loaded;
    std::set<Digest> diffs;
    for (LoadImage& image : images) {
        TRY(const ImageConfig config, image_config_parse(image.config));
        if (wanted && platform_match(*wanted, config.platform) == 0) {
            continue;
        }
        TRY(const std::vector<LayerHandle> layers, layers_of(load, image, config));
        TRY_VOID(layers_stack(config.diff_ids, layers));
        for (const LayerHandle& layer : layers) {
            if (diffs.insert(layer->place.diff_id).second) {
                loaded.layers.push_back(layer);
            }
        }
        LoadedImage one;
        one.image = sha256_of(image.config);
        one.names = std::move(image.names);
        loaded.images.push_back(std::move(one));
        ImagePut put;
        put.config = std::move(image.config);
        put.stored = wall_now();
        loaded.puts.push_back(std::move(put));
    }
    return loaded;
}

Task<void> record(Load& load, Loaded& loaded) {
    auto commit = [puts = loaded.puts, images = loaded.images](WriteTxn& txn) -> Result<void> {
        for (std::size_t i = 0; i < puts.size(); ++i) {
            TRY_VOID(image_put(txn, puts[i]));
            for (const Reference& name : images[i].names) {
                TRY_VOID(reference_set(txn, name, images[i].image));
            }
        }
        return ok;
    };
    co_return co_await load.images.layers().publish(
        loaded.layers, LayerSyncing::before, std::move(commit));
}

/// What is wrong with an archive that a client sent is the client's to put right.
Error archive_error(Error error) {
    if (error.kind() == ErrorKind::corrupt || error.kind() == ErrorKind::not_found) {
        return std::move(error).with_kind(ErrorKind::invalid_argument);
    }
    return error;
}

Task<Loaded> load_all(Load& load) {
    load.progress.phase("read");
    for (;;) {
        CO_TRY(const bool more, co_await load.archive.next());
        if (!more) {
            break;
        }
        CO_CHECK(co_await member_take(load));
    }
    CO_TRY(Loaded loaded, assemble(load));
    load.progress.phase("record");
    CO_CHECK(co_await record(load, loaded));
    co_return std::move(loaded);
}

}  // namespace

Task<std::vector<LoadedImage>> image_load(ImageService& images,
                                          LayerSource& archive,
                                          LoadOptions options,
                                          ProgressSink& progress) {
    Load load{images,
              ArchiveStream(archive, load_entries_max),
              std::move(options),
              progress,
              {},
              0,
              {},
              {}};
    Result<Loaded> loaded = co_await load_all(load);
    if (!loaded) {
        co_return archive_error(std::move(loaded).error());
    }
    if (loaded->images.empty() && load.options.platform) {
        co_return Error(ErrorKind::not_found,
                        "requested platform (" + load.options.platform->str() +
                            ") not found: image might be filtered out");
    }
    for (const LoadedImage& image : loaded->images) {
        ProgressMessage message;
        if (image.names.empty()) {
            message.stream = "Loaded image ID: " + image.image.str() + "\n";
            progress.update(message);
        }
        for (const Reference& name : image.names) {
            message.stream = "Loaded image: " + name.familiar() + "\n";
            progress.update(message);
        }
    }
    co_return std::move(loaded->images);
}

}  // namespace davit
