#include "graph/inflate.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <string>

#include "graph/inflate_decoder.h"

namespace davit {

namespace {

struct Magic {
    Compression compression;
    std::string_view bytes;
};

constexpr Magic magics[] = {
    {Compression::gzip, {"\x1f\x8b\x08", 3}},
    {Compression::zstd, {"\x28\xb5\x2f\xfd", 4}},
    {Compression::xz,
     {"\xfd"
      "7zXZ\0",
      6}},
};

/// zstd's skippable frames have sixteen magic numbers: 0x184D2A50 to 0x184D2A5F, little endian.
constexpr std::string_view skippable_tail{"\x2a\x4d\x18", 3};

/// bzip2's, a digit between them; the second is the start of a block's magic number, or of the
/// trailer's in an empty stream. "BZh" alone may be a file's name at the start of an archive.
constexpr std::string_view bzip2_head = "BZh";
constexpr std::string_view bzip2_tails[] = {"1A", "\x17r"};

/// Bytes that detection may hold back: the longest magic number.
constexpr std::size_t magic_bytes_max = 6;

/// Whether start is, or may become, the start of a bzip2 stream; nothing while that is open.
std::optional<bool> bzip2_detect(std::string_view start) {
    const std::string_view head = start.substr(0, bzip2_head.size());
    if (head != bzip2_head) {
        return bzip2_head.starts_with(head) ? std::nullopt : std::optional(false);
    }
    start.remove_prefix(head.size());
    if (!start.empty() && (start[0] < '1' || start[0] > '9')) {
        return false;
    }
    const std::string_view tail = start.substr(std::min<std::size_t>(start.size(), 1));
    bool open = false;
    for (const std::string_view wanted : bzip2_tails) {
        if (tail == wanted) {
            return true;
        }
        open = open || wanted.starts_with(tail);
    }
    return open ? std::nullopt : std::optional(false);
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
    const std::optional<bool> bzip2 = bzip2_detect(start);
    if (bzip2 && *bzip2) {
        return Compression::bzip2;
    }
    return open || !bzip2 ? std::nullopt : std::optional(Compression::none);
}

struct Inflate::State {
    State(std::uint64_t bytes_max, Compressions kinds)
        : output_bytes_max(bytes_max), allowed(kinds) {}

    std::uint64_t output_bytes_max;
    Compressions allowed;
    std::uint64_t output_bytes = 0;
    std::optional<Compression> compression;
    std::array<std::uint8_t, magic_bytes_max> first{};  ///< Held back until the kind is known.
    std::size_t first_size = 0;
    std::size_t first_used = 0;
    std::unique_ptr<InflateDecoder> decoder;  ///< None for what is not compressed.
    std::optional<Error> failed;

    Result<InflateProgress> decode(std::span<const std::uint8_t> input,
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
    const bool archive_only = *compression == Compression::bzip2 || *compression == Compression::xz;
    if (archive_only && allowed != Compressions::archive) {
        return Error(ErrorKind::unsupported,
                     std::string("a layer in a registry cannot be compressed with ")
                         .append(compression_name(*compression)));
    }
    switch (*compression) {
        case Compression::none:
            return ok;
        case Compression::gzip:
            decoder = inflate_gzip();
            return ok;
        case Compression::zstd:
            decoder = inflate_zstd();
            return ok;
        case Compression::bzip2:
            decoder = inflate_bzip2();
            return ok;
        case Compression::xz:
            decoder = inflate_xz();
            return ok;
    }
    return ok;
}

Result<InflateProgress> Inflate::State::decode(std::span<const std::uint8_t> input,
                                               std::span<std::uint8_t> output) {
    if (decoder) {
        return decoder->step(input, output);
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

Inflate::Inflate(std::uint64_t output_bytes_max, Compressions allowed)
    : state_(std::make_unique<State>(output_bytes_max, allowed)) {}

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
    if (!state_->compression && state_->first_size != 0) {
        return Error(ErrorKind::corrupt, "stream: unexpected end of the data");
    }
    return state_->decoder ? state_->decoder->finish() : Result<void>(ok);
}

Compression Inflate::compression() const {
    return state_->compression.value_or(Compression::none);
}

}  // namespace davit
