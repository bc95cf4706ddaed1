#include <zstd.h>
#include <zstd_errors.h>

#include <string>

#include "graph/inflate_decoder.h"
#include "graph/zstd_free.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

class ZstdDecoder final : public InflateDecoder {
  public:
    ZstdDecoder() : context_(ZSTD_createDCtx()) {
        ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, limits::zstd_window_log_max);
    }

    Result<InflateProgress> step(std::span<const std::uint8_t> input,
                                 std::span<std::uint8_t> output) override {
        ZSTD_inBuffer in{input.data(), input.size(), 0};
        ZSTD_outBuffer out{output.data(), output.size(), 0};
        while (out.pos < out.size) {
            const std::size_t in_before = in.pos;
            const std::size_t out_before = out.pos;
            if (in.pos == in.size && !inside_) {
                break;
            }
            const std::size_t hint = ZSTD_decompressStream(context_.get(), &out, &in);
            if (ZSTD_isError(hint) != 0) {
                const bool window =
                    ZSTD_getErrorCode(hint) == ZSTD_error_frameParameter_windowTooLarge;
                return Error(window ? ErrorKind::resource_exhausted : ErrorKind::corrupt,
                             std::string("zstd: ").append(ZSTD_getErrorName(hint)));
            }
            inside_ = hint != 0;
            if (in.pos == in_before && out.pos == out_before) {
                break;
            }
        }
        return InflateProgress{in.pos, out.pos};
    }

    Result<void> finish() const override {
        return inside_ ? Error(ErrorKind::corrupt, "zstd: unexpected end of the data")
                       : Result<void>(ok);
    }

  private:
    std::unique_ptr<ZSTD_DCtx, ZstdFree> context_;
    bool inside_ = false;  ///< A frame.
};

}  // namespace

std::unique_ptr<InflateDecoder> inflate_zstd() {
    return std::make_unique<ZstdDecoder>();
}

}  // namespace davit
