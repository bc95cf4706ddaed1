#include "tests/unit/jobs/image/image_support.h"

#include "graph/graph_check.h"
#include "http/json_writer.h"
#include "tests/unit/drivers/graph/driver_support.h"

namespace davit::test {

namespace {

const RootNeeded root_needed;

constexpr const char* manifest_type = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* index_type = "application/vnd.oci.image.index.v1+json";
constexpr const char* config_type = "application/vnd.oci.image.config.v1+json";

void descriptor(JsonWriter& json, const char* type, const std::string& body) {
    json.begin_object().key("mediaType").string(type);
    json.key("digest").string(sha256_of(body).str());
    json.key("size").number(body.size());
}

std::string config_of(const std::vector<FakeLayer>& layers, const std::string& architecture) {
    std::string config;
    JsonWriter json(config);
    json.begin_object().key("architecture").string(architecture).key("os").string("linux");
    json.key("config")
        .begin_object()
        .key("Cmd")
        .begin_array()
        .string("sh")
        .end_array()
        .end_object();
    json.key("rootfs").begin_object().key("type").string("layers").key("diff_ids").begin_array();
    for (const FakeLayer& layer : layers) {
        json.string(layer.diff_id.str());
    }
    json.end_array().end_object().end_object();
    return config;
}

}  // namespace

FakeLayer layer_of(const std::string& archive, Compression compression) {
    FakeLayer layer;
    layer.diff_id = sha256_of(archive);
    layer.media_type = "application/vnd.oci.image.layer.v1.tar";
    layer.blob = archive;
    if (compression != Compression::none) {
        layer.blob = deflate_all(archive, compression);
        layer.media_type.append("+").append(compression_name(compression));
    }
    return layer;
}

Digest FakeImages::add(const std::string& tag,
                       const std::vector<FakeLayer>& layers,
                       const std::string& architecture) {
    const std::string config = config_of(layers, architecture);
    blobs[sha256_of(config).str()] = config;
    Document manifest;
    manifest.media_type = manifest_type;
    JsonWriter json(manifest.body);
    json.begin_object().key("schemaVersion").number(2).key("mediaType").string(manifest_type);
    json.key("config");
    descriptor(json, config_type, config);
    json.end_object();
    json.key("layers").begin_array();
    for (const FakeLayer& layer : layers) {
        descriptor(json, layer.media_type.c_str(), layer.blob);
        json.end_object();
        blobs[sha256_of(layer.blob).str()] = layer.blob;
    }
    json.end_array().end_object();
    const Digest digest = sha256_of(manifest.body);
    put_manifest(tag, std::move(manifest));
    return digest;
}

Digest FakeImages::add_index(const std::string& tag,
                             const std::vector<std::pair<Digest, std::string>>& entries) {
    Document index;
    index.media_type = index_type;
    JsonWriter json(index.body);
    json.begin_object().key("schemaVersion").number(2).key("mediaType").string(index_type);
    json.key("manifests").begin_array();
    for (const auto& [digest, architecture] : entries) {
        const Document& manifest = manifests.at(digest.str());
        descriptor(json, manifest.media_type.c_str(), manifest.body);
        if (!architecture.empty()) {
            json.key("platform").begin_object().key("architecture").string(architecture);
            json.key("os").string("linux").end_object();
        }
        json.end_object();
    }
    json.end_array().end_object();
    const Digest digest = sha256_of(index.body);
    put_manifest(tag, std::move(index));
    return digest;
}

void FakeImages::put_manifest(const std::string& tag, Document document) {
    manifests[sha256_of(document.body).str()] = document;
    if (!tag.empty()) {
        manifests[tag] = std::move(document);
    }
}

FakeReply FakeImages::answer(const FakeRequest& request) const {
    if (instead) {
        if (std::optional<FakeReply> reply = instead(request)) {
            return *std::move(reply);
        }
    }
    const std::string what = request.target.substr(request.target.rfind('/') + 1);
    if (request.target.starts_with("/v2/app/manifests/")) {
        if (const auto found = manifests.find(what); found != manifests.end()) {
            return FakeReply::of(200, found->second.body)
                .with("Content-Type", found->second.media_type)
                .with("Docker-Content-Digest", sha256_of(found->second.body).str());
        }
        return FakeReply::of(
            404, R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})");
    }
    const auto blob = blobs.find(what);
    if (blob == blobs.end()) {
        return FakeReply::of(
            404, R"({"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]})");
    }
    const std::string range(request.headers.get("Range"));
    if (range.empty()) {
        return FakeReply::of(200, blob->second);
    }
    const std::size_t start = std::stoul(range.substr(6));
    return FakeReply::of(206, blob->second.substr(start))
        .with("Content-Range", "bytes " + std::to_string(start) + "-x/*");
}

bool Recorded::said(std::string_view status, std::string_view id) const {
    return std::any_of(messages.begin(), messages.end(), [=](const ProgressMessage& message) {
        return message.status == status && (id.empty() || message.id == id);
    });
}

World::World() {
    GraphDbOptions options;
    options.directory = directory.path() + "/graph";
    db = must(GraphDb::open(std::move(options)));
    writer = std::make_unique<GraphWriter>(*db);
    driver = must(OverlayDriver::open(directory.path()));
    images = std::make_unique<ImageService>(*db, *writer, *driver, fast_options());
}

World::~World() {
    static_cast<void>(loop.run(images->close()));
}

Reference World::name(const std::string& tag) const {
    const char* separator = tag.starts_with("sha256:") ? "@" : ":";
    return must(Reference::parse(registry.domain() + "/app" + separator + tag));
}

PullRequest World::request(const std::string& tag) const {
    PullRequest request;
    request.reference = name(tag);
    return request;
}

Result<PullResult> World::pull(const std::string& tag) {
    progress.messages.clear();
    return run(image_pull(*images, request(tag), progress));
}

Fd World::root_of(const Digest& image) {
    const auto layers = [&image](const ReadTxn& txn) -> Result<std::vector<std::string>> {
        TRY(const std::optional<ImageRecord> record, image_get(txn, image));
        if (!record) {
            return Error(ErrorKind::not_found, "no such image");
        }
        return chain_directories(txn, record->chain_id);
    };
    RootfsSpec spec;
    spec.layers = must(db->view(layers));
    return must(driver->mount(spec));
}

void World::check_clean(std::size_t layers) {
    REQUIRE(loop.run(images->close()));
    CHECK(images->layers().flights() == 0);
    const std::string base = directory.path() + "/overlay/";
    CHECK(names_in(base + "staging").empty());
    CHECK(names_in(base + "layers").size() == layers);
    const auto directories = [](const ReadTxn& txn) { return layer_directories(txn); };
    const std::vector<LayerDirectory> rows = must(db->view(directories));
    CHECK(rows.size() == layers);
    for (const LayerDirectory& row : rows) {
        CHECK(row.state == LayerDirectoryState::ready);
        CHECK(driver->layer_exists(row.cache_id));
    }
    const auto problems = [](const ReadTxn& txn) { return graph_check(txn); };
    CHECK(must(db->view(problems)).empty());
    // No lease is left: then a recovery finds nothing to end.
    const auto recover = [](WriteTxn& txn) {
        return graph_recover(txn, [](const Digest&) { return false; });
    };
    CHECK(must(db->update(recover)).empty());
}

}  // namespace davit::test
