// Goal: configs are read completely, written so that they read back, and chained as OCI says.
// Method: a document with every key; a round trip; chain ids computed apart with sha256sum.
#include "graph/image_config.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

Digest digest_of(char c) {
    return Digest::from_sha256_hex(std::string(64, c));
}

const std::string every_key = R"({
  "architecture":"arm","os":"linux","variant":"v7","os.version":"1","os.features":["f"],
  "created":"2024-01-02T03:04:05.6Z","author":"me",
  "config":{"User":"u:g","ExposedPorts":{"80/tcp":{},"53/udp":{}},"Env":["A=1","B="],
    "Entrypoint":["/e"],"Cmd":["c","d"],"Volumes":{"/v":{}},"WorkingDir":"/w",
    "Labels":{"k":"v"},"StopSignal":"SIGINT","Shell":["/bin/sh","-c"],"OnBuild":["RUN x"],
    "ArgsEscaped":true,
    "Healthcheck":{"Test":["CMD","t"],"Interval":1,"Timeout":2,"StartPeriod":3,"StartInterval":4,
                   "Retries":5}},
  "rootfs":{"type":"layers","diff_ids":["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]},
  "history":[{"created":"2024-01-02T03:04:05.6Z","created_by":"ADD","author":"me","comment":"c"},
             {"created_by":"ENV","empty_layer":true}],
  "unknown":{"kept":"only in the bytes"}
})";

std::string with_rootfs(const std::string& rootfs) {
    return R"({"architecture":"amd64","os":"linux","rootfs":)" + rootfs + "}";
}

}  // namespace

TEST_CASE("image config has every key") {
    const Result<ImageConfig> config = image_config_parse(every_key);
    REQUIRE(config);
    CHECK(config->platform.str() == "linux/arm/v7");
    CHECK(config->platform.os_version == "1");
    CHECK(config->platform.os_features == std::vector<std::string>{"f"});
    CHECK(config->created == "2024-01-02T03:04:05.6Z");
    CHECK(config->author == "me");
    const RunConfig& run = config->config;
    CHECK(run.user == "u:g");
    CHECK(run.exposed_ports == std::vector<std::string>{"80/tcp", "53/udp"});
    CHECK(run.env == std::vector<std::string>{"A=1", "B="});
    CHECK(run.entrypoint == std::vector<std::string>{"/e"});
    CHECK(run.cmd == std::vector<std::string>{"c", "d"});
    CHECK(run.volumes == std::vector<std::string>{"/v"});
    CHECK(run.working_dir == "/w");
    CHECK(run.labels == std::map<std::string, std::string>{{"k", "v"}});
    CHECK(run.stop_signal == "SIGINT");
    CHECK(run.shell.size() == 2);
    CHECK(run.on_build.size() == 1);
    CHECK(run.args_escaped);
    REQUIRE(run.healthcheck);
    CHECK(run.healthcheck->test == std::vector<std::string>{"CMD", "t"});
    CHECK(run.healthcheck->start_interval_ns == 4);
    CHECK(run.healthcheck->retries == 5);
    CHECK(config->diff_ids == std::vector<Digest>{digest_of('a'), digest_of('b')});
    REQUIRE(config->history.size() == 2);
    CHECK(config->history[1].empty_layer);
}

TEST_CASE("image config reads back as written") {
    const Result<ImageConfig> config = image_config_parse(every_key);
    REQUIRE(config);
    const Result<ImageConfig> again = image_config_parse(image_config_json(*config));
    REQUIRE(again);
    CHECK(*again == *config);
}

TEST_CASE("image config takes Docker's nulls") {
    const Result<ImageConfig> config = image_config_parse(
        R"({"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":"sh","Volumes":null,)"
        R"("Labels":null},"rootfs":{"type":"layers","diff_ids":null},"history":null})");
    REQUIRE(config);
    CHECK(config->config.cmd == std::vector<std::string>{"sh"});
    CHECK(config->diff_ids.empty());
    CHECK(image_config_parse(with_rootfs(R"({"type":"layers"})")));
}

TEST_CASE("image config refusals") {
    CHECK(image_config_parse("").error().kind() == ErrorKind::invalid_argument);
    CHECK(image_config_parse("[]").error().kind() == ErrorKind::invalid_argument);
    CHECK(image_config_parse("{}").error().message() == "invalid image config: no rootfs");
    CHECK_FALSE(image_config_parse(with_rootfs(R"({"type":"trees","diff_ids":[]})")));
    CHECK_FALSE(image_config_parse(with_rootfs(R"({"diff_ids":["sha256:1"]})")));
    CHECK_FALSE(image_config_parse(with_rootfs(R"({"diff_ids":[1]})")));
    CHECK(image_config_parse(R"({"config":{"Env":"A=1"},"rootfs":{}})").error().message() ==
          "json: cannot unmarshal string into field config.Env of type []string");
}

TEST_CASE("image config of an import") {
    const ImageConfig config = image_config_for_import(
        *platform_parse("linux/amd64"), digest_of('a'), "2024-01-01T00:00:00Z", "Imported from -");
    CHECK(
        image_config_json(config) ==
        R"({"architecture":"amd64","config":{},"created":"2024-01-01T00:00:00Z",)"
        R"("history":[{"created":"2024-01-01T00:00:00Z","comment":"Imported from -"}],)"
        R"("os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]}})");
}

TEST_CASE("chain ids") {
    const std::vector<Digest> diffs = {digest_of('a'), digest_of('b'), digest_of('c')};
    const std::vector<Digest> chain = chain_ids(diffs);
    REQUIRE(chain.size() == 3);
    CHECK(chain[0] == diffs[0]);
    CHECK(chain[1].hex() == "ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c");
    CHECK(chain[2].hex() == "c1377126441fb2f5ec2c21ae2a60255331d639e830f0ee1b40a36e52d4c40588");
    CHECK(chain_id(diffs) == chain[2]);
    CHECK(chain_id({}).empty());
}
