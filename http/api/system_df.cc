// GET /system/df: how much of the disk images, containers and volumes need.
//
// Follows: Docker Engine API, operation SystemDataUsage. LayersSize counts each layer once, as it
// lies on disk, so LayersSize and the containers' SizeRw together are what the data root holds, but
// for logs, the database, and what a file system adds (blocks that are not full, directories). With
// storage drivers that make whole trees (vfs on a file system without reflinks) a container costs
// its whole root besides.
#include <algorithm>
#include <array>

#include "graph/image_sizes.h"
#include "http/api/handlers.h"
#include "http/api/image_json.h"
#include "http/api/usage.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"

namespace davit::api {

namespace {

constexpr std::array<std::string_view, 4> types = {"container", "image", "volume", "build-cache"};

/// Which parts are asked for.
struct DfSelection {
    static Result<DfSelection> make(const ApiContext& context) {
        DfSelection selection;
        // Older clients do not know the parameter, and get everything.
        if (context.version >= ApiVersion{1, 42}) {
            for (const std::string_view type : context.query.all("type")) {
                if (std::ranges::find(types, type) == types.end()) {
                    return Error(ErrorKind::invalid_argument,
                                 "unknown object type: " + std::string(type));
                }
                selection.wanted.emplace_back(type);
            }
        }
        return selection;
    }

    bool wants(std::string_view type) const {
        return wanted.empty() || std::ranges::find(wanted, type) != wanted.end();
    }

    std::vector<std::string> wanted;
};

}  // namespace

Task<void> system_df(ApiContext& context) {
    CO_TRY(const DfSelection selection, DfSelection::make(context));
    std::string images = "null";
    std::uint64_t layers = 0;
    if (selection.wants("image")) {
        CO_TRY(const GraphSizes sizes,
               context.daemon.graph->view([](const ReadTxn& txn) { return graph_sizes(txn); }));
        layers = sizes.layers;
        CO_TRY(images, image_usage_json(context, sizes));
    }
    std::string containers = "null";
    if (selection.wants("container")) {
        CO_TRY(containers, co_await container_usage_json(context));
    }
    std::string volumes = "null";
    if (selection.wants("volume")) {
        CO_TRY(volumes, co_await volume_usage_json(context));
    }
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("LayersSize").number(layers);
    json.key("Images").raw(images).key("Containers").raw(containers);
    json.key("Volumes").raw(volumes);
    json.key("BuildCache").raw(selection.wants("build-cache") ? "[]" : "null");
    if (context.version < ApiVersion{1, 42}) {
        json.key("BuilderSize").number(0);
    }
    json.end_object();
    co_return co_await context.send_json(200, std::move(body));
}

}  // namespace davit::api
