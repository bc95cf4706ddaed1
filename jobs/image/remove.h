#pragma once
/// Removing images, and clearing up after a crash.
#include <functional>
#include <string_view>

#include "graph/image_remove.h"
#include "reactor/task.h"

namespace davit {

class ImageService;

/// DELETE /images/{name}. The layers that nothing needs any more are gone at once and deleted from
/// disk in the background.
/// Takes:  request.users and request.pinned as of now; pinned runs on a worker thread, so it must
/// be
///         a snapshot.
/// Errors: as davit::image_remove(WriteTxn&, ...).
Task<ImageRemoved> image_remove(ImageService& images, ImageRemove request);

/// For a container whose record is not in the graph, just after it was stored (with no await
/// between): a removal that began earlier does not know of it.
/// Errors: not_found "No such image: X", if such a removal took the image; the container must go.
Task<void> image_hold_check(ImageService& images, Digest image);

/// At the daemon's start, before any other image work: end what was half done when it last ended.
/// Leases, staged layers and unneeded layers go; so does every directory that nobody knows.
/// Takes: rw_known, whether a container has that own directory (GraphDriver::rw_create()); pinned,
///        the chains that containers outside the graph hold (a snapshot: it runs on a worker
///        thread).
Task<void> image_recover(
    ImageService& images,
    std::function<bool(std::string_view rw_name)> rw_known,
    ChainPinned pinned = [](const Digest&) { return false; });

/// Layers that are recorded, and whose directories somebody took away, are forgotten with the
/// images that need them: else a pull would say that the image is up to date, and no container of
/// it could start. Gives: what was forgotten, in words.
Task<std::vector<std::string>> image_lost_drop(ImageService& images);

}  // namespace davit
