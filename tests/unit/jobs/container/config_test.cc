// Goal: a container's configuration is read as Go reads it, and written as Docker writes it.
// Method: requests of three clients; wrong values one at a time; round trips.
#include "jobs/container/config.h"

#include "tests/unit/jobs/container/create_bodies.h"
#include "tests/unit/jobs/container/model_support.h"

using namespace davit;
using namespace davit::test;

namespace {

std::string written(const ContainerConfig& config) {
    std::string text;
    JsonWriter json(text);
    container_config_write(json, config);
    return text;
}

std::string check(std::string_view json) {
    ContainerConfig config = config_of(json);
    return failure(container_config_check(config));
}

}  // namespace

TEST_CASE("the docker CLI's request is read", "[container][config]") {
    const ContainerConfig config = config_of(docker_cli_body);
    CHECK(config.tty);
    CHECK(config.open_stdin);
    CHECK(config.stdin_once);
    CHECK(config.attach_stdin);
    CHECK(config.env == std::vector<std::string>{"A=1"});
    CHECK(config.cmd == std::vector<std::string>{"sh"});
    CHECK_FALSE(config.entrypoint.has_value());
    CHECK(config.image == "alpine");
    CHECK(config.labels == std::map<std::string, std::string>{{"ci", "yes"}});
    CHECK_FALSE(config.stop_timeout.has_value());
}

TEST_CASE("docker-py's nulls are the same as absent keys", "[container][config]") {
    const ContainerConfig config = config_of(docker_py_body);
    CHECK(config.hostname.empty());
    CHECK(config.env.empty());
    CHECK(config.cmd == std::vector<std::string>{"sleep", "5"});
    CHECK_FALSE(config.healthcheck.has_value());
}

TEST_CASE("testcontainers' health check is read", "[container][config]") {
    const ContainerConfig config = config_of(testcontainers_body);
    CHECK(config.exposed_ports == std::set<std::string>{"6379/tcp"});
    REQUIRE(config.healthcheck.has_value());
    CHECK(config.healthcheck->test == std::vector<std::string>{"CMD-SHELL", "redis-cli ping"});
    CHECK(config.healthcheck->interval_ns == 1'000'000'000);
}

TEST_CASE("a command may be text, and empty is not absent", "[container][config]") {
    CHECK(config_of(R"({"Cmd":"ls -l"})").cmd == std::vector<std::string>{"ls -l"});
    CHECK(config_of(R"({"Entrypoint":[]})").entrypoint == std::vector<std::string>{});
    CHECK_FALSE(config_of(R"({"Entrypoint":null})").entrypoint.has_value());
    CHECK(config_of(R"({"cmd":["a"]})").cmd == std::vector<std::string>{"a"});
}

TEST_CASE("members of a wrong type are named", "[container][config]") {
    const auto refusal = [](std::string_view json) {
        const auto document = JsonDocument::parse(json);
        REQUIRE(document);
        return failure(container_config_parse(document->root()));
    };
    CHECK_THAT(refusal(R"({"Tty":"yes"})"), Catch::Contains("field Tty of type bool"));
    CHECK_THAT(refusal(R"({"Env":"A=1"})"), Catch::Contains("field Env of type []string"));
    CHECK_THAT(refusal(R"({"StopTimeout":99999999999})"), Catch::Contains("out of range"));
    CHECK_THAT(refusal(R"([])"), Catch::Contains("cannot unmarshal array"));
    CHECK_THAT(refusal(R"("x")"), Catch::Contains("cannot unmarshal string"));
}

TEST_CASE("inspect's configuration has Docker's keys in Docker's order", "[container][config]") {
    CHECK(written(ContainerConfig{}) ==
          R"({"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,)"
          R"("AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":[],)"
          R"("Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,)"
          R"("OnBuild":null,"Labels":{}})");
    ContainerConfig config = config_of(testcontainers_body);
    config.stop_timeout = 3;
    config.volumes = {"/data"};
    CHECK_THAT(written(config), Catch::Contains(R"("ExposedPorts":{"6379/tcp":{}})"));
    CHECK_THAT(written(config), Catch::Contains(R"("Volumes":{"/data":{}})"));
    CHECK_THAT(written(config), Catch::Contains(R"("StopTimeout":3})"));
    CHECK_THAT(
        written(config),
        Catch::Contains(
            R"("Healthcheck":{"Test":["CMD-SHELL","redis-cli ping"],"Interval":1000000000})"));
}

TEST_CASE("what is written reads back as the same", "[container][config]") {
    ContainerConfig config = config_of(testcontainers_body);
    config.hostname = "box";
    config.entrypoint = {"/init"};
    config.volumes = {"/a", "/b"};
    config.stop_signal = "SIGINT";
    config.stop_timeout = -1;
    config.shell = {"/bin/sh", "-c"};
    config.on_build = {"RUN x"};
    config.args_escaped = config.network_disabled = true;
    config.mac_address = "02:00:00:00:00:01";
    CHECK(config_of(written(config)) == config);
    CHECK(config_of(written(ContainerConfig{})) == ContainerConfig{});
}

TEST_CASE("bad values are refused in Docker's words", "[container][config]") {
    CHECK(check(R"({"WorkingDir":"tmp"})") ==
          "invalid_argument: the working directory 'tmp' is invalid, it needs to be an absolute "
          "path");
    CHECK(check(R"({"StopSignal":"SIGWAT"})") == "invalid_argument: invalid signal: SIGWAT");
    CHECK(check(R"({"Env":["=x"]})") == "invalid_argument: invalid environment variable: =x");
    CHECK(check(R"({"Env":[""]})") == "invalid_argument: invalid environment variable: ");
    CHECK(check(R"({"Healthcheck":{"Interval":5}})") ==
          "invalid_argument: Interval in Healthcheck cannot be less than 1ms");
    CHECK(check(R"({"Healthcheck":{"Timeout":-5}})") ==
          "invalid_argument: Timeout in Healthcheck cannot be less than 1ms");
    CHECK(check(R"({"Healthcheck":{"Retries":-1}})") ==
          "invalid_argument: Retries in Healthcheck cannot be negative");
    CHECK_THAT(check(R"({"MacAddress":"02:42:ac:11:00:02"})"),
               Catch::StartsWith("unsupported: MacAddress \"02:42:ac:11:00:02\""));
    CHECK(check("{\"Hostname\":\"" + std::string(64, 'h') + "\"}").empty());
    CHECK_THAT(check("{\"Hostname\":\"" + std::string(65, 'h') + "\"}"),
               Catch::StartsWith("invalid_argument: invalid hostname format"));
    CHECK_THAT(check(R"({"Cmd":["a\u0000b"]})"), Catch::Contains("NUL"));
    for (const std::string port : {"x", "80/xyz", "70000", "-1", "80-", "90-80", "80-90-100", ""}) {
        CHECK(check("{\"ExposedPorts\":{\"" + port + "\":{}}}") ==
              "invalid_argument: invalid port specification: \"" + port + "\"");
    }
    CHECK(check(R"({"ExposedPorts":{"80":{},"53/udp":{},"8000-8010/tcp":{}}})").empty());
    CHECK_THAT(check(R"({"Volumes":{"data":{}}})"), Catch::Contains("must be absolute"));
}

TEST_CASE("the working directory is cleaned", "[container][config]") {
    ContainerConfig config;
    config.working_dir = "/a//b/./../c/";
    REQUIRE(container_config_check(config));
    CHECK(config.working_dir == "/a/c");
    config.working_dir = "/../..";
    REQUIRE(container_config_check(config));
    CHECK(config.working_dir == "/");
}
