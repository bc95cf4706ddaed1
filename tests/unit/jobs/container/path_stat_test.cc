// Goal: a path of a container is found inside its root and nowhere else, and described as Go does.
// Method: a tree with links of every kind in a temporary directory, whose parent has the same
// names.
#include "jobs/container/path_stat.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/catch.h"
#include "tests/unit/graph/db/temp_dir.h"

using namespace davit;
using namespace davit::test;

namespace {

class Tree {
  public:
    Tree() {
        REQUIRE(::mkdir(root().c_str(), 0755) == 0);
        REQUIRE(::mkdir((root() + "/d").c_str(), 0700) == 0);
        REQUIRE(file_replace(AT_FDCWD, temp_.path() + "/secret", "outside"));
        REQUIRE(file_replace(AT_FDCWD, root() + "/d/f", "four"));
        link("/d", "abs");
        link("../../../../d/f", "climb");
        link("../secret", "out");
        link("loop", "loop");
        link("abs/none/../x", "broken");
        fd_ = must(Fd::open(root(), O_RDONLY | O_DIRECTORY));
    }

    std::string root() const { return temp_.path() + "/root"; }

    int fd() const { return fd_.get(); }

  private:
    void link(const char* target, const char* name) {
        REQUIRE(::symlink(target, (root() + "/" + name).c_str()) == 0);
    }

    TempDir temp_;
    Fd fd_;
};

}  // namespace

TEST_CASE("paths are made clean, their ends kept", "[cp]") {
    CHECK(copy_path_clean("a/../b") == "/b");
    CHECK(copy_path_clean("/a/b/") == "/a/b/");
    CHECK(copy_path_clean("/a/.") == "/a/.");
    CHECK(copy_path_clean(".") == "/.");
    CHECK(copy_path_base("/a/b/") == "b");
    CHECK(copy_path_base("/a/.") == ".");
    CHECK(copy_path_base("/") == "/");
    CHECK(copy_path_parent("/a/b") == "/a/");
}

TEST_CASE("modes are Go's", "[cp]") {
    CHECK(go_file_mode(S_IFREG | 0640) == 0640);
    CHECK(go_file_mode(S_IFDIR | 01777) == ((1U << 31) | (1U << 20) | 0777));
    CHECK(go_file_mode(S_IFLNK | 0777) == ((1U << 27) | 0777));
    CHECK(go_file_mode(S_IFREG | 06755) == ((1U << 23) | (1U << 22) | 0755));
    CHECK(go_file_mode(S_IFCHR) == ((1U << 26) | (1U << 21)));
    CHECK(go_file_mode(S_IFBLK) == 1U << 26);
    CHECK(go_file_mode(S_IFIFO) == 1U << 25);
    CHECK(go_file_mode(S_IFSOCK) == 1U << 24);
}

TEST_CASE("a name is found inside the root, whatever leads to it", "[cp]") {
    const Tree tree;
    const ContainerPath file = must(container_path_find(tree.fd(), "/abs/f"));
    CHECK(file.stat.size == 4);
    CHECK(file.stat.name == "f");
    CHECK_FALSE(file.is_directory());
    CHECK(must(container_path_find(tree.fd(), "/abs/")).is_directory());
    const ContainerPath link = must(container_path_find(tree.fd(), "/climb"));
    CHECK(S_ISLNK(link.type));
    CHECK(link.stat.link_target == "/d/f");
    CHECK(must(container_path_find(tree.fd(), "/out")).stat.link_target == "/secret");
    CHECK(must(container_links_follow(tree.fd(), "/broken")) == "/d/x");
    CHECK_FALSE(container_links_follow(tree.fd(), "/loop"));
    for (const char* path : {"/../secret", "/out/x", "/none"}) {
        const auto missing = container_path_find(tree.fd(), path);
        REQUIRE_FALSE(missing);
        CHECK(missing.error().kind() == ErrorKind::not_found);
    }
    CHECK(container_directory_open(tree.fd(), "/abs"));
    const auto no_directory = container_directory_open(tree.fd(), "/climb");
    REQUIRE_FALSE(no_directory);
    CHECK(no_directory.error().message() == "extraction point is not a directory");
}
