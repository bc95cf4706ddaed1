// Goal: a tree of any shape goes away in slices, with few descriptors, and nothing beside it is
// touched. Method: hostile trees in a private directory, the descriptor limit lowered.
#include "reactor/base/tree_remove.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <type_traits>

#include "tests/support/catch.h"

using namespace davit;

static_assert(std::is_nothrow_move_constructible_v<TreeRemove>);

namespace {

struct TreeRoot {
    TreeRoot() {
        // Memory rather than disk: a hundred thousand directories are written and removed.
        char in_memory[] = "/dev/shm/davit-tree-test-XXXXXX";
        char on_disk[] = "/tmp/davit-tree-test-XXXXXX";
        path = ::mkdtemp(in_memory) != nullptr ? in_memory : ::mkdtemp(on_disk);
        fd = *Fd::open(path, O_RDONLY | O_DIRECTORY);
    }

    ~TreeRoot() { static_cast<void>(remove_tree(AT_FDCWD, path)); }

    bool has(const char* name) const {
        struct stat info {};

        return ::fstatat(fd.get(), name, &info, AT_SYMLINK_NOFOLLOW) == 0;
    }

    TreeRemove removal(const char* name) const {
        return TreeRemove(*Fd::duplicate(fd.get()), name);
    }

    std::string path;
    Fd fd;
};

/// A chain of directories, with a file in each hundredth.
void chain_make(int dir, int depth) {
    Fd current = *Fd::duplicate(dir);
    for (int i = 0; i < depth; ++i) {
        REQUIRE(::mkdirat(current.get(), "d", 0755) == 0);
        current = *Fd::openat(current.get(), "d", O_RDONLY | O_DIRECTORY);
        if (i % 100 == 0) {
            REQUIRE(Fd::openat(current.get(), "file", O_CREAT | O_WRONLY, 0644));
        }
    }
}

/// Lowers RLIMIT_NOFILE for one scope.
struct DescriptorLimit {
    explicit DescriptorLimit(rlim_t max) {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
        const rlimit lowered{max, before.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &lowered) == 0);
    }

    ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before); }

    rlimit before{};
};

}  // namespace

TEST_CASE("tree remove: deeper than any stack or descriptor table", "[base]") {
    const TreeRoot root;
    constexpr int depth = 100'000;
    chain_make(root.fd.get(), depth);
    const DescriptorLimit limit(80);
    TreeRemove removal = root.removal("d");
    Result<bool> done = false;
    std::uint64_t steps = 0;
    while (done && !*done) {
        done = removal.step(1000);
        ++steps;
    }
    REQUIRE(done);
    CHECK(steps > depth / 1000);
    CHECK(removal.removed() == depth + depth / 100);
    CHECK_FALSE(root.has("d"));
}

TEST_CASE("tree remove: wide at the depth where directories are moved up", "[base]") {
    const TreeRoot root;
    chain_make(root.fd.get(), 31);
    std::string deep = root.path;
    for (int i = 0; i < 31; ++i) {
        deep += "/d";
    }
    for (int i = 0; i < 50; ++i) {
        const std::string wide = deep + "/w" + std::to_string(i) + "/x/y";
        REQUIRE(make_directories(wide));
        REQUIRE(file_replace(AT_FDCWD, wide + "/file", "x"));
    }
    // The names that moving up would use are taken.
    REQUIRE(make_directories(root.path + "/d/.davit-remove-0/a"));
    REQUIRE(file_replace(AT_FDCWD, root.path + "/d/.davit-remove-1", "x"));
    REQUIRE(remove_tree(root.fd.get(), "d"));
    CHECK_FALSE(root.has("d"));
}

TEST_CASE("tree remove: works in slices of one, and missing or plain names are fine", "[base]") {
    const TreeRoot root;
    REQUIRE(make_directories(root.path + "/t/a/b"));
    REQUIRE(file_replace(AT_FDCWD, root.path + "/t/a/file", "x"));
    REQUIRE(::symlink("/etc", (root.path + "/t/link").c_str()) == 0);
    REQUIRE(::mkfifo((root.path + "/t/fifo").c_str(), 0600) == 0);
    TreeRemove removal = root.removal("t");
    int steps = 0;
    for (Result<bool> done = false; !*done; ++steps) {
        done = removal.step(1);
        REQUIRE(done);
    }
    CHECK(steps >= 6);
    CHECK_FALSE(root.has("t"));
    CHECK(*removal.step(1));
    CHECK(*root.removal("missing").step(1));
    REQUIRE(file_replace(AT_FDCWD, root.path + "/plain", "x"));
    CHECK(*root.removal("plain").step(1));
    CHECK_FALSE(root.has("plain"));
    REQUIRE(::symlink("/etc", (root.path + "/link").c_str()) == 0);
    CHECK(*root.removal("link").step(1));
    CHECK_FALSE(root.has("link"));
}

TEST_CASE("tree remove: mounts are not entered", "[base]") {
    if (::geteuid() != 0) {
        WARN("needs root, skipped");
        return;
    }
    const TreeRoot root;
    REQUIRE(make_directories(root.path + "/precious"));
    REQUIRE(file_replace(AT_FDCWD, root.path + "/precious/file", "x"));
    REQUIRE(make_directories(root.path + "/t/mounted"));
    // A bind mount of the same file system: st_dev alone would not tell.
    const std::string target = root.path + "/t/mounted";
    if (::mount((root.path + "/precious").c_str(), target.c_str(), nullptr, MS_BIND, nullptr) !=
        0) {
        WARN("cannot mount here, skipped");
        return;
    }
    auto removed = root.removal("t").step(100);
    CHECK(::umount2(target.c_str(), MNT_DETACH) == 0);
    REQUIRE_FALSE(removed);
    CHECK(removed.error().kind() == ErrorKind::conflict);
    CHECK(root.has("precious/file"));
}
