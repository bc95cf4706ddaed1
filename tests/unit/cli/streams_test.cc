// Goal: frames and detach keys are recognised however the bytes are cut. Method: one sequence, cut
// at every place and into single bytes.
#include <optional>
#include <string>

#include "cli/detach_keys.h"
#include "cli/frame_reader.h"
#include "tests/support/catch.h"
#include "tests/unit/cli/fake_daemon.h"

namespace davit::cli {

namespace {

struct Read {
    std::string out;
    std::string err;
    std::string failure;
    bool at_boundary = false;
};

Read read_in_pieces(std::string_view bytes, std::size_t piece_bytes) {
    FrameReader reader;
    Read read;
    while (!bytes.empty()) {
        std::string_view piece = bytes.substr(0, piece_bytes);
        bytes.remove_prefix(piece.size());
        while (!piece.empty()) {
            Result<std::optional<FrameReader::Piece>> next = reader.next(piece);
            if (!next) {
                read.failure = next.error().message();
                return read;
            }
            if (*next) {
                ((*next)->stream == FrameReader::Stream::err ? read.err : read.out) +=
                    (*next)->bytes;
            }
        }
    }
    read.at_boundary = reader.at_boundary();
    return read;
}

}  // namespace

TEST_CASE("frames: cut anywhere") {
    const std::string bytes = test::frame(1, "hello ") + test::frame(2, "oops") +
                              test::frame(1, "") + test::frame(1, std::string(300, 'x'));
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        const Read read = read_in_pieces(bytes, piece);
        REQUIRE(read.failure == "");
        REQUIRE(read.out == "hello " + std::string(300, 'x'));
        REQUIRE(read.err == "oops");
        REQUIRE(read.at_boundary);
    }
    CHECK_FALSE(read_in_pieces(bytes.substr(0, bytes.size() - 1), 64).at_boundary);
    CHECK_FALSE(read_in_pieces(bytes.substr(0, 3), 64).at_boundary);
}

TEST_CASE("frames: what is none, and errors") {
    CHECK(read_in_pieces("plain text from a terminal", 64).failure ==
          "the daemon's stream is not made of frames");
    CHECK(read_in_pieces(test::frame(3, "disk full"), 2).failure ==
          "error from daemon in stream: disk full");
}

TEST_CASE("detach keys: parse") {
    CHECK(DetachKeys::parse("ctrl-p,ctrl-q"));
    CHECK(DetachKeys::parse("a"));
    CHECK(DetachKeys::parse("ctrl-@,ctrl-[,x"));
    for (const char* bad : {"", "ctrl-", "ctrl-A", "ctrl-1", "ab", "a,,b"}) {
        INFO(bad);
        CHECK_FALSE(DetachKeys::parse(bad));
    }
}

TEST_CASE("detach keys: held back, released, found") {
    Result<DetachKeys> keys = DetachKeys::parse("ctrl-p,ctrl-q");
    REQUIRE(keys);
    CHECK(keys->filter("ab\x10").bytes == "ab");
    CHECK(keys->filter("c").bytes ==
          "\x10"
          "c");
    CHECK(keys->filter("\x10\x10").bytes == "\x10");
    const DetachKeys::Filtered found = keys->filter("\x11rest");
    CHECK(found.bytes == "");
    CHECK(found.detached);
}

}  // namespace davit::cli
