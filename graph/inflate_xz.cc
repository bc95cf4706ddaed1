#include <lzma.h>

#include <string>

#include "graph/inflate_decoder.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

class XzDecoder final : public InflateMembers {
  public:
    /// Stream padding is "a multiple of four bytes" (.xz File Format 1.2, 2.2).
    XzDecoder() : InflateMembers({"xz", 0xfd, 4}) {}

    ~XzDecoder() override { ::lzma_end(&stream_); }

  protected:
    Result<void> member_begin() override {
        // By default liblzma passes over a check that it cannot compute.
        const lzma_ret code = ::lzma_stream_decoder(
            &stream_, limits::xz_memory_bytes_max, LZMA_TELL_UNSUPPORTED_CHECK);
        return code == LZMA_OK ? Result<void>(ok) : failed(code);
    }

    Result<MemberProgress> member_step(std::span<const std::uint8_t> input,
                                       std::span<std::uint8_t> output) override {
        stream_.next_in = input.data();
        stream_.avail_in = input.size();
        stream_.next_out = output.data();
        stream_.avail_out = output.size();
        const lzma_ret code = ::lzma_code(&stream_, LZMA_RUN);
        // LZMA_BUF_ERROR: no progress was possible, which is for the caller to find.
        if (code != LZMA_OK && code != LZMA_STREAM_END && code != LZMA_BUF_ERROR) {
            return failed(code);
        }
        return MemberProgress{input.size() - stream_.avail_in,
                              output.size() - stream_.avail_out,
                              code == LZMA_STREAM_END};
    }

  private:
    Error failed(lzma_ret code) const {
        if (code == LZMA_MEMLIMIT_ERROR) {
            constexpr std::uint64_t mib = 1024 * 1024;
            const std::uint64_t needed = (::lzma_memusage(&stream_) + mib - 1) / mib;
            return Error(ErrorKind::resource_exhausted,
                         "xz: decompression takes " + std::to_string(needed) +
                             " MiB of memory, more than the " +
                             std::to_string(limits::xz_memory_bytes_max / mib) + " MiB allowed");
        }
        if (code == LZMA_MEM_ERROR) {
            return Error(ErrorKind::resource_exhausted, "xz: out of memory");
        }
        if (code == LZMA_UNSUPPORTED_CHECK) {
            return Error(ErrorKind::unsupported, "xz: the kind of integrity check is not known");
        }
        if (code == LZMA_OPTIONS_ERROR) {
            return Error(ErrorKind::unsupported, "xz: options or filters that are not known");
        }
        if (code == LZMA_FORMAT_ERROR) {
            return corrupt(members_ended() == 0 ? "bad header"
                                                : "garbage after the end of the data");
        }
        return corrupt("damaged data, or its checksum does not match");
    }

    lzma_stream stream_ = LZMA_STREAM_INIT;
};

}  // namespace

std::unique_ptr<InflateDecoder> inflate_xz() {
    return std::make_unique<XzDecoder>();
}

}  // namespace davit
