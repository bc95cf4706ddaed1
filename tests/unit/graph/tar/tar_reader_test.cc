// Goal: every dialect of tar is read as its archiver meant it, in any slicing; everything malformed
// is refused with an error that names the entry. Method: fixtures written by GNU tar and Python,
// and blocks made by hand for what no archiver writes.
#include "graph/tar_reader.h"

#include <type_traits>

#include "tests/support/catch.h"
#include "tests/unit/graph/tar/tar_support.h"

using namespace davit;
using namespace davit::test;
using Catch::Matchers::Contains;

static_assert(std::is_move_constructible_v<TarReader>);

namespace {

RawHeader named(std::string name, char type = '0') {
    RawHeader raw;
    raw.name = std::move(name);
    raw.type = type;
    return raw;
}

const std::string long_component(120, 'n');

/// GNU's base-256: a big-endian number behind a flag byte.
std::string base256(std::uint8_t first, std::uint64_t value, std::size_t size) {
    std::string field(size, static_cast<char>(first == 0xff ? 0xff : 0));
    for (std::size_t i = 0; i < 8 && i < size; ++i) {
        field[size - 1 - i] = static_cast<char>(value >> (8 * i));
    }
    field[0] = static_cast<char>(first);
    return field;
}

}  // namespace

TEST_CASE("tar: GNU tar's formats carry the same tree") {
    for (const char* name : {"gnu_ustar.tar", "gnu_gnu.tar", "gnu_pax.tar"}) {
        CAPTURE(name);
        const Parsed parsed = parse_all(fixture(name));
        REQUIRE(parsed.error_text().empty());
        CHECK(parsed.end_seen);
        CHECK(parsed.at("d/").entry.type == TarType::directory);
        CHECK(parsed.at("d/").entry.mode == 0755);
        const ParsedEntry& file = parsed.at("d/file");
        CHECK(file.content == "hello\n");
        CHECK(file.entry.mtime.seconds == 981173106);
        CHECK(parsed.at("d/capped").entry.mode == 04755);
        CHECK(parsed.at("d/capped").content.size() == 100);
        CHECK(parsed.at("d/link").entry.type == TarType::symlink);
        CHECK(parsed.at("d/link").entry.linkpath == "file");
        CHECK(parsed.at("d/link").entry.uid == 1000);
        CHECK(parsed.at("d/link").entry.gid == 1001);
        CHECK(parsed.at("d/hard").entry.type == TarType::hardlink);
        CHECK(parsed.at("d/hard").entry.linkpath == "d/file");
        CHECK(parsed.at("d/hard").ended);
        CHECK(parsed.at("d/null").entry.type == TarType::char_device);
        CHECK(parsed.at("d/null").entry.dev_major == 1);
        CHECK(parsed.at("d/null").entry.dev_minor == 3);
    }
    const Parsed v7 = parse_all(fixture("gnu_v7.tar"));
    CHECK(v7.at("d/file").content == "hello\n");
    CHECK(v7.at("d/link").entry.linkpath == "file");
}

TEST_CASE("tar: long names, big ids, times and xattrs") {
    const std::string deep = "d/" + long_component + "/" + long_component + "/file";
    const Parsed gnu = parse_all(fixture("gnu_gnu.tar"));
    const Parsed pax = parse_all(fixture("gnu_pax.tar"));
    CHECK(gnu.at(deep).content == "long\n");
    CHECK(pax.at(deep).content == "long\n");
    CHECK(gnu.at("d/longlink").entry.linkpath == deep.substr(2));
    CHECK(pax.at("d/longlink").entry.linkpath == deep.substr(2));
    CHECK(gnu.at("d/" + long_component + "/").entry.gid == 3000000);
    CHECK(pax.at("d/" + long_component + "/").entry.gid == 3000000);
    CHECK(gnu.at("d/fifo").entry.mtime == TarTime{-2, 0});
    CHECK(pax.at("d/fifo").entry.mtime == TarTime{-2, 250'000'000});
    CHECK(pax.at("d/file").entry.mtime == TarTime{981173106, 789'012'345});
    CHECK(pax.at("d/blk").entry.dev_minor == 200);
    const auto& xattrs = pax.at("d/capped").entry.xattrs;
    REQUIRE(xattrs.size() == 1);
    CHECK(xattrs[0].name == "security.capability");
    CHECK(xattrs[0].value.size() == 20);
    CHECK(xattrs[0].value[5] == 0x20);  // CAP_NET_RAW, behind NULs.
}

TEST_CASE("tar: Python's archives, with global headers") {
    const Parsed pax = parse_all(fixture("python_pax.tar"));
    CHECK(pax.error_text().empty());
    CHECK(pax.at("\xc3\xbc/file").content == "abc");
    CHECK(pax.at("\xc3\xbc/file").entry.uid == 2147483648U);
    CHECK(pax.at("\xc3\xbc/file").entry.mtime == TarTime{1, 250'000'000});
    // Only the global header says when.
    CHECK(pax.at("dir/").entry.mtime == TarTime{7, 500'000'000});
    CHECK(pax.at("dir/").entry.mode == 01777);

    const Parsed gnu = parse_all(fixture("python_gnu.tar"));
    REQUIRE(gnu.entries.size() == 1);
    CHECK(gnu.entries[0].entry.path.size() == 124);
    CHECK(gnu.entries[0].entry.mtime == TarTime{-5, 0});
    CHECK(gnu.entries[0].entry.uid == 2147483648U);
}

TEST_CASE("tar: sparse files of all four formats have their holes back") {
    std::string expected(5'000'000, '\0');
    for (int i = 0; i < 30; ++i) {
        char digits[16];
        std::snprintf(digits, sizeof(digits), "%04d", i);
        for (std::size_t j = 0; j < 1024; ++j) {
            expected.replace(static_cast<std::size_t>(i) * 160 * 1024 + j * 4, 4, digits);
        }
    }
    for (const char* version : {"0.0", "0.1", "1.0", "old"}) {
        CAPTURE(version);
        const std::string archive = fixture(std::string("gnu_sparse_") + version + ".tar.gz");
        CHECK(archive.size() < 1'000'000);
        for (const std::size_t slice : {std::size_t{SIZE_MAX}, std::size_t{777}, std::size_t{1}}) {
            const Parsed parsed = parse_all(archive, slice);
            REQUIRE(parsed.error_text().empty());
            REQUIRE(parsed.entries.size() == 1);
            CHECK(parsed.entries[0].entry.path == "sparse");
            CHECK(parsed.entries[0].entry.sparse);
            CHECK((parsed.entries[0].content == expected));
        }
    }
}

TEST_CASE("tar: slices of any size give the same events") {
    for (const char* name : {"gnu_ustar.tar",
                             "gnu_gnu.tar",
                             "gnu_pax.tar",
                             "gnu_v7.tar",
                             "python_pax.tar",
                             "python_gnu.tar"}) {
        const std::string archive = fixture(name);
        const Parsed whole = parse_all(archive);
        for (const std::size_t slice : {1, 2, 3, 511, 512, 513, 4096}) {
            CAPTURE(name, slice);
            const Parsed parsed = parse_all(archive, slice);
            CHECK((parsed.entries == whole.entries));
            CHECK(parsed.end_seen == whole.end_seen);
            CHECK(parsed.error_text() == whole.error_text());
        }
    }
}

TEST_CASE("tar: an archive cut anywhere is whole or corrupt, never a crash or a short file") {
    const std::string archive = fixture("gnu_pax.tar");
    const Parsed whole = parse_all(archive);
    std::size_t accepted = 0;
    for (std::size_t size = 0; size < archive.size(); size += 7) {
        const Parsed cut = parse_all(std::string_view(archive).substr(0, size));
        if (cut.error) {
            CHECK(cut.kind() == ErrorKind::corrupt);
            continue;
        }
        ++accepted;
        // What was accepted is a prefix of the whole, each entry complete.
        REQUIRE(cut.entries.size() <= whole.entries.size());
        for (std::size_t i = 0; i < cut.entries.size(); ++i) {
            CHECK((cut.entries[i] == whole.entries[i]));
        }
    }
    CHECK(accepted > 0);
    CHECK_THAT(parse_all(raw_entry(named("short"), "0123456789").substr(0, 515)).error_text(),
               Contains("short") && Contains("7 bytes"));
    CHECK_THAT(parse_all(raw_entry(named("a"), "") + std::string(100, 'x')).error_text(),
               Contains("after entry a"));
}

TEST_CASE("tar: ends") {
    const std::string entry = raw_entry(named("a"), "x");
    CHECK(parse_all("").entries.empty());
    CHECK_FALSE(parse_all("").error);
    CHECK_FALSE(parse_all(entry).error);                   // No end marker.
    CHECK_FALSE(parse_all(entry + zero_blocks(1)).error);  // Half of one.
    CHECK(parse_all(entry + zero_blocks()).end_seen);
    // Behind the marker anything goes.
    const Parsed trailing = parse_all(entry + zero_blocks() + "garbage" + entry, 100);
    CHECK_FALSE(trailing.error);
    CHECK(trailing.entries.size() == 1);
    // GNU tar would stop here with a warning and lose `b`.
    CHECK(parse_all(entry + zero_blocks(1) + raw_entry(named("b"), "")).kind() ==
          ErrorKind::corrupt);
    CHECK(parse_all(raw_pax({{"path", "lost"}}) + zero_blocks()).kind() == ErrorKind::corrupt);
    CHECK(parse_all(raw_pax({{"path", "lost"}})).kind() == ErrorKind::corrupt);
    CHECK_FALSE(parse_all(raw_pax({{"comment", "c"}}, 'g') + zero_blocks()).error);
}

TEST_CASE("tar: header checksums, unsigned and signed") {
    std::string block = raw_block(named("\xc3\xa9"));
    CHECK(parse_all(block).entries.size() == 1);
    // Two bytes above 127: the signed sum is 512 less.
    const std::string digits = block.substr(148, 6);
    const unsigned sum = static_cast<unsigned>(std::stoul(digits, nullptr, 8));
    char text[16];
    std::snprintf(text, sizeof(text), "%06o", sum - 512);
    block.replace(148, 6, text);
    CHECK(parse_all(block).entries.size() == 1);
    std::snprintf(text, sizeof(text), "%06o", sum - 511);
    block.replace(148, 6, text);
    CHECK(parse_all(block).kind() == ErrorKind::corrupt);
    block.replace(148, 6, "xyz   ");
    CHECK_THAT(parse_all(block).error_text(), Contains("checksum"));
}

TEST_CASE("tar: numbers that are no sizes are refused and named") {
    const auto refused = [](const RawHeader& raw, const char* what) {
        const Parsed parsed = parse_all(raw_block(raw) + zero_blocks());
        CHECK(parsed.kind() == ErrorKind::corrupt);
        CHECK_THAT(parsed.error_text(), Contains("victim") && Contains(what));
    };
    RawHeader raw = named("victim");
    raw.size = base256(0xff, static_cast<std::uint64_t>(-1), 12);
    refused(raw, "size");
    raw.size = base256(0x80, std::uint64_t{1} << 63, 12);
    refused(raw, "size");
    raw.size = "\x80" + std::string(1, '\1') + std::string(10, '\0');  // 2^80.
    refused(raw, "size");
    raw.size = "0000000-001";
    refused(raw, "size");
    raw.size = "00000000089";
    refused(raw, "size");
    raw.size = "1 2";
    refused(raw, "size");
    raw = named("victim");
    raw.uid = base256(0x80, 0xffffffff, 8);  // (uid_t)-1
    refused(raw, "uid");
    raw = named("victim");
    raw.gid = base256(0xff, static_cast<std::uint64_t>(-7), 8);
    refused(raw, "gid");
    raw = named("victim");
    raw.mtime = "yesterday";
    refused(raw, "mtime");
    raw = named("victim");
    raw.mode = "rwxr-xr";
    refused(raw, "mode");
}

TEST_CASE("tar: spellings of numbers that are fine") {
    RawHeader raw = named("a");
    raw.size = std::string("          3 ", 12);
    raw.uid = base256(0x80, 4'000'000'000, 8);
    raw.mode = "100755 ";  // With the file type, as some archivers do.
    raw.mtime = base256(0xff, static_cast<std::uint64_t>(-86400), 12);
    raw.gid = "";
    const Parsed parsed = parse_all(raw_block(raw) + "abc" + std::string(509, '\0'));
    REQUIRE(parsed.error_text().empty());
    CHECK(parsed.entries[0].content == "abc");
    CHECK(parsed.entries[0].entry.uid == 4'000'000'000);
    CHECK(parsed.entries[0].entry.mode == 0755);
    CHECK(parsed.entries[0].entry.mtime.seconds == -86400);
}

TEST_CASE("tar: entry types") {
    CHECK(parse_all(raw_entry(named("old/", '\0'), "")).entries.at(0).entry.type ==
          TarType::directory);
    CHECK(parse_all(raw_entry(named("contiguous", '7'), "x")).entries.at(0).content == "x");
    // A GNU dump directory's list is not content; a volume label is no entry.
    const Parsed dump = parse_all(raw_entry(named("dump", 'D'), "Ya\0") +
                                  raw_entry(named("label", 'V'), "") + raw_entry(named("b"), "x"));
    CHECK(dump.error_text().empty());
    REQUIRE(dump.entries.size() == 2);
    CHECK(dump.entries[0].entry.type == TarType::directory);
    CHECK(dump.entries[1].content == "x");
    // No data follows links and directories, whatever size they claim.
    RawHeader link = named("l", '1');
    link.linkname = "b";
    link.size = "00000001000";
    CHECK(parse_all(raw_block(link) + raw_entry(named("b"), "x")).entries.size() == 2);
    const Parsed unknown = parse_all(raw_entry(named("odd", 'M'), ""));
    CHECK(unknown.kind() == ErrorKind::unsupported);
    CHECK_THAT(unknown.error_text(), Contains("odd"));
}

TEST_CASE("tar: prefixes") {
    RawHeader raw = named("name");
    raw.prefix = "a/b";
    CHECK(parse_all(raw_block(raw)).entries.at(0).entry.path == "a/b/name");
    // GNU tar keeps times where ustar has the prefix.
    raw.magic = std::string("ustar  \0", 8);
    raw.prefix = "00000000000";
    CHECK(parse_all(raw_block(raw)).entries.at(0).entry.path == "name");
}

TEST_CASE("tar: PAX records of one entry do not leak into the next, global ones stay") {
    const std::string archive = raw_pax({{"mtime", "5"}}, 'g') +
                                raw_pax({{"path", "long"}, {"uid", "7"}}) +
                                raw_entry(named("short"), "1") + raw_entry(named("next"), "2");
    const Parsed parsed = parse_all(archive);
    REQUIRE(parsed.error_text().empty());
    REQUIRE(parsed.entries.size() == 2);
    CHECK(parsed.entries[0].entry.path == "long");
    CHECK(parsed.entries[0].entry.uid == 7);
    CHECK(parsed.entries[0].entry.mtime.seconds == 5);
    CHECK(parsed.entries[1].entry.path == "next");
    CHECK(parsed.entries[1].entry.uid == 0);
    CHECK(parsed.entries[1].entry.mtime.seconds == 5);
}

TEST_CASE("tar: PAX size beats the header's") {
    RawHeader raw = named("big");
    const Parsed parsed = parse_all(raw_pax({{"size", "3"}}) + raw_block(raw) + "abc" +
                                    std::string(509, '\0') + raw_entry(named("next"), "x"));
    REQUIRE(parsed.error_text().empty());
    CHECK(parsed.entries.at(0).content == "abc");
    CHECK(parsed.entries.at(1).content == "x");
}

TEST_CASE("tar: limits") {
    const std::string huge(limits::tar_pax_bytes_max + 1, 'x');
    CHECK(parse_all(raw_entry(named("p", 'x'), huge)).kind() == ErrorKind::resource_exhausted);
    CHECK(parse_all(raw_entry(named("p", 'L'), huge.substr(0, 5000)) + raw_entry(named("a"), ""))
              .kind() == ErrorKind::resource_exhausted);
    CHECK(parse_all(raw_pax({{"path", huge.substr(0, 5000)}}) + raw_entry(named("a"), "")).kind() ==
          ErrorKind::corrupt);
    // Many global headers, each small enough.
    std::string globals;
    for (int i = 0; i < 3; ++i) {
        globals += raw_pax({{"comment", huge.substr(0, 400 * 1024)}}, 'g');
    }
    CHECK(parse_all(globals).kind() == ErrorKind::resource_exhausted);

    TarReader reader(2);
    const std::string archive =
        raw_entry(named("a"), "") + raw_entry(named("b"), "") + raw_entry(named("c"), "");
    auto input = bytes_of(archive);
    Result<TarEvent> event = reader.next(input);
    while (event && event->kind != TarEvent::Kind::need_input) {
        event = reader.next(input);
    }
    REQUIRE_FALSE(event);
    CHECK(event.error().kind() == ErrorKind::resource_exhausted);
    CHECK_FALSE(reader.next(input));  // An error is final.
    CHECK_FALSE(reader.finish());
}

TEST_CASE("tar: sparse maps that lie are refused") {
    const auto pax_sparse = [](std::string map, std::string size) {
        return parse_all(raw_pax({{"GNU.sparse.map", map}, {"GNU.sparse.size", size}}) +
                         raw_entry(named("s"), "abc"))
            .kind();
    };
    CHECK(pax_sparse("0,1,5,2", "10") == ErrorKind::not_modified);  // No error.
    CHECK(pax_sparse("0,1,5,3", "10") == ErrorKind::corrupt);       // More than the data.
    CHECK(pax_sparse("5,2,0,1", "10") == ErrorKind::corrupt);       // Backwards.
    CHECK(pax_sparse("0,2,1,1", "10") == ErrorKind::corrupt);       // Overlap.
    CHECK(pax_sparse("0,1,9,2", "10") == ErrorKind::corrupt);       // Beyond the end.
    CHECK(pax_sparse("0,1,5", "10") == ErrorKind::corrupt);
    CHECK(pax_sparse("0,1,9223372036854775807,2", "9223372036854775807") == ErrorKind::corrupt);

    const auto data_map = [](std::string map) {
        map.resize(512, '\0');
        return parse_all(raw_pax({{"GNU.sparse.major", "1"},
                                  {"GNU.sparse.minor", "0"},
                                  {"GNU.sparse.name", "real"},
                                  {"GNU.sparse.realsize", "10"}}) +
                         raw_entry(named("s"), map + "abc"));
    };
    CHECK(data_map("1\n2\n3\n").entries.at(0).content == std::string("\0\0abc\0\0\0\0\0", 10));
    CHECK(data_map("1\n2\n3\n").entries.at(0).entry.path == "real");
    CHECK(data_map("2\n2\n3\n").kind() == ErrorKind::corrupt);
    CHECK(data_map("99999999\n").kind() == ErrorKind::corrupt);
    CHECK(data_map("-1\n").kind() == ErrorKind::corrupt);
    CHECK(data_map("1\n2\nx\n").kind() == ErrorKind::corrupt);
    CHECK(data_map(std::string(30, '1')).kind() == ErrorKind::corrupt);
}
