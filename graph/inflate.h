#pragma once
/// Inflate: a compressed stream of any kind, back into its bytes.
///
/// A function from buffer to buffer that keeps its state to itself: it may run on a worker thread,
/// one call at a time. Nothing is trusted: checksums and lengths are verified, the total output and
/// the memory (zstd's window, xz's dictionary) are bounded.
#include <cstdint>
#include <memory>
#include <span>

#include "graph/compression.h"
#include "reactor/base/limits.h"
#include "reactor/base/result.h"

namespace davit {

struct InflateProgress {
    std::size_t consumed = 0;
    std::size_t produced = 0;
};

/// Which compressions are read; any other known one is refused by name.
enum class Compressions : std::uint8_t {
    layer,    ///< What the OCI image-spec has media types for: none, gzip, zstd.
    archive,  ///< And what people keep archives in: bzip2, xz.
};

class Inflate {
  public:
    /// Follows: RFC 1952 (several members, zero padding at the end); RFC 8878 (several frames,
    ///          skippable ones); the .xz File Format 1.2 (several streams, padding between them);
    ///          bzip2(1) (several streams, zero padding at the end).
    /// Limits:  the whole output must not exceed output_bytes_max.
    explicit Inflate(std::uint64_t output_bytes_max = limits::layer_bytes_max,
                     Compressions allowed = Compressions::layer);
    Inflate(Inflate&&) noexcept;
    Inflate& operator=(Inflate&&) noexcept;
    ~Inflate();

    /// Decompress from input into output (not empty) as far as both go. Call again until the input
    /// is used up and the output was not filled.
    /// Errors:  corrupt (damaged, or garbage behind the end); unsupported (a compression that is
    ///          not allowed, a check or filter of xz that is not known); resource_exhausted (too
    ///          much output, or too large a window or dictionary). An error is final.
    Result<InflateProgress> step(std::span<const std::uint8_t> input,
                                 std::span<std::uint8_t> output);

    /// There is no more input. Errors: corrupt if the stream was cut short.
    Result<void> finish() const;

    /// Known once the first bytes were seen; none before.
    Compression compression() const;

  private:
    struct State;

    std::unique_ptr<State> state_;
};

}  // namespace davit
