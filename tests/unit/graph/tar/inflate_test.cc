// Goal: streams come back whole in any slicing; damaged, cut and oversized ones are refused.
#include "graph/inflate.h"

#include <lzma.h>

#include <random>
#include <type_traits>

#include "graph/deflate.h"
#include "tests/support/catch.h"
#include "tests/unit/graph/tar/tar_support.h"

using namespace davit;
using namespace davit::test;

static_assert(std::is_nothrow_move_constructible_v<Inflate>);
static_assert(!std::is_copy_constructible_v<Inflate>);

namespace {

/// Half words, half noise: compressible, and longer than any window of gzip.
std::string sample(std::size_t size) {
    std::mt19937 random(1);
    std::string bytes;
    while (bytes.size() < size) {
        bytes.append("container ").append(std::to_string(random() % 1000));
        bytes.push_back(static_cast<char>(random()));
    }
    bytes.resize(size);
    return bytes;
}

std::string_view error_of(const Inflated& inflated) {
    return inflated.error ? error_kind_name(inflated.error->kind()) : "none";
}

constexpr Compression all[] = {
    Compression::gzip, Compression::zstd, Compression::bzip2, Compression::xz};

}  // namespace

TEST_CASE("inflate: what was deflated comes back, in any slicing") {
    const std::string bytes = sample(300'000);
    for (const Compression compression : all) {
        const std::string compressed = deflate_all(bytes, compression);
        CHECK(compressed.size() < bytes.size());
        CHECK(compressed == deflate_all(bytes, compression));
        for (const std::size_t slice :
             {std::size_t{1}, std::size_t{7}, std::size_t{4096}, SIZE_MAX}) {
            for (const std::size_t output :
                 {std::size_t{1}, std::size_t{100}, std::size_t{1} << 20}) {
                CAPTURE(compression_name(compression), slice, output);
                const Inflated inflated = inflate_all(compressed, slice, output);
                CHECK(error_of(inflated) == "none");
                CHECK((inflated.bytes == bytes));
            }
        }
        CHECK((inflate_all(deflate_all(bytes, compression, 1000, 13)).bytes == bytes));
        const std::string empty = deflate_all("", compression);
        CHECK(inflate_all(empty).bytes.empty());
        CHECK(error_of(inflate_all(empty, 1)) == "none");
    }
}

TEST_CASE("inflate: uncompressed data passes") {
    CHECK(inflate_all("").bytes.empty());
    CHECK(inflate_all("plain text", 1, 1).bytes == "plain text");
    CHECK(inflate_all(std::string("\0\0", 2)).bytes.size() == 2);
    // Starts like a magic number and is none.
    CHECK(inflate_all("BZ is not enough", 1).bytes == "BZ is not enough");
    CHECK(inflate_all("Program files/", 3).bytes == "Program files/");
    CHECK(inflate_all("BZh9 lives", 1).bytes == "BZh9 lives");
    CHECK(inflate_all("BZha1AY&SY", 1).bytes == "BZha1AY&SY");
    // Less than a magic number: nobody can say what it would have been.
    CHECK(error_of(inflate_all("\x1f\x8b")) == "corrupt");
}

TEST_CASE("inflate: several members and frames") {
    const std::string a = sample(1000);
    const std::string b = sample(100'000);
    for (const Compression compression : all) {
        const std::string two = deflate_all(a, compression) + deflate_all("", compression) +
                                deflate_all(b, compression);
        for (const std::size_t slice : {std::size_t{1}, std::size_t{999}, SIZE_MAX}) {
            for (const std::size_t output : {std::size_t{1000}, std::size_t{65536}}) {
                CAPTURE(compression_name(compression), slice, output);
                const Inflated inflated = inflate_all(two, slice, output);
                CHECK(error_of(inflated) == "none");
                CHECK((inflated.bytes == a + b));
            }
        }
    }
    const std::string skippable("\x53\x2a\x4d\x18\x03\0\0\0abc", 11);
    const std::string framed = skippable + deflate_all(a, Compression::zstd) + skippable;
    CHECK((inflate_all(framed).bytes == a));
    CHECK((inflate_all(framed, 1).bytes == a));
}

TEST_CASE("inflate: behind the end") {
    const std::string gzip = deflate_all(sample(5000), Compression::gzip);
    CHECK(error_of(inflate_all(gzip + std::string(1000, '\0'), 100)) == "none");
    const Inflated behind = inflate_all(gzip + "garbage", 1);
    CHECK(error_of(behind) == "corrupt");
    CHECK(behind.error->message() == "gzip: garbage after the end of the data");
    CHECK(error_of(inflate_all(gzip + std::string("\0\0x", 3), 1)) == "corrupt");
    const std::string zstd = deflate_all(sample(5000), Compression::zstd);
    CHECK(error_of(inflate_all(zstd + "garbage")) == "corrupt");
    const std::string bzip2 = deflate_all(sample(5000), Compression::bzip2);
    CHECK(error_of(inflate_all(bzip2 + std::string(1000, '\0'), 100)) == "none");
    for (const std::string& garbage : {std::string("garbage"), std::string("\0\0BZh91AY", 9)}) {
        const Inflated refused = inflate_all(bzip2 + garbage, 1);
        REQUIRE(refused.error);
        CHECK(refused.error->message() == "bzip2: garbage after the end of the data");
    }
}

TEST_CASE("inflate: xz streams with padding between them") {
    const std::string bytes = sample(5000);
    const std::string xz = deflate_all(bytes, Compression::xz);
    const auto padded = [&](std::size_t zeros) { return xz + std::string(zeros, '\0'); };
    for (const std::size_t slice : {std::size_t{1}, std::size_t{3}, SIZE_MAX}) {
        CAPTURE(slice);
        const Inflated two = inflate_all(padded(8) + padded(512), slice);
        CHECK(error_of(two) == "none");
        CHECK((two.bytes == bytes + bytes));
        // The format wants padding in fours.
        const Inflated odd = inflate_all(padded(6) + xz, slice);
        REQUIRE(odd.error);
        CHECK(odd.error->message() == "xz: garbage after the end of the data");
        const Inflated cut = inflate_all(padded(7), slice);
        REQUIRE(cut.error);
        CHECK(cut.error->message() == "xz: the padding at the end is cut short");
        CHECK((cut.bytes == bytes));
        const Inflated garbage = inflate_all(padded(4) + "garbage", slice);
        REQUIRE(garbage.error);
        CHECK(garbage.error->message() == "xz: garbage after the end of the data");
    }
}

TEST_CASE("inflate: gzip headers with every optional field") {
    const std::string gzip = deflate_all("payload", Compression::gzip);
    const std::string body = gzip.substr(10);
    // FEXTRA, FNAME and FCOMMENT.
    std::string header("\x1f\x8b\x08\x1c\0\0\0\0\0\x03", 10);
    header.append(std::string("\x05\0extra", 7)).append("name").push_back('\0');
    header.append("comment").push_back('\0');
    for (const std::size_t slice : {std::size_t{1}, std::size_t{5}, SIZE_MAX}) {
        const Inflated inflated = inflate_all(header + body, slice);
        CHECK(error_of(inflated) == "none");
        CHECK(inflated.bytes == "payload");
    }
    CHECK(error_of(inflate_all(header.substr(0, 20))) == "corrupt");
}

TEST_CASE("inflate: a stream cut anywhere is corrupt") {
    const std::string bytes = sample(3000);
    for (const Compression compression : all) {
        const std::string compressed = deflate_all(bytes, compression);
        for (std::size_t size = 1; size < compressed.size(); ++size) {
            CAPTURE(compression_name(compression), size);
            const Inflated cut = inflate_all(std::string_view(compressed).substr(0, size), 64);
            CHECK(error_of(cut) == "corrupt");
            CHECK((bytes.starts_with(cut.bytes)));
        }
    }
}

TEST_CASE("inflate: a flipped bit is found") {
    const std::string bytes = sample(3000);
    for (const Compression compression : all) {
        const std::string compressed = deflate_all(bytes, compression);
        // From behind the header: its time, flags and OS bytes mean nothing here.
        for (std::size_t at = 10; at < compressed.size(); ++at) {
            std::string damaged = compressed;
            damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
            CAPTURE(compression_name(compression), at);
            const Inflated inflated = inflate_all(damaged);
            CHECK((inflated.error || inflated.bytes == bytes));
        }
    }
    // The length in the trailer is checked by itself.
    std::string gzip = deflate_all(bytes, Compression::gzip);
    gzip[gzip.size() - 4] = static_cast<char>(gzip[gzip.size() - 4] + 1);
    CHECK(error_of(inflate_all(gzip)) == "corrupt");
    gzip = deflate_all(bytes, Compression::gzip);
    gzip[gzip.size() - 8] = static_cast<char>(gzip[gzip.size() - 8] + 1);
    CHECK(error_of(inflate_all(gzip, 1)) == "corrupt");
}

TEST_CASE("inflate: bombs") {
    const std::string zeros(10'000'000, '\0');
    for (const Compression compression : all) {
        const std::string bomb = deflate_all(zeros, compression);
        CHECK(bomb.size() < 100'000);
        const Inflated inflated = inflate_all(bomb, SIZE_MAX, 65536, 1'000'000);
        CHECK(error_of(inflated) == "resource_exhausted");
        CHECK(inflated.bytes.size() <= 1'000'000);
        CHECK(error_of(inflate_all(bomb, SIZE_MAX, 65536, zeros.size())) == "none");
    }
    // A frame that asks for a window of 2 GiB.
    const std::string window("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 9);
    CHECK(error_of(inflate_all(window)) == "resource_exhausted");
}

TEST_CASE("inflate: what xz may take of memory is bounded") {
    lzma_options_lzma options;
    REQUIRE_FALSE(::lzma_lzma_preset(&options, 0));
    const auto with_dictionary = [&options](std::uint32_t bytes) {
        options.dict_size = bytes;
        const lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
        std::string made(1000, '\0');
        void* out = made.data();
        std::size_t size = 0;
        // An empty stream has no block, so no dictionary.
        const std::uint8_t byte = 'x';
        REQUIRE(::lzma_stream_buffer_encode(const_cast<lzma_filter*>(filters),
                                            LZMA_CHECK_SHA256,
                                            nullptr,
                                            &byte,
                                            1,
                                            static_cast<std::uint8_t*>(out),
                                            &size,
                                            made.size()) == LZMA_OK);
        made.resize(size);
        return made;
    };
    constexpr std::uint32_t mib = 1024 * 1024;
    CHECK(inflate_all(with_dictionary(128 * mib)).bytes == "x");
    const Inflated refused = inflate_all(with_dictionary(256 * mib));
    CHECK(error_of(refused) == "resource_exhausted");
    CHECK(refused.error->message() ==
          "xz: decompression takes 257 MiB of memory, more than the 130 MiB allowed");
}

TEST_CASE("inflate: an integrity check of xz that cannot be verified is refused") {
    std::string xz = deflate_all("bytes", Compression::xz);
    // The stream's flags and their CRC32: check 0x0b is reserved.
    constexpr std::size_t flags = 6;
    xz[flags + 1] = 0x0b;
    const std::uint32_t sum = ::lzma_crc32(bytes_of(xz).data() + flags, 2, 0);
    for (std::size_t i = 0; i < 4; ++i) {
        xz[flags + 2 + i] = static_cast<char>(sum >> (8 * i));
    }
    const Inflated refused = inflate_all(xz);
    CHECK(error_of(refused) == "unsupported");
    CHECK(refused.error->message() == "xz: the kind of integrity check is not known");
}

TEST_CASE("inflate: what went wrong is said") {
    for (const Compression compression : {Compression::bzip2, Compression::xz}) {
        const std::string name(compression_name(compression));
        const std::string whole = deflate_all(sample(3000), compression);
        const Inflated cut = inflate_all(std::string_view(whole).substr(0, whole.size() / 2));
        REQUIRE(cut.error);
        CHECK(cut.error->message() == name + ": unexpected end of the data");
        std::string damaged = whole;
        damaged[whole.size() / 2] = static_cast<char>(damaged[whole.size() / 2] ^ 0x10);
        const Inflated refused = inflate_all(damaged);
        REQUIRE(refused.error);
        CHECK(refused.error->message() == name + ": damaged data, or its checksum does not match");
    }
}

TEST_CASE("inflate: a registry's layer is never bzip2 or xz") {
    for (const Compression compression : {Compression::bzip2, Compression::xz}) {
        const Inflated refused = inflate_all(deflate_all("layer", compression),
                                             1,
                                             65536,
                                             limits::layer_bytes_max,
                                             Compressions::layer);
        CHECK(error_of(refused) == "unsupported");
        CHECK(refused.error->message() ==
              std::string("a layer in a registry cannot be compressed with ")
                  .append(compression_name(compression)));
    }
}
