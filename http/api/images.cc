// Endpoints of images that are here.
#include "graph/image_remove.h"
#include "graph/image_store.h"
#include "graph/tag_store.h"
#include "http/api/handlers.h"
#include "http/api/image_event.h"
#include "http/api/image_json.h"
#include "http/api/image_users.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"
#include "jobs/image/image_service.h"
#include "jobs/image/remove.h"

namespace davit::api {

namespace {

struct NamedImage {
    Digest id;
    ImageLabels labels;
};

/// For the events of its removal: afterwards there is nobody to ask. Images below it that go, too,
/// are told without labels.
NamedImage image_named(const Daemon& daemon, const std::string& name) {
    NamedImage named;
    const auto match =
        daemon.graph->view([&](const ReadTxn& txn) { return image_resolve(txn, name); });
    if (match) {
        named.id = match->id;
        named.labels = image_labels(daemon, match->id);
    }
    return named;
}

}  // namespace

Task<void> image_list(ApiContext& context) {
    CO_TRY(std::string body, image_list_json(context));
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> image_inspect(ApiContext& context) {
    CO_TRY(std::string body, image_inspect_json(context));
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> image_history(ApiContext& context) {
    CO_TRY(std::string body, image_history_json(context));
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> image_tag(ApiContext& context) {
    CO_TRY(const Reference named,
           Reference::parse(context.query.get("repo"), context.query.get("tag")));
    if (named.has_digest()) {
        co_return Error(ErrorKind::invalid_argument,
                        "refusing to create a tag with a digest reference");
    }
    const Reference target = named.with_default_tag();
    const std::string source = context.params.get("name");
    Digest image;
    auto update = [&](WriteTxn& txn) -> Result<void> {
        TRY(ImageMatch match, image_resolve(txn, source));
        TRY([[maybe_unused]] const auto before, reference_set(txn, target, match.id));
        image = std::move(match.id);
        return ok;
    };
    CO_CHECK(co_await context.daemon.graph_writer->update(update));
    image_event(
        context.daemon, "tag", image.str(), target.familiar(), image_labels(context.daemon, image));
    co_return co_await context.send_empty(201);
}

Task<void> image_remove(ApiContext& context) {
    CO_TRY(ImageRemove request, image_remove_request(context.daemon));
    if (context.query.contains("platforms")) {
        co_return Error(ErrorKind::unsupported,
                        "platforms is not supported here: an image is kept for one platform only, "
                        "remove it as a whole");
    }
    request.text = context.params.get("name");
    request.force = context.query.boolean("force");
    request.prune_parents = !context.query.boolean("noprune");
    const NamedImage named = image_named(context.daemon, request.text);
    CO_TRY(const ImageRemoved removed,
           co_await davit::image_remove(*context.daemon.images, std::move(request)));
    std::string body;
    JsonWriter json(body);
    json.begin_array();
    for (const ImageRemoved::Entry& entry : removed.entries) {
        const bool untagged = entry.kind == ImageRemoved::Entry::Kind::untagged;
        json.begin_object().key(untagged ? "Untagged" : "Deleted").string(entry.text).end_object();
        const std::string id = entry.image.str();
        static const ImageLabels none;
        image_event(context.daemon,
                    untagged ? "untag" : "delete",
                    id,
                    id,
                    entry.image == named.id ? named.labels : none);
    }
    json.end_array();
    co_return co_await context.send_json(200, std::move(body));
}

}  // namespace davit::api
