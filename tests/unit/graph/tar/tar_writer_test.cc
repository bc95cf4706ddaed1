// Goal: what is written reads back the same, deterministically, and looks ordinary to others.
#include "graph/tar_writer.h"

#include "tests/support/catch.h"
#include "tests/unit/graph/tar/tar_support.h"

using namespace davit;
using namespace davit::test;

namespace {

std::vector<ParsedEntry> samples() {
    std::vector<ParsedEntry> entries;
    const auto add = [&](TarType type, std::string path, std::string content) -> TarEntry& {
        TarEntry entry;
        entry.type = type;
        entry.path = std::move(path);
        entry.size = content.size();
        entry.mtime = {1'600'000'000, 0};
        entries.push_back({std::move(entry), std::move(content), true});
        return entries.back().entry;
    };
    add(TarType::directory, "dir/", "").mode = 01777;
    add(TarType::file, "dir/plain", "content");
    add(TarType::file, "dir/" + std::string(96, 'x'), "exactly 100 bytes of name");
    add(TarType::file, "dir/" + std::string(97, 'x'), "101: prefix and name");
    add(TarType::file, std::string(101, 'x'), "101 in one component: PAX");
    add(TarType::file, std::string(200, 'y') + "/" + std::string(90, 'x'), "prefix too long");
    add(TarType::file, "dir/\xc3\xa9", "not ASCII");
    add(TarType::file, "times", "").mtime = {-3, 123'456'789};
    add(TarType::file, "far", "").mtime = {10'000'000'000, 0};
    TarEntry& owned = add(TarType::file, "owned", std::string(513, 'z'));
    owned.uid = 3'000'000'000;
    owned.gid = 2'097'152;
    owned.mode = 06755;
    owned.xattrs = {{"security.capability", std::string("\1\0\0\2", 4)}, {"user.a", "b\n=c"}};
    add(TarType::symlink, "link", "").linkpath = std::string(150, 'l');
    add(TarType::hardlink, "hard", "").linkpath = "dir/plain";
    TarEntry& device = add(TarType::char_device, "device", "");
    device.dev_major = 4'000'000;
    device.dev_minor = 3;
    add(TarType::fifo, "fifo", "");
    return entries;
}

std::string write_all_entries(const std::vector<ParsedEntry>& entries) {
    std::string archive;
    TarWriter writer(archive);
    for (const ParsedEntry& item : entries) {
        REQUIRE(writer.add(item.entry, item.content));
    }
    writer.finish();
    return archive;
}

}  // namespace

TEST_CASE("tar writer: what is written reads back") {
    const auto entries = samples();
    const std::string archive = write_all_entries(entries);
    CHECK(archive.size() % tar_block_bytes == 0);
    CHECK(archive == write_all_entries(entries));
    const Parsed parsed = parse_all(archive);
    REQUIRE(parsed.error_text().empty());
    REQUIRE(parsed.entries.size() == entries.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
        CAPTURE(entries[i].entry.path);
        CHECK(parsed.entries[i].entry.path == entries[i].entry.path);
        CHECK((parsed.entries[i] == entries[i]));
    }
}

TEST_CASE("tar writer: ordinary entries need no PAX header") {
    const auto entries = samples();
    const std::string archive = write_all_entries({entries.begin(), entries.begin() + 4});
    // Four headers, three blocks of content, the end: nothing else.
    CHECK(archive.size() == (4 + 3 + 2) * tar_block_bytes);
}

TEST_CASE("tar writer: data in pieces, and data sent past the buffer") {
    std::string archive;
    TarWriter writer(archive);
    TarEntry entry;
    entry.path = "a";
    entry.size = 6;
    REQUIRE(writer.begin(entry));
    writer.data("abc");
    archive.append("def");
    writer.data_elsewhere(3);
    writer.end();
    CHECK(parse_all(archive).at("a").content == "abcdef");
}

TEST_CASE("tar writer: names it refuses") {
    std::string archive;
    TarWriter writer(archive);
    TarEntry entry;
    CHECK_FALSE(writer.add(entry));
    entry.path = std::string("a\0b", 3);
    CHECK_FALSE(writer.add(entry));
    CHECK(archive.empty());
}
