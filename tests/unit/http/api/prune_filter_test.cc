/// Goal: what a prune may remove is what its filters say.
#include "http/api/prune_filter.h"

#include <array>

#include "tests/support/catch.h"

namespace davit {

namespace {

constexpr std::array<std::string_view, 3> known{"label", "label!", "until"};
const WallTime now{std::chrono::seconds(1'700'000'000)};

Result<PruneFilter> parse(std::string_view text) {
    return PruneFilter::parse(text, known, now);
}

}  // namespace

TEST_CASE("labels that must and must not be there", "[api][prune]") {
    const auto filter = parse(R"({"label":["a","b=2"],"label!":["c","d=4"]})");
    REQUIRE(filter);
    CHECK(filter->admits_labels({{"a", "1"}, {"b", "2"}}));
    CHECK(filter->admits_labels({{"a", ""}, {"b", "2"}, {"d", "5"}}));
    CHECK_FALSE(filter->admits_labels({{"a", "1"}}));
    CHECK_FALSE(filter->admits_labels({{"a", "1"}, {"b", "3"}}));
    CHECK_FALSE(filter->admits_labels({{"a", "1"}, {"b", "2"}, {"c", ""}}));
    CHECK_FALSE(filter->admits_labels({{"a", "1"}, {"b", "2"}, {"d", "4"}}));
    const auto none = parse("");
    REQUIRE(none);
    CHECK(none->admits_labels({}));
    CHECK_FALSE(none->until);
}

TEST_CASE("until is one point in time", "[api][prune]") {
    const auto ago = parse(R"({"until":["1h"]})");
    REQUIRE(ago);
    CHECK(ago->until == now - std::chrono::hours(1));
    const auto at = parse(R"({"until":{"1600000000":true}})");
    REQUIRE(at);
    CHECK(at->until == WallTime(std::chrono::seconds(1'600'000'000)));
    CHECK_FALSE(parse(R"({"until":["1h","2h"]})"));
    CHECK_FALSE(parse(R"({"until":["soon"]})"));
    CHECK_FALSE(parse(R"({"color":["red"]})"));
}

}  // namespace davit
