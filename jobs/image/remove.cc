#include "jobs/image/remove.h"

#include <algorithm>
#include <set>

#include "graph/graph_writer.h"
#include "jobs/image/image_service.h"
#include "reactor/base/log.h"

namespace davit {

Task<std::vector<std::string>> image_lost_drop(ImageService& images) {
    std::vector<std::string> told;
    const auto list = [](const ReadTxn& txn) { return layer_directories(txn); };
    CO_TRY(const std::vector<LayerDirectory> directories, images.db().view(list));
    const auto elsewhere = [&images](const ReadTxn& txn) {
        return layers_unsynced_elsewhere(txn, images.layers().sync().boot());
    };
    CO_TRY(const std::vector<std::string> unsynced, images.db().view(elsewhere));
    // All of them first: dropping one takes others away, from the graph and from disk.
    std::vector<LayerDirectory> gone;
    for (const LayerDirectory& directory : directories) {
        if (directory.state != LayerDirectoryState::ready) {
            continue;
        }
        const bool was_unsynced =
            std::find(unsynced.begin(), unsynced.end(), directory.cache_id) != unsynced.end();
        if (was_unsynced) {
            told.push_back("layer " + directory.layer +
                           " was not on disk yet when the host went down: forgetting it");
        } else if (!images.driver().layer_exists(directory.cache_id)) {
            told.push_back("layer " + directory.layer + " is recorded, but its directory " +
                           directory.cache_id + " is gone: forgetting it");
        } else {
            continue;
        }
        gone.push_back(directory);
    }
    for (const LayerDirectory& directory : gone) {
        auto drop = [lost = directory.cache_id](WriteTxn& txn) { return layer_lost(txn, lost); };
        CO_TRY(ImageRemoved removed, co_await images.writer().update(std::move(drop)));
        for (const ImageRemoved::Entry& entry : removed.entries) {
            told.push_back(entry.text + " lacks a layer and is removed: pull it again");
        }
        CO_CHECK(co_await images.layers().directories_delete(std::move(removed.directories)));
    }
    co_return std::move(told);
}

Task<ImageRemoved> image_remove(ImageService& images, ImageRemove request) {
    const ImageService::Removal removal(images);
    auto remove = [request = std::move(request)](WriteTxn& txn) {
        return image_remove(txn, request);
    };
    CO_TRY(ImageRemoved removed, co_await images.writer().update(std::move(remove)));
    // The answer is due whether or not the client still waits; so is the clean-up.
    CO_CHECK(co_await shielded(images.layers().directories_delete(removed.directories)));
    CO_CHECK(co_await shielded(images.layers().owed_give_back()));
    co_return std::move(removed);
}

Task<void> image_hold_check(ImageService& images, Digest image) {
    if (!images.is_removing()) {
        co_return ok;
    }
    // Commits are in order: this one is after the removals that did not see the container.
    auto check = [image = std::move(image)](WriteTxn& txn) -> Result<void> {
        TRY(const std::optional<ImageRecord> record, image_get(txn, image));
        return record ? Result<void>(ok)
                      : Error(ErrorKind::not_found, "No such image: " + image.str());
    };
    co_return co_await images.writer().update(std::move(check));
}

Task<void> image_recover(ImageService& images,
                         std::function<bool(std::string_view rw_name)> rw_known,
                         ChainPinned pinned) {
    auto recover = [pinned = std::move(pinned)](WriteTxn& txn) {
        return graph_recover(txn, pinned);
    };
    CO_TRY(std::vector<std::string> unneeded, co_await images.writer().update(std::move(recover)));
    if (!unneeded.empty()) {
        LOG_INFO("images: {} unfinished or unneeded layers are removed", unneeded.size());
    }
    CO_CHECK(co_await images.layers().directories_delete(std::move(unneeded)));
    CO_TRY(const std::vector<std::string> told, co_await image_lost_drop(images));
    for (const std::string& line : told) {
        LOG_WARN("images: {}", line);
    }

    const auto list = [](const ReadTxn& txn) { return layer_directories(txn); };
    CO_TRY(const std::vector<LayerDirectory> directories, images.db().view(list));
    std::set<std::string, std::less<>> layers;
    for (const LayerDirectory& directory : directories) {
        layers.insert(directory.cache_id);
    }
    DriverKnown driver_known;
    driver_known.layer = [&layers](std::string_view cache_id) { return layers.contains(cache_id); };
    driver_known.rw = std::move(rw_known);
    CO_TRY(const std::size_t count, images.driver().recover(driver_known));
    if (count > 0) {
        LOG_INFO("images: {} directories that nobody knows are removed", count);
    }
    co_return ok;
}

}  // namespace davit
