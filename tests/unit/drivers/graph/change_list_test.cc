/// Goal: the paths that a container changed, as Docker names them. Method: an upper and a lower
/// directory as overlayfs has them; needs root for whiteouts.
#include "drivers/graph/change_list.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/support/catch.h"

using namespace davit;

namespace {

using Changes = std::map<std::string, ChangeKind>;
constexpr ChangeKind modified = ChangeKind::modified;
constexpr ChangeKind added = ChangeKind::added;
constexpr ChangeKind deleted = ChangeKind::deleted;

class Trees {
  public:
    Trees() {
        char pattern[] = "/var/tmp/davit-changes-XXXXXX";
        root_ = ::mkdtemp(pattern);
        directory("lower");
        directory("upper");
    }

    ~Trees() { static_cast<void>(remove_tree(AT_FDCWD, root_)); }

    Trees(const Trees&) = delete;
    Trees& operator=(const Trees&) = delete;

    void directory(const std::string& path) const {
        REQUIRE(::mkdir((root_ + "/" + path).c_str(), 0755) == 0);
    }

    /// With a time of change that says nothing by itself.
    void file(const std::string& path, const std::string& text = "text") const {
        const std::string full = root_ + "/" + path;
        const auto fd = Fd::open(full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        REQUIRE(fd);
        REQUIRE(write_all(fd->get(), text));
        const timespec times[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
        REQUIRE(::utimensat(AT_FDCWD, full.c_str(), times, 0) == 0);
    }

    void whiteout(const std::string& path) const {
        REQUIRE(::mknod((root_ + "/" + path).c_str(), S_IFCHR, makedev(0, 0)) == 0);
    }

    void opaque(const std::string& path) const {
        REQUIRE(::setxattr((root_ + "/" + path).c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0);
    }

    const std::string& root() const { return root_; }

    Changes changes(bool with_lower = true) const {
        auto upper = Fd::open(root_ + "/upper", O_RDONLY | O_DIRECTORY);
        auto lower = Fd::open(root_ + "/lower", O_RDONLY | O_DIRECTORY);
        REQUIRE(upper);
        REQUIRE(lower);
        ChangeList list(*std::move(upper), with_lower ? *std::move(lower) : Fd());
        for (Result<bool> more = true; more && *more;) {
            more = list.step(1);
            REQUIRE(more);
        }
        return list.changes();
    }

  private:
    std::string root_;
};

}  // namespace

TEST_CASE("nothing was changed", "[changes]") {
    const Trees trees;
    trees.file("lower/a");
    CHECK(trees.changes().empty());
    trees.directory("lower/etc");
    trees.directory("upper/etc");  // Copied up, and nothing in it.
    CHECK(trees.changes().empty());
}

TEST_CASE("added, modified, deleted", "[changes]") {
    const Trees trees;
    trees.directory("lower/etc");
    trees.file("lower/etc/changed");
    trees.file("lower/etc/kept");
    trees.file("lower/etc/gone");
    trees.file("lower/etc/touched");
    trees.directory("upper/etc");
    trees.file("upper/etc/changed", "other text");
    trees.file("upper/etc/touched");
    trees.whiteout("upper/etc/gone");
    trees.whiteout("upper/etc/never-was");
    trees.directory("upper/new");
    trees.directory("upper/new/deep");
    trees.file("upper/new/deep/file");
    const Changes expected{{"/etc", modified},
                           {"/etc/changed", modified},
                           {"/etc/gone", deleted},
                           {"/new", added},
                           {"/new/deep", added},
                           {"/new/deep/file", added}};
    CHECK(trees.changes() == expected);
}

TEST_CASE("what a directory was replaced by", "[changes]") {
    const Trees trees;
    trees.directory("lower/dir");
    trees.file("lower/dir/old");
    trees.file("lower/dir/same");
    trees.directory("lower/dir/sub");
    trees.directory("upper/dir");
    trees.opaque("upper/dir");
    trees.file("upper/dir/same");
    trees.file("upper/dir/fresh");
    trees.directory("lower/becomes-file");
    trees.file("lower/becomes-file/x");
    trees.file("upper/becomes-file");
    trees.file("lower/becomes-dir");
    trees.directory("upper/becomes-dir");
    trees.file("upper/becomes-dir/x");
    const Changes expected{{"/becomes-dir", modified},
                           {"/becomes-dir/x", added},
                           {"/becomes-file", modified},
                           {"/dir", modified},
                           {"/dir/fresh", added},
                           {"/dir/old", deleted},
                           {"/dir/sub", deleted}};
    CHECK(trees.changes() == expected);
}

TEST_CASE("a mode is a change, a directory's time is none", "[changes]") {
    const Trees trees;
    trees.directory("lower/a");
    trees.directory("upper/a");
    trees.directory("lower/b");
    trees.directory("upper/b");
    REQUIRE(::chmod((trees.root() + "/upper/b").c_str(), 0700) == 0);
    CHECK(trees.changes() == Changes{{"/b", modified}});
}

TEST_CASE("places for the default mounts are nobody's change", "[changes]") {
    const Trees trees;
    for (const char* path : {"dev", "proc", "sys", "etc"}) {
        trees.directory(std::string("upper/") + path);
    }
    trees.file("upper/etc/hosts", "");
    trees.file("upper/etc/resolv.conf", "");
    trees.file("upper/etc/hostname", "");
    CHECK(trees.changes(false).empty());
    trees.file("upper/etc/passwd", "");
    CHECK(trees.changes(false) == Changes{{"/etc", modified}, {"/etc/passwd", added}});
}

TEST_CASE("no link leads out of either tree", "[changes]") {
    const Trees trees;
    trees.directory("lower/real");
    trees.file("lower/real/x");
    REQUIRE(::symlink("real", (trees.root() + "/lower/link").c_str()) == 0);
    trees.directory("upper/link");
    trees.file("upper/link/x");
    // Through the link there would be an x.
    CHECK(trees.changes() == Changes{{"/link", modified}, {"/link/x", added}});
}
