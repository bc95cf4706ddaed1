#include "cli/platform_query.h"

#include "graph/platform.h"
#include "http/json_writer.h"

namespace davit::cli {

Result<void> platform_query_add(ApiCall& call, const std::string& text) {
    if (text.empty()) {
        return ok;
    }
    TRY(const Platform platform, platform_parse(text));
    std::string out;
    JsonWriter json(out);
    json.begin_object().key("architecture").string(platform.architecture);
    json.key("os").string(platform.os);
    if (!platform.variant.empty()) {
        json.key("variant").string(platform.variant);
    }
    json.end_object();
    call.query.add("platform", std::move(out));
    return ok;
}

}  // namespace davit::cli
