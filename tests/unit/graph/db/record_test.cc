// Goal: records read back as written, and no damage makes a reader misbehave.
// Method: round trips; then every prefix of a record, and every record with one byte changed.
#include "graph/record.h"

#include <limits>

#include "tests/support/catch.h"

using namespace davit;

namespace {

constexpr std::uint8_t version = 3;

std::string sample() {
    return RecordWriter(version)
        .u64(0)
        .u64(300)
        .u64(std::numeric_limits<std::uint64_t>::max())
        .i64(-1)
        .text("")
        .text(std::string("a\0b", 3))
        .digest(Digest{})
        .digest(sha256_of("x"))
        .texts({"one", "", "three"})
        .digests({sha256_of("y"), sha256_of("z")})
        .take();
}

/// Reads all fields; true if finish() is content.
bool read_sample(std::string_view bytes, bool compare) {
    RecordReader reader(bytes, "sample", version);
    const std::uint64_t zero = reader.u64();
    const std::uint64_t small = reader.u64();
    const std::uint64_t large = reader.u64();
    const std::int64_t negative = reader.i64();
    const std::string_view empty = reader.text();
    const std::string_view nul = reader.text();
    const Digest none = reader.digest();
    const Digest one = reader.digest();
    const std::vector<std::string> texts = reader.texts();
    const std::vector<Digest> digests = reader.digests();
    if (compare) {
        CHECK(zero == 0);
        CHECK(small == 300);
        CHECK(large == std::numeric_limits<std::uint64_t>::max());
        CHECK(negative == -1);
        CHECK(empty.empty());
        CHECK(nul == std::string_view("a\0b", 3));
        CHECK(none.empty());
        CHECK(one == sha256_of("x"));
        CHECK(texts == std::vector<std::string>{"one", "", "three"});
        CHECK(digests == std::vector<Digest>{sha256_of("y"), sha256_of("z")});
    }
    const Result<void> finished = reader.finish();
    if (!finished) {
        CHECK(finished.error().kind() == ErrorKind::corrupt);
        CHECK(finished.error().message() == "record of sample is damaged");
    }
    return finished.has_value();
}

}  // namespace

TEST_CASE("record reads back") {
    CHECK(read_sample(sample(), true));
}

TEST_CASE("record cut short or with something behind is corrupt") {
    const std::string bytes = sample();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        REQUIRE_FALSE(read_sample(std::string_view(bytes).substr(0, size), false));
    }
    CHECK_FALSE(read_sample(bytes + "x", false));
}

TEST_CASE("record of another version is corrupt") {
    std::string bytes = sample();
    bytes[0] = 4;
    CHECK_FALSE(read_sample(bytes, false));
}

TEST_CASE("record with any byte changed is read without harm") {
    const std::string bytes = sample();
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        for (const char value : {'\x00', '\x01', '\x7F', '\x80', '\xFF'}) {
            std::string damaged = bytes;
            damaged[at] = value;
            static_cast<void>(read_sample(damaged, false));
        }
    }
}
