#include "jobs/image/history.h"

#include <algorithm>

#include "graph/image_config.h"
#include "graph/image_store.h"
#include "graph/layer_store.h"
#include "graph/tag_store.h"

namespace davit {

namespace {

/// The steps as the config tells them, oldest first, each with its layer's size.
Result<std::vector<HistoryRow>> steps_read(const ReadTxn& txn, const ImageConfig& config) {
    const std::vector<LayerPlace> places = layer_places(config.diff_ids);
    std::size_t layers = 0;
    std::vector<HistoryRow> rows;
    for (const HistoryEntry& entry : config.history) {
        HistoryRow row;
        row.created = entry.created;
        row.created_by = entry.created_by;
        row.comment = entry.comment;
        if (!entry.empty_layer) {
            if (layers == places.size()) {
                return Error(ErrorKind::corrupt, "too many non-empty layers in History section");
            }
            TRY(const std::optional<LayerRecord> layer, layer_find(txn, places[layers++]));
            row.size = layer ? layer->unpacked_bytes : 0;
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

/// Which images the steps ended in: each commit added one step to its parent's.
Result<void> images_name(const ReadTxn& txn, ImageRecord image, std::vector<HistoryRow>& rows) {
    for (HistoryRow& row : rows) {
        row.image = image.id;
        TRY(const std::vector<Reference> names, image_references(txn, image.id));
        for (const Reference& name : names) {
            if (!name.has_digest()) {
                row.tags.push_back(name.familiar());
            }
        }
        std::ranges::sort(row.tags);
        if (image.parent.empty()) {
            break;
        }
        TRY(std::optional<ImageRecord> parent, image_get(txn, image.parent));
        if (!parent) {
            break;
        }
        image = *std::move(parent);
    }
    return ok;
}

}  // namespace

Result<std::vector<HistoryRow>> image_history(const ReadTxn& txn, const Digest& image) {
    TRY(std::optional<ImageRecord> record, image_get(txn, image));
    if (!record) {
        return Error(ErrorKind::not_found, "No such image: " + image.str());
    }
    TRY(const std::string bytes, image_config_bytes(txn, image));
    TRY(const ImageConfig config, image_config_parse(bytes));
    TRY(std::vector<HistoryRow> rows, steps_read(txn, config));
    std::ranges::reverse(rows);
    TRY_VOID(images_name(txn, *std::move(record), rows));
    return rows;
}

}  // namespace davit
