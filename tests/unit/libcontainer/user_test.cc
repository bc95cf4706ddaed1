/// Goal: USER is resolved as Docker resolves it. Method: pure function on small passwd and group
/// files.
#include "libcontainer/user.h"

#include "tests/support/catch.h"

namespace davit {

namespace {

constexpr std::string_view passwd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "# a comment\n"
    "broken line\n"
    "web:x:1000:1001:Web:/home/web:/bin/sh\n"
    "1005:x:77:77::/odd:/bin/sh\n"
    "homeless:x:1002:1002\n";
constexpr std::string_view group =
    "root:x:0:\n"
    "web:x:1001:\n"
    "docker:x:998:root,web\n"
    "staff:x:50:web,other\n";

using Gids = std::vector<std::uint32_t>;

ResolvedUser resolved(std::string_view spec, std::vector<std::string> further = {}) {
    auto user = user_resolve(spec, passwd, group, further);
    INFO(spec);
    REQUIRE(user);
    return *std::move(user);
}

std::string failure(std::string_view spec) {
    const auto user = user_resolve(spec, passwd, group);
    REQUIRE_FALSE(user);
    return user.error().message();
}

}  // namespace

TEST_CASE("names") {
    const ResolvedUser web = resolved("web");
    CHECK(web.uid == 1000);
    CHECK(web.gid == 1001);
    CHECK(web.home == "/home/web");
    CHECK(web.additional_gids == Gids{1001, 50, 998});
    CHECK(resolved("homeless").home == "/");
}

TEST_CASE("nothing means root, with its groups") {
    const ResolvedUser root = resolved("");
    CHECK(root.uid == 0);
    CHECK(root.gid == 0);
    CHECK(root.home == "/root");
    CHECK(root.additional_gids == Gids{0, 998});
    CHECK(resolved(":staff").gid == 50);
}

TEST_CASE("numbers") {
    CHECK(resolved("1000").gid == 1001);
    CHECK(resolved("1000").home == "/home/web");
    CHECK(resolved("1000").additional_gids == Gids{1001, 50, 998});
    CHECK(resolved("4242").uid == 4242);
    CHECK(resolved("4242").gid == 0);
    CHECK(resolved("4242").home == "/");
    // A number is an id, also where an image has a user or a group of that name (CVE-2016-3697).
    CHECK(resolved("1005").uid == 1005);
    CHECK(resolved("0:1005").gid == 1005);
}

TEST_CASE("a given group replaces the user's groups") {
    const ResolvedUser user = resolved("web:staff");
    CHECK(user.gid == 50);
    CHECK(user.additional_gids == Gids{50});
    CHECK(resolved("web:1234").gid == 1234);
    CHECK(resolved("7:8").uid == 7);
    CHECK(resolved("7:8").gid == 8);
}

TEST_CASE("further groups") {
    CHECK(resolved("web", {"docker", "7", "docker"}).additional_gids == Gids{1001, 7, 50, 998});
}

TEST_CASE("what does not exist") {
    CHECK(failure("nobody") == "unable to find user nobody: no matching entries in passwd file");
    CHECK(failure("web:none") == "unable to find group none: no matching entries in group file");
    CHECK(failure("4294967295") == "uids and gids must be in range 0-2147483647");
    CHECK(failure("99999999999999999999") == "uids and gids must be in range 0-2147483647");
    CHECK(failure("0:4294967295") == "uids and gids must be in range 0-2147483647");
    CHECK(failure("-1") == "unable to find user -1: no matching entries in passwd file");
    CHECK_FALSE(user_resolve("web", "", ""));
    CHECK(user_resolve("5", "", ""));
}

}  // namespace davit
