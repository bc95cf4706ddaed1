// Goal: docker images --filter lists what Docker lists. Method: one image of each kind against one
// filter each, with near misses; times are compared by the nanosecond.
#include "http/api/image_filter.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

constexpr std::int64_t second = 1'000'000'000;
const WallTime now = wall_from_unix_nanoseconds(1'000'000 * second);

FilteredImage tagged() {
    FilteredImage image;
    image.created = wall_from_unix_nanoseconds(1000 * second + 5);
    image.labels = {{"vendor", "us"}};
    image.tags = {"alpine:3.20", "localhost:5000/team/app:1"};
    image.digests = {"alpine@sha256:" + std::string(64, 'a')};
    return image;
}

FilteredImage bare() {
    FilteredImage image = tagged();
    image.tags.clear();
    image.digests.clear();
    return image;
}

Result<std::optional<WallTime>> created_of(const std::string& name) {
    if (name == "no") {
        return Error(ErrorKind::not_found, "No such image: no");
    }
    return std::optional<WallTime>(wall_from_unix_nanoseconds(1000 * second + std::stol(name)));
}

bool lists(std::string_view json, FilteredImage image) {
    const auto filter = ImageFilter::parse(json, created_of, now);
    REQUIRE(filter);
    return filter->select(image);
}

ErrorKind refusal(std::string_view json) {
    const auto filter = ImageFilter::parse(json, created_of, now);
    REQUIRE_FALSE(filter);
    return filter.error().kind();
}

}  // namespace

TEST_CASE("an image is before, since or until by the nanosecond", "[images]") {
    CHECK(lists("", tagged()));
    CHECK(lists(R"({"before":["6"]})", tagged()));
    CHECK_FALSE(lists(R"({"before":["5"]})", tagged()));
    CHECK_FALSE(lists(R"({"before":["6","4"]})", tagged()));
    CHECK(lists(R"({"since":["4"]})", tagged()));
    CHECK_FALSE(lists(R"({"since":["5"]})", tagged()));
    CHECK(lists(R"({"until":["1000.000000006"]})", tagged()));
    CHECK_FALSE(lists(R"({"until":["1000.000000005"]})", tagged()));
    CHECK(lists(R"({"until":["10m"]})", tagged()));
    CHECK_FALSE(lists(R"({"until":["280h"]})", tagged()));
    CHECK_FALSE(lists(R"({"before":["6"],"until":["1"]})", tagged()));
    FilteredImage undated = tagged();
    undated.created.reset();
    CHECK_FALSE(lists(R"({"until":["10m"]})", undated));
    CHECK(refusal(R"({"before":["no"]})") == ErrorKind::not_found);
    CHECK(refusal(R"({"until":["soon"]})") == ErrorKind::invalid_argument);
    CHECK(refusal(R"({"colour":["red"]})") == ErrorKind::invalid_argument);
}

TEST_CASE("a reference filter also decides under which names an image is shown", "[images]") {
    const auto names = [](std::string_view json, FilteredImage image) {
        const auto filter = ImageFilter::parse(json, created_of, now);
        REQUIRE(filter);
        return filter->select(image) ? image.tags.size() * 10 + image.digests.size() : 99;
    };
    CHECK(names(R"({"reference":["alpine"]})", tagged()) == 11);
    CHECK(names(R"({"reference":["alpine:3.*"]})", tagged()) == 10);
    CHECK(names(R"({"reference":["*/team/app"]})", tagged()) == 10);
    CHECK(names(R"({"reference":["localhost:5000/team/app:1"]})", tagged()) == 10);
    CHECK(names(R"({"reference":["*"]})", tagged()) == 11);
    CHECK(names(R"({"reference":["debian"]})", tagged()) == 99);
    CHECK(names(R"({"reference":["debian","alpine"]})", tagged()) == 11);
    CHECK(names(R"({"reference":["*"]})", bare()) == 99);
    FilteredImage by_digest = tagged();
    by_digest.tags.clear();
    CHECK(names(R"({"reference":["alpine"]})", by_digest) == 1);
}

TEST_CASE("dangling is what has no tag; undangling what has any name", "[images]") {
    FilteredImage by_digest = tagged();
    by_digest.tags.clear();
    CHECK(lists(R"({"dangling":["true"]})", bare()));
    CHECK(lists(R"({"dangling":["true"]})", by_digest));
    CHECK_FALSE(lists(R"({"dangling":["true"]})", tagged()));
    CHECK_FALSE(lists(R"({"dangling":["false"]})", bare()));
    CHECK(lists(R"({"dangling":["false"]})", by_digest));
    CHECK(lists(R"({"dangling":["false"]})", tagged()));
    CHECK(refusal(R"({"dangling":["maybe"]})") == ErrorKind::invalid_argument);
}

TEST_CASE("every label must be there", "[images]") {
    CHECK(lists(R"({"label":["vendor"]})", tagged()));
    CHECK(lists(R"({"label":["vendor=us"]})", tagged()));
    CHECK_FALSE(lists(R"({"label":["vendor=us","other"]})", tagged()));
}
