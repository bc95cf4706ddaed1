// davit's own endpoints of the graph.
#include <algorithm>

#include "graph/image_sizes.h"
#include "graph/image_store.h"
#include "graph/tag_store.h"
#include "http/api/graph_json.h"
#include "http/api/handlers.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"

namespace davit::api {

namespace {

struct ShownImage {
    ImageRecord record;
    ImageSizes sizes;
    /// Of every image that shares a layer with it, and of itself: a name for people.
    std::map<Digest, std::string> names;
};

Result<std::string> name_of(const ReadTxn& txn, const Digest& image) {
    TRY(const std::vector<Reference> references, image_references(txn, image));
    return references.empty() ? image.short_hex() : references.front().familiar();
}

Result<ShownImage> image_shown(const ReadTxn& txn, const std::string& name) {
    ShownImage shown;
    TRY(const ImageMatch match, image_resolve(txn, name));
    TRY(std::optional<ImageRecord> record, image_get(txn, match.id));
    if (!record) {
        return Error(ErrorKind::not_found, "No such image: " + name);
    }
    shown.record = *std::move(record);
    TRY(GraphSizes sizes, graph_sizes(txn));
    shown.sizes = std::move(sizes.images[match.id]);
    TRY(shown.names[match.id], name_of(txn, match.id));
    for (const ImageLayer& layer : shown.sizes.layers) {
        for (const Digest& image : layer.images) {
            if (!shown.names.contains(image)) {
                TRY(shown.names[image], name_of(txn, image));
            }
        }
    }
    return shown;
}

void layer_write(JsonWriter& json, const ShownImage& shown, const ImageLayer& layer) {
    json.begin_object().key("DiffId").string(layer.diff_id.str());
    json.key("Directory").string(layer.cache_id).key("Size").number(layer.bytes);
    json.key("SharedWith").begin_array();
    for (const Digest& image : layer.images) {
        if (image != shown.record.id) {
            json.string(shown.names.at(image));
        }
    }
    json.end_array().end_object();
}

}  // namespace

std::string graph_report_json(const GraphReport& report) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("Driver").string(report.driver);
    json.key("Images").number(report.counts.images);
    json.key("References").number(report.counts.references);
    json.key("Layers").number(report.counts.layers);
    json.key("Chains").number(report.counts.chains);
    json.key("Containers").number(report.counts.containers);
    json.key("Leases").number(report.counts.leases);
    json.key("LayerDirectories").number(report.layer_directories);
    json.key("ContainerDirectories").number(report.rw_directories);
    json.key("Findings").strings(report.findings);
    json.key("Repairs").strings(report.repairs).end_object();
    return body;
}

Task<void> graph_check(ApiContext& context) {
    CO_TRY(const GraphReport report, co_await graph_check_job(context.job, context.daemon, false));
    co_return co_await context.send_json(200, graph_report_json(report));
}

Task<void> graph_repair(ApiContext& context) {
    CO_TRY(const GraphReport report, co_await graph_check_job(context.job, context.daemon, true));
    co_return co_await context.send_json(200, graph_report_json(report));
}

Task<void> graph_show(ApiContext& context) {
    CO_TRY(const ShownImage shown, context.daemon.graph->view([&](const ReadTxn& txn) {
        return image_shown(txn, context.params.get("name"));
    }));
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("Id").string(shown.record.id.str());
    json.key("Name").string(shown.names.at(shown.record.id));
    json.key("Parent").string(shown.record.parent.str());
    json.key("ChainId").string(shown.record.chain_id.str());
    json.key("Size").number(shown.record.size);
    json.key("SharedSize").number(shown.sizes.shared);
    json.key("UniqueSize").number(shown.sizes.unique).key("Layers").begin_array();
    for (const ImageLayer& layer : shown.sizes.layers) {
        layer_write(json, shown, layer);
    }
    json.end_array().end_object();
    co_return co_await context.send_json(200, std::move(body));
}

}  // namespace davit::api
