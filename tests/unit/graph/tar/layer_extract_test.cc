// Goal: an archive becomes exactly the tree it describes, by any number of threads, in any slicing.
// Method: archives made here and by GNU tar, extracted into a private directory and listed.
#include "graph/layer_extract.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <type_traits>

#include "tests/support/catch.h"
#include "tests/unit/graph/tar/layer_support.h"
#include "tests/unit/graph/tar/tar_support.h"

using namespace davit;
using namespace davit::test;
using Catch::Matchers::Contains;

static_assert(std::is_nothrow_move_constructible_v<LayerExtract>);

namespace {

/// Threads beside the caller's.
constexpr unsigned helper_counts[] = {0, 1, 3};

LayerExtractOptions with(unsigned helpers) {
    LayerExtractOptions options;
    options.helpers = helpers;
    return options;
}

bool is_root() {
    return ::geteuid() == 0;
}

struct stat stat_of(const std::string& path) {
    struct stat info {};

    REQUIRE(::lstat(path.c_str(), &info) == 0);
    return info;
}

/// Files of every size that takes another path: in one piece, in two, in many.
std::string varied_archive() {
    ArchiveBuilder archive;
    archive.file("first", "x").directory("d", 0750);
    for (int i = 0; i < 700; ++i) {
        archive.file(
            "d/f" + std::to_string(i),
            std::string(static_cast<std::size_t>(i * 61), static_cast<char>('a' + i % 26)));
    }
    archive.file("empty")
        .file("large", std::string(3'000'000, 'l'))
        .file("mid", std::string(33'000, 'm'));
    archive.directory("d/sub").symlink("d/link", "../mid").hardlink("hard", "d/f5");
    for (const std::uint32_t mode : {0600U, 0444U, 0777U, 01644U}) {
        archive.add(entry_of(TarType::file, "d/sub/m" + std::to_string(mode), mode), "mode");
    }
    archive.add(entry_of(TarType::fifo, "d/fifo", 0640));
    archive.file("d/f5x", "after the link");
    return archive.build();
}

}  // namespace

TEST_CASE("extract: any number of threads and all slicings make the same tree") {
    const std::string archive = varied_archive();
    Listing expected;
    for (const unsigned helpers : helper_counts) {
        for (const std::size_t slice : {SIZE_MAX, std::size_t{65536}, std::size_t{1000}}) {
            const LayerDir layer;
            const Extraction done = extract(layer.root_fd(), archive, with(helpers), slice);
            REQUIRE(done.error_text().empty());
            CHECK(done.result.entries == 714);
            const Listing tree = listing(layer.root());
            if (expected.empty()) {
                expected = tree;
                CHECK(tree.size() == 714);
                CHECK_THAT(tree.at("d/f5"), Contains("links=2") && Contains("size=305"));
                CHECK_THAT(tree.at("large"), Contains("size=3000000") && Contains("100644"));
                CHECK_THAT(tree.at("d/link"), Contains("-> ../mid"));
                CHECK_THAT(tree.at("d"), Contains("040750"));
                CHECK_THAT(tree.at("d/sub/m511"), Contains("100777"));
                CHECK_THAT(tree.at("d/fifo"), Contains("010640"));
                for (const auto& [path, text] : tree) {
                    CAPTURE(path);
                    CHECK_THAT(text, Contains("mtime=1000000000.500000000"));
                }
            }
            CHECK((tree == expected));
        }
    }
}

TEST_CASE("extract: what GNU tar wrote comes out as GNU tar would") {
    if (!is_root()) {
        WARN("needs root for owners and devices, skipped");
        return;
    }
    for (const unsigned helpers : helper_counts) {
        const LayerDir layer;
        const Extraction done = extract(layer.root_fd(), fixture("gnu_pax.tar"), with(helpers));
        REQUIRE(done.error_text().empty());
        const Listing tree = listing(layer.root());
        CHECK_THAT(tree.at("d/file"),
                   Contains("content=hello") && Contains("mtime=981173106.789012345") &&
                       Contains("links=2"));
        CHECK(stat_of(layer.root() + "/d/file").st_ino == stat_of(layer.root() + "/d/hard").st_ino);
        CHECK_THAT(tree.at("d/capped"), Contains("104755") && Contains("security.capability"));
        CHECK_THAT(tree.at("d/link"), Contains("1000:1001") && Contains("-> file"));
        CHECK_THAT(tree.at("d/null"), Contains("020644") && Contains("rdev=1,3"));
        CHECK_THAT(tree.at("d/blk"), Contains("060644") && Contains("rdev=7,200"));
        CHECK_THAT(tree.at("d/fifo"), Contains("010644") && Contains("mtime=-2.250000000"));
        CHECK_THAT(tree.at("d/" + std::string(120, 'n')), Contains("100000:3000000"));
    }
}

TEST_CASE("extract: owners, setuid and capabilities survive each other") {
    if (!is_root()) {
        WARN("needs root, skipped");
        return;
    }
    TarEntry entry = entry_of(TarType::file, "d/tool", 06755);
    entry.uid = 12;
    entry.gid = 34;
    ArchiveBuilder archive;
    archive.file("first").add(entry, "binary");
    entry.path = "d/plain-setuid";
    entry.uid = entry.gid = 0;
    archive.add(entry, "binary");
    entry.path = "d/capable";
    entry.uid = 12;
    entry.mode = 0755;
    entry.xattrs = {
        {"security.capability", std::string("\1\0\0\2\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)},
        {"user.note", "kept"}};
    archive.add(entry, "binary");
    TarEntry directory = entry_of(TarType::directory, "d", 02775);
    directory.uid = 5;
    directory.gid = 6;
    directory.xattrs = {{"user.dir", "kept"}};
    archive.add(directory);
    archive.file("d/after", "not of group 6");
    for (const unsigned helpers : helper_counts) {
        const LayerDir layer;
        REQUIRE(extract(layer.root_fd(), archive.build(), with(helpers)).error_text().empty());
        const Listing tree = listing(layer.root());
        CHECK_THAT(tree.at("d/tool"), Contains("106755 12:34"));
        CHECK_THAT(tree.at("d/plain-setuid"), Contains("106755 0:0"));
        CHECK_THAT(tree.at("d/capable"),
                   Contains("100755 12:0") && Contains("security.capability") &&
                       Contains("user.note=kept"));
        CHECK_THAT(tree.at("d"), Contains("042775 5:6") && Contains("user.dir=kept"));
        CHECK_THAT(tree.at("d/after"), Contains("100644 0:0"));
    }
}

TEST_CASE("extract: a later entry replaces an earlier one") {
    for (const unsigned helpers : helper_counts) {
        CAPTURE(helpers);
        const LayerDir layer;
        ArchiveBuilder archive;
        archive.file("x").file("twice", "first").file("twice", "second, longer");
        archive.directory("dir-to-file").file("dir-to-file/inside", "gone");
        archive.file("dir-to-file", "a file now");
        archive.file("file-to-dir", "gone").directory("file-to-dir").file("file-to-dir/in", "new");
        archive.symlink("link-to-file", "twice").file("link-to-file", "own");
        archive.file("file-to-link", "gone").symlink("file-to-link", "twice");
        archive.symlink("link-to-dir", "dir")
            .directory("link-to-dir")
            .file("link-to-dir/in", "new");
        archive.directory("dir", 0700).file("dir/kept", "kept").directory("dir", 0711);
        archive.file("linked", "a").hardlink("file-to-hard", "x").hardlink("linked", "twice");
        archive.file("dir/s").file("dir/s", "last").file("dir/s", "really last");
        const Extraction done = extract(layer.root_fd(), archive.build(), with(helpers));
        REQUIRE(done.error_text().empty());
        const Listing tree = listing(layer.root());
        CHECK_THAT(tree.at("twice"), Contains("content=second, longer") && Contains("links=2"));
        CHECK_THAT(tree.at("dir-to-file"), Contains("content=a file now"));
        CHECK_THAT(tree.at("file-to-dir"), Contains("040755"));
        CHECK_THAT(tree.at("file-to-dir/in"), Contains("content=new"));
        CHECK_THAT(tree.at("link-to-file"), Contains("content=own"));
        CHECK_THAT(tree.at("file-to-link"), Contains("-> twice"));
        CHECK_THAT(tree.at("link-to-dir/in"), Contains("content=new"));
        CHECK_THAT(tree.at("dir"), Contains("040711"));
        CHECK_THAT(tree.at("dir/kept"), Contains("content=kept"));
        CHECK_THAT(tree.at("linked"), Contains("content=second, longer"));
        CHECK_THAT(tree.at("dir/s"), Contains("content=really last"));
    }
}

TEST_CASE("extract: parents that no entry names are made; directories keep their times") {
    for (const unsigned helpers : helper_counts) {
        const LayerDir layer;
        ArchiveBuilder archive;
        archive.file("x")
            .file("a/b/c/file", "deep")
            .directory("a/b", 0700)
            .file("a/b/late", "later");
        archive.symlink("to-b", "a/b").file("to-b/through", "the link");
        archive.symlink("absolute", "/a/b/c").file("absolute/inside", "the root");
        archive.directory("./", 0711);
        const Extraction done = extract(layer.root_fd(), archive.build(), with(helpers));
        REQUIRE(done.error_text().empty());
        CHECK(done.result.entries == 9 + 3);
        ListingOptions no_times;
        no_times.mtimes = false;
        const Listing tree = listing(layer.root(), no_times);
        CHECK_THAT(tree.at("a"), Contains("040755"));
        CHECK_THAT(tree.at("a/b"), Contains("040700"));
        CHECK_THAT(tree.at("a/b/through"), Contains("content=the link"));
        CHECK_THAT(tree.at("a/b/c/inside"), Contains("content=the root"));
        CHECK(stat_of(layer.root() + "/a/b").st_mtim.tv_sec == 1'000'000'000);
        CHECK(stat_of(layer.root()).st_mtim.tv_sec == 1'000'000'000);
        CHECK((stat_of(layer.root()).st_mode & 07777) == 0711);
    }
}

TEST_CASE("extract: a parent that was replaced is not remembered") {
    for (const unsigned helpers : helper_counts) {
        CAPTURE(helpers);
        const LayerDir layer;
        ArchiveBuilder archive;
        archive.file("x").directory("a").directory("b").symlink("l", "a").file("l/first", "1");
        archive.symlink("l", "b").file("l/second", "2").directory("l").file("l/third", "3");
        archive.directory("c").file("c/old").symlink("c", "a").file("c/fourth", "4");
        REQUIRE(extract(layer.root_fd(), archive.build(), with(helpers)).error_text().empty());
        const Listing tree = listing(layer.root());
        CHECK(tree.contains("a/first"));
        CHECK(tree.contains("b/second"));
        CHECK(tree.contains("l/third"));
        CHECK(tree.contains("a/fourth"));
        CHECK(tree.size() == 9);
    }
}

TEST_CASE("extract: whiteouts take overlayfs' form") {
    if (!is_root()) {
        WARN("needs root for devices and trusted xattrs, skipped");
        return;
    }
    for (const unsigned helpers : helper_counts) {
        const LayerDir layer;
        ArchiveBuilder archive;
        archive.file("x")
            .directory("d")
            .file("d/.wh.gone")
            .file("a/.wh..wh..opq")
            .file("a/new", "n");
        archive.file(".wh..wh.plnk/1.2", "aufs").file(".wh..wh.aufs");
        // A directory that replaces what the layers below had, in both orders; and a file.
        archive.file(".wh.dir1").directory("dir1").file("dir1/in", "1");
        archive.directory("dir2").file("dir2/in", "2").file(".wh.dir2");
        archive.file(".wh.dir3").file("dir3/sub/in", "no entry for dir3");
        archive.file(".wh.file1").file("file1", "kept").file("file2", "kept").file(".wh.file2");
        archive.file(".wh.again").file(".wh.again");
        archive.directory("opq").file("opq/.wh..wh..opq").directory("opq", 0700);
        TarEntry sneaky = entry_of(TarType::directory, "sneaky", 0755);
        sneaky.xattrs = {{"trusted.overlay.redirect", "/etc"}, {"user.overlay.opaque", "y"}};
        archive.add(sneaky);
        const Extraction done = extract(layer.root_fd(), archive.build(), with(helpers));
        REQUIRE(done.error_text().empty());
        CHECK(done.result.whiteouts == 10);
        CHECK(done.result.xattrs_dropped == 2);
        const Listing tree = listing(layer.root());
        const char* device = "020000 0:0 links=1 rdev=0,0";
        CHECK_THAT(tree.at("d/gone"), Contains(device));
        CHECK_THAT(tree.at("again"), Contains(device));
        for (const char* opaque : {"a", "dir1", "dir2", "dir3", "opq"}) {
            CAPTURE(opaque);
            CHECK_THAT(tree.at(opaque), Contains("04") && Contains("trusted.overlay.opaque=y"));
        }
        CHECK_THAT(tree.at("dir3/sub/in"), Contains("no entry"));
        CHECK_THAT(tree.at("file1"), Contains("content=kept"));
        CHECK_THAT(tree.at("file2"), Contains("content=kept"));
        CHECK_THAT(tree.at("sneaky"), !Contains("overlay"));
        for (const auto& [path, text] : tree) {
            CHECK_THAT(path, !Contains(".wh."));
        }
    }
}

TEST_CASE("extract: whiteouts are plain files where they should be") {
    const LayerDir layer;
    LayerExtractOptions options;
    options.whiteouts = WhiteoutForm::literal;
    ArchiveBuilder archive;
    archive.file("d/.wh.file", "literal").file(".wh..wh..opq", "too");
    REQUIRE(extract(layer.root_fd(), archive.build(), options).error_text().empty());
    CHECK_THAT(listing(layer.root()).at("d/.wh.file"), Contains("content=literal"));
    CHECK_THAT(listing(layer.root()).at(".wh..wh..opq"), Contains("content=too"));
}

TEST_CASE("extract: sparse files have holes") {
    for (const unsigned helpers : helper_counts) {
        for (const char* version : {"0.0", "0.1", "1.0", "old"}) {
            const LayerDir layer;
            const std::string archive = fixture(std::string("gnu_sparse_") + version + ".tar.gz");
            const Extraction done = extract(layer.root_fd(), archive, with(helpers), 5000);
            REQUIRE(done.error_text().empty());
            const auto info = stat_of(layer.root() + "/sparse");
            CHECK(info.st_size == 5'000'000);
            CHECK(info.st_blocks * 512 < 1'000'000);
            CHECK((*file_read(layer.root() + "/sparse", 1 << 24) ==
                   parse_all(archive).at("sparse").content));
        }
    }
}

TEST_CASE("extract: a root that is not empty takes the archive in its order") {
    const LayerDir layer;
    REQUIRE(::mkdir((layer.root() + "/was-dir").c_str(), 0755) == 0);
    REQUIRE(file_replace(AT_FDCWD, layer.root() + "/was-file", "old"));
    ArchiveBuilder archive;
    archive.file("was-dir", "file").file("was-file", "new").file("other", "x");
    for (const unsigned helpers : helper_counts) {
        REQUIRE(extract(layer.root_fd(), archive.build(), with(helpers)).error_text().empty());
        CHECK_THAT(listing(layer.root()).at("was-dir"), Contains("content=file"));
        CHECK_THAT(listing(layer.root()).at("was-file"), Contains("content=new"));
    }
}

TEST_CASE("extract: helpers are started when there is work for them, and no more of them") {
    ArchiveBuilder few;
    few.file("a", "x").file("b", "y");
    ArchiveBuilder many;
    for (int i = 0; i < 3000; ++i) {
        many.file("f" + std::to_string(i), std::string(5000, 'x'));
    }
    for (const unsigned helpers : helper_counts) {
        const LayerDir layer;
        auto opened = LayerExtract::open(layer.root_fd(), with(helpers));
        REQUIRE(opened);
        REQUIRE(opened->feed(bytes_of(few.build()).first(2048)));
        CHECK(opened->helpers_started() == 0);
        REQUIRE(opened->feed(bytes_of(few.build()).subspan(2048)));

        auto next = LayerExtract::open(layer.root_fd(), with(helpers));
        REQUIRE(next);
        REQUIRE(next->feed(bytes_of(many.build())));
        CHECK(next->helpers_started() <= helpers);
        CHECK((next->helpers_started() > 0) == (helpers > 0));
        REQUIRE(next->finish());
        CHECK(listing(layer.root()).size() == 3002);
    }
}

TEST_CASE("extract: work beside has run when a feed returns, also with an error") {
    ArchiveBuilder archive;
    for (int i = 0; i < 100; ++i) {
        archive.file("f" + std::to_string(i), std::string(5000, 'x'));
    }
    const std::string bytes = archive.build();
    ArchiveBuilder wrong;
    wrong.file("../out", "x");
    for (const unsigned helpers : helper_counts) {
        const LayerDir layer;
        auto opened = LayerExtract::open(layer.root_fd(), with(helpers));
        REQUIRE(opened);
        int runs = 0;
        const auto beside = [&runs] { ++runs; };
        // Until the end's zero blocks: more follows.
        const std::size_t whole = bytes.size() / 512 * 512 - 20 * 512;
        for (std::size_t at = 0; at < whole; at += 51'200) {
            const std::size_t size = std::min<std::size_t>(51'200, whole - at);
            REQUIRE(opened->feed(bytes_of(bytes).subspan(at, size), beside));
            CHECK(runs == static_cast<int>(at / 51'200) + 1);
        }
        auto next = LayerExtract::open(layer.root_fd(), with(helpers));
        REQUIRE(next);
        runs = 0;
        CHECK_FALSE(next->feed(bytes_of(wrong.build()), beside));
        CHECK(runs == 1);
        CHECK_FALSE(next->feed(bytes_of(wrong.build()), beside));
        CHECK(runs == 2);
    }
}

TEST_CASE("extract: of several files that cannot be written the first in the archive is named") {
    // In a child: the limit belongs to the whole process.
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::signal(SIGXFSZ, SIG_IGN);
        const rlimit most{10'000, RLIM_INFINITY};
        bool right = ::setrlimit(RLIMIT_FSIZE, &most) == 0;
        ArchiveBuilder archive;
        for (int i = 0; i < 60; ++i) {
            archive.file("f" + std::to_string(i), std::string(i < 30 ? 900 : 20'000, 'x'));
        }
        archive.file("f3/below", "f3 is a file");
        for (const unsigned helpers : helper_counts) {
            for (int round = 0; round < 20; ++round) {
                const LayerDir layer;
                const Extraction done = extract(layer.root_fd(), archive.build(), with(helpers));
                right = right && done.error && done.error->errno_value() == EFBIG &&
                        done.error_text().starts_with("extract f30: ");
            }
        }
        ::_exit(right ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("extract: a hard link to what the layer does not have is left for later") {
    const auto links_of = [](const ArchiveBuilder& archive) {
        const LayerDir layer;
        const Extraction done = extract(layer.root_fd(), archive.build(), {}, 700);
        INFO(done.error_text());
        REQUIRE(!done.error);
        std::vector<std::pair<std::string, std::string>> links;
        for (const LinkBelow& link : done.result.links_below) {
            links.emplace_back(link.path, link.target);
        }
        return links;
    };
    using Links = std::vector<std::pair<std::string, std::string>>;
    ArchiveBuilder some;
    some.directory("d").symlink("s", "d").hardlink("s/h", "./below/f").hardlink("again", "d/h");
    CHECK(links_of(some) == Links{{"again", "below/f"}, {"d/h", "below/f"}});
    CHECK(links_of(some.file("again", "x")) == Links{{"d/h", "below/f"}});
    CHECK(links_of(some.file("d/.wh.h")) == Links{{"d/h", "below/f"}});
    CHECK(links_of(some.directory("d/h")).empty());

    ArchiveBuilder removed;
    removed.file(".wh.f").hardlink("h", "f");
    const LayerDir layer;
    const Extraction done = extract(layer.root_fd(), removed.build(), {});
    CHECK(done.kind() == ErrorKind::corrupt);
    CHECK(done.error_text().find("this layer removes it") != std::string::npos);
}
