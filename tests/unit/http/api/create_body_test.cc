// Goal: create bodies are read as their client's version means them, and nothing in them is
// ignored. Method: three clients' bodies; one version after another; one endpoint setting at a
// time.
#include "http/api/create_body.h"

#include "reactor/base/limits.h"
#include "tests/support/catch.h"
#include "tests/unit/jobs/container/create_bodies.h"

using namespace davit;

namespace {

ContainerCreateBody body_of(std::string_view json, ApiVersion version = api_version_max) {
    auto body = container_create_body_parse(json, version);
    REQUIRE(body);
    return *std::move(body);
}

std::string refusal(std::string_view json, ApiVersion version = api_version_max) {
    const auto body = container_create_body_parse(json, version);
    INFO(json);
    REQUIRE_FALSE(body);
    return std::string(error_kind_name(body.error().kind())) + ": " + body.error().message();
}

std::string endpoint_refusal(const std::string& members) {
    return refusal(R"({"NetworkingConfig":{"EndpointsConfig":{"default":{)" + members + "}}}}");
}

}  // namespace

TEST_CASE("the bodies of three clients are read", "[wire][create]") {
    const ContainerCreateBody cli = body_of(test::docker_cli_body);
    CHECK(cli.config.image == "alpine");
    CHECK(cli.host_config.auto_remove);
    CHECK(body_of(test::docker_py_body).host_config.memory == 64 * 1024 * 1024);
    CHECK(body_of(test::testcontainers_body).host_config.binds.size() == 1);
}

TEST_CASE("what is no body is refused", "[wire][create]") {
    const std::string empty =
        "invalid_argument: config cannot be empty in order to create a container";
    CHECK(refusal("") == empty);
    CHECK(refusal(" \n") == empty);
    CHECK_THAT(refusal("{"), Catch::StartsWith("invalid_argument: "));
    CHECK_THAT(refusal("{}{}"), Catch::StartsWith("invalid_argument: "));
    CHECK_THAT(refusal("[]"), Catch::Contains("cannot unmarshal array"));
    CHECK_THAT(refusal(R"({"HostConfig":{"Memory":"1g"}})"),
               Catch::Contains("HostConfig.Memory of type int64"));
    CHECK_THAT(refusal(R"({"HostConfig":[]})"), Catch::Contains("HostConfig"));
}

TEST_CASE("old clients mean other things", "[wire][create]") {
    const std::string_view json =
        R"({"HostConfig":{"AutoRemove":true,"ConsoleSize":[3,4],
            "Mounts":[{"Type":"tmpfs","Target":"/t","BindOptions":{},"VolumeOptions":{}}]}})";
    const HostConfig now = body_of(json).host_config;
    CHECK(now.auto_remove);
    CHECK(now.ipc_mode.empty());
    CHECK(now.console_size[0] == 3);
    CHECK(now.mounts[0].bind_options.has_value());
    CHECK(now.mounts[0].volume_options.has_value());
    CHECK_FALSE(body_of(json, {1, 24}).host_config.auto_remove);
    CHECK(body_of(json, {1, 25}).host_config.auto_remove);
    CHECK(body_of(json, {1, 39}).host_config.ipc_mode == "shareable");
    CHECK(body_of(json, {1, 40}).host_config.ipc_mode.empty());
    const HostConfig forgiving = body_of(json, {1, 41}).host_config;
    CHECK(forgiving.console_size[0] == 0);
    CHECK_FALSE(forgiving.mounts[0].bind_options.has_value());
    CHECK_FALSE(forgiving.mounts[0].volume_options.has_value());
}

TEST_CASE("mounts of later versions are refused to older clients", "[wire][create]") {
    const auto mount = [](const std::string& members) {
        return R"({"HostConfig":{"Mounts":[{"Source":"s","Target":"/t",)" + members + "}]}}";
    };
    const std::string image = mount(R"("Type":"image")");
    body_of(image, {1, 48});
    CHECK(refusal(image, {1, 47}) ==
          "invalid_argument: Mount type \"Image\" needs API v1.48 or newer");
    const std::string part = mount(R"("Type":"volume","VolumeOptions":{"Subpath":"a"})");
    CHECK(body_of(part, {1, 45}).host_config.mounts[0].volume_options->subpath == "a");
    CHECK(refusal(part, {1, 44}) ==
          "invalid_argument: VolumeOptions.Subpath needs API v1.45 or newer");
    const std::string whole =
        mount(R"("Type":"bind","BindOptions":{"ReadOnlyForceRecursive":true})");
    body_of(whole, {1, 44});
    CHECK(refusal(whole, {1, 43}) ==
          "invalid_argument: BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer");
    const std::string top = mount(R"("Type":"bind","BindOptions":{"ReadOnlyNonRecursive":true})");
    CHECK(body_of(top, {1, 44}).host_config.mounts[0].bind_options->read_only_non_recursive);
    CHECK_FALSE(body_of(top, {1, 43}).host_config.mounts[0].bind_options->read_only_non_recursive);
}

TEST_CASE("what an endpoint asks for is read", "[wire][create]") {
    const ContainerCreateBody body =
        body_of(R"({"NetworkingConfig":{"EndpointsConfig":{"front":{"Aliases":["db","d"],
            "IPAMConfig":{"IPv4Address":"10.0.0.9","IPv6Address":"fd00::9"},
            "MacAddress":"02:00:00:00:00:01",
            "GwPriority":5,"Links":["other:o"],"IPAddress":"ignored"},"back":null}}})");
    REQUIRE(body.endpoints.size() == 2);
    const EndpointSettings& front = body.endpoints.at("front");
    CHECK(front.aliases == std::vector<std::string>{"db", "d"});
    REQUIRE(front.ipam);
    CHECK(front.ipam->ipv4_address == "10.0.0.9");
    CHECK(front.ipam->ipv6_address == "fd00::9");
    CHECK(front.mac_address_wanted == "02:00:00:00:00:01");
    CHECK(front.gw_priority == 5);
    CHECK(front.links == std::vector<std::string>{"other:o"});
    CHECK(front.ip_address.empty());
    CHECK(body.endpoints.at("back") == EndpointSettings());
    CHECK(body_of(R"({"NetworkingConfig":{"EndpointsConfig":null}})").endpoints.empty());
}

TEST_CASE("what an endpoint cannot have is refused by name", "[wire][create]") {
    CHECK_THAT(endpoint_refusal(R"("IPAMConfig":{"LinkLocalIPs":["fe80::9"]})"),
               Catch::StartsWith("unsupported: LinkLocalIPs"));
    CHECK_THAT(endpoint_refusal(R"("DriverOpts":{"a":"b"})"),
               Catch::StartsWith("unsupported: DriverOpts"));
}

TEST_CASE("several networks are for clients that know of them", "[wire][create]") {
    const std::string_view two =
        R"({"NetworkingConfig":{"EndpointsConfig":{"default":{},"backend":{}}}})";
    CHECK(body_of(two).endpoints.size() == 2);
    CHECK(refusal(two, {1, 43}) ==
          "invalid_argument: Container cannot be connected to network endpoints: default, "
          "backend");
}

TEST_CASE("bodies that ask for the same have one meaning", "[wire][create]") {
    const auto meaning = [](std::string_view json) {
        const auto text = container_create_body_meaning(json);
        return text ? *text : std::string(error_kind_name(text.error().kind()));
    };
    const std::string plain = meaning(R"({"Cmd":["a","b"],"HostConfig":{"Memory":1,"Init":null}})");
    CHECK(plain == R"({"Cmd":["a","b"],"HostConfig":{"Init":null,"Memory":1}})");
    CHECK(meaning(R"( {"HostConfig": {"Init": null, "ConsoleSize": [50, 132], "Memory": 1},
                       "Cmd": ["a", "b"]} )") == plain);
    CHECK(meaning(R"({"Cmd":["b","a"],"HostConfig":{"Memory":1,"Init":null}})") != plain);
    CHECK(meaning(R"({"Cmd":["a","b"],"HostConfig":{"Memory":1}})") != plain);
    CHECK(meaning(R"({"ConsoleSize":[1,2],"Labels":{"b":"\u00e4\"","a":"1.50"}})") ==
          "{\"ConsoleSize\":[1,2],\"Labels\":{\"a\":\"1.50\",\"b\":\"\xc3\xa4\\\"\"}}");
    CHECK(meaning("{") == "invalid_argument");
    const std::string deep = std::string(limits::json_depth_max, '[');
    const std::string nested = deep + std::string(limits::json_depth_max, ']');
    CHECK(meaning(nested) == nested);
    CHECK(meaning("[" + nested + "]") == "invalid_argument");
}
