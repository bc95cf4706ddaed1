// Promises: any text is read or refused; what was read can be written, and reads back to the same
// document; every getter answers with a value or an error; any bytes can be written as a string.
#include "http/json_reader.h"
#include "http/json_writer.h"
#include "http/utf8.h"
#include "tests/fuzz/fuzz.h"

namespace davit::fuzz {

namespace {

void ask_everything(const JsonValue& value) {
    for (const char* key : {"a", "Memory", ""}) {
        static_cast<void>(value.string_or(key, ""));
        static_cast<void>(value.int64_or(key, 0));
        static_cast<void>(value.uint64_or(key, 0));
        static_cast<void>(value.double_or(key, 0));
        static_cast<void>(value.bool_or(key, false));
        static_cast<void>(value.strings_or_one(key));
        static_cast<void>(value.string_map(key));
        static_cast<void>(value.keys(key));
    }
    if (const auto items = value.as_array()) {
        for (const JsonValue& item : *items) {
            ask_everything(item);
        }
    }
    if (const auto members = value.as_object()) {
        for (const auto& [key, member] : *members) {
            static_cast<void>(value.strings(key));
            ask_everything(member);
        }
    }
}

void json(std::string_view input) {
    std::string quoted;
    JsonWriter(quoted).string(input);
    const auto text = JsonDocument::parse(quoted);
    require(text.has_value(), "any bytes can be written as a string");
    require(*text->root().as_string() == utf8_repaired(input), "a string reads back repaired");

    const auto document = JsonDocument::parse(input);
    if (!document) {
        require(document.error().kind() == ErrorKind::invalid_argument,
                "refusals are the client's");
        return;
    }
    ask_everything(document->root());
    const std::string once = document->root().to_json();
    const auto again = JsonDocument::parse(once);
    require(again.has_value(), "what was written can be read");
    require(again->root().to_json() == once, "what was read again is the same");
}

const bool registered =
    add({"json",
         json,
         {R"({"Image":"a","HostConfig":{"Memory":1,"Binds":["/a:/b"]},"Env":null})",
          R"([1,-2,3.5e10,true,false,null,"\u00e9\ud83d\udc33\n",{"a":[[]]}])",
          "18446744073709551615",
          "\"\xC3\xA9\"",
          "{\"a\":\"x\xFFy\"}"},
         {"[[[[[[[[[[[[[[[[",
          "{\"a\":",
          "]",
          "}",
          "\\ud800",
          "\\u0000",
          "1e999",
          "-0",
          "99999999999999999999",
          "\xEF\xBB\xBF",
          "\xE2\x80\xA8",
          ",",
          "\"a\":1,\"A\":2",
          "null",
          "\xED\xA0\x80"},
         20'000});

}  // namespace

}  // namespace davit::fuzz
