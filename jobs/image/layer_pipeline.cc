#include "jobs/image/layer_pipeline.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "reactor/base/limits.h"
#include "reactor/channel.h"
#include "reactor/offload.h"
#include "reactor/task_group.h"

namespace davit {

namespace {

/// One is filled, one waits, one is with the worker.
constexpr std::size_t buffer_count = 3;

struct Chunk {
    std::vector<char> buffer;
    std::size_t used = 0;
};

struct Pipeline {
    LayerSource& source;
    std::shared_ptr<LayerUnpack> unpack;
    LayerWatcher watcher;
    Channel<Chunk> empty{buffer_count};
    Channel<Chunk> full{buffer_count};
    std::optional<LayerUnpacked> result{};
};

Task<void> receive(Pipeline& pipeline) {
    std::uint64_t received = 0;
    bool more = true;
    while (more) {
        CO_TRY(std::optional<Chunk> chunk, co_await pipeline.empty.receive());
        if (!chunk) {
            co_return ok;  // The other side has failed and says why.
        }
        chunk->used = 0;
        while (more && chunk->used < chunk->buffer.size()) {
            const std::span<char> room = std::span(chunk->buffer).subspan(chunk->used);
            CO_TRY(const std::size_t got, co_await pipeline.source.read(room));
            chunk->used += got;
            received += got;
            more = got > 0;
        }
        if (chunk->used > 0) {
            pipeline.watcher.received(received);
            CO_CHECK(co_await pipeline.full.send(*std::move(chunk)));
        }
    }
    pipeline.watcher.received_all();
    pipeline.full.close();
    co_return ok;
}

Task<void> unpack_all(Pipeline& pipeline) {
    std::uint64_t unpacked = 0;
    for (;;) {
        CO_TRY(std::optional<Chunk> chunk, co_await pipeline.full.receive());
        if (!chunk) {
            break;
        }
        const auto* bytes =
            static_cast<const std::uint8_t*>(static_cast<const void*>(chunk->buffer.data()));
        auto feed = [unpack = pipeline.unpack, bytes = std::span(bytes, chunk->used)] {
            return unpack->feed(bytes);
        };
        CO_CHECK(co_await offload(std::move(feed)));
        unpacked += chunk->used;
        pipeline.watcher.unpacked(unpacked);
        CO_CHECK(co_await pipeline.empty.send(*std::move(chunk)));
    }
    auto finish = [unpack = pipeline.unpack] { return unpack->finish(); };
    CO_TRY(pipeline.result, co_await offload(std::move(finish)));
    co_return ok;
}

}  // namespace

Task<LayerUnpacked> layer_pipeline(LayerSource& source,
                                   std::shared_ptr<LayerUnpack> unpack,
                                   std::uint64_t blob_bytes,
                                   LayerWatcher watcher) {
    Pipeline pipeline{source, unpack, std::move(watcher)};
    std::size_t size = limits::layer_chunk_bytes;
    if (blob_bytes > 0 && blob_bytes < size) {
        size = static_cast<std::size_t>(blob_bytes);
    }
    for (std::size_t i = 0; i < buffer_count; ++i) {
        Chunk chunk;
        chunk.buffer.resize(size);
        static_cast<void>(pipeline.empty.try_send(std::move(chunk)));
    }
    // A worker that inflates a bomb should notice at once that nobody wants it any more.
    CancelSubscription interest;
    CancelScope* scope = co_await current_scope();
    if (scope != nullptr && scope->cancelled()) {
        co_return cancelled_error();
    }
    interest.arm(
        scope,
        [](void* context) noexcept { static_cast<LayerUnpack*>(context)->cancel(); },
        unpack.get());
    TaskGroup group;
    group.spawn(receive(pipeline));
    group.spawn(unpack_all(pipeline));
    Result<void> joined = co_await group.join();
    interest.disarm();
    if (!joined) {
        // Letting go of an extraction half-way waits for its files.
        auto abandon = [unpack]() -> Result<void> {
            unpack->abandon();
            return ok;
        };
        auto let_go = [](decltype(abandon) work) -> Task<void> {
            co_return co_await offload(std::move(work));
        };
        static_cast<void>(co_await shielded(let_go(std::move(abandon))));
        co_return std::move(joined).error();
    }
    co_return *std::move(pipeline.result);
}

}  // namespace davit
