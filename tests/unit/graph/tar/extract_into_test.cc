// Goal: an archive into a directory of a tree that lives (docker cp) replaces only what it may,
// takes links from the tree's root, and never touches what lies outside. Method: trees with links
// and mounts; a thread that swaps names while an archive is unpacked.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "graph/layer_extract.h"
#include "tests/support/catch.h"
#include "tests/unit/graph/tar/layer_support.h"

using namespace davit;
using namespace davit::test;

namespace {

std::shared_ptr<ExtractInto> into_of(const LayerDir& dir, const std::string& path) {
    auto into = std::make_shared<ExtractInto>();
    into->root = dir.root_fd();
    into->path = path;
    return into;
}

Extraction extract_into(const LayerDir& dir,
                        std::string_view archive,
                        std::shared_ptr<ExtractInto> into) {
    Result<Fd> target = Fd::open(dir.root() + into->path, O_RDONLY | O_DIRECTORY);
    REQUIRE(target);
    LayerExtractOptions options;
    options.whiteouts = WhiteoutForm::literal;
    options.into = std::move(into);
    return extract(*std::move(target), archive, std::move(options));
}

TarEntry entry_of(TarType type, const std::string& path) {
    TarEntry entry;
    entry.type = type;
    entry.path = path;
    entry.mode = 0644;
    entry.uid = ::geteuid();
    entry.gid = ::getegid();
    return entry;
}

std::string archive_of(std::initializer_list<TarEntry> entries) {
    std::string bytes;
    TarWriter tar(bytes);
    for (const TarEntry& entry : entries) {
        REQUIRE(tar.add(entry, entry.type == TarType::file ? "new" : ""));
    }
    tar.finish();
    return bytes;
}

}  // namespace

TEST_CASE("links on the way lead from the tree's root", "[into]") {
    const LayerDir dir;
    std::filesystem::create_directories(dir.root() + "/dest");
    std::filesystem::create_directories(dir.root() + "/real");
    std::filesystem::create_symlink("/real", dir.root() + "/dest/abs");
    std::filesystem::create_symlink("../../../real", dir.root() + "/dest/up");
    const Listing before = dir.outside();
    const std::string archive = archive_of({entry_of(TarType::file, "abs/a"),
                                            entry_of(TarType::file, "up/b"),
                                            entry_of(TarType::file, "made/c")});
    const Extraction done = extract_into(dir, archive, into_of(dir, "/dest"));
    CHECK(done.error_text() == "");
    CHECK(std::filesystem::exists(dir.root() + "/real/a"));
    CHECK(std::filesystem::exists(dir.root() + "/real/b"));
    CHECK(std::filesystem::exists(dir.root() + "/dest/made/c"));
    CHECK(dir.outside() == before);
}

TEST_CASE("directories stay if asked for, and the directory itself is left alone", "[into]") {
    const LayerDir dir;
    std::filesystem::create_directories(dir.root() + "/dest/d");
    REQUIRE(file_replace(AT_FDCWD, dir.root() + "/dest/f", "old"));
    auto into = into_of(dir, "/dest");
    into->directories_stay = true;
    Extraction done = extract_into(dir, archive_of({entry_of(TarType::file, "d")}), into);
    CHECK(done.error_text().find("cannot overwrite directory \"/dest/d\" with non-directory "
                                 "\"/dest\"") != std::string::npos);
    done = extract_into(dir, archive_of({entry_of(TarType::directory, "f")}), into);
    CHECK(done.error_text().find("cannot overwrite non-directory") != std::string::npos);
    TarEntry top = entry_of(TarType::directory, ".");
    top.mode = 0;
    into->first_name = "renamed";
    TarEntry first = entry_of(TarType::file, "./x");
    done = extract_into(dir, archive_of({first}), into);
    CHECK(done.error_text() == "");
    CHECK(std::filesystem::exists(dir.root() + "/dest/renamed/x"));
    done =
        extract_into(dir, archive_of({top, entry_of(TarType::file, "d")}), into_of(dir, "/dest"));
    CHECK(done.error_text() == "");
    CHECK(std::filesystem::is_regular_file(dir.root() + "/dest/d"));

    struct stat info {};

    REQUIRE(::stat((dir.root() + "/dest").c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0755);
}

TEST_CASE("what is mounted is not taken away", "[into]") {
    if (::geteuid() != 0) {
        WARN("skipped: needs root to mount");
        return;
    }
    const LayerDir dir;
    REQUIRE(file_replace(AT_FDCWD, dir.root() + "/f", "under"));
    REQUIRE(file_replace(AT_FDCWD, dir.root() + "/source", "over"));
    const std::string target = dir.root() + "/f";
    REQUIRE(::mount((dir.root() + "/source").c_str(), target.c_str(), nullptr, MS_BIND, nullptr) ==
            0);
    const Extraction done =
        extract_into(dir, archive_of({entry_of(TarType::file, "f")}), into_of(dir, ""));
    CHECK(done.error_text().find("busy") != std::string::npos);
    CHECK(::umount(target.c_str()) == 0);
}

// CVE-2018-15664: a name that was a directory or a node when it was looked at is a link out of the
// tree when it is used.
TEST_CASE("names that are swapped meanwhile lead nowhere", "[into]") {
    if (::geteuid() != 0) {
        WARN("skipped: needs root to make nodes");
        return;
    }
    const LayerDir dir;
    std::filesystem::create_directories(dir.root() + "/dest/d");
    const std::string outside = dir.path() + "/victim";
    REQUIRE(file_replace(AT_FDCWD, outside, "untouched", 0600));
    const Listing before = dir.outside();
    std::atomic<bool> stop = false;
    std::thread attacker([&] {
        const std::string node = dir.root() + "/dest/node";
        const std::string folder = dir.root() + "/dest/d";
        const std::string link = dir.root() + "/dest/link";
        while (!stop) {
            ::unlink(node.c_str());
            static_cast<void>(::symlink(outside.c_str(), node.c_str()));
            static_cast<void>(::symlink(dir.path().c_str(), link.c_str()));
            ::renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE);
        }
    });
    TarEntry node = entry_of(TarType::fifo, "node");
    node.mode = 0777;
    const std::string archive = archive_of({node, entry_of(TarType::file, "d/written")});
    for (int round = 0; round < 2000; ++round) {
        static_cast<void>(extract_into(dir, archive, into_of(dir, "/dest")));
    }
    stop = true;
    attacker.join();
    CHECK(dir.outside() == before);
}
