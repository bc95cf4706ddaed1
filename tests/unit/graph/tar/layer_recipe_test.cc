// Goal: whatever archive a layer was unpacked from, the very same bytes come out of it again; and a
// layer that was changed meanwhile is an error, never another archive. Method: archives of every
// kind by hand, fixtures of other archivers, and many random ones; each unpacked and packed again.
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "graph/pax.h"
#include "tests/support/catch.h"
#include "tests/unit/graph/tar/recipe_support.h"
#include "tests/unit/graph/tar/tar_support.h"

using namespace davit;
using namespace davit::test;

namespace {

void check_same(const std::string& archive, std::size_t slice_in, std::size_t slice_out) {
    const RecipeDir dir;
    const Extraction extraction = extract_recorded(dir, archive, slice_in);
    REQUIRE(extraction.error_text() == "");
    const Repacked again = repack(dir, archive, slice_out);
    CHECK(again.error_text() == "");
    CHECK((again.archive == archive));
}

void check_same(const std::string& archive) {
    check_same(archive, SIZE_MAX, 65536);
    check_same(archive, 700, 513);
}

std::string text_of(std::mt19937_64& random, std::size_t size) {
    std::string text(size, '\0');
    for (char& c : text) {
        c = random() % 3 == 0 ? '\0' : static_cast<char>(random());
    }
    return text;
}

/// Archives with everything that formats and archivers know, in random order.
class RandomArchive {
  public:
    explicit RandomArchive(std::uint64_t seed) : random_(seed) {}

    std::string make() {
        const std::size_t entries = random_() % 16;
        for (std::size_t i = 0; i < entries; ++i) {
            entry();
        }
        static constexpr std::size_t trailers[] = {0, 2, 3, 20};
        archive_ += zero_blocks(trailers[random_() % 4]);
        if (random_() % 4 == 0 && archive_.ends_with(zero_blocks(2))) {
            archive_ += text_of(random_, random_() % 2000);  // Swallowed by every reader.
        }
        return std::move(archive_);
    }

  private:
    /// Few names, so that they collide, and files take the place of directories.
    std::string name() {
        static const char* const names[] = {"a",
                                            "b",
                                            "dir",
                                            "dir/a",
                                            "dir/b",
                                            "dir/sub/c",
                                            "link",
                                            "link/a",
                                            "d/e/f",
                                            "./a",
                                            "dir//b"};
        return names[random_() % std::size(names)];
    }

    std::size_t size() {
        static constexpr std::size_t sizes[] = {0, 1, 511, 512, 513, 4096, 70000};
        return random_() % 3 == 0 ? random_() % 3000 : sizes[random_() % std::size(sizes)];
    }

    void links(char type) {
        RawHeader raw;
        raw.name = name();
        raw.type = type;
        raw.linkname = type == '2' ? "dir" : last_file_;
        if (type == '1' && (last_file_.empty() || raw.name == last_file_)) {
            return;
        }
        archive_ += raw_block(raw);
        if (type == '2') {
            last_file_.clear();  // It may have taken the place of a parent.
        }
    }

    void sparse() {
        const std::string data = text_of(random_, 2000);
        if (random_() % 2 == 0) {
            RawHeader raw;
            raw.name = name();
            archive_ += raw_pax({{"GNU.sparse.map", "100,700,5000,1300"},
                                 {"GNU.sparse.size", "9000"},
                                 {"GNU.sparse.name", raw.name}}) +
                        raw_entry(raw, data);
        } else {
            std::string map = "2\n0\n1000\n1500\n1000\n";
            map.resize(tar_block_bytes, '\0');
            RawHeader raw;
            raw.name = name();
            archive_ += raw_pax({{"GNU.sparse.major", "1"},
                                 {"GNU.sparse.minor", "0"},
                                 {"GNU.sparse.realsize", "2500"}}) +
                        raw_entry(raw, map + data);
        }
        last_file_.clear();
    }

    void file() {
        RawHeader raw;
        raw.name = name();
        const std::string data = text_of(random_, size());
        switch (random_() % 6) {
            case 0: {
                RawHeader name_header;
                name_header.name = "././@LongLink";
                name_header.type = 'L';
                name_header.magic = std::string("ustar  \0", 8);
                raw.name = "long/" + std::string(150, 'n') + std::to_string(random_() % 3);
                archive_ += raw_entry(name_header, raw.name + '\0') + raw_entry(raw, data);
                break;
            }
            case 1:
                archive_ += raw_pax({{"mtime", "1.5"},
                                     {"SCHILY.xattr.user.note", "x"},
                                     {"comment", text_of(random_, 900)}}) +
                            raw_entry(raw, data);
                break;
            case 2:
                archive_ += raw_pax({{"comment", "global"}}, 'g') + raw_entry(raw, data);
                break;
            default:
                archive_ += raw_entry(raw, data);
                break;
        }
        last_file_ = raw.name;
    }

    void entry() {
        RawHeader raw;
        raw.name = name();
        switch (random_() % 12) {
            case 0:
                raw.type = '5';
                archive_ += raw_block(raw);
                last_file_.clear();
                return;
            case 1:
                return links('2');
            case 2:
            case 3:
                return links('1');
            case 4:
                raw.name = random_() % 2 == 0 ? ".wh.gone" : "dir/.wh..wh..opq";
                archive_ += raw_entry(raw, random_() % 4 == 0 ? "a whiteout with data" : "");
                last_file_.clear();
                return;
            case 5:
                return sparse();
            default:
                return file();
        }
    }

    std::mt19937_64 random_;
    std::string archive_;
    std::string last_file_;
};

}  // namespace

TEST_CASE("archives of other archivers come out as they went in", "[recipe]") {
    for (const char* name : {"gnu_ustar.tar",
                             "gnu_gnu.tar",
                             "gnu_pax.tar",
                             "gnu_v7.tar",
                             "python_pax.tar",
                             "python_gnu.tar",
                             "gnu_sparse_0.0.tar.gz",
                             "gnu_sparse_0.1.tar.gz",
                             "gnu_sparse_1.0.tar.gz",
                             "gnu_sparse_old.tar.gz"}) {
        CAPTURE(name);
        check_same(fixture(name));
    }
}

TEST_CASE("ends of every kind", "[recipe]") {
    const std::string entry = raw_entry({}, "content");
    check_same("");
    check_same(zero_blocks(2));
    check_same(entry);                     // No end marker.
    check_same(entry + zero_blocks(1));    // Half of one.
    check_same(entry + zero_blocks(200));  // GNU tar's record size, and more.
    check_same(entry + zero_blocks(2) + "garbage" + std::string(100'000, 'x'));
    check_same(raw_entry({}, std::string(3'000'000, 'x')) + zero_blocks(2));
}

TEST_CASE("contents that later entries replace are kept", "[recipe]") {
    const std::string first(1000, '1');
    const std::string second(600, '2');
    const auto named = [](const std::string& name, const std::string& data) {
        RawHeader raw;
        raw.name = name;
        return raw_entry(raw, data);
    };
    const auto link = [](char type, const std::string& name, const std::string& target) {
        RawHeader raw;
        raw.name = name;
        raw.type = type;
        raw.linkname = target;
        return raw_block(raw);
    };
    RawHeader directory;
    directory.name = "d";
    directory.type = '5';
    // The last wins, twice over.
    check_same(named("a", first) + named("a", second) + named("./a", "3") + zero_blocks());
    // A directory with files makes room for a file, and that for a directory with the same files.
    check_same(raw_block(directory) + named("d/x", first) + named("d/e/y", second) +
               named("d", "file") + raw_block(directory) + named("d/x", second) + zero_blocks());
    // One file by two names: the one that is replaced is the link, then the file.
    check_same(named("a", first) + link('1', "b", "a") + named("b", second) + zero_blocks());
    check_same(named("a", first) + link('1', "b", "a") + named("a", second) + zero_blocks());
    check_same(named("a", first) + link('1', "b", "a") + named("b", second) + named("b", first) +
               zero_blocks());
    // Through a symbolic link of the archive itself, which is replaced as well.
    check_same(raw_block(directory) + link('2', "l", "d") + named("l/x", first) +
               named("d/x", second) + link('2', "l", "elsewhere") + named("m/x", second) +
               zero_blocks());
    check_same(raw_block(directory) + named("d/x", first) + link('2', "l", "/d") +
               named("l/x", second) + zero_blocks());
    // A file makes room for what is no file.
    check_same(named("a", first) + link('2', "a", "b") + named("b", second) + raw_block(directory) +
               zero_blocks());
}

TEST_CASE("links do not make the kept contents larger than the files", "[recipe]") {
    std::string archive = raw_entry({}, std::string(100'000, 'x'));
    for (int i = 0; i < 50; ++i) {
        RawHeader raw;
        raw.name = "link" + std::to_string(i);
        raw.type = '1';
        raw.linkname = "file";
        archive += raw_block(raw);
        raw.type = '0';
        archive += raw_entry(raw, "small");
    }
    const RecipeDir dir;
    REQUIRE(extract_recorded(dir, archive).error_text() == "");
    CHECK_FALSE(Fd::open(dir.path() + "/replaced", O_RDONLY));
    CHECK((repack(dir, archive).archive == archive));
}

TEST_CASE("a huge sparse file that is replaced takes no space", "[recipe]") {
    const std::string sparse = raw_pax({{"GNU.sparse.map", "100,700,500000000000,1300"},
                                        {"GNU.sparse.size", "900000000000"},
                                        {"GNU.sparse.name", "file"}}) +
                               raw_entry({}, std::string(2000, 'x'));
    const std::string archive = sparse + raw_entry({}, "small") + zero_blocks();
    const RecipeDir dir;
    REQUIRE(extract_recorded(dir, archive).error_text() == "");

    struct stat info {};

    REQUIRE(::stat((dir.path() + "/replaced").c_str(), &info) == 0);
    CHECK(info.st_blocks * 512 < 1'000'000);
    CHECK((repack(dir, archive).archive == archive));
}

TEST_CASE("random archives come out as they went in", "[recipe]") {
    std::size_t unpacked = 0;
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
        CAPTURE(seed);
        const std::string archive = RandomArchive(seed).make();
        const RecipeDir dir;
        const Extraction extraction = extract_recorded(dir, archive, 1 + seed * 97 % 5000);
        if (extraction.error) {
            // A parent that is a file, a link to nothing: not every mixture is a layer.
            CAPTURE(extraction.error_text());
            CHECK(extraction.kind() != ErrorKind::resource_exhausted);
            continue;
        }
        ++unpacked;
        const Repacked again = repack(dir, archive, 1 + seed * 131 % 9000);
        CHECK(again.error_text() == "");
        CHECK((again.archive == archive));
    }
    CHECK(unpacked > 200);
}

TEST_CASE("a layer that was changed is an error that names it", "[recipe]") {
    RawHeader raw;
    raw.name = "dir/file";
    const std::string archive =
        raw_entry(raw, std::string(5000, 'x')) + raw_entry({}, "other") + zero_blocks();
    const auto error_after = [&](auto change) {
        const RecipeDir dir;
        REQUIRE(extract_recorded(dir, archive).error_text() == "");
        change(dir);
        const Repacked again = repack(dir, archive);
        REQUIRE(again.error);
        CHECK(again.error->kind() == ErrorKind::corrupt);
        CHECK(again.archive.size() < archive.size());
        CHECK(again.error_text().find(sha256_of(archive).str()) != std::string::npos);
        return again.error_text();
    };
    const auto file_of = [](const RecipeDir& dir) { return dir.root() + "/dir/file"; };
    CHECK(error_after([&](const RecipeDir& dir) {
              REQUIRE(file_replace(AT_FDCWD, file_of(dir), std::string(5000, 'y')));
          }).find("have changed") != std::string::npos);
    CHECK(error_after([&](const RecipeDir& dir) {
              REQUIRE(::truncate(file_of(dir).c_str(), 4000) == 0);
          }).find("shorter") != std::string::npos);
    error_after([&](const RecipeDir& dir) { REQUIRE(::unlink(file_of(dir).c_str()) == 0); });
    // The same bytes, but by a way out of the layer.
    error_after([&](const RecipeDir& dir) {
        REQUIRE(::rename((dir.root() + "/dir").c_str(), (dir.path() + "/moved").c_str()) == 0);
        REQUIRE(::symlink("../moved", (dir.root() + "/dir").c_str()) == 0);
    });
    error_after([&](const RecipeDir& dir) {
        REQUIRE(::unlink(file_of(dir).c_str()) == 0);
        REQUIRE(::mkfifo(file_of(dir).c_str(), 0600) == 0);
    });
}

TEST_CASE("a recipe that is damaged, cut short or missing is an error", "[recipe]") {
    const std::string archive = raw_entry({}, std::string(5000, 'x')) + zero_blocks();
    const RecipeDir dir;
    REQUIRE(extract_recorded(dir, archive).error_text() == "");
    const std::string path = dir.path() + "/recipe";
    const std::string recipe = *file_read(path);
    for (std::size_t at = 0; at < recipe.size(); ++at) {
        std::string damaged = recipe;
        damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
        REQUIRE(file_replace(AT_FDCWD, path, damaged));
        CAPTURE(at);
        const Repacked again = repack(dir, archive);
        CHECK((again.error || again.archive == archive));
        REQUIRE(file_replace(AT_FDCWD, path, recipe.substr(0, at)));
        CHECK(repack(dir, archive).error);
    }
    REQUIRE(::unlink(path.c_str()) == 0);
    CHECK(repack(dir, archive).error->kind() == ErrorKind::unsupported);
}
