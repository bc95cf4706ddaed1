// Goal: tables, lists, indented JSON and --format templates come out as docker's. Method: small
// inputs, and the exact text that they must give; what is not supported must be refused by name.
#include <sys/mman.h>
#include <unistd.h>

#include <array>

#include "cli/format_template.h"
#include "cli/json_text.h"
#include "cli/list_printer.h"
#include "cli/progress.h"
#include "cli/table_writer.h"
#include "tests/support/catch.h"

namespace davit::cli {

namespace {

constexpr std::string_view sample = R"({
    "Id": "sha256:abc", "Name": "web", "Count": 3, "On": true, "Off": false, "None": null,
    "State": {"Status": "running", "Health": null},
    "Config": {"Env": ["A=1", "B=2"], "Labels": {"a.b": "c", "d": ""}},
    "Mounts": [{"Source": "/a"}, {"Source": "/b"}],
    "Networks": {"two": {"IP": "2"}, "one": {"IP": "1"}}
})";

std::string render(std::string_view text) {
    Result<JsonDocument> document = JsonDocument::parse(sample);
    REQUIRE(document);
    Result<FormatTemplate> parsed = FormatTemplate::parse(text);
    if (!parsed) {
        return parsed.error().message();
    }
    Result<std::string> out = parsed->run(document->root());
    return out ? *out : out.error().message();
}

std::string printed(std::string_view format, std::span<const ListRow> rows) {
    constexpr ListField fields[] = {{"ID", "CONTAINER ID"}, {"Name", "NAMES"}};
    const int fd = ::memfd_create("out", MFD_CLOEXEC);
    Output out(fd);
    const Result<void> done = list_print(out, format, "{{.ID}}\t{{.Name}}", fields, rows);
    out.flush();
    std::array<char, 4096> buffer{};
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), 0);
    ::close(fd);
    return done ? std::string(buffer.data(), static_cast<std::size_t>(got))
                : done.error().message();
}

}  // namespace

TEST_CASE("template: paths and functions") {
    CHECK(render("plain") == "plain");
    CHECK(render("{{.Name}}-{{ .State.Status }}") == "web-running");
    CHECK(render("{{.ID}}") == "sha256:abc");
    CHECK(render("{{.Count}} {{.On}} {{.None}}") == "3 true <no value>");
    CHECK(render("{{json .Config.Env}}") == R"(["A=1","B=2"])");
    CHECK(render("{{.Config.Env}} {{.Config.Labels}}") == "[A=1 B=2] map[a.b:c d:]");
    CHECK(render("{{index .Config.Labels \"a.b\"}}{{index .Config.Labels \"no\"}}") == "c");
    CHECK(render("{{index .Config.Env 1}}") == "B=2");
    CHECK(render("{{join .Config.Env \", \"}}") == "A=1, B=2");
    CHECK(render("{{len .Mounts}} {{upper .Name}} {{lower \"x\"}}").find("not supported") ==
          std::string::npos);
    CHECK(render("{{len .Mounts}} {{upper .Name}}") == "2 WEB");
    CHECK(render("a\\tb\\n") == "a\tb\n");
}

TEST_CASE("template: blocks") {
    CHECK(render("{{range .Mounts}}{{.Source}} {{end}}") == "/a /b ");
    CHECK(render("{{range .Networks}}{{.IP}}{{end}}") == "12");
    CHECK(render("{{range .Missing}}x{{else}}none{{end}}") == "none");
    CHECK(render("{{if .State.Health}}h{{else}}no{{end}}") == "no");
    CHECK(render("{{if .On}}{{if .Off}}x{{else}}y{{end}}{{end}}z") == "yz");
    CHECK(render("{{with .State}}{{.Status}}{{end}}") == "running");
    CHECK(render("a {{- .Name -}} b") == "awebb");
}

TEST_CASE("template: what is not supported is refused") {
    CHECK(render("{{.Foo}}") == "template parsing error: no field \"Foo\"");
    CHECK(render("{{.foo") == "template parsing error: unclosed action");
    CHECK(render("{{}}") == "template parsing error: missing value for command");
    CHECK(render("{{range .Mounts}}x") ==
          "template parsing error: {{range .Mounts}} without {{end}}");
    CHECK(render("x{{end}}") == "template parsing error: unexpected {{end}}");
    CHECK(render("{{index .Config.Env 2}}") == "template parsing error: index out of range: 2");
    for (const char* text :
         {"{{.A | json}}", "{{$x}}", "{{printf \"%s\" .A}}", "{{.A.B()}}", "{{.A..B}}"}) {
        INFO(text);
        CHECK(render(text).find("is not supported") != std::string::npos);
    }
    CHECK(render("{{join .Config.Env \"x}}").find("unterminated") != std::string::npos);
}

TEST_CASE("list: table, json, templates") {
    const std::vector<ListRow> rows{{{"1234567890ab", "web"}, {{"a", "b"}}}, {{"2", "d"}, {}}};
    CHECK(printed("", rows) == "CONTAINER ID   NAMES\n1234567890ab   web\n2              d\n");
    CHECK(printed("table {{.Name}}", rows) == "NAMES\nweb\nd\n");
    CHECK(printed("json", rows) ==
          "{\"ID\":\"1234567890ab\",\"Name\":\"web\"}\n"
          "{\"ID\":\"2\",\"Name\":\"d\"}\n");
    CHECK(printed("{{.ID}}:{{.Label \"a\"}}", rows) == "1234567890ab:b\n2:\n");
    CHECK(printed("table", {}) == "CONTAINER ID   NAMES\n");
    CHECK(printed("{{.Foo}}", rows) == "template parsing error: no field \"Foo\"");
}

TEST_CASE("list: filters") {
    const std::vector<std::string> filters{"label=a=b", "label=c", "status=exited"};
    CHECK(*filters_json(filters) == R"({"label":{"a=b":true,"c":true},"status":{"exited":true}})");
    CHECK(*filters_json({}) == "");
    const std::vector<std::string> bad{"label"};
    CHECK_FALSE(filters_json(bad));
}

TEST_CASE("table: widths count characters, not bytes") {
    TableWriter table;
    table.row({"A", "B", "C"});
    table.row({"äöüäöüäöüä", "x", "last one is not padded"});
    CHECK(table.text() ==
          "A            B         C\n"
          "äöüäöüäöüä   x         last one is not padded\n");
    TableWriter wide(20);
    wide.row({"A", "B"});
    CHECK(wide.text() == "A                   B\n");
    CHECK(text_ellipsis("sleep 1000000", 20) == "sleep 1000000");
    CHECK(text_ellipsis("0123456789012345678901", 20) == "0123456789012345678…");
    CHECK(text_ellipsis("äöüäöü", 4) == "äöü…");
}

TEST_CASE("json: indented as Go's encoder does") {
    CHECK(json_indented(R"({"a":1,"b":[],"c":{},"d":["x",{"y":"\"{,"}]})") ==
          "{\n    \"a\": 1,\n    \"b\": [],\n    \"c\": {},\n    \"d\": [\n        \"x\",\n"
          "        {\n            \"y\": \"\\\"{,\"\n        }\n    ]\n}");
    CHECK(json_indented("[ ]\n") == "[]");
    CHECK(json_indented("{\"a\":1}", "  ") == "{\n      \"a\": 1\n  }");
}

TEST_CASE("progress: the bar") {
    CHECK(progress_bar(0, 0, 200) == "");
    CHECK(progress_bar(1'500, 0, 200) == "   1.5kB");
    CHECK(progress_bar(50, 100, 80) == "     50B/100B");
    CHECK(progress_bar(50, 100, 200) ==
          "[=========================>                         ]      50B/100B");
    CHECK(progress_bar(200, 100, 80) == "    200B");
}

}  // namespace davit::cli
