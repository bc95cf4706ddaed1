// Promises: a compressed stream gives the same bytes, or is refused, however it is cut; steps stay
// inside their buffers and get on; an error is final and of a kind that callers expect.
#include "graph/inflate.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/graph/tar/tar_support.h"

namespace davit::fuzz {

namespace {

/// A few bytes of input may become very many.
constexpr std::uint64_t output_bytes_max = 1 << 20;

struct Outcome {
    std::string bytes;
    bool whole = false;
};

void error_check(const Error& error, Inflate& inflate) {
    require(error.kind() == ErrorKind::corrupt || error.kind() == ErrorKind::unsupported ||
                error.kind() == ErrorKind::resource_exhausted,
            "the kind of error is one of three");
    std::uint8_t byte = 0;
    require(!inflate.step({}, {&byte, 1}) && !inflate.finish(), "an error is final");
}

Outcome unpack(std::string_view input, std::size_t slice, std::size_t output_bytes) {
    Inflate inflate(output_bytes_max, Compressions::archive);
    std::vector<std::uint8_t> output(output_bytes);
    Outcome outcome;
    for (bool filled = false; !input.empty() || filled;) {
        const auto part = test::bytes_of(input.substr(0, slice));
        const auto progress = inflate.step(part, output);
        if (!progress) {
            error_check(progress.error(), inflate);
            return outcome;
        }
        require(progress->consumed <= part.size() && progress->produced <= output.size(),
                "a step stays inside its buffers");
        filled = progress->produced == output.size();
        require(filled || progress->consumed == part.size(), "a step goes as far as it can");
        const void* made = output.data();
        outcome.bytes.append(static_cast<const char*>(made), progress->produced);
        input.remove_prefix(progress->consumed);
    }
    outcome.whole = inflate.finish().has_value();
    return outcome;
}

void inflate(std::string_view input) {
    const Outcome whole = unpack(input, SIZE_MAX, 65536);
    const Outcome sliced = unpack(input, 1 + input.size() % 61, 1000);
    require(whole.whole == sliced.whole, "whether it is whole does not depend on the slices");
    require(!whole.whole || whole.bytes == sliced.bytes, "the same bytes in any slices");
    require(whole.bytes.size() <= output_bytes_max, "the output is bounded");
}

std::vector<std::string> seeds() {
    std::vector<std::string> all;
    for (const Compression compression :
         {Compression::gzip, Compression::zstd, Compression::bzip2, Compression::xz}) {
        const std::string one = test::deflate_all("some words, some words", compression);
        all.push_back(one);
        all.push_back(one + one);
        all.push_back(one + std::string(8, '\0') + one);
        all.push_back(test::deflate_all(std::string(200'000, 'x'), compression));
    }
    return all;
}

const bool registered = add({"inflate",
                             inflate,
                             {},
                             {std::string("\x1f\x8b\x08", 3),
                              "BZh91AY&SY",
                              std::string("\xfd"
                                          "7zXZ\0",
                                          6),
                              std::string("\x28\xb5\x2f\xfd", 4),
                              std::string(4, '\0')},
                             2000,
                             seeds});

}  // namespace

}  // namespace davit::fuzz
