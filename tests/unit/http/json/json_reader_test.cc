// Goal: reading follows Go's decoder where clients can tell the difference, and says what is wrong
// with which field. Method: one document per rule.
#include "http/json_reader.h"

#include "reactor/base/limits.h"
#include "tests/support/catch.h"

using davit::ErrorKind;
using davit::JsonDocument;
using davit::JsonValue;

namespace {

JsonDocument parsed(std::string_view text) {
    auto document = JsonDocument::parse(text);
    if (!document) {
        FAIL(document.error().message());
    }
    return *std::move(document);
}

std::string parse_failure(std::string_view text) {
    auto document = JsonDocument::parse(text);
    REQUIRE_FALSE(document);
    CHECK(document.error().kind() == ErrorKind::invalid_argument);
    return document.error().message();
}

}  // namespace

static_assert(std::is_nothrow_move_constructible_v<JsonDocument>);
static_assert(std::is_trivially_copyable_v<JsonValue>);
static_assert(sizeof(JsonValue) == 3 * sizeof(void*));

TEST_CASE("json keys match exactly, else without case") {
    const JsonDocument document = parsed(R"({"image":"folded","Image":"exact","CMD":["x"]})");
    CHECK(*document.root().string_or("Image", "") == "exact");
    CHECK(*document.root().string_or("IMAGE", "") == "exact");  // The last folded match.
    CHECK(document.root().strings("Cmd")->size() == 1);
    CHECK(*document.root().string_or("Imag", "none") == "none");
}

TEST_CASE("json last of duplicate keys counts, null never") {
    const JsonDocument document = parsed(R"({"a":1,"a":2,"b":3,"b":null,"c":null})");
    CHECK(*document.root().int64_or("a", 0) == 2);
    CHECK(*document.root().int64_or("b", 0) == 3);
    CHECK(*document.root().int64_or("c", 9) == 9);
    CHECK_FALSE(document.root().member("c").present());
    CHECK_FALSE(document.root().int64_if("c")->has_value());
}

TEST_CASE("json absent objects have absent members") {
    const JsonDocument document = parsed("{}");
    auto host = document.root().object("HostConfig");
    REQUIRE(host);
    CHECK_FALSE(host->present());
    CHECK(*host->int64_or("Memory", 7) == 7);
    CHECK(host->strings("Binds")->empty());
    CHECK(host->string_map("Sysctls")->empty());
    CHECK(*host->bool_or("Privileged", true));
}

TEST_CASE("json distinguishes null from an empty list") {
    const JsonDocument document = parsed(R"({"MaskedPaths":[],"ReadonlyPaths":null})");
    CHECK(document.root().member("MaskedPaths").present());
    CHECK_FALSE(document.root().member("ReadonlyPaths").present());
}

TEST_CASE("json wrong types name the field and the type") {
    const JsonDocument document = parsed(
        R"({"HostConfig":{"Memory":"1g","Binds":{},"NanoCpus":1.5,"Mounts":[{"Type":7}]},"Tty":1,)"
        R"("Labels":{"a":true},"Big":9223372036854775808})");
    const JsonValue root = document.root();
    const JsonValue host = *root.object("HostConfig");
    CHECK(host.int64_or("Memory", 0).error().message() ==
          "json: cannot unmarshal string into field HostConfig.Memory of type int64");
    CHECK(host.strings("Binds").error().message() ==
          "json: cannot unmarshal object into field HostConfig.Binds of type []string");
    CHECK(host.int64_or("NanoCpus", 0).error().message() ==
          "json: cannot unmarshal number 1.5 into field HostConfig.NanoCpus of type int64");
    CHECK(host.array("Mounts")->as_array()->front().string_or("Type", "").error().message() ==
          "json: cannot unmarshal number 7 into field HostConfig.Mounts[0].Type of type string");
    CHECK(root.bool_or("Tty", false).error().message() ==
          "json: cannot unmarshal number 1 into field Tty of type bool");
    CHECK(root.string_map("Labels").error().message() ==
          "json: cannot unmarshal bool into field Labels.a of type string");
    CHECK(root.int64_or("Big", 0).error().message() ==
          "json: cannot unmarshal number 9223372036854775808 into field Big of type int64");
    CHECK(*root.uint64_or("Big", 0) == 9223372036854775808U);
    CHECK(root.object("Tty").error().kind() == ErrorKind::invalid_argument);
    CHECK(root.array("HostConfig").error().message() ==
          "json: cannot unmarshal object into field HostConfig of type array");
}

TEST_CASE("json root of a wrong type") {
    const JsonDocument document = parsed("[1]");
    CHECK(document.root().string_or("Image", "").error().message() ==
          "json: cannot unmarshal array into value of type object");
}

TEST_CASE("json strings or one") {
    const JsonDocument document =
        parsed(R"({"Cmd":"sh -c x","Entrypoint":["a","b"],"Shell":null})");
    CHECK(*document.root().strings_or_one("Cmd") == std::vector<std::string>{"sh -c x"});
    CHECK(*document.root().strings_or_one("Entrypoint") == std::vector<std::string>{"a", "b"});
    CHECK(document.root().strings_or_one("Shell")->empty());
    CHECK(*document.root().keys("Missing") == std::vector<std::string>{});
}

TEST_CASE("json map keys keep their case and order") {
    const JsonDocument document = parsed(R"({"Ports":{"80/tcp":{},"443/TCP":null}})");
    CHECK(*document.root().keys("Ports") == std::vector<std::string>{"80/tcp", "443/TCP"});
}

TEST_CASE("json documents that are none") {
    CHECK(parse_failure("") == "unexpected end of JSON input");
    CHECK(parse_failure("  \n") == "unexpected end of JSON input");
    parse_failure("{\"a\":1} x");
    parse_failure("{\"a\":1}{}");
    parse_failure("{\"a\":");
    parse_failure("{a:1}");
    parse_failure("[1,]");
    parse_failure("{\"a\":1e999}");
    parse_failure("{\"a\":99999999999999999999}");
    parse_failure("nul");
    parse_failure("\"\x01\"");
}

TEST_CASE("json depth is bounded, and what was read can be written") {
    const std::size_t depth = davit::limits::json_depth_max;
    const std::string nested = std::string(depth, '[') + std::string(depth, ']');
    CHECK(parsed(nested).root().to_json() == nested);
    CHECK(parse_failure("[" + nested + "]") == "json: exceeded max depth");
    CHECK(parse_failure(std::string(depth, '[') + "1" + std::string(depth, ']')) ==
          "json: exceeded max depth");
    parse_failure(std::string(100000, '['));
}

TEST_CASE("json values outlive a moved document and the text") {
    std::string text = R"({"a":{"b":"still here"}})";
    JsonDocument first = parsed(text);
    const JsonValue inner = first.root().member("a");
    text.assign(text.size(), '#');
    const JsonDocument second = std::move(first);
    const JsonDocument other = parsed(R"({"a":{"b":"other"}})");  // Reuses the parser.
    CHECK(*inner.string_or("b", "") == "still here");
    CHECK(*other.root().member("a").string_or("b", "") == "other");
    CHECK(second.root().to_json() == R"({"a":{"b":"still here"}})");
}

TEST_CASE("json ill-formed UTF-8 is read as U+FFFD") {
    const JsonDocument document = parsed("{\"a\":\"x\xFFy\"}");
    CHECK(*document.root().string_or("a", "") == "x\xEF\xBF\xBDy");
}

TEST_CASE("json large documents parse and print compactly") {
    std::string text = "[";
    for (int i = 0; i < 20000; ++i) {
        text += (i == 0 ? "" : ", ") + std::to_string(i);
    }
    text += "]";
    const JsonDocument document = parsed(text);
    const auto items = document.root().as_array();
    REQUIRE(items);
    REQUIRE(items->size() == 20000);
    CHECK(*items->back().as_int64() == 19999);
    CHECK(document.root().to_json().size() < text.size());
}
