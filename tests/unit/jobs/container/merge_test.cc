// Goal: request, image and defaults come together as Docker brings them together.
// Method: small requests and images, one rule at a time.
#include "jobs/container/merge.h"

#include <set>

#include "jobs/container/cpu_list.h"
#include "tests/unit/jobs/container/create_bodies.h"
#include "tests/unit/jobs/container/model_support.h"

using namespace davit;
using namespace davit::test;

namespace {

using Words = std::vector<std::string>;

RunConfig image_with_command() {
    RunConfig image;
    image.entrypoint = {"/entry"};
    image.cmd = {"serve", "--all"};
    return image;
}

struct Merged {
    ContainerRecord record;
    Words warnings;
};

Merged merged(std::string_view body, const RunConfig& image, const HostFacts& host = {}) {
    Merged result{record_of(body), {}};
    const auto done = container_merge(result.record, image, result.warnings, host);
    INFO(failure(done));
    REQUIRE(done);
    return result;
}

std::string refusal(std::string_view body, const RunConfig& image, const HostFacts& host = {}) {
    ContainerRecord record = record_of(body);
    Words warnings;
    return failure(container_merge(record, image, warnings, host));
}

Words program(std::string_view body, const RunConfig& image) {
    const ContainerRecord record = merged(body, image).record;
    Words words{record.path};
    words.insert(words.end(), record.args.begin(), record.args.end());
    return words;
}

}  // namespace

TEST_CASE("entrypoint and command follow Docker's rule", "[container][merge]") {
    const RunConfig image = image_with_command();
    CHECK(program("{}", image) == Words{"/entry", "serve", "--all"});
    CHECK(program(R"({"Cmd":["x"]})", image) == Words{"/entry", "x"});
    CHECK(program(R"({"Cmd":[]})", image) == Words{"/entry", "serve", "--all"});
    CHECK(program(R"({"Entrypoint":["/own"]})", image) == Words{"/own"});
    CHECK(program(R"({"Entrypoint":["/own"],"Cmd":["x"]})", image) == Words{"/own", "x"});
    // [""] is the docker CLI's --entrypoint "": the image's entrypoint goes, and its command too.
    CHECK(program(R"({"Entrypoint":[""],"Cmd":["x"]})", image) == Words{"x"});
    CHECK(refusal(R"({"Entrypoint":[""]})", image) == "invalid_argument: no command specified");
    // An empty list keeps the image's command, and takes its entrypoint away.
    CHECK(program(R"({"Entrypoint":[]})", image) == Words{"serve", "--all"});
    CHECK(refusal("{}", RunConfig{}) == "invalid_argument: no command specified");
    CHECK(refusal(R"({"Cmd":[""]})", RunConfig{}) == "invalid_argument: no command specified");
}

TEST_CASE("variables merge by name", "[container][merge]") {
    RunConfig image = image_with_command();
    image.env = {"PATH=/bin", "A=image", "B=image"};
    const ContainerRecord record = merged(R"({"Env":["C=3","A=own","B"]})", image).record;
    CHECK(record.config.env == Words{"C=3", "A=own", "B", "PATH=/bin"});
    // What the program sees: defaults first, a bare name removes.
    CHECK(container_environment(record.config) ==
          Words{"PATH=/bin", "HOSTNAME=" + record.config.hostname, "C=3", "A=own"});
}

TEST_CASE("the environment's defaults", "[container][merge]") {
    ContainerConfig config;
    config.hostname = "box";
    config.tty = true;
    CHECK(container_environment(config) ==
          Words{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOSTNAME=box",
                "TERM=xterm"});
    // Those of links stand before the user's own, which may replace them.
    config.env = {"DB_PORT=own"};
    CHECK(container_environment(config, {"DB_NAME=/web/db", "DB_PORT=x"}) ==
          Words{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOSTNAME=box",
                "TERM=xterm",
                "DB_NAME=/web/db",
                "DB_PORT=own"});
    config.env = {"TERM=vt100", "HOSTNAME", "X=1", "X=2", "PATH"};
    CHECK(container_environment(config) == Words{"TERM=vt100", "X=2"});
}

TEST_CASE("the image's other defaults are taken over", "[container][merge]") {
    RunConfig image = image_with_command();
    image.user = "web";
    image.working_dir = "/srv";
    image.stop_signal = "SIGQUIT";
    image.exposed_ports = {"80/tcp"};
    image.volumes = {"/data"};
    image.labels = {{"a", "image"}, {"b", "image"}};
    const ContainerConfig config =
        merged(R"({"ExposedPorts":{"90/tcp":{}},"Labels":{"a":"own"}})", image).record.config;
    CHECK(config.user == "web");
    CHECK(config.working_dir == "/srv");
    CHECK(config.stop_signal == "SIGQUIT");
    CHECK(config.exposed_ports == std::set<std::string>{"80/tcp", "90/tcp"});
    CHECK(config.volumes == std::set<std::string>{"/data"});
    CHECK(config.labels == std::map<std::string, std::string>{{"a", "own"}, {"b", "image"}});
    const ContainerConfig own =
        merged(R"({"User":"root","WorkingDir":"/w","StopSignal":"9"})", image).record.config;
    CHECK(own.user == "root");
    CHECK(own.working_dir == "/w");
    CHECK(own.stop_signal == "9");
}

TEST_CASE("bad values of an image are refused as a request's are", "[container][merge]") {
    RunConfig image = image_with_command();
    image.working_dir = "relative";
    CHECK_THAT(refusal("{}", image), Catch::Contains("the working directory 'relative'"));
}

TEST_CASE("a health check inherits what it does not say", "[container][merge]") {
    RunConfig image = image_with_command();
    image.healthcheck =
        HealthConfig{.test = {"CMD", "true"}, .interval_ns = 5'000'000, .retries = 7};
    const Merged plain = merged(R"({"HostConfig":{"NetworkMode":"none"}})", image);
    CHECK(plain.record.config.healthcheck == image.healthcheck);
    CHECK(plain.warnings.empty());
    const Merged own = merged(
        R"({"HostConfig":{"NetworkMode":"none"},"Healthcheck":{"Interval":9000000}})", image);
    CHECK(own.record.config.healthcheck->interval_ns == 9'000'000);
    CHECK(own.record.config.healthcheck->retries == 7);
    CHECK(own.record.config.healthcheck->test == Words{"CMD", "true"});
    const Merged none =
        merged(R"({"HostConfig":{"NetworkMode":"none"},"Healthcheck":{"Test":["NONE"]}})", image);
    CHECK(none.warnings.empty());
}

TEST_CASE("the image's volumes are mounts of the container", "[container][merge]") {
    RunConfig image = image_with_command();
    image.volumes = {"/data", "/mounted"};
    const Merged result = merged(R"({"HostConfig":{"Binds":["/src:/mounted"]}})", image);
    REQUIRE(result.record.mounts.size() == 2);
    CHECK(result.record.mounts[0].type == "bind");
    CHECK(result.record.mounts[1].type == "volume");
    CHECK(result.record.mounts[1].destination == "/data");
}

TEST_CASE("a container's name for itself", "[container][merge]") {
    const RunConfig image = image_with_command();
    const HostFacts host{.hostname = "metal", .cpu_count = 2};
    CHECK(merged("{}", image, host).record.config.hostname == std::string(12, 'a'));
    CHECK(merged(R"({"Hostname":"box"})", image, host).record.config.hostname == "box");
    CHECK(merged(R"({"HostConfig":{"NetworkMode":"host"}})", image, host).record.config.hostname ==
          "metal");
    CHECK(merged(R"({"Hostname":"box","HostConfig":{"NetworkMode":"host"}})", image, host)
              .record.config.hostname == "box");
    CHECK(merged(R"({"HostConfig":{"UTSMode":"host"}})", image, host).record.config.hostname ==
          "metal");
    CHECK(refusal(R"({"Hostname":"box","HostConfig":{"UTSMode":"host"}})", image, host) ==
          "invalid_argument: conflicting options: hostname and the UTS mode");
}

TEST_CASE("the host's facts reach the checks", "[container][merge]") {
    const std::string_view body = R"({"HostConfig":{"NanoCpus":3000000000}})";
    CHECK_THAT(refusal(body, image_with_command(), {.hostname = "", .cpu_count = 2}),
               Catch::Contains("only 2 CPUs available"));
    CHECK(refusal(body, image_with_command()).empty());
}

TEST_CASE("the docker CLI's request becomes a whole record", "[container][merge]") {
    const ContainerRecord record = merged(docker_cli_body, image_with_command()).record;
    CHECK(record.path == "/entry");
    CHECK(record.args == Words{"sh"});
    CHECK(record.host_config.network_mode == "bridge");
    REQUIRE(record.mounts.size() == 1);
    CHECK(record.mounts[0].destination == "/work");
}

TEST_CASE("names are checked", "[container][names]") {
    CHECK(*container_name_check("web") == "/web");
    CHECK(*container_name_check("/web_1.a-b") == "/web_1.a-b");
    for (const std::string_view name :
         {"", "/", "a", "-ab", "_ab", "a b", "a/b", "//ab", "\xc3\xa4\xc3\xa4"}) {
        CHECK(failure(container_name_check(name)) ==
              "invalid_argument: Invalid container name (" + std::string(name) +
                  "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
    }
    CHECK(container_name_check(std::string(254, 'a')));
    CHECK_FALSE(container_name_check(std::string(255, 'a')));
}

TEST_CASE("made-up names are valid and many", "[container][names]") {
    std::set<std::string> names;
    for (int i = 0; i < 500; ++i) {
        const std::string name = container_name_generate(0);
        CHECK(container_name_check(name));
        CHECK(name.find_first_of("0123456789") == std::string::npos);
        names.insert(name);
    }
    CHECK(names.size() > 400);  // Of some 14,000; fewer would mean a stuck generator.
    CHECK(container_name_generate(1).find_first_of("0123456789") != std::string::npos);
    std::set<std::string> late;
    for (int i = 0; i < 50; ++i) {
        late.insert(container_name_generate(20));
    }
    CHECK(late.size() == 50);
}

TEST_CASE("lists of processors are read", "[container][cpu_list]") {
    CHECK(cpu_list_parse("") == std::set<unsigned>{});
    CHECK(cpu_list_parse("0-2,7") == std::set<unsigned>{0, 1, 2, 7});
    for (const std::string_view text :
         {"a", "-", "1-", "-1", ",", "1,", "3-1", "0x1", "99999", " 1"}) {
        CHECK_FALSE(cpu_list_parse(text).has_value());
    }
}
