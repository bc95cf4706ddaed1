/// Goal: capability names, numbers and Docker's merge rules. Method: against capabilities(7)'s
/// numbers and known results of docker run --cap-add/--cap-drop.
#include "libcontainer/capabilities.h"

#include <linux/capability.h>

#include "tests/support/catch.h"

namespace davit {

using Names = std::vector<std::string>;

TEST_CASE("names and numbers") {
    CHECK(*capability_number("CAP_NET_RAW") == CAP_NET_RAW);
    CHECK(*capability_number("net_raw") == CAP_NET_RAW);
    CHECK(*capability_number("cap_chown") == CAP_CHOWN);
    CHECK(capability_name(CAP_CHECKPOINT_RESTORE) == "CAP_CHECKPOINT_RESTORE");
    CHECK(capability_name(63).empty());
    CHECK_FALSE(capability_number("CAP_FLY"));
    CHECK_FALSE(capability_number(""));
}

TEST_CASE("Docker's default set") {
    CHECK(capabilities_default() == 0xa80425fb);
}

TEST_CASE("merging as Docker does") {
    const CapabilitySet base = capabilities_default();
    const CapabilitySet raw = capability_bit(CAP_NET_RAW);
    const CapabilitySet chown = capability_bit(CAP_CHOWN);
    CHECK(*capabilities_merge(base, {}, {}) == base);
    CHECK(*capabilities_merge(base, {}, Names{"NET_RAW"}) == (base & ~raw));
    CHECK(*capabilities_merge(base, {}, Names{"all"}) == 0);
    CHECK(*capabilities_merge(base, Names{"CHOWN"}, Names{"ALL"}) == chown);
    // Adding wins over dropping the same one.
    CHECK(*capabilities_merge(base, Names{"CHOWN"}, Names{"CHOWN"}) == base);
    CHECK(*capabilities_merge(base, Names{"ALL"}, Names{"chown"}) ==
          (capabilities_available() & ~chown));
    CHECK(*capabilities_merge(base, Names{"ALL"}, Names{"ALL"}) == capabilities_available());
}

TEST_CASE("unknown capabilities are refused") {
    const auto added = capabilities_merge(0, Names{"fly"}, {});
    REQUIRE_FALSE(added);
    CHECK(added.error().kind() == ErrorKind::invalid_argument);
    CHECK(added.error().message() == "invalid CapAdd: unknown capability: \"CAP_FLY\"");
    const auto dropped = capabilities_merge(0, {}, Names{"CAP_FLY"});
    REQUIRE_FALSE(dropped);
    CHECK(dropped.error().message() == "invalid CapDrop: unknown capability: \"CAP_FLY\"");
}

}  // namespace davit
