#pragma once
/// A graph database with ways to fill it. Diffs are named by a word; "x" is the digest of "x".
#include <memory>
#include <string>
#include <vector>

#include "graph/container_store.h"
#include "graph/graph_check.h"
#include "graph/graph_db.h"
#include "graph/image_store.h"
#include "graph/layer_store.h"
#include "graph/tag_store.h"
#include "tests/unit/graph/db/temp_dir.h"

namespace davit::test {

using Words = std::vector<std::string>;

inline bool nothing_pinned(const Digest&) {
    return false;
}

struct GraphFixture {
    GraphFixture() { open(); }

    void open() {
        db.reset();
        GraphDbOptions options;
        options.directory = dir.path() + "/graph";
        // What is tested here is not the disk.
        options.durability = Durability::volatile_;
        db = must(GraphDb::open(options));
        options.directory = dir.path() + "/run";
        run.reset();
        run = must(GraphDb::open(options));
    }

    template <typename F>
    auto view(F&& f) {
        return must(db->view(std::forward<F>(f)));
    }

    template <typename F>
    auto update(F&& f) {
        return must(db->update(std::forward<F>(f)));
    }

    /// Every invariant holds.
    void check() {
        const Words wrong = view(graph_check);
        INFO((wrong.empty() ? std::string() : wrong.front()));
        CHECK(wrong.empty());
    }

    static std::vector<Digest> diffs_of(const Words& words) {
        std::vector<Digest> diffs;
        for (const std::string& word : words) {
            diffs.push_back(sha256_of(word));
        }
        return diffs;
    }

    static std::string config_of(const std::string& label, const Words& words) {
        ImageConfig config;
        config.platform = platform_host();
        config.created = "2024-01-01T00:00:00Z";
        config.config.labels["name"] = label;
        config.diff_ids = diffs_of(words);
        return image_config_json(config);
    }

    /// As a pull does it: lease, find or stage and publish each layer, image, release.
    static Result<ImageRecord> pull(WriteTxn& txn,
                                    const std::string& label,
                                    const Words& words,
                                    const Digest& parent = {}) {
        TRY(const std::string lease, lease_create(txn));
        const std::vector<Digest> diffs = diffs_of(words);
        for (const LayerPlace& place : layer_places(diffs)) {
            TRY(const std::optional<LayerRecord> found, lease_hold(txn, lease, place));
            if (!found) {
                LayerPublish publish;
                TRY(publish.cache_id, layer_stage(txn));
                publish.lease = lease;
                publish.place = place;
                publish.unpacked_bytes = 100;
                publish.blob = LayerBlob{sha256_of("blob of " + place.diff_id.str()), "gzip", 7};
                TRY_VOID(layer_publish(txn, publish));
            }
        }
        ImagePut put;
        put.config = config_of(label, words);
        put.parent = parent;
        StoredManifest manifest;
        manifest.bytes = "{ \"manifest of\":  \"" + label + "\"}\n";
        manifest.digest = sha256_of(manifest.bytes);
        manifest.media_type = "application/vnd.oci.image.manifest.v1+json";
        put.manifests.push_back(std::move(manifest));
        TRY(ImageRecord image, image_put(txn, put));
        TRY(const Words unneeded, lease_release(txn, lease));
        CHECK(unneeded.empty());
        return image;
    }

    Digest pull(const std::string& label,
                const Words& words,
                const Words& names = {},
                const Digest& parent = {}) {
        const ImageRecord image =
            update([&](WriteTxn& txn) { return pull(txn, label, words, parent); });
        for (const std::string& name : names) {
            tag(name, image.id);
        }
        return image.id;
    }

    void tag(const std::string& name, const Digest& image) {
        update([&](WriteTxn& txn) { return reference_set(txn, *Reference::parse(name), image); });
    }

    Words names_of(const Digest& image) {
        Words names;
        for (const Reference& reference :
             view([&](const ReadTxn& txn) { return image_references(txn, image); })) {
            names.push_back(reference.familiar());
        }
        return names;
    }

    std::size_t directories_in(LayerDirectoryState state) {
        std::size_t count = 0;
        for (const LayerDirectory& directory : view(layer_directories)) {
            count += directory.state == state ? 1 : 0;
        }
        return count;
    }

    TempDir dir;
    std::unique_ptr<GraphDb> db;
    std::unique_ptr<GraphDb> run;
};

}  // namespace davit::test
