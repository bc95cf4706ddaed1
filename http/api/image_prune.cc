// POST /images/prune
#include <array>
#include <memory>

#include "http/api/handlers.h"
#include "http/api/image_event.h"
#include "http/api/image_users.h"
#include "http/api/prune_filter.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"
#include "jobs/image/image_service.h"
#include "jobs/image/prune.h"

namespace davit::api {

namespace {

constexpr std::array<std::string_view, 4> image_prune_keys{"dangling", "label", "label!", "until"};

bool admits(const PruneFilter& filter, const ImageConfig& config) {
    if (filter.until) {
        // An image that does not say when it was made is older than any that does.
        const auto created = rfc3339_parse(config.created);
        if (created && *created > *filter.until) {
            return false;
        }
    }
    return filter.admits_labels(config.config.labels);
}

std::string pruned_json(const ImagesPruned& pruned) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("ImagesDeleted");
    if (pruned.entries.empty()) {
        json.null();
    } else {
        json.begin_array();
        for (const ImageRemoved::Entry& entry : pruned.entries) {
            const bool untagged = entry.kind == ImageRemoved::Entry::Kind::untagged;
            json.begin_object().key(untagged ? "Untagged" : "Deleted").string(entry.text);
            json.end_object();
        }
        json.end_array();
    }
    json.key("SpaceReclaimed").number(pruned.bytes).end_object();
    return body;
}

}  // namespace

Task<void> images_prune(ApiContext& context) {
    CO_TRY(const PruneFilter filter,
           PruneFilter::parse(context.query.get("filters"), image_prune_keys, wall_now()));
    CO_TRY(const std::optional<bool> dangling, filter.filters.boolean("dangling"));
    ImagePrune prune;
    prune.dangling_only = dangling.value_or(true);
    prune.request = [&context] { return image_remove_request(context.daemon); };
    prune.admits = [&filter](const ImageConfig& config) { return admits(filter, config); };
    CO_TRY(const ImagesPruned pruned,
           co_await image_prune(*context.daemon.images, std::move(prune)));
    for (const ImageRemoved::Entry& entry : pruned.entries) {
        const bool untagged = entry.kind == ImageRemoved::Entry::Kind::untagged;
        const std::string id = entry.image.str();
        image_event(context.daemon, untagged ? "untag" : "delete", id, id, ImageLabels{});
    }
    std::vector<std::pair<std::string, std::string>> attributes;
    attributes.emplace_back("reclaimed", std::to_string(pruned.bytes));
    context.daemon.events.publish("image", "prune", "", std::move(attributes));
    co_return co_await context.send_json(200, pruned_json(pruned));
}

/// Nothing is built here, so nothing of it is kept: whatever the filters are, nothing goes.
Task<void> build_cache_prune(ApiContext& context) {
    co_return co_await context.send_json(200, R"({"CachesDeleted":null,"SpaceReclaimed":0})");
}

}  // namespace davit::api
