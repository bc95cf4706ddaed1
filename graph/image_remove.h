#pragma once
/// Removing an image: what DELETE /images/{name} means, as one update.
///
/// Follows: Docker Engine API ImageDelete. By reference: the reference goes, and the image with it
/// if that was its last; digest references of a repository go with the repository's last tag. By
/// id: all references go, if they are at most one tag. Whatever still needs the image (containers,
/// images built on it) is a conflict; force overrides stopped containers and further references,
/// never running containers or child images.
#include <functional>
#include <string>
#include <vector>

#include "graph/image_store.h"
#include "graph/layer_store.h"

namespace davit {

/// A container made from an image.
struct ImageUser {
    std::string container_id;
    Digest image;
    bool running = false;
};

struct ImageRemove {
    std::string text;
    bool force = false;
    /// Also remove untagged parents that nothing else needs (noprune=false).
    bool prune_parents = true;
    /// All containers, of both databases; only the engine knows which are running.
    std::vector<ImageUser> users;
    /// Chains that containers of the run database hold.
    ChainPinned pinned;
};

/// In the order in which it happened, as the API reports it.
struct ImageRemoved {
    struct Entry {
        enum class Kind : std::uint8_t { untagged, deleted } kind;
        /// A familiar reference, or an image's id.
        std::string text;
        Digest image;
    };

    std::vector<Entry> entries;
    /// Cache ids whose directories the caller removes, then forgets.
    std::vector<std::string> directories;
};

/// The layer's directory is gone, whatever the graph says: remove its record, with the chains and
/// images that need it, so that a pull fetches it again. Containers of these images keep their
/// records, and find their chain when it is back.
Result<ImageRemoved> layer_lost(WriteTxn& txn, const std::string& cache_id);

/// Errors: not_found "No such image: X"; conflict "conflict: unable to delete X (must be forced) -
///         image is being used by stopped container Y" and its relatives.
Result<ImageRemoved> image_remove(WriteTxn& txn, const ImageRemove& request);

}  // namespace davit
