// Goal: what a tree becomes as a layer makes the same tree when it is unpacked, whiteouts and all,
// and the same tree gives the same bytes. Method: trees out of archives with every kind of member,
// packed and unpacked; listings are compared.
#include "graph/tree_archive.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/support/catch.h"
#include "tests/unit/graph/tar/layer_support.h"
#include "tests/unit/graph/tar/tar_support.h"

using namespace davit;
using namespace davit::test;

namespace {

struct Packed {
    std::string archive;
    std::string error;
};

Packed pack(TreeArchive tree, std::size_t slice = 65536) {
    Packed packed;
    std::vector<std::uint8_t> buffer(slice);
    for (;;) {
        const auto got = tree.read(buffer);
        if (!got) {
            packed.error = got.error().message();
            return packed;
        }
        if (*got == 0) {
            return packed;
        }
        packed.archive.append(reinterpret_cast<const char*>(buffer.data()), *got);
    }
}

std::string everything() {
    ArchiveBuilder archive;
    archive.directory("a", 0750).file("a/empty").file("a/file", std::string(100'000, 'x'));
    archive.directory("a/deep").file("a/deep/er", "content").file("z", "last");
    archive.symlink("link", "a/file").hardlink("hard", "a/file").file(".wh.gone");
    archive.directory("opaque").file("opaque/.wh..wh..opq").file("opaque/new").file("a/.wh.x");
    archive.file(std::string(120, 'n') + "/" + std::string(120, 'm'), "long names");
    TarEntry fifo = entry_of(TarType::fifo, "fifo", 0600);
    TarEntry device = entry_of(TarType::char_device, "null", 0666);
    device.dev_major = 1;
    device.dev_minor = 3;
    TarEntry labelled = entry_of(TarType::file, "labelled", 04755);
    labelled.uid = 1000;
    labelled.gid = 2000;
    labelled.xattrs.push_back({"user.note", std::string("a\0b", 3)});
    archive.add(fifo).add(device).add(labelled, "setuid");
    return archive.build();
}

Packed pack(const LayerDir& dir, TreeForm form, std::size_t slice = 65536) {
    return pack(TreeArchive(dir.root_fd(), form), slice);
}

}  // namespace

TEST_CASE("a layer's tree packed and unpacked is the same tree", "[tree]") {
    if (::geteuid() != 0) {
        WARN("skipped: needs root for owners and devices");
        return;
    }
    const LayerDir dir;
    REQUIRE(extract(dir.root_fd(), everything(), {}).error_text() == "");
    const Packed packed = pack(dir, TreeForm::layer);
    REQUIRE(packed.error == "");
    const Parsed parsed = parse_all(packed.archive);
    CHECK(parsed.error_text() == "");
    CHECK(parsed.end_seen);
    CHECK(parsed.at(".wh.gone").entry.type == TarType::file);
    CHECK(parsed.at("opaque/.wh..wh..opq").entry.size == 0);
    CHECK(parsed.at("hard").entry.linkpath == "a/file");

    const LayerDir again;
    REQUIRE(extract(again.root_fd(), packed.archive, {}).error_text() == "");
    ListingOptions no_times;  // A removal's has none; the archives below compare the others.
    no_times.mtimes = false;
    CHECK(listing(again.root(), no_times) == listing(dir.root(), no_times));
    CHECK((pack(again, TreeForm::layer, 777).archive == packed.archive));
    CHECK((pack(dir, TreeForm::layer, 1).archive == packed.archive));

    // As plain files a removal is the device that it is on disk.
    const Parsed files = parse_all(pack(dir, TreeForm::files).archive);
    CHECK(files.at("gone").entry.type == TarType::char_device);
    for (const ParsedEntry& entry : files.entries) {
        CHECK(entry.entry.path.find(".wh.") == std::string::npos);
    }
}

TEST_CASE("what a layer cannot say is an error that names it", "[tree]") {
    const LayerDir dir;
    REQUIRE(file_replace(AT_FDCWD, dir.root() + "/.wh.file", "x"));
    CHECK(pack(dir, TreeForm::layer).error.find("pack .wh.file: a layer cannot") == 0);
    CHECK(parse_all(pack(dir, TreeForm::files).archive).at(".wh.file").content == "x");
}

TEST_CASE("links lead nowhere, other file systems are not entered", "[tree]") {
    if (::geteuid() != 0) {
        WARN("skipped: needs root to mount");
        return;
    }
    const LayerDir dir;
    REQUIRE(::symlink("../outside", (dir.root() + "/out").c_str()) == 0);
    REQUIRE(::mkdir((dir.root() + "/mnt").c_str(), 0755) == 0);
    REQUIRE(::mount("tmpfs", (dir.root() + "/mnt").c_str(), "tmpfs", MS_NODEV, nullptr) == 0);
    REQUIRE(file_replace(AT_FDCWD, dir.root() + "/mnt/secret", "x"));
    const Parsed parsed = parse_all(pack(dir, TreeForm::files).archive);
    CHECK(::umount((dir.root() + "/mnt").c_str()) == 0);
    REQUIRE(parsed.entries.size() == 2);
    CHECK(parsed.at("out").entry.linkpath == "../outside");
    CHECK(parsed.at("mnt/").entry.type == TarType::directory);
}

TEST_CASE("a file that shrinks keeps its place, one that goes is left out", "[tree]") {
    const LayerDir dir;
    REQUIRE(file_replace(AT_FDCWD, dir.root() + "/a", std::string(200'000, 'x')));
    REQUIRE(file_replace(AT_FDCWD, dir.root() + "/b", "gone"));
    REQUIRE(file_replace(AT_FDCWD, dir.root() + "/c", "kept"));
    TreeArchive tree(dir.root_fd(), TreeForm::layer);
    std::vector<std::uint8_t> buffer(50'000);
    std::string archive;
    bool more = true;
    for (int round = 0; more; ++round) {
        const auto got = tree.read(buffer);
        REQUIRE(got);
        more = *got != 0;
        archive.append(reinterpret_cast<const char*>(buffer.data()), *got);
        if (round == 0) {
            REQUIRE(::truncate((dir.root() + "/a").c_str(), 60'000) == 0);
            REQUIRE(::unlink((dir.root() + "/b").c_str()) == 0);
        }
    }
    const Parsed parsed = parse_all(archive);
    CHECK(parsed.error_text() == "");
    REQUIRE(parsed.entries.size() == 2);
    CHECK(parsed.at("a").content.size() == 200'000);
    CHECK(parsed.at("a").content.substr(190'000) == std::string(10'000, '\0'));
    CHECK(parsed.at("c").content == "kept");
}

TEST_CASE("a directory under another name, one file alone, and what is mounted", "[tree]") {
    if (::geteuid() != 0) {
        WARN("skipped: needs root to mount");
        return;
    }
    const LayerDir dir;
    REQUIRE(::mkdir((dir.root() + "/mnt").c_str(), 0755) == 0);
    REQUIRE(file_replace(AT_FDCWD, dir.root() + "/a", "x"));
    REQUIRE(::link((dir.root() + "/a").c_str(), (dir.root() + "/b").c_str()) == 0);
    REQUIRE(::mount("tmpfs", (dir.root() + "/mnt").c_str(), "tmpfs", MS_NODEV, nullptr) == 0);
    REQUIRE(file_replace(AT_FDCWD, dir.root() + "/mnt/in", "mounted"));
    TreeArchiveOptions options;
    options.mounts = true;
    options.top = "t";
    const Parsed whole = parse_all(pack(TreeArchive(dir.root_fd(), options)).archive);
    options.top = "";
    const Parsed root = parse_all(pack(TreeArchive(dir.root_fd(), options)).archive);
    options.top = "other";
    options.only = "a";
    const Parsed alone = parse_all(pack(TreeArchive(dir.root_fd(), options)).archive);
    CHECK(::umount((dir.root() + "/mnt").c_str()) == 0);
    REQUIRE(whole.entries.size() == 5);
    CHECK(whole.at("t/").entry.type == TarType::directory);
    CHECK(whole.at("t/mnt/in").content == "mounted");
    CHECK(whole.at("t/b").entry.linkpath == "t/a");
    CHECK(root.at("/").entry.type == TarType::directory);
    CHECK(root.at("/mnt/in").content == "mounted");
    REQUIRE(alone.entries.size() == 1);
    CHECK(alone.at("other").content == "x");
}
