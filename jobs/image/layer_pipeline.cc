#include "jobs/image/layer_pipeline.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "reactor/channel.h"
#include "reactor/offload.h"
#include "reactor/task_group.h"

namespace davit {

namespace {

/// Of each kind: one at each stage that handles it, and one on its way.
constexpr std::size_t buffer_count = 4;

/// Of the blob and of the archive. To hand a buffer on wakes two threads up, which costs as much as
/// hashing 100 KiB does; all buffers of a layer come to 6 MiB.
constexpr std::size_t blob_chunk_bytes = 512 * 1024;
constexpr std::size_t archive_chunk_bytes = 1024 * 1024;

struct Chunk {
    std::vector<std::uint8_t> buffer;
    std::size_t used = 0;

    std::span<const std::uint8_t> bytes() const { return std::span(buffer).first(used); }
};

/// One kind of buffer on its round: filled, used, filled again.
struct Exchange {
    Channel<Chunk> empty{buffer_count};
    Channel<Chunk> full{buffer_count};

    explicit Exchange(std::size_t bytes) {
        for (std::size_t i = 0; i < buffer_count; ++i) {
            Chunk chunk;
            chunk.buffer.resize(bytes);
            static_cast<void>(empty.try_send(std::move(chunk)));
        }
    }

    /// An empty buffer. Never nothing: nobody closes that way.
    Task<Chunk> take() {
        CO_TRY(std::optional<Chunk> chunk, co_await empty.receive());
        chunk->used = 0;
        co_return *std::move(chunk);
    }
};

struct Pipeline {
    LayerSource& source;
    LayerWatcher watcher;
    LayerDecode decode;
    std::unique_ptr<LayerWriter> writer;
    Exchange compressed;
    Exchange archive;
    Channel<Chunk> hashed{buffer_count};  ///< Of the compressed ones.
    LayerUnpacked result{};
};

Task<void> receive(Pipeline& pipeline) {
    std::uint64_t received = 0;
    for (bool more = true; more;) {
        CO_TRY(Chunk chunk, co_await pipeline.compressed.take());
        while (more && chunk.used < chunk.buffer.size()) {
            std::uint8_t* room = chunk.buffer.data() + chunk.used;
            const std::span<char> bytes(static_cast<char*>(static_cast<void*>(room)),
                                        chunk.buffer.size() - chunk.used);
            CO_TRY(const std::size_t got, co_await pipeline.source.read(bytes));
            chunk.used += got;
            more = got > 0;
        }
        if (chunk.used > 0) {
            received += chunk.used;
            pipeline.watcher.received(received);
            CO_CHECK(co_await pipeline.compressed.full.send(std::move(chunk)));
        }
    }
    pipeline.watcher.received_all();
    pipeline.compressed.full.close();
    co_return ok;
}

Task<void> hash_blob(Pipeline& pipeline) {
    for (;;) {
        CO_TRY(std::optional<Chunk> chunk, co_await pipeline.compressed.full.receive());
        if (!chunk) {
            break;
        }
        auto hash = [&pipeline, bytes = chunk->bytes()]() -> Result<void> {
            pipeline.decode.hash_blob(bytes);
            return ok;
        };
        CO_CHECK(co_await offload_bulk(std::move(hash)));
        CO_CHECK(co_await pipeline.hashed.send(*std::move(chunk)));
    }
    pipeline.hashed.close();
    co_return ok;
}

/// Inflate one buffer of compressed bytes into as many of the archive as it takes.
Task<void> inflate_chunk(Pipeline& pipeline, std::span<const std::uint8_t> input) {
    for (bool more = true; more;) {
        CO_TRY(Chunk out, co_await pipeline.archive.take());
        auto step = [&pipeline, input, output = std::span(out.buffer)] {
            return pipeline.decode.inflate(input, output);
        };
        CO_TRY(const InflateProgress progress, co_await offload_bulk(std::move(step)));
        input = input.subspan(progress.consumed);
        more = !input.empty() || progress.produced == out.buffer.size();
        out.used = progress.produced;
        Exchange& archive = pipeline.archive;
        Channel<Chunk>& next = out.used > 0 ? archive.full : archive.empty;
        CO_CHECK(co_await next.send(std::move(out)));
    }
    co_return ok;
}

Task<void> inflate_all(Pipeline& pipeline) {
    std::uint64_t decoded = 0;
    for (;;) {
        CO_TRY(std::optional<Chunk> chunk, co_await pipeline.hashed.receive());
        if (!chunk) {
            break;
        }
        CO_CHECK(co_await inflate_chunk(pipeline, chunk->bytes()));
        decoded += chunk->used;
        pipeline.watcher.unpacked(decoded);
        CO_CHECK(co_await pipeline.compressed.empty.send(*std::move(chunk)));
    }
    pipeline.archive.full.close();
    co_return ok;
}

/// The archive's digest needs no stage of its own: the writer has a thread to spare.
Task<void> write_all(Pipeline& pipeline) {
    for (;;) {
        CO_TRY(std::optional<Chunk> chunk, co_await pipeline.archive.full.receive());
        if (!chunk) {
            break;
        }
        auto write = [&pipeline, bytes = chunk->bytes()] {
            return pipeline.writer->write(
                bytes, [&pipeline, bytes] { pipeline.decode.hash_archive(bytes); });
        };
        Result<void> written = co_await offload_bulk(std::move(write));
        if (!written && written.error().kind() == ErrorKind::corrupt) {
            // If these were the last bytes the digests tell whether the image is to blame.
            CO_TRY(std::optional<Chunk> more, co_await pipeline.archive.full.receive());
            if (!more) {
                CO_CHECK(pipeline.decode.finish());
            }
        }
        CO_CHECK(std::move(written));
        CO_CHECK(co_await pipeline.archive.empty.send(*std::move(chunk)));
    }
    CO_TRY(pipeline.result.decoded, pipeline.decode.finish());
    auto finish = [&pipeline] { return pipeline.writer->finish(); };
    CO_TRY(pipeline.result.contents, co_await offload_bulk(std::move(finish)));
    co_return ok;
}

/// Letting go of an extraction half-way waits for its files: on a worker.
Task<void> writer_let_go(std::unique_ptr<LayerWriter> writer) {
    auto let_go = [&writer]() -> Result<void> {
        writer.reset();
        return ok;
    };
    co_return co_await offload_bulk(std::move(let_go));
}

std::size_t chunk_bytes(std::uint64_t blob_bytes) {
    constexpr std::uint64_t most = blob_chunk_bytes;
    return static_cast<std::size_t>(blob_bytes == 0 ? most : std::min(blob_bytes, most));
}

}  // namespace

Task<LayerUnpacked> layer_pipeline(LayerSource& source, LayerPipelineRequest request) {
    Pipeline pipeline{source,
                      std::move(request.watcher),
                      LayerDecode(std::move(request.expected)),
                      std::move(request.writer),
                      Exchange(chunk_bytes(request.blob_bytes)),
                      Exchange(archive_chunk_bytes)};
    TaskGroup group;
    group.spawn(receive(pipeline));
    group.spawn(hash_blob(pipeline));
    group.spawn(inflate_all(pipeline));
    group.spawn(write_all(pipeline));
    Result<void> joined = co_await group.join();
    static_cast<void>(co_await shielded(writer_let_go(std::move(pipeline.writer))));
    CO_CHECK(std::move(joined));
    co_return std::move(pipeline.result);
}

}  // namespace davit
