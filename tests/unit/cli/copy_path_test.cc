// Goal: cp packs and unpacks where docker's table of SRC_PATH and DEST_PATH says. Method: the rules
// with plain values, and sources and destinations in a temporary directory.
#include "cli/copy_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/catch.h"
#include "tests/unit/graph/db/temp_dir.h"

using namespace davit;
using namespace davit::cli;
using namespace davit::test;

namespace {

CopyEnd end_at(std::string path, bool exists, bool is_directory) {
    CopyEnd end;
    end.path = std::move(path);
    end.exists = exists;
    end.is_directory = is_directory;
    return end;
}

}  // namespace

TEST_CASE("which argument names a container", "[cp]") {
    CHECK(copy_argument_parse("web:/etc").container == "web");
    CHECK(copy_argument_parse("web:etc/x:y").path == "etc/x:y");
    for (const char* local : {"/a:b", "./a:b", "../a:b", "plain", "-"}) {
        CHECK(copy_argument_parse(local).container.empty());
        CHECK(copy_argument_parse(local).path == local);
    }
}

TEST_CASE("paths keep what their ends say", "[cp]") {
    CHECK(copy_path_absolute("/a/b/../c") == "/a/c");
    CHECK(copy_path_absolute("/a//b/") == "/a/b/");
    CHECK(copy_path_absolute("/a/b/.") == "/a/b/.");
    CHECK(copy_path_absolute("/..") == "/");
    CHECK(copy_path_split("/a/b/").directory == "/a");
    CHECK(copy_path_split("/a/b/").base == "b");
    CHECK(copy_path_split("/a/b/.").directory == "/a/b");
    CHECK(copy_path_split("/a/b/.").base == ".");
    CHECK(copy_path_split("/").base == "/");
    CHECK(copy_path_split("name").directory == "/");
}

TEST_CASE("where a copy goes, and under which name", "[cp]") {
    const CopyEnd file = end_at("/s/f", true, false);
    const CopyEnd directory = end_at("/s/d", true, true);
    CHECK(copy_plan(file, end_at("/t", true, true))->directory == "/t");
    CHECK_FALSE(copy_plan(file, end_at("/t", true, true))->name);
    CHECK(copy_plan(file, end_at("/t/x", true, false))->name == "x");
    CHECK(copy_plan(file, end_at("/t/x", false, false))->directory == "/t");
    CHECK(copy_plan(directory, end_at("/t/x/", false, false))->name == "x");
    const auto over = copy_plan(directory, end_at("/t/x", true, false));
    REQUIRE_FALSE(over);
    CHECK(over.error().message() == "cannot copy directory");
    for (const char* path : {"/t/x/", "/t/x/."}) {
        const auto missing = copy_plan(file, end_at(path, false, false));
        REQUIRE_FALSE(missing);
        CHECK(missing.error().message() == "no such directory");
    }
}

TEST_CASE("sources and destinations of this host", "[cp]") {
    const TempDir temp;
    const std::string top = temp.path();
    REQUIRE(::mkdir((top + "/d").c_str(), 0755) == 0);
    REQUIRE(::symlink("d", (top + "/l").c_str()) == 0);
    REQUIRE(::symlink("none", (top + "/broken").c_str()) == 0);
    CHECK_FALSE(copy_source(top + "/l", false)->is_directory);
    const CopyEnd slash = must(copy_source(top + "/l/", false));
    CHECK(slash.is_directory);
    CHECK(slash.rebase_name == "l");
    const CopyEnd followed = must(copy_source(top + "/l", true));
    CHECK(followed.path == top + "/d");
    CHECK(followed.rebase_name == "l");
    CHECK_FALSE(copy_source(top + "/none", false));

    CHECK(must(copy_destination(top + "/l")).path == top + "/d");
    CHECK(must(copy_destination(top + "/l")).is_directory);
    CHECK(must(copy_destination(top + "/broken")).path == top + "/none");
    CHECK_FALSE(must(copy_destination(top + "/new")).exists);
    CHECK_FALSE(copy_destination(top + "/no/new"));
    CHECK_FALSE(copy_output_check(top + "/no/new"));
    CHECK_FALSE(copy_output_check("/dev/null"));
}
