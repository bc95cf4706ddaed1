#pragma once
/// What an archive of images says of itself: manifest.json, or an OCI layout's index.json.
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/platform.h"
#include "graph/reference.h"
#include "reactor/base/digest.h"
#include "reactor/base/result.h"

namespace davit {

/// An image as an archive has it: where its parts are, by their paths in the archive.
struct LoadImage {
    std::string config;  ///< The document itself.
    std::vector<std::string> layer_paths;
    std::vector<Reference> names;
};

/// The content of a small file of the archive, whichever way it is named there; null if it has
/// none.
using LoadDocuments = std::function<const std::string*(std::string_view path)>;

/// "blobs/sha256/..."
std::string load_blob_path(const Digest& digest);

/// The digest by which a path of that form names its content.
std::optional<Digest> load_blob_digest(std::string_view clean_path);

/// Takes:   wanted: the platform of the images that are taken out of indexes; without one, the
///          host's. With one, images that have nothing for it are left out; what no index tells the
///          platform of is given whatever it is for.
/// Follows: Docker's image/tarexport (manifest.json), OCI image-spec image-layout.md.
/// Errors:  invalid_argument: no document that names images, or one that is malformed or names what
///          is not there; unsupported (the form from before Docker 1.10).
Result<std::vector<LoadImage>> load_images(const LoadDocuments& documents,
                                           const std::optional<Platform>& wanted);

}  // namespace davit
