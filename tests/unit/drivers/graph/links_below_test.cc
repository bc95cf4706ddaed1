// Goal: a hard link to a file of a lower layer becomes what link(2) in a mounted overlay makes of
// it, and touches nothing else. Method: trees made by hand; what overlayfs does is compared with.
#include "drivers/graph/links_below.h"

#include "tests/unit/drivers/graph/driver_support.h"

using namespace davit;
using namespace davit::test;

namespace {

void fill(const LayerDir& directory, const ArchiveBuilder& archive) {
    const Extraction done = extract(directory.root_fd(), archive.build(), {});
    INFO(done.error_text());
    REQUIRE(!done.error);
}

ArchiveBuilder lower() {
    ArchiveBuilder archive;
    TarEntry owned = entry_of(TarType::directory, "etc", 02750);
    owned.uid = 1000;
    owned.mtime = {12345, 6789};
    archive.add(owned).directory("etc/deep", 0711);
    TarEntry file = entry_of(TarType::file, "etc/deep/f", 04751);
    file.gid = 2000;
    file.mtime = {54321, 1};
    file.xattrs.push_back({"user.davit", "kept"});
    archive.add(file, "below").hardlink("etc/deep/twin", "etc/deep/f").symlink("s", "etc/deep");
    archive.directory("empty").symlink("etc/dangling", "nowhere");
    return archive;
}

ino_t inode(const LayerDir& layer, const std::string& path) {
    struct stat info {};

    REQUIRE(::lstat((layer.root() + "/" + path).c_str(), &info) == 0);
    return info.st_ino;
}

}  // namespace

TEST_CASE("a link to a file below: the file and its parents are copied up") {
    const LayerDir below;
    fill(below, lower());
    const LayerDir layer;
    fill(layer, ArchiveBuilder().directory("usr", 0700));
    const Listing before = listing(layer.root());
    const LinkBelow links[] = {{"h", "etc/deep/f"},
                               {"usr/h", "etc/deep/f"},
                               {"usr/l", "etc/dangling"},
                               {"usr/twin", "etc/deep/twin"}};
    const Fd lower_root = below.root_fd();
    const Fd root = layer.root_fd();
    CHECK(must(links_below_make(lower_root.get(), root.get(), links)) == 10);
    Listing after = listing(layer.root());
    const Listing source = listing(below.root());
    CHECK(after.at("usr") == before.at("usr"));
    CHECK(after.at("etc") == source.at("etc"));
    CHECK(after.at("etc/deep") == source.at("etc/deep"));
    CHECK(content(root, "h") == "below");
    for (const char* name : {"usr/h", "usr/twin", "etc/deep/f", "etc/deep/twin"}) {
        CHECK(inode(layer, name) == inode(layer, "h"));
    }
    CHECK(inode(layer, "usr/l") == inode(layer, "etc/dangling"));
    CHECK(after.size() == 10);
}

TEST_CASE("a link to a file below that the layer hides or has itself: only a copy") {
    const LayerDir below;
    fill(below, lower());
    const Fd lower_root = below.root_fd();
    const LinkBelow links[] = {{"h", "etc/deep/f"}};
    ArchiveBuilder archives[4];
    archives[0].directory("etc").directory("etc/deep").file("etc/deep/f", "own");
    archives[1].directory("etc").directory("etc/deep").file("etc/deep/.wh.f");
    archives[2].directory("etc").file("etc/.wh.deep");
    archives[3].directory("etc").file("etc/.wh..wh..opq");
    for (const ArchiveBuilder& archive : archives) {
        const LayerDir layer;
        fill(layer, archive);
        Listing before = listing(layer.root());
        const Fd root = layer.root_fd();
        CHECK(must(links_below_make(lower_root.get(), root.get(), links)) == 5);
        CHECK(content(root, "h") == "below");
        Listing after = listing(layer.root());
        CHECK(after.erase("h") == 1);
        CHECK(after == before);
    }
}

TEST_CASE("a link to nothing, to a directory or past a symbolic link below is refused") {
    const LayerDir below;
    fill(below, lower());
    const Fd lower_root = below.root_fd();
    const LayerDir layer;
    const Fd root = layer.root_fd();
    const auto refused = [&](const std::string& target) {
        const LinkBelow links[] = {{"h", target}};
        const auto made = links_below_make(lower_root.get(), root.get(), links);
        REQUIRE(!made);
        CHECK(made.error().kind() == ErrorKind::corrupt);
        CHECK(listing(layer.root()).empty());
        return made.error().message();
    };
    CHECK(refused("nothing") ==
          "extract h: hard link to nothing: no such file in this layer or below it");
    CHECK(refused("etc/deep").ends_with("it is a directory"));
    CHECK(refused("s/f").ends_with("there is a symbolic link in its way"));
    const LinkBelow gone[] = {{"gone/h", "etc/deep/f"}};
    CHECK(must(links_below_make(lower_root.get(), root.get(), gone)) == 0);
}
