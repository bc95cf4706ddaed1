#pragma once
// Images in a registry that is part of the test, and everything on this side of it.
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "drivers/graph/overlay/overlay_driver.h"
#include "graph/graph_writer.h"
#include "jobs/image/image_service.h"
#include "jobs/image/pull.h"
#include "jobs/image/remove.h"
#include "tests/unit/graph/db/temp_dir.h"
#include "tests/unit/graph/tar/layer_support.h"
#include "tests/unit/graph/tar/tar_support.h"
#include "tests/unit/http/registry/fake_registry.h"

namespace davit::test {

/// A layer as the registry has it.
struct FakeLayer {
    std::string blob;
    Digest diff_id;
    std::string media_type;
};

FakeLayer layer_of(const std::string& archive, Compression compression = Compression::gzip);

/// The contents of a registry's repository "app".
class FakeImages {
  public:
    struct Document {
        std::string media_type;
        std::string body;
    };

    /// Store an image's blobs and manifest, under a tag if there is one. Gives: the manifest's
    /// digest.
    Digest add(const std::string& tag,
               const std::vector<FakeLayer>& layers,
               const std::string& architecture = "amd64");

    /// Store an index of (manifest, platform architecture; "" for none).
    Digest add_index(const std::string& tag,
                     const std::vector<std::pair<Digest, std::string>>& entries);

    void put_manifest(const std::string& tag, Document document);

    /// Change what is sent for a blob.
    std::map<std::string, std::string> blobs;
    std::map<std::string, Document> manifests;
    /// Looked at first: a reply of its own for some requests.
    std::function<std::optional<FakeReply>(const FakeRequest&)> instead;

    FakeReply answer(const FakeRequest& request) const;
};

/// Remembers every message.
class Recorded final : public ProgressSink {
  public:
    void update(const ProgressMessage& message) override { messages.push_back(message); }

    bool said(std::string_view status, std::string_view id = {}) const;

    std::vector<ProgressMessage> messages;
};

/// A daemon's image half on a private data root, and one registry.
struct World {
    World();
    ~World();

    Reference name(const std::string& tag) const;

    PullRequest request(const std::string& tag) const;

    Result<PullResult> pull(const std::string& tag);

    template <typename T>
    Result<T> run(Task<T> task) {
        return run_beside(loop, {&registry}, std::move(task));
    }

    /// The image's root file system, mounted read-only.
    Fd root_of(const Digest& image);

    /// Wait for background clean-up; then nothing may be staged, half done or unaccounted for.
    /// Takes: how many layers there should be.
    void check_clean(std::size_t layers);

    Loop loop;
    TempDir directory;
    FakeImages content;
    FakeRegistry registry{[this](const FakeRequest& request) { return content.answer(request); }};
    std::unique_ptr<GraphDb> db;
    std::unique_ptr<GraphWriter> writer;
    std::unique_ptr<OverlayDriver> driver;
    std::unique_ptr<ImageService> images;
    Recorded progress;
};

}  // namespace davit::test
