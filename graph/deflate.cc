#include "graph/deflate.h"

#include <zstd.h>

#include <algorithm>
#include <cassert>
#include <vector>

#include <isa-l/igzip_lib.h>

#include "graph/zstd_free.h"

namespace davit {

namespace {

constexpr int zstd_level = 3;

/// ISA-L counts in 32 bits.
constexpr std::size_t slice_bytes_max = 1U << 30;

}  // namespace

struct Deflate::State {
    std::unique_ptr<isal_zstream> gzip;
    std::vector<std::uint8_t> gzip_level_buffer;
    std::unique_ptr<ZSTD_CCtx, ZstdFree> zstd;

    DeflateProgress gzip_step(std::span<const std::uint8_t> input,
                              std::span<std::uint8_t> output,
                              bool last);
    DeflateProgress zstd_step(std::span<const std::uint8_t> input,
                              std::span<std::uint8_t> output,
                              bool last);
};

DeflateProgress Deflate::State::gzip_step(std::span<const std::uint8_t> input,
                                          std::span<std::uint8_t> output,
                                          bool last) {
    static std::uint8_t nothing = 0;
    const std::size_t in = std::min(input.size(), slice_bytes_max);
    const std::size_t out = std::min(output.size(), slice_bytes_max);
    gzip->next_in = in == 0 ? &nothing : const_cast<std::uint8_t*>(input.data());
    gzip->avail_in = static_cast<std::uint32_t>(in);
    gzip->next_out = output.data();
    gzip->avail_out = static_cast<std::uint32_t>(out);
    gzip->end_of_stream = last && in == input.size() ? 1 : 0;
    [[maybe_unused]] const int code = isal_deflate(gzip.get());
    assert(code == COMP_OK);
    return {in - gzip->avail_in, out - gzip->avail_out, gzip->internal_state.state == ZSTATE_END};
}

DeflateProgress Deflate::State::zstd_step(std::span<const std::uint8_t> input,
                                          std::span<std::uint8_t> output,
                                          bool last) {
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{output.data(), output.size(), 0};
    const std::size_t left =
        ZSTD_compressStream2(zstd.get(), &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    assert(ZSTD_isError(left) == 0);
    return {in.pos, out.pos, last && left == 0};
}

Deflate::Deflate(Compression compression) : state_(std::make_unique<State>()) {
    assert(compression == Compression::gzip || compression == Compression::zstd);
    if (compression == Compression::zstd) {
        state_->zstd.reset(ZSTD_createCCtx());
        ZSTD_CCtx_setParameter(state_->zstd.get(), ZSTD_c_compressionLevel, zstd_level);
        ZSTD_CCtx_setParameter(state_->zstd.get(), ZSTD_c_checksumFlag, 1);
        return;
    }
    state_->gzip = std::make_unique<isal_zstream>();
    state_->gzip_level_buffer.resize(ISAL_DEF_LVL1_DEFAULT);
    isal_deflate_init(state_->gzip.get());
    state_->gzip->level = 1;
    state_->gzip->level_buf = state_->gzip_level_buffer.data();
    state_->gzip->level_buf_size = static_cast<std::uint32_t>(state_->gzip_level_buffer.size());
    state_->gzip->gzip_flag = IGZIP_GZIP;
}

Deflate::Deflate(Deflate&&) noexcept = default;
Deflate& Deflate::operator=(Deflate&&) noexcept = default;
Deflate::~Deflate() = default;

DeflateProgress Deflate::step(std::span<const std::uint8_t> input,
                              std::span<std::uint8_t> output,
                              bool last) {
    assert(!output.empty());
    return state_->gzip ? state_->gzip_step(input, output, last)
                        : state_->zstd_step(input, output, last);
}

}  // namespace davit
