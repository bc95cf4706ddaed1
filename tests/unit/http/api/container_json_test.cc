// Goal: inspect and list have every field that clients read, as Docker spells them.
// Method: the written JSON is read back; fixed times; one state after another.
#include "http/api/container_json.h"

#include "http/json_reader.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t start_seconds = 1'700'000'000;

WallTime at(std::int64_t seconds) {
    return wall_from_unix_nanoseconds((start_seconds + seconds) * second);
}

ContainerRecord running() {
    ContainerRecord record;
    record.id = *ContainerId::parse(std::string(64, 'a'));
    record.name = "/web";
    record.created = at(0);
    record.image_id = Digest::from_sha256_hex(std::string(64, '1'));
    record.driver = "overlay2";
    record.path = "sh";
    record.args = {"-c", "echo hi"};
    record.config.image = "alpine";
    record.config.labels = {{"ci", "yes"}};
    record.config.exposed_ports = {"53/udp", "80/tcp"};
    record.host_config.network_mode = "none";
    record.networks["none"];
    record.host_config.annotations = {{"k", "v"}};
    MountPoint& bind = record.mounts.emplace_back();
    bind.type = "bind";
    bind.source = "/src";
    bind.destination = "/work";
    bind.mode = "ro";
    bind.read_write = false;
    bind.propagation = "rprivate";
    MountPoint& tmpfs = record.mounts.emplace_back();
    tmpfs.type = "tmpfs";
    tmpfs.destination = "/run";
    tmpfs.listed = false;
    record.log_path = "/data/web.log";
    record.files_directory = "/run/web";
    record.state.status = ContainerState::running;
    record.state.pid = 77;
    record.state.started_at = at(1);
    record.start_phases = {{"rootfs", 5, 10}};
    return record;
}

ContainerView view_of(const ContainerRecord& record) {
    return {.record = record, .image_name = "alpine", .now = at(301)};
}

std::string inspect(const ContainerView& view) {
    std::string text;
    JsonWriter json(text);
    container_inspect_write(json, view, api_version_max);
    CHECK(json.complete());
    return text;
}

std::string summary(const ContainerView& view, ApiVersion version = api_version_max) {
    std::string text;
    JsonWriter json(text);
    container_summary_write(json, view, version);
    CHECK(json.complete());
    return text;
}

JsonDocument parsed(const std::string& text) {
    auto document = JsonDocument::parse(text);
    REQUIRE(document);
    return *std::move(document);
}

std::string keys_of(const JsonValue& object) {
    const auto members = object.as_object();
    REQUIRE(members);
    std::string keys;
    for (const auto& member : *members) {
        keys.append(member.first).append(" ");
    }
    return keys;
}

std::string status(const ContainerRecord& record) {
    return container_status_text(record, at(301));
}

}  // namespace

TEST_CASE("inspect has Docker's keys in Docker's order", "[wire][inspect]") {
    const ContainerRecord record = running();
    const JsonDocument document = parsed(inspect(view_of(record)));
    const JsonValue root = document.root();
    CHECK(keys_of(root) ==
          "Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name "
          "RestartCount Driver Platform MountLabel ProcessLabel AppArmorProfile ExecIDs HostConfig "
          "GraphDriver Mounts Config NetworkSettings Davit ");
    CHECK(keys_of(root.member("State")) ==
          "Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error StartedAt "
          "FinishedAt ");
    CHECK(keys_of(root.member("NetworkSettings")) ==
          "Bridge SandboxID SandboxKey Ports HairpinMode LinkLocalIPv6Address "
          "LinkLocalIPv6PrefixLen SecondaryIPAddresses SecondaryIPv6Addresses EndpointID Gateway "
          "GlobalIPv6Address GlobalIPv6PrefixLen IPAddress IPPrefixLen IPv6Gateway MacAddress "
          "Networks ");
    CHECK(keys_of(root.member("NetworkSettings").member("Networks").member("none")) ==
          "IPAMConfig Links Aliases MacAddress DriverOpts GwPriority NetworkID EndpointID Gateway "
          "IPAddress IPPrefixLen IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen DNSNames ");
}

TEST_CASE("inspect tells a running container's state", "[wire][inspect]") {
    const ContainerRecord record = running();
    const std::string text = inspect(view_of(record));
    CHECK_THAT(text, Catch::Contains(R"("Created":"2023-11-14T22:13:20Z")"));
    CHECK_THAT(text,
               Catch::Contains(
                   R"("State":{"Status":"running","Running":true,"Paused":false,)"
                   R"("Restarting":false,"OOMKilled":false,"Dead":false,"Pid":77,"ExitCode":0,)"
                   R"("Error":"","StartedAt":"2023-11-14T22:13:21Z",)"
                   R"("FinishedAt":"0001-01-01T00:00:00Z"})"));
    CHECK_THAT(text, Catch::Contains(R"("HostsPath":"/run/web/hosts")"));
    CHECK_THAT(text, Catch::Contains(R"("ExecIDs":null)"));
    CHECK_THAT(text, Catch::Contains(R"("GraphDriver":{"Data":null,"Name":"overlay2"})"));
    CHECK_THAT(text, Catch::Contains(R"("SandboxKey":"/proc/77/ns/net")"));
    CHECK_THAT(text, Catch::Contains(R"("Ports":{"53/udp":null,"80/tcp":null})"));
    CHECK_THAT(text,
               Catch::Contains(R"("Mounts":[{"Type":"bind","Source":"/src","Destination":"/work",)"
                               R"("Mode":"ro","RW":false,"Propagation":"rprivate"}])"));
    CHECK_THAT(text,
               Catch::EndsWith(
                   R"("Davit":{"StartPhases":[{"Name":"rootfs","StartNs":5,"DurationNs":10}]}})"));
}

TEST_CASE("inspect tells what came beside the record", "[wire][inspect]") {
    const ContainerRecord record = running();
    ContainerView view = view_of(record);
    view.graph_data = {{"UpperDir", "/u"}};
    view.size = ContainerSize{.writable = 5, .root = 500};
    const std::string text = inspect(view);
    CHECK_THAT(text, Catch::Contains(R"("Data":{"UpperDir":"/u"})"));
    CHECK_THAT(text, Catch::Contains(R"("SizeRw":5,"SizeRootFs":500)"));
    CHECK_THAT(summary(view), Catch::Contains(R"("SizeRw":5,"SizeRootFs":500)"));
    view.size = ContainerSize{.writable = 0, .root = 500};
    CHECK_THAT(inspect(view), Catch::Contains(R"("SizeRw":0,"SizeRootFs":500)"));
    CHECK_THAT(summary(view), !Catch::Contains("SizeRw"));
}

TEST_CASE("each state is told in Docker's booleans", "[wire][inspect]") {
    const auto [state, booleans] = GENERATE(table<ContainerState, std::string>({
        {ContainerState::created, "false false false false"},
        {ContainerState::running, "true false false false"},
        {ContainerState::paused, "true true false false"},
        {ContainerState::restarting, "true false true false"},
        {ContainerState::removing, "false false false false"},
        {ContainerState::exited, "false false false false"},
        {ContainerState::dead, "false false false true"},
    }));
    ContainerRecord record = running();
    record.state.status = state;
    const JsonDocument document = parsed(inspect(view_of(record)));
    const JsonValue json = document.root().member("State");
    std::string found;
    for (const std::string_view key : {"Running", "Paused", "Restarting", "Dead"}) {
        found.append(found.empty() ? "" : " ")
            .append(*json.member(key).as_bool() ? "true" : "false");
    }
    CHECK(found == booleans);
}

TEST_CASE("a published port and the default bridge's address are told", "[wire][inspect]") {
    ContainerRecord record = running();
    record.host_config.network_mode = "bridge";
    record.networks.clear();
    EndpointSettings& bridge = record.networks["bridge"];
    bridge.network_id = std::string(64, 'b');
    bridge.endpoint_id = std::string(64, 'c');
    bridge.gateway = "172.17.0.1";
    bridge.ip_address = "172.17.0.2";
    bridge.ip_prefix_len = 24;
    bridge.mac_address = "02:42:ac:11:00:02";
    record.published["80/tcp"] = {{"0.0.0.0", "8080"}, {"127.0.0.1", "9000"}};
    const std::string text = inspect(view_of(record));
    CHECK_THAT(text,
               Catch::Contains(R"("Ports":{"53/udp":null,"80/tcp":[{"HostIp":"0.0.0.0",)"
                               R"("HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":"9000"}]})"));
    CHECK_THAT(text, Catch::Contains(R"("IPAddress":"172.17.0.2","IPPrefixLen":24)"));
    CHECK_THAT(text, Catch::Contains(R"("NetworkID":"bbbb)"));
    CHECK_THAT(summary(view_of(record)),
               Catch::Contains(R"("Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,)"
                               R"("Type":"tcp"},{"IP":"127.0.0.1","PrivatePort":80,)"
                               R"("PublicPort":9000,"Type":"tcp"},{"PrivatePort":53,)"
                               R"("Type":"udp"}])"));
}

TEST_CASE("a stopped container shows no sandbox and no ports", "[wire][inspect]") {
    ContainerRecord record = running();
    record.state.status = ContainerState::exited;
    record.state.pid = 0;
    const std::string text = inspect(view_of(record));
    CHECK_THAT(text, Catch::Contains(R"("SandboxID":"","SandboxKey":"","Ports":{})"));
    CHECK_THAT(summary(view_of(record)), Catch::Contains(R"("Ports":[])"));
}

TEST_CASE("a list item has what docker ps reads", "[wire][list]") {
    const ContainerRecord record = running();
    CHECK(summary(view_of(record)) ==
          R"({"Id":")" + std::string(64, 'a') +
              R"(","Names":["/web"],"Image":"alpine","ImageID":"sha256:)" + std::string(64, '1') +
              R"(","Command":"sh -c 'echo hi'","Created":1700000000,)"
              R"("Ports":[{"PrivatePort":53,"Type":"udp"},{"PrivatePort":80,"Type":"tcp"}],)"
              R"("Labels":{"ci":"yes"},"State":"running","Status":"Up 5 minutes",)"
              R"("HostConfig":{"NetworkMode":"none","Annotations":{"k":"v"}},)"
              R"("NetworkSettings":{"Networks":{"none":{"IPAMConfig":null,"Links":null,)"
              R"("Aliases":null,"MacAddress":"","DriverOpts":null,"GwPriority":0,"NetworkID":"",)"
              R"("EndpointID":"","Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"",)"
              R"("GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":null}}},)"
              R"("Mounts":[{"Type":"bind","Source":"/src","Destination":"/work","Mode":"ro",)"
              R"("RW":false,"Propagation":"rprivate"}]})");
}

TEST_CASE("annotations are listed from 1.46 on", "[wire][list]") {
    const ContainerRecord record = running();
    CHECK_THAT(summary(view_of(record), ApiVersion{1, 45}),
               Catch::Contains(R"("HostConfig":{"NetworkMode":"none"})"));
    CHECK_THAT(summary(view_of(record), ApiVersion{1, 46}), Catch::Contains("Annotations"));
}

TEST_CASE("the status text is docker ps's", "[wire][list]") {
    ContainerRecord record = running();
    CHECK(status(record) == "Up 5 minutes");
    record.state.status = ContainerState::paused;
    CHECK(status(record) == "Up 5 minutes (Paused)");
    record.state.finished_at = at(298);
    record.state.exit_code = 137;
    record.state.status = ContainerState::exited;
    CHECK(status(record) == "Exited (137) 3 seconds ago");
    record.state.status = ContainerState::restarting;
    CHECK(status(record) == "Restarting (137) 3 seconds ago");
    record.state.status = ContainerState::removing;
    CHECK(status(record) == "Removal In Progress");
    record.state.status = ContainerState::dead;
    CHECK(status(record) == "Dead");
    record.state.status = ContainerState::created;
    CHECK(status(record) == "Created");
}
