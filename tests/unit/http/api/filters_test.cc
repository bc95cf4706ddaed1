// Goal: filters select what Docker's select, whatever a client sends.
// Method: both JSON forms, wrong ones, patterns with edge cases, and one container per rule.
#include "http/api/filters.h"

#include <array>

#include "http/api/container_filter.h"
#include "jobs/container/record.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

constexpr std::array<std::string_view, 4> known{"label", "name", "dangling", "status"};

Filters filters_of(std::string_view json) {
    auto filters = Filters::parse(json, known);
    REQUIRE(filters);
    return *std::move(filters);
}

std::string refusal(std::string_view json) {
    const auto filters = Filters::parse(json, known);
    REQUIRE_FALSE(filters);
    CHECK(filters.error().kind() == ErrorKind::invalid_argument);
    return filters.error().message();
}

ContainerRecord sample() {
    ContainerRecord record;
    record.id = *ContainerId::parse("abc" + std::string(61, '0'));
    record.name = "/web-1";
    record.created = wall_from_unix_nanoseconds(1000);
    record.image_id = Digest::from_sha256_hex(std::string(64, '1'));
    record.config.labels = {{"tier", "front"}, {"empty", ""}};
    record.config.exposed_ports = {"80/tcp", "53/udp"};
    record.host_config.network_mode = "none";
    record.networks["none"];
    record.host_config.port_bindings["8080/tcp"];
    MountPoint& bind = record.mounts.emplace_back();
    bind.type = "bind";
    bind.source = "/src";
    bind.destination = "/work";
    record.state.status = ContainerState::exited;
    record.state.exit_code = 3;
    return record;
}

const ContainerFilterLookups lookups{
    .created = [](const std::string& name) -> Result<WallTime> {
        if (name == "missing") {
            return Error(ErrorKind::not_found, "No such container: missing");
        }
        return wall_from_unix_nanoseconds(name == "older" ? 500 : 2000);
    },
    .image_family = [](const std::string& name) -> Result<std::vector<Digest>> {
        return name == "base" ? std::vector<Digest>{Digest::from_sha256_hex(std::string(64, '1'))}
                              : std::vector<Digest>{};
    },
};

bool selects(std::string_view json) {
    const auto filter = ContainerFilter::parse(json, lookups);
    INFO(json);
    REQUIRE(filter);
    return filter->matches(sample());
}

std::string container_refusal(std::string_view json) {
    const auto filter = ContainerFilter::parse(json, lookups);
    INFO(json);
    REQUIRE_FALSE(filter);
    return filter.error().message();
}

bool name_matches(const std::string& expression, const std::string& name) {
    const auto pattern = NamePattern::compile(expression);
    INFO(expression);
    REQUIRE(pattern);
    return pattern->matches(name);
}

}  // namespace

TEST_CASE("filters come in two forms", "[wire][filters]") {
    CHECK_FALSE(filters_of("").has("label"));
    CHECK_FALSE(filters_of("{}").has("label"));
    CHECK_FALSE(filters_of("null").has("label"));
    CHECK(filters_of(R"({"label":["a=b","c"]})").all("label") ==
          std::vector<std::string>{"a=b", "c"});
    CHECK(filters_of(R"({"label":{"a=b":true,"c":true,"d":false}})").all("label") ==
          std::vector<std::string>{"a=b", "c"});
    CHECK_FALSE(filters_of(R"({"label":[]})").has("label"));
    CHECK(filters_of(R"({"label":[]})").all("name").empty());
}

TEST_CASE("what is no filter is refused in Docker's words", "[wire][filters]") {
    CHECK(refusal(R"({"labels":["a"]})") == "invalid filter 'labels'");
    CHECK(refusal(R"({"label":"a"})") == "invalid filter");
    CHECK(refusal(R"({"label":[1]})") == "invalid filter");
    CHECK(refusal(R"({"label":{"a":"yes"}})") == "invalid filter");
    CHECK(refusal("[]") == "invalid filter");
    CHECK(refusal("label=a") == "invalid filter");
}

TEST_CASE("values are alternatives, labels are not", "[wire][filters]") {
    const Filters names = filters_of(R"({"name":["a","b"]})");
    CHECK(names.admits("name", "b"));
    CHECK_FALSE(names.admits("name", "c"));
    CHECK(names.admits("status", "anything"));
    CHECK(names.admits_prefix("name", "bee"));
    CHECK_FALSE(names.admits_prefix("name", "cab"));
    const std::map<std::string, std::string> labels{{"a", "1"}, {"b", ""}};
    CHECK(filters_of(R"({"label":["a","b"]})").admits_labels("label", labels));
    CHECK(filters_of(R"({"label":["a=1","b="]})").admits_labels("label", labels));
    CHECK_FALSE(filters_of(R"({"label":["a=1","c"]})").admits_labels("label", labels));
    CHECK_FALSE(filters_of(R"({"label":["a=2"]})").admits_labels("label", labels));
}

TEST_CASE("yes-or-no filters take four spellings", "[wire][filters]") {
    CHECK(**filters_of(R"({"dangling":["true"]})").boolean("dangling"));
    CHECK(**filters_of(R"({"dangling":["1"]})").boolean("dangling"));
    CHECK_FALSE(**filters_of(R"({"dangling":["false"]})").boolean("dangling"));
    CHECK_FALSE(**filters_of(R"({"dangling":["0"]})").boolean("dangling"));
    CHECK_FALSE(filters_of("{}").boolean("dangling")->has_value());
    const auto maybe = filters_of(R"({"dangling":["maybe"]})").boolean("dangling");
    REQUIRE_FALSE(maybe);
    CHECK(maybe.error().message() == "invalid filter 'dangling=[maybe]'");
    CHECK_FALSE(filters_of(R"({"dangling":["true","false"]})").boolean("dangling"));
}

TEST_CASE("name patterns are regular expressions found anywhere", "[wire][filters]") {
    CHECK(name_matches("web", "/my-web-1"));
    CHECK(name_matches("^/web$", "/web"));
    CHECK_FALSE(name_matches("^web$", "/web"));
    CHECK(name_matches("^web-\\d+$", "web-12"));
    CHECK(name_matches("a.c|x(y|z)", "xz"));
    CHECK(name_matches("^[a-c]{2}$", "ab"));
    CHECK(name_matches("\\.", "a.b"));
    CHECK_FALSE(name_matches("\\.", "ab"));
    const std::vector<std::string> bad{"(", "[", "a\\1", "(a{1,9}){1,9}", std::string(300, 'a')};
    for (const std::string& text : bad) {
        const auto pattern = NamePattern::compile(text);
        INFO(text);
        REQUIRE_FALSE(pattern);
        CHECK(pattern.error().kind() == ErrorKind::invalid_argument);
    }
    CHECK_FALSE(NamePattern::compile(std::string("a\0b", 3)));
}

TEST_CASE("path patterns stop at slashes", "[wire][filters]") {
    CHECK(path_matches("alpine", "alpine"));
    CHECK(path_matches("alpine:3.*", "alpine:3.20"));
    CHECK(path_matches("*", "alpine"));
    CHECK_FALSE(path_matches("*", "library/alpine"));
    CHECK(path_matches("*/alpine", "library/alpine"));
    CHECK_FALSE(path_matches("*/alpine", "a/b/alpine"));
    CHECK(path_matches("al?ine", "alpine"));
    CHECK_FALSE(path_matches("a?b", "a/b"));
    CHECK(path_matches("[a-c]l*e", "alpine"));
    CHECK_FALSE(path_matches("[^a-c]l*e", "alpine"));
    CHECK(path_matches("a*b*c", "axxbyybzc"));
    CHECK_FALSE(path_matches("a*b*c", "axxbyybz"));
    CHECK(path_matches("a\\*", "a*"));
    CHECK_FALSE(path_matches("a\\*", "ab"));
    CHECK(path_matches("", ""));
    CHECK(path_matches("**", ""));
    CHECK_FALSE(path_matches("", "a"));
    CHECK_FALSE(path_matches("[a", "a"));
    CHECK_FALSE(path_matches("a\\", "a"));
    // Exponential for a matcher that tries every star anew.
    std::string stars;
    for (int i = 0; i < 40; ++i) {
        stars += "*a";
    }
    CHECK_FALSE(path_matches(stars + "b", std::string(2000, 'a')));
}

TEST_CASE("containers are selected as docker ps selects them", "[wire][filters]") {
    const auto [json, expected] = GENERATE(table<std::string, bool>({
        {"", true},
        {R"({"id":["abc"]})", true},
        {R"({"id":["^bc"]})", false},
        {R"({"name":["^web"]})", true},
        {R"({"name":["^/web-1$"]})", true},
        {R"({"name":["db"]})", false},
        {R"({"name":["db","web"]})", true},
        {R"({"label":["tier=front","empty"]})", true},
        {R"({"label":["tier=back"]})", false},
        {R"({"status":["exited","running"]})", true},
        {R"({"status":["running"]})", false},
        {R"({"exited":["3"]})", true},
        {R"({"exited":["0"]})", false},
        {R"({"before":["newer"]})", true},
        {R"({"before":["older"]})", false},
        {R"({"since":["older"]})", true},
        {R"({"since":["newer"]})", false},
        {R"({"ancestor":["base"]})", true},
        {R"({"ancestor":["nothing"]})", false},
        {R"({"network":["none"]})", true},
        {R"({"network":["bridge"]})", false},
        {R"({"volume":["/work"]})", true},
        {R"({"volume":["/src"]})", true},
        {R"({"volume":["/other"]})", false},
        {R"({"expose":["80"]})", true},
        {R"({"expose":["50-60/udp"]})", true},
        {R"({"expose":["50-60"]})", false},
        {R"({"publish":["8080"]})", true},
        {R"({"publish":["80"]})", false},
        {R"({"health":["none"]})", true},
        {R"({"health":["healthy"]})", false},
        {R"({"is-task":["true"]})", false},
        {R"({"is-task":["false"]})", true},
        {R"({"isolation":["default"]})", true},
        {R"({"name":["web"],"network":["bridge"]})", false},
    }));
    INFO(json);
    CHECK(selects(json) == expected);
}

TEST_CASE("filters that cannot be are refused", "[wire][filters]") {
    CHECK(container_refusal(R"({"color":["red"]})") == "invalid filter 'color'");
    CHECK(container_refusal(R"({"status":["asleep"]})") == "invalid filter 'status=asleep'");
    CHECK(container_refusal(R"({"exited":["x"]})") == "invalid filter 'exited=x'");
    CHECK(container_refusal(R"({"health":["ill"]})") == "invalid filter 'health=ill'");
    CHECK(container_refusal(R"({"expose":["80/xyz"]})") == "invalid filter 'expose=80/xyz'");
    CHECK(container_refusal(R"({"publish":["90-80"]})") == "invalid filter 'publish=90-80'");
    CHECK(container_refusal(R"({"is-task":["x"]})") == "invalid filter 'is-task=[x]'");
    CHECK(container_refusal(R"({"before":["missing"]})") == "No such container: missing");
}

TEST_CASE("a filter on what has ended looks at all containers", "[wire][filters]") {
    const auto wants_all = [](std::string_view json) {
        return ContainerFilter::parse(json, lookups)->wants_all();
    };
    CHECK(wants_all(R"({"status":["exited"]})"));
    CHECK(wants_all(R"({"exited":["0"]})"));
    CHECK_FALSE(wants_all(R"({"name":["a"]})"));
    CHECK_FALSE(wants_all(""));
}
