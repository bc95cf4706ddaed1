// Goal: the platform parameter is read as Docker reads it, and what is none is refused.
#include "http/api/platform_json.h"

#include "tests/support/catch.h"

using namespace davit;

TEST_CASE("platform parameter: an object of the image-spec", "[api]") {
    CHECK_FALSE(platform_json_parse("")->has_value());
    const auto whole = platform_json_parse(
        R"({"os":"linux","architecture":"aarch64","variant":"v8","os.version":"1.2",)"
        R"("os.features":["x"]})");
    REQUIRE(whole);
    REQUIRE(whole->has_value());
    CHECK((*whole)->str() == "linux/arm64");
    CHECK((*whole)->os_version == "1.2");
    CHECK((*whole)->os_features == std::vector<std::string>{"x"});
}

TEST_CASE("platform parameter: what is none", "[api]") {
    for (const char* text : {R"({"os":"linux"})", R"({"architecture":"arm"})", "{}"}) {
        CAPTURE(text);
        const auto refused = platform_json_parse(text);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind() == ErrorKind::invalid_argument);
        CHECK(refused.error().message() == "both OS and Architecture must be provided");
    }
    for (const char* text :
         {"linux/arm", "[]", R"({"os":1,"architecture":"arm"})", R"({"os":"linux")"}) {
        CAPTURE(text);
        const auto refused = platform_json_parse(text);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind() == ErrorKind::invalid_argument);
        CHECK(refused.error().message().starts_with("failed to parse platform: "));
    }
}
