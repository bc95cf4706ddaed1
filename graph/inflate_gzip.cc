#include <algorithm>

#include <isa-l/igzip_lib.h>

#include "graph/inflate_decoder.h"

namespace davit {

namespace {

/// ISA-L counts in 32 bits.
constexpr std::size_t isal_bytes_max = 1U << 30;

std::string_view error_text(int code) {
    switch (code) {
        case ISAL_INCORRECT_CHECKSUM:
            return "checksum or length does not match";
        case ISAL_INVALID_WRAPPER:
            return "bad header";
        case ISAL_UNSUPPORTED_METHOD:
            return "unknown compression method";
        default:
            return "damaged data";
    }
}

class GzipDecoder final : public InflateMembers {
  public:
    GzipDecoder() : InflateMembers({"gzip", 0x1f, 0}) { isal_inflate_init(&state_); }

  protected:
    Result<void> member_begin() override {
        isal_inflate_reset(&state_);
        state_.crc_flag = ISAL_GZIP;
        return ok;
    }

    Result<MemberProgress> member_step(std::span<const std::uint8_t> input,
                                       std::span<std::uint8_t> output) override {
        static std::uint8_t nothing = 0;
        const std::size_t in = std::min(input.size(), isal_bytes_max);
        const std::size_t out = std::min(output.size(), isal_bytes_max);
        // ISA-L does not write through next_in; its field just is not const.
        state_.next_in = in == 0 ? &nothing : const_cast<std::uint8_t*>(input.data());
        state_.avail_in = static_cast<std::uint32_t>(in);
        state_.next_out = output.data();
        state_.avail_out = static_cast<std::uint32_t>(out);
        const int code = isal_inflate(&state_);
        if (code == ISAL_INVALID_WRAPPER && members_ended() != 0) {
            return corrupt("garbage after the end of the data");
        }
        if (code < 0 || code == ISAL_NEED_DICT) {
            return corrupt(error_text(code));
        }
        return MemberProgress{
            in - state_.avail_in, out - state_.avail_out, state_.block_state == ISAL_BLOCK_FINISH};
    }

  private:
    inflate_state state_;
};

}  // namespace

std::unique_ptr<InflateDecoder> inflate_gzip() {
    return std::make_unique<GzipDecoder>();
}

}  // namespace davit
