#pragma once
/// How a layer gets into a registry: what is known of its compressed forms, and where their bytes
/// can be had.
///
/// In this order: the registry has it already; another repository of the same registry has it, and
/// it is mounted; a registry that it was pulled from, or pushed to, still has it, and it is carried
/// over from there; its archive is made again from its files.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graph/layer_origin.h"
#include "http/registry/blob_upload.h"
#include "http/registry/credentials.h"
#include "jobs/image/layer_pipeline.h"

namespace davit {

class ImageService;

/// One compressed form of a layer.
struct PushForm {
    LayerBlob blob;
    /// Where it can be had besides the registries (foreign layers).
    std::vector<std::string> urls;
    /// Repositories that have it, the newest first.
    std::vector<LayerOrigin> origins;

    /// The repositories of a registry that it can be mounted from.
    std::vector<std::string> mounts(const std::string& domain, const std::string& path) const;
};

/// A layer that is to be pushed.
struct PushLayer {
    LayerPlace place;
    /// The best first.
    std::vector<PushForm> forms;
};

/// Whose registry the credentials of a push are for.
struct PushAccess {
    std::string domain;
    RegistryCredentials credentials;
};

/// A source of the blob's bytes, from the first of its origins that has it.
/// Errors: the last origin's; not_found if there is none.
Task<std::shared_ptr<LayerSource>> push_source_open(ImageService& images,
                                                    PushForm form,
                                                    PushAccess access);

/// A source of a layer's archive, made again from its files, and gzipped: a blob whose digest is
/// not known before its end. Takes: a layer that is held. Errors: those of LayerReader::open().
Result<std::shared_ptr<LayerSource>> push_archive_open(ImageService& images,
                                                       const LayerRecord& layer);

/// A source as the bytes of an upload.
BlobBytes push_bytes(std::shared_ptr<LayerSource> source);

}  // namespace davit
