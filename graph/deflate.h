#pragma once
/// Deflate: bytes into a gzip or zstd stream; the inverse of Inflate, with the same rules.
#include <cstdint>
#include <memory>
#include <span>

#include "graph/compression.h"
#include "reactor/base/result.h"

namespace davit {

struct DeflateProgress {
    std::size_t consumed = 0;
    std::size_t produced = 0;
    bool done = false;  ///< The end was asked for and all of it is out.
};

class Deflate {
  public:
    /// compression must be gzip (ISA-L level 1: fast; no time or name in the header, so equal input
    /// gives equal output) or zstd (level 3).
    explicit Deflate(Compression compression);
    Deflate(Deflate&&) noexcept;
    Deflate& operator=(Deflate&&) noexcept;
    ~Deflate();

    /// Compress from input into output (not empty) as far as both go. With last set there is no
    /// input after this one: call until done.
    DeflateProgress step(std::span<const std::uint8_t> input,
                         std::span<std::uint8_t> output,
                         bool last);

  private:
    struct State;

    std::unique_ptr<State> state_;
};

}  // namespace davit
