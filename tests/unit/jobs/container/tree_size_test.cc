// Goal: a tree's bytes are counted as Docker counts them, and never what lies outside of it.
// Method: small trees in a temporary directory; steps of one entry see the same as one of many.
#include "jobs/container/tree_size.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/catch.h"
#include "tests/unit/graph/db/temp_dir.h"

using namespace davit;
using namespace davit::test;

namespace {

void file(const std::string& path, std::size_t bytes) {
    std::ofstream(path) << std::string(bytes, 'x');
}

std::uint64_t measure(const std::string& path, std::size_t entries) {
    Result<Fd> root = Fd::open(path, O_RDONLY | O_DIRECTORY);
    REQUIRE(root);
    TreeSize tree(*std::move(root));
    for (;;) {
        const Result<bool> more = tree.step(entries);
        REQUIRE(more);
        if (!*more) {
            return tree.bytes();
        }
    }
}

}  // namespace

TEST_CASE("files count, directories do not, and a file with two names counts once", "[tree]") {
    const TempDir directory;
    const std::string root = directory.path() + "/root";
    std::filesystem::create_directories(root + "/a/b/c");
    CHECK(measure(root, 100) == 0);
    file(root + "/one", 1000);
    file(root + "/a/b/c/two", 200);
    std::filesystem::create_hard_link(root + "/one", root + "/a/again");
    REQUIRE(::symlink("12345", (root + "/a/link").c_str()) == 0);
    REQUIRE(::mkfifo((root + "/fifo").c_str(), 0600) == 0);
    CHECK(measure(root, 1) == 1205);
    CHECK(measure(root, 3) == 1205);
    CHECK(measure(root, 100) == 1205);
}

TEST_CASE("a link out of the tree is not followed", "[tree]") {
    const TempDir directory;
    const std::string root = directory.path() + "/root";
    std::filesystem::create_directories(root);
    std::filesystem::create_directories(directory.path() + "/outside");
    file(directory.path() + "/outside/secret", 5000);
    REQUIRE(::symlink("../outside", (root + "/out").c_str()) == 0);
    CHECK(measure(root, 100) == 10);
}

TEST_CASE("a tree that goes away while it is measured is no error", "[tree]") {
    const TempDir directory;
    const std::string root = directory.path() + "/root";
    for (int i = 0; i < 20; ++i) {
        std::filesystem::create_directories(root + "/d" + std::to_string(i));
        file(root + "/d" + std::to_string(i) + "/f", 10);
    }
    Result<Fd> opened = Fd::open(root, O_RDONLY | O_DIRECTORY);
    REQUIRE(opened);
    TreeSize tree(*std::move(opened));
    REQUIRE(tree.step(30));
    std::filesystem::remove_all(root);
    Result<bool> more = true;
    while (more && *more) {
        more = tree.step(5);
    }
    CHECK(more);
    CHECK(tree.bytes() <= 200);
}
