// Promises: a line of a log that is read without a parser of JSON means what that parser says.
#include "drivers/log/plain_record.h"
#include "http/json_reader.h"
#include "tests/fuzz/fuzz.h"

namespace davit::fuzz {

namespace {

void line(std::string_view input) {
    PlainRecordReader reader;
    LogRecord record;
    for (int turn = 0; turn < 2; ++turn) {  // The second time with what it remembers.
        if (!reader.read(input, record)) {
            return;
        }
        const auto document = JsonDocument::parse(input);
        require(document.has_value(), "what is read is JSON");
        const JsonValue root = document->root();
        const auto text = root.string_or("log", "?");
        require(text && *text == record.text, "the text is the same");
        const bool error = record.stream == OutputStream::standard_error;
        const auto stream = root.string_or("stream", "?");
        require(stream && *stream == (error ? "stderr" : "stdout"), "the stream is the same");
        const auto time = root.string_or("time", "?");
        require(time.has_value(), "there is a time");
        const auto when = rfc3339_parse(*time);
        require(when && *when == record.time, "the time is the same");
    }
}

/// As a line, and as what stands in a line's strings, which few of the lines get to.
void log_record(std::string_view input) {
    line(input);
    const std::string text(input);
    line("{\"log\":\"" + text + R"(","stream":"stderr","time":"2026-11-30T18:51:27.5Z"})");
    line(R"({"log":"a\n","stream":"stdout","time":")" + text + "\"}");
}

const bool registered = add(
    {"log_record",
     log_record,
     {R"({"log":"hello\n","stream":"stdout","time":"2026-11-30T18:51:27.123456789Z"})",
      "2026-11-30T18:51:27.123456789Z",
      R"(hello \u001b[31mred\n)",
      R"({"log":"\u001b[31mred\u001b[0m \"\\\/\b\f\t\r","stream":"stderr","time":"2026-02-28T23:59:60Z"})",
      "{\"log\":\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xb3\",\"stream\":\"stdout\","
      "\"time\":\"1969-12-31T23:59:59.5Z\"}"},
     {"\\u00e9",
      "\\ud83d\\udc33",
      "\\ud83d",
      "\\uFFFD",
      "\xed\xa0\x80",
      "\xc0\x80",
      "\\",
      "\"",
      "\"}",
      "\",\"stream\":\"std",
      "\"log\":",
      "\"attrs\":{}",
      "Z\"}",
      "+01:00",
      ".",
      ".000000001",
      "9999-",
      "0000-",
      " ",
      "{",
      "}",
      "\x1f",
      "\x7f"},
     20000});

}  // namespace

}  // namespace davit::fuzz
