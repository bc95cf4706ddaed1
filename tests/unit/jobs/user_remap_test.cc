// Goal: --userns-remap finds the ids that dockerd would, and complains in its words. Method: the
// files as texts.
#include "jobs/user_remap.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

UserFiles files() {
    return {.passwd =
                "root:x:0:0:root:/root:/bin/sh\n"
                "web:x:1000:1000::/home/web:/bin/sh\n"
                "dockremap:x:995:990::/:/bin/false\n"
                "lonely:x:1001:1001::/:/bin/sh\n",
            .group = "root:x:0:\nweb:x:1000:\nstaff:x:50:web\ndockremap:x:990:\nlonely:x:1001:\n",
            .subuid =
                "# a comment\n\nweb:200000:10\nother:1:1\nweb:300000:65526\n"
                "995:100000:65536\n",
            .subgid = "web:500000:65536\ndockremap:100000:65536\n"};
}

std::string message(const std::string& option, const UserFiles& of = files()) {
    const auto resolved = user_remap_resolve(option, of);
    return resolved ? "none" : resolved.error().message();
}

UserRemap remap(const std::string& option) {
    const auto resolved = user_remap_resolve(option, files());
    INFO((resolved ? "" : resolved.error().message()));
    REQUIRE(resolved);
    REQUIRE(*resolved);
    return **resolved;
}

}  // namespace

TEST_CASE("the ids of a user, in all ways to name one") {
    const std::vector<IdRange> uids{{0, 200'000, 10}, {10, 300'000, 65'526}};
    const std::vector<IdRange> gids{{0, 500'000, 65'536}};
    for (const char* option : {"web", "1000", "web:web", "1000:1000", "web:staff", "1000:50"}) {
        INFO(option);
        CHECK(remap(option).ids.uids == uids);
        CHECK(remap(option).ids.gids == gids);
    }
    CHECK(remap("web:staff").user == "web:staff");
    CHECK(remap("1000").user == "web:web");
    // Whoever is not there by name may be there by number.
    CHECK(remap("default").ids.uids == std::vector<IdRange>{{0, 100'000, 65'536}});
    CHECK(remap("default").user == "dockremap:dockremap");
}

TEST_CASE("root is itself") {
    const auto resolved = user_remap_resolve("root", files());
    REQUIRE(resolved);
    CHECK_FALSE(*resolved);
}

TEST_CASE("what cannot be found is said in dockerd's words") {
    CHECK(message("a:b:c") == "Invalid user/group specification in --userns-remap: \"a:b:c\"");
    CHECK(message("nobody7") ==
          "Error during uid lookup for \"nobody7\": getent unable to find entry \"nobody7\" in "
          "passwd database");
    CHECK(message("77") ==
          "Uid 77 has no entry in /etc/passwd: getent unable to find entry \"77\" in passwd "
          "database");
    CHECK(message("web:no") ==
          "Error during groupname lookup for \"no\": getent unable to find entry \"no\" in group "
          "database");
    CHECK(message("web:77") ==
          "Gid 77 has no entry in /etc/passwd: getent unable to find entry \"77\" in group "
          "database");
    CHECK(message("lonely") ==
          "Can't create ID mappings: no /etc/subuid ranges found for user \"lonely\"");
    UserFiles broken = files();
    broken.subuid = "web:1\n";
    CHECK(message("web", broken) ==
          "Cannot parse subuid/gid information: Format not correct for /etc/subuid file");
    broken.subuid = "web:x:10\n";
    CHECK(message("web", broken) ==
          "String to int conversion failed during subuid/gid parsing of /etc/subuid: web:x:10");
    broken.subuid = "web:10:0\n";
    CHECK(message("web", broken) != "none");
}

TEST_CASE("ids go both ways") {
    const IdMap ids = remap("web").ids;
    CHECK(ids.uid_outside(0) == 200'000);
    CHECK(ids.uid_outside(9) == 200'009);
    CHECK(ids.uid_outside(10) == 300'000);
    CHECK_FALSE(ids.uid_outside(65'536));
    CHECK(ids.uid_inside(300'001) == 11);
    CHECK(ids.uid_inside(0) == IdMap::overflow);
    CHECK(ids.gid_inside(500'007) == 7);
    CHECK(ids.gid_max() == 65'535);
    CHECK(IdMap{}.uid_outside(7) == 7);
    CHECK(IdMap{}.uid_inside(70'000) == 70'000);
}
