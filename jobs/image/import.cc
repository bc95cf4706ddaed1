#include "jobs/image/import.h"

#include "graph/graph_writer.h"
#include "graph/tag_store.h"
#include "jobs/image/config_change.h"
#include "jobs/image/image_service.h"

namespace davit {

namespace {

/// What is wrong with an archive that a client made is the client's to put right.
Error archive_error(Error error) {
    if (error.kind() == ErrorKind::corrupt) {
        return std::move(error).with_kind(ErrorKind::invalid_argument);
    }
    return error;
}

}  // namespace

Task<Digest> image_import(ImageService& images,
                          ImportRequest request,
                          LayerSource& archive,
                          ProgressSink& progress) {
    if (request.reference && request.reference->has_digest()) {
        co_return Error(ErrorKind::invalid_argument, "cannot import digest reference");
    }
    // Before the archive is read: a typo should not cost an upload.
    RunConfig run;
    CO_CHECK(config_change_apply(run, request.changes));
    LayerWatcher watcher;
    watcher.received = [](std::uint64_t) {};
    watcher.received_all = [] {};
    watcher.unpacked = [](std::uint64_t) {};
    LayerExpected anything;
    anything.compressions = Compressions::archive;
    progress.phase("layer");
    Result<LayerHandle> unpacked =
        co_await images.layers().unpack(archive, std::move(anything), std::move(watcher));
    if (!unpacked) {
        co_return archive_error(std::move(unpacked).error());
    }
    const LayerHandle layer = *std::move(unpacked);
    // What came in is no blob of any registry.
    layer->unpacked.decoded.blob = Digest();

    ImageConfig config =
        image_config_for_import(request.platform.value_or(platform_host()),
                                layer->place.diff_id,
                                rfc3339_nano(wall_now()),
                                request.message.empty() ? "Imported from -" : request.message);
    config.config = std::move(run);
    ImagePut put;
    put.config = image_config_json(config);
    put.stored = wall_now();
    const Digest id = sha256_of(put.config);
    std::optional<Reference> name;
    if (request.reference) {
        name = request.reference->with_default_tag();
    }
    auto commit = [put = std::move(put), name, id](WriteTxn& txn) -> Result<void> {
        TRY_VOID(image_put(txn, put));
        if (name) {
            TRY_VOID(reference_set(txn, *name, id));
        }
        return ok;
    };
    progress.phase("record");
    std::vector<LayerHandle> layers = {layer};
    CO_CHECK(co_await images.layers().publish(
        std::move(layers), LayerSyncing::before, std::move(commit)));
    ProgressMessage done;
    done.status = id.str();
    progress.update(done);
    co_return id;
}

}  // namespace davit
