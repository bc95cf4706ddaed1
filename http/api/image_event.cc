#include "http/api/image_event.h"

#include "graph/image_config.h"
#include "graph/image_store.h"
#include "jobs/daemon.h"

namespace davit::api {

ImageLabels image_labels(const Daemon& daemon, const Digest& image) {
    const auto labels = daemon.graph->view([&](const ReadTxn& txn) -> Result<ImageLabels> {
        TRY(const std::string bytes, image_config_bytes(txn, image));
        TRY(ImageConfig config, image_config_parse(bytes));
        return std::move(config.config.labels);
    });
    return labels ? *labels : ImageLabels{};
}

void image_event(Daemon& daemon,
                 std::string action,
                 std::string actor,
                 std::string name,
                 const ImageLabels& labels) {
    std::vector<std::pair<std::string, std::string>> attributes(labels.begin(), labels.end());
    attributes.emplace_back("name", std::move(name));
    daemon.events.publish("image", std::move(action), std::move(actor), std::move(attributes));
}

}  // namespace davit::api
