#include "graph/inflate.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <string>

#include <isa-l/igzip_lib.h>

namespace davit {

namespace {

struct Magic {
    Compression compression;
    std::string_view bytes;
};

constexpr Magic magics[] = {
    {Compression::gzip, {"\x1f\x8b\x08", 3}},
    {Compression::zstd, {"\x28\xb5\x2f\xfd", 4}},
    {Compression::bzip2, {"BZh", 3}},
    {Compression::xz,
     {"\xfd"
      "7zXZ\0",
      6}},
};

/// zstd's skippable frames have sixteen magic numbers: 0x184D2A50 to 0x184D2A5F, little endian.
constexpr std::string_view skippable_tail{"\x2a\x4d\x18", 3};

struct ZstdFree {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

/// Bytes that detection may hold back: the longest magic number.
constexpr std::size_t magic_bytes_max = 6;

/// ISA-L counts in 32 bits.
constexpr std::size_t slice_bytes_max = 1U << 30;

std::string gzip_error_text(int code) {
    switch (code) {
        case ISAL_INCORRECT_CHECKSUM:
            return "gzip: checksum or length does not match";
        case ISAL_INVALID_WRAPPER:
            return "gzip: bad header";
        case ISAL_UNSUPPORTED_METHOD:
            return "gzip: unknown compression method";
        default:
            return "gzip: damaged data";
    }
}

}  // namespace

std::string_view compression_name(Compression compression) {
    switch (compression) {
        case Compression::none:
            return "none";
        case Compression::gzip:
            return "gzip";
        case Compression::zstd:
            return "zstd";
        case Compression::bzip2:
            return "bzip2";
        case Compression::xz:
            return "xz";
    }
    return "none";
}

std::optional<Compression> compression_detect(std::span<const std::uint8_t> first_bytes) {
    const std::string_view start(reinterpret_cast<const char*>(first_bytes.data()),
                                 std::min(first_bytes.size(), magic_bytes_max));
    bool open = start.empty();
    for (const Magic& magic : magics) {
        if (start.starts_with(magic.bytes)) {
            return magic.compression;
        }
        open = open || magic.bytes.starts_with(start);
    }
    if (!start.empty() && (first_bytes[0] & 0xf0) == 0x50) {
        const std::string_view tail = start.substr(1, skippable_tail.size());
        if (tail == skippable_tail) {
            return Compression::zstd;
        }
        open = open || skippable_tail.starts_with(tail);
    }
    return open ? std::nullopt : std::optional(Compression::none);
}

struct Inflate::State {
    explicit State(std::uint64_t bytes_max) : output_bytes_max(bytes_max) {}

    enum class Gzip : std::uint8_t { between, inside, padding };

    std::uint64_t output_bytes_max;
    std::uint64_t output_bytes = 0;
    std::optional<Compression> compression;
    std::array<std::uint8_t, magic_bytes_max> first{};  ///< Held back until the kind is known.
    std::size_t first_size = 0;
    std::size_t first_used = 0;
    Gzip gzip_state = Gzip::between;
    std::unique_ptr<inflate_state> gzip;
    std::unique_ptr<ZSTD_DCtx, ZstdFree> zstd;
    bool zstd_inside = false;
    std::optional<Error> failed;

    Result<InflateProgress> decode(std::span<const std::uint8_t> input,
                                   std::span<std::uint8_t> output);
    Result<InflateProgress> gzip_decode(std::span<const std::uint8_t> input,
                                        std::span<std::uint8_t> output);
    Result<void> gzip_between(std::span<const std::uint8_t>& input);
    Result<InflateProgress> zstd_decode(std::span<const std::uint8_t> input,
                                        std::span<std::uint8_t> output);
    Result<InflateProgress> step(std::span<const std::uint8_t> input,
                                 std::span<std::uint8_t> output);
    Result<void> open();
    std::size_t detect(std::span<const std::uint8_t> input);
};

/// Bytes taken to find out what the stream is.
std::size_t Inflate::State::detect(std::span<const std::uint8_t> input) {
    std::size_t used = 0;
    while (!compression && used < input.size()) {
        first[first_size++] = input[used++];
        compression = compression_detect(std::span(first).first(first_size));
    }
    return used;
}

Result<void> Inflate::State::open() {
    switch (*compression) {
        case Compression::none:
            return ok;
        case Compression::gzip:
            gzip = std::make_unique<inflate_state>();
            isal_inflate_init(gzip.get());
            return ok;
        case Compression::zstd:
            zstd.reset(ZSTD_createDCtx());
            ZSTD_DCtx_setParameter(zstd.get(), ZSTD_d_windowLogMax, limits::zstd_window_log_max);
            return ok;
        case Compression::bzip2:
        case Compression::xz:
            break;
    }
    return Error(
        ErrorKind::unsupported,
        std::string(compression_name(*compression)).append(" compression is not supported"));
}

/// Between members: the next one, zero padding, or garbage.
Result<void> Inflate::State::gzip_between(std::span<const std::uint8_t>& input) {
    if (gzip_state == Gzip::between && input[0] != 0) {
        isal_inflate_reset(gzip.get());
        gzip->crc_flag = ISAL_GZIP;
        gzip_state = Gzip::inside;
        return ok;
    }
    gzip_state = Gzip::padding;
    const auto end =
        std::find_if(input.begin(), input.end(), [](std::uint8_t b) { return b != 0; });
    if (end != input.end()) {
        return Error(ErrorKind::corrupt, "gzip: garbage after the end of the data");
    }
    input = {};
    return ok;
}

Result<InflateProgress> Inflate::State::gzip_decode(std::span<const std::uint8_t> input,
                                                    std::span<std::uint8_t> output) {
    static std::uint8_t nothing = 0;
    const auto whole = input;
    std::size_t produced = 0;
    while (produced < output.size()) {
        if (gzip_state != Gzip::inside) {
            if (input.empty()) {
                break;
            }
            TRY_VOID(gzip_between(input));
            continue;
        }
        const std::size_t in = std::min(input.size(), slice_bytes_max);
        const std::size_t out = std::min(output.size() - produced, slice_bytes_max);
        // ISA-L does not write through next_in; its field just is not const.
        gzip->next_in = in == 0 ? &nothing : const_cast<std::uint8_t*>(input.data());
        gzip->avail_in = static_cast<std::uint32_t>(in);
        gzip->next_out = output.data() + produced;
        gzip->avail_out = static_cast<std::uint32_t>(out);
        const int code = isal_inflate(gzip.get());
        if (code < 0 || code == ISAL_NEED_DICT) {
            return Error(ErrorKind::corrupt, gzip_error_text(code));
        }
        const std::size_t consumed = in - gzip->avail_in;
        const std::size_t made = out - gzip->avail_out;
        input = input.subspan(consumed);
        produced += made;
        if (gzip->block_state == ISAL_BLOCK_FINISH) {
            gzip_state = Gzip::between;
        } else if (consumed == 0 && made == 0) {
            break;
        }
    }
    return InflateProgress{whole.size() - input.size(), produced};
}

Result<InflateProgress> Inflate::State::zstd_decode(std::span<const std::uint8_t> input,
                                                    std::span<std::uint8_t> output) {
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{output.data(), output.size(), 0};
    while (out.pos < out.size) {
        const std::size_t in_before = in.pos;
        const std::size_t out_before = out.pos;
        if (in.pos == in.size && !zstd_inside) {
            break;
        }
        const std::size_t hint = ZSTD_decompressStream(zstd.get(), &out, &in);
        if (ZSTD_isError(hint) != 0) {
            const bool window = ZSTD_getErrorCode(hint) == ZSTD_error_frameParameter_windowTooLarge;
            return Error(window ? ErrorKind::resource_exhausted : ErrorKind::corrupt,
                         std::string("zstd: ").append(ZSTD_getErrorName(hint)));
        }
        zstd_inside = hint != 0;
        if (in.pos == in_before && out.pos == out_before) {
            break;
        }
    }
    return InflateProgress{in.pos, out.pos};
}

Result<InflateProgress> Inflate::State::decode(std::span<const std::uint8_t> input,
                                               std::span<std::uint8_t> output) {
    if (*compression == Compression::gzip) {
        return gzip_decode(input, output);
    }
    if (*compression == Compression::zstd) {
        return zstd_decode(input, output);
    }
    const std::size_t size = std::min(input.size(), output.size());
    if (size != 0) {
        std::memcpy(output.data(), input.data(), size);
    }
    return InflateProgress{size, size};
}

Result<InflateProgress> Inflate::State::step(std::span<const std::uint8_t> input,
                                             std::span<std::uint8_t> output) {
    InflateProgress total;
    if (!compression) {
        total.consumed = detect(input);
        if (!compression) {
            return total;
        }
        TRY_VOID(open());
    }
    while (first_used < first_size && total.produced < output.size()) {
        TRY(const InflateProgress held,
            decode(std::span(first).subspan(first_used, first_size - first_used),
                   output.subspan(total.produced)));
        first_used += held.consumed;
        total.produced += held.produced;
    }
    if (first_used == first_size && total.produced < output.size()) {
        TRY(const InflateProgress rest,
            decode(input.subspan(total.consumed), output.subspan(total.produced)));
        total.consumed += rest.consumed;
        total.produced += rest.produced;
    }
    output_bytes += total.produced;
    if (output_bytes > output_bytes_max) {
        return Error(ErrorKind::resource_exhausted,
                     "decompressed data exceeds " + std::to_string(output_bytes_max) + " bytes");
    }
    return total;
}

Inflate::Inflate(std::uint64_t output_bytes_max)
    : state_(std::make_unique<State>(output_bytes_max)) {}

Inflate::Inflate(Inflate&&) noexcept = default;
Inflate& Inflate::operator=(Inflate&&) noexcept = default;
Inflate::~Inflate() = default;

Result<InflateProgress> Inflate::step(std::span<const std::uint8_t> input,
                                      std::span<std::uint8_t> output) {
    assert(!output.empty());
    if (state_->failed) {
        return Error(*state_->failed);
    }
    auto progress = state_->step(input, output);
    if (!progress) {
        state_->failed = progress.error();
    }
    return progress;
}

Result<void> Inflate::finish() const {
    if (state_->failed) {
        return Error(*state_->failed);
    }
    const bool undecided = !state_->compression && state_->first_size != 0;
    if (undecided || state_->gzip_state == State::Gzip::inside || state_->zstd_inside) {
        return Error(ErrorKind::corrupt,
                     std::string(undecided ? "stream" : compression_name(*state_->compression))
                         .append(": unexpected end of the data"));
    }
    return ok;
}

Compression Inflate::compression() const {
    return state_->compression.value_or(Compression::none);
}

}  // namespace davit
