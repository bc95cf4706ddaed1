#include <bzlib.h>

#include <algorithm>
#include <utility>

#include "graph/inflate_decoder.h"

namespace davit {

namespace {

/// libbz2 counts in 32 bits.
constexpr std::size_t bz_bytes_max = 1U << 30;

/// A block is at most 900 kB by the format itself: 3.7 MiB of memory, whatever the stream says.
class Bzip2Decoder final : public InflateMembers {
  public:
    Bzip2Decoder() : InflateMembers({"bzip2", 'B', 0}) {}

    ~Bzip2Decoder() override { close(); }

  protected:
    Result<void> member_begin() override {
        close();
        stream_ = bz_stream{};
        if (::BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) {
            return Error(ErrorKind::resource_exhausted, "bzip2: out of memory");
        }
        open_ = true;
        return ok;
    }

    Result<MemberProgress> member_step(std::span<const std::uint8_t> input,
                                       std::span<std::uint8_t> output) override {
        const std::size_t in = std::min(input.size(), bz_bytes_max);
        const std::size_t out = std::min(output.size(), bz_bytes_max);
        // libbz2 does not write through next_in; its fields just are char*.
        stream_.next_in = reinterpret_cast<char*>(const_cast<std::uint8_t*>(input.data()));
        stream_.avail_in = static_cast<unsigned>(in);
        stream_.next_out = reinterpret_cast<char*>(output.data());
        stream_.avail_out = static_cast<unsigned>(out);
        const int code = ::BZ2_bzDecompress(&stream_);
        switch (code) {
            case BZ_OK:
            case BZ_STREAM_END:
                return MemberProgress{
                    in - stream_.avail_in, out - stream_.avail_out, code == BZ_STREAM_END};
            case BZ_DATA_ERROR_MAGIC:
                return corrupt(members_ended() == 0 ? "bad header"
                                                    : "garbage after the end of the data");
            case BZ_MEM_ERROR:
                return Error(ErrorKind::resource_exhausted, "bzip2: out of memory");
            default:
                return corrupt("damaged data, or its checksum does not match");
        }
    }

  private:
    void close() {
        if (std::exchange(open_, false)) {
            ::BZ2_bzDecompressEnd(&stream_);
        }
    }

    bz_stream stream_{};
    bool open_ = false;
};

}  // namespace

std::unique_ptr<InflateDecoder> inflate_bzip2() {
    return std::make_unique<Bzip2Decoder>();
}

}  // namespace davit
