// What is read without a parser of JSON, and what is left to it; tests/fuzz/log_fuzz.cc compares
// them.
#include "drivers/log/plain_record.h"

#include "tests/support/catch.h"

namespace davit {

namespace {

const std::string end = R"(","stream":"stdout","time":"2026-11-30T18:51:27.5Z"})";

/// The text of a line whose log member is written like that; "(not read)" if it is not plain.
std::string text_of(const std::string& written) {
    PlainRecordReader reader;
    LogRecord record;
    return reader.read(R"({"log":")" + written + end, record) ? record.text : "(not read)";
}

bool is_read(const std::string& line) {
    PlainRecordReader reader;
    LogRecord record;
    return reader.read(line, record);
}

}  // namespace

TEST_CASE("texts with every escape, at every distance from a word's bounds", "[log]") {
    CHECK(text_of("").empty());
    for (std::size_t before = 0; before < 17; ++before) {
        const std::string pad(before, 'x');
        CHECK(text_of(pad + R"(\n)") == pad + "\n");
        CHECK(text_of(pad + R"(\"\\\/\b\f\r\tend)") == pad + "\"\\/\b\f\r\tend");
        CHECK(text_of(pad + R"(\u001b[31m\u00e9\u20AC)") == pad + "\x1b[31m\xc3\xa9\xe2\x82\xac");
        CHECK(text_of(pad + "\xf0\x9f\x90\xb3\x7f") == pad + "\xf0\x9f\x90\xb3\x7f");
    }
}

TEST_CASE("what a parser of JSON has to judge is left to it", "[log]") {
    for (const char* written : {"\\ud83d\\udc33",
                                "\\ud83d",
                                "\\udc33",
                                "\\u12",
                                "\\u12g4",
                                "\\x",
                                "\\",
                                "a\tb",
                                "a\"b",
                                "\xff",
                                "1234567\xed\xa0\x80",
                                "\xf0\x9f\x90"}) {
        CAPTURE(written);
        CHECK(text_of(written) == "(not read)");
    }
    const std::string begin = R"({"log":"a\n","stream":"stdout","time":)";
    CHECK(is_read(begin + R"("2026-11-30T18:51:27Z"})"));
    for (const char* rest : {"",
                             R"("2026-11-30T18:51:27Z"})"
                             "\r",
                             R"("2026-11-30T18:51:27Z", "a":1})",
                             R"("2026-11-30T18:51:27+01:00"})",
                             R"("2026-11-30T18:51:27.Z"})",
                             R"("2026-11-30T18:51:27.1234567890Z"})",
                             R"("2026-11-30T18:51:27.12a4Z"})",
                             R"("2026-13-30T18:51:27Z"})",
                             R"("9999-11-30T18:51:27Z"})",
                             R"("Z"})",
                             R"("2026Z"})"}) {
        CAPTURE(rest);
        CHECK(!is_read(begin + rest));
    }
    CHECK(!is_read(R"({"stream":"stdout","log":"a\n","time":"2026-11-30T18:51:27Z"})"));
    CHECK(!is_read(R"({"log":"a\n","stream":"stdout","attrs":{},"time":"2026-11-30T18:51:27Z"})"));
    CHECK(!is_read(R"({"log":"a\n","stream":"stdin","time":"2026-11-30T18:51:27Z"})"));
}

TEST_CASE("times of one second, and of others", "[log]") {
    PlainRecordReader reader;
    LogRecord record;
    for (const char* time : {"2026-11-30T18:51:27Z",
                             "2026-11-30T18:51:27.000000001Z",
                             "2026-11-30T18:51:27.9Z",
                             "2026-11-30T18:51:28.25Z",
                             "1969-12-31T23:59:59.5Z",
                             "2026-11-30T18:51:27.999999999Z"}) {
        CAPTURE(time);
        REQUIRE(reader.read(R"({"log":"","stream":"stderr","time":")" + std::string(time) + R"("})",
                            record));
        CHECK(record.time == *rfc3339_parse(time));
        CHECK(record.stream == OutputStream::standard_error);
    }
}

}  // namespace davit
