// Goal: what JsonWriter appends is what Go's encoder would write, byte for byte.
// Method: literal comparison of small documents; a round trip through the reader for random text.
#include "http/json_writer.h"

#include <map>
#include <random>
#include <vector>

#include "http/json_reader.h"
#include "http/utf8.h"
#include "tests/support/catch.h"

using davit::JsonDocument;
using davit::JsonWriter;

namespace {

std::string quoted(std::string_view text) {
    std::string out;
    JsonWriter(out).string(text);
    return out;
}

}  // namespace

TEST_CASE("json writer nests objects and arrays") {
    std::string out = "kept:";
    JsonWriter json(out);
    json.begin_object().key("Id").string("abc").key("Names").begin_array();
    CHECK_FALSE(json.complete());
    json.string("/a").string("/b").end_array();
    json.key("Empty").begin_object().end_object().key("None").begin_array().end_array();
    json.key("N").number(-5).key("U").number(std::uint64_t{18446744073709551615U});
    json.key("D").number(0.25).key("T").boolean(true).key("Z").null().key("R").raw("{\"x\":1}");
    json.key("L").strings(std::vector<std::string>{"p", "q"});
    json.key("M").string_map(std::map<std::string, std::string>{{"k", "v"}, {"l", "w"}});
    json.end_object();
    CHECK(json.complete());
    CHECK(out ==
          "kept:{\"Id\":\"abc\",\"Names\":[\"/a\",\"/b\"],\"Empty\":{},\"None\":[],\"N\":-5,"
          "\"U\":18446744073709551615,\"D\":0.25,\"T\":true,\"Z\":null,\"R\":{\"x\":1},"
          "\"L\":[\"p\",\"q\"],\"M\":{\"k\":\"v\",\"l\":\"w\"}}");
}

TEST_CASE("json writer puts commas between nested containers") {
    std::string out;
    JsonWriter json(out);
    json.begin_array();
    json.begin_array().number(1).end_array();
    json.begin_array().end_array();
    json.begin_object().key("a").begin_array().end_array().key("b").number(2).end_object();
    json.end_array();
    CHECK(out == "[[1],[],{\"a\":[],\"b\":2}]");
}

TEST_CASE("json writer escapes as Go without HTML escaping") {
    CHECK(quoted("<a href=\"x\">&'</a>\\") == "\"<a href=\\\"x\\\">&'</a>\\\\\"");
    CHECK(quoted("\b\f\n\r\t") == "\"\\b\\f\\n\\r\\t\"");
    CHECK(quoted(std::string("\x01\x1f\0", 3)) == "\"\\u0001\\u001f\\u0000\"");
    CHECK(quoted("\x7f") == "\"\x7f\"");
    CHECK(quoted("h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x90\xB3") ==
          "\"h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x90\xB3\"");
    CHECK(quoted("\xE2\x80\xA8\xE2\x80\xA9") == "\"\\u2028\\u2029\"");
}

TEST_CASE("json writer replaces ill-formed UTF-8 byte by byte") {
    CHECK(quoted("a\xFF"
                 "b") == "\"a\\ufffdb\"");
    CHECK(quoted("\xC3") == "\"\\ufffd\"");                        // Cut short.
    CHECK(quoted("\xC0\xAF") == "\"\\ufffd\\ufffd\"");             // Overlong.
    CHECK(quoted("\xED\xA0\x80") == "\"\\ufffd\\ufffd\\ufffd\"");  // A surrogate.
    CHECK(quoted("\xF4\x90\x80\x80") == "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    CHECK(quoted("\xE2\x82") == "\"\\ufffd\\ufffd\"");
}

TEST_CASE("json text of any bytes reads back as its repaired form") {
    std::mt19937 random(20240611);
    for (int round = 0; round < 2000; ++round) {
        std::string text(random() % 24, '\0');
        for (char& c : text) {
            // Mostly from the ranges where the decisions are.
            c = static_cast<char>(random() % 3 == 0 ? random() % 128 : 0x80 + random() % 128);
        }
        auto document = JsonDocument::parse(quoted(text));
        REQUIRE(document);
        REQUIRE(*document->root().as_string() == davit::utf8_repaired(text));
    }
}

TEST_CASE("json numbers are the shortest that read back") {
    for (const double value : {0.0, 1.5, -2.25, 1e300, 0.1, 123456789.125}) {
        std::string out;
        JsonWriter(out).number(value);
        auto document = JsonDocument::parse(out);
        REQUIRE(document);
        CHECK(*document->root().as_double() == value);
    }
}
