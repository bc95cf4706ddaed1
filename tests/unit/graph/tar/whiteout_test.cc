// Goal: names mean what the image spec says, and no name leads out of its root.
#include "graph/whiteout.h"

#include "graph/tar_path.h"
#include "reactor/base/limits.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

std::string cleaned(std::string_view path) {
    auto clean = tar_path_clean(path);
    return clean ? *clean : std::string("!");
}

}  // namespace

TEST_CASE("tar path: cleaning") {
    CHECK(cleaned("a/b") == "a/b");
    CHECK(cleaned("./a//b/./c/") == "a/b/c");
    CHECK(cleaned("/etc/passwd") == "etc/passwd");
    CHECK(cleaned("a/../b") == "b");
    CHECK(cleaned("a/b/../../c") == "c");
    for (const char* root : {"", "/", ".", "./", "a/.."}) {
        CHECK(cleaned(root).empty());
    }
    for (const char* climbing : {"..", "../a", "a/../..", "a/../../b", "/../a", "./../a"}) {
        CHECK(cleaned(climbing) == "!");
    }
    CHECK(cleaned("...") == "...");
    CHECK(cleaned("..a/b..") == "..a/b..");
    CHECK(cleaned(std::string_view("a\0b", 3)) == "!");
    CHECK(cleaned(std::string(255, 'a')) == std::string(255, 'a'));
    CHECK(cleaned(std::string(256, 'a')) == "!");
    CHECK(cleaned(std::string(limits::tar_path_bytes_max + 1, '/')) == "!");
    CHECK(tar_path_clean("../a").error().kind() == ErrorKind::corrupt);
    CHECK(tar_path_parent("a/b/c") == "a/b");
    CHECK(tar_path_parent("a").empty());
    CHECK(tar_path_name("a/b") == "b");
    CHECK(tar_path_name("b") == "b");
}

TEST_CASE("whiteouts: kinds") {
    struct Case {
        const char* path;
        WhiteoutKind kind;
        const char* target;
    };

    const Case cases[] = {
        {"a/file", WhiteoutKind::none, ""},
        {"a/file.wh.b", WhiteoutKind::none, ""},
        {"a.wh./b", WhiteoutKind::none, ""},
        {".wh.file", WhiteoutKind::remove, "file"},
        {"a/b/.wh.file", WhiteoutKind::remove, "a/b/file"},
        {"a/.wh..hidden", WhiteoutKind::remove, "a/.hidden"},
        {"a/.wh....", WhiteoutKind::remove, "a/..."},
        {".wh..wh..opq", WhiteoutKind::opaque, ""},
        {"a/b/.wh..wh..opq", WhiteoutKind::opaque, "a/b"},
        {".wh..wh.plnk", WhiteoutKind::ignored, ""},
        {".wh..wh.aufs", WhiteoutKind::ignored, ""},
        {".wh..wh.plnk/12.34", WhiteoutKind::ignored, ""},
        {"a/.wh..wh.orph/b/c", WhiteoutKind::ignored, ""},
    };
    for (const Case& one : cases) {
        CAPTURE(one.path);
        auto whiteout = whiteout_parse(one.path);
        REQUIRE(whiteout);
        CHECK(whiteout->kind == one.kind);
        CHECK(whiteout->target == one.target);
    }
    for (const char* bad : {".wh.", "a/.wh.", ".wh..", "a/.wh...", ".wh.a/b", "a/.wh.b/c"}) {
        CAPTURE(bad);
        auto whiteout = whiteout_parse(bad);
        REQUIRE_FALSE(whiteout);
        CHECK(whiteout.error().kind() == ErrorKind::corrupt);
    }
}

TEST_CASE("whiteouts: xattrs an archive may set") {
    CHECK(xattr_allowed("user.comment"));
    CHECK(xattr_allowed("security.capability"));
    CHECK(xattr_allowed("trusted.thing"));
    CHECK(xattr_allowed("system.posix_acl_access"));
    for (const char* dropped : {"trusted.overlay.opaque",
                                "trusted.overlay.redirect",
                                "user.overlay.opaque",
                                "security.selinux",
                                "security.ima",
                                "odd"}) {
        CHECK_FALSE(xattr_allowed(dropped));
    }
}
