// Goal: the flags of run and create become the request that the API wants. Method: words go through
// the same tables as on the command line; the JSON is compared as text.
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "cli/container_options.h"
#include "reactor/base/fd.h"
#include "tests/support/catch.h"

namespace davit::cli {

namespace {

Result<CreateRequest> make(std::vector<const char*> words) {
    CreateOptions options;
    const FlagTarget targets[] = {{create_flags(), &options}};
    TRY(const ParsedFlags parsed, flags_parse(words, targets, false));
    TRY(const AttachedStreams streams, attached_streams(options));
    return create_request_make(options, parsed.arguments, streams, TerminalSize{24, 80});
}

/// The body, without what every request has.
std::string body(std::vector<const char*> words) {
    words.push_back("img");
    Result<CreateRequest> request = make(std::move(words));
    if (!request) {
        return request.error().message();
    }
    return request->body;
}

/// HostConfig's members alone.
std::string host(std::vector<const char*> words) {
    const std::string text = body(std::move(words));
    const std::string marker = "\"HostConfig\":";
    const std::size_t place = text.find(marker);
    if (place == std::string::npos) {
        return text;
    }
    const std::string rest = text.substr(place + marker.size());
    return rest.substr(0, rest.size() - 1);
}

}  // namespace

TEST_CASE("create request: nothing but what was asked for") {
    CHECK(body({}) == R"({"Image":"img","AttachStdout":true,"AttachStderr":true,"HostConfig":{}})");
    const Result<CreateRequest> request = make(
        {"--name", "web", "--platform=linux/arm64", "-itu1:2", "-w/x", "img", "sh", "-c", "a b"});
    REQUIRE(request);
    CHECK(request->query.text() == "name=web&platform=linux%2Farm64");
    CHECK(request->body ==
          R"({"Image":"img","Cmd":["sh","-c","a b"],"User":"1:2","WorkingDir":"/x","Tty":true,)"
          R"("OpenStdin":true,"StdinOnce":true,"AttachStdin":true,"AttachStdout":true,)"
          R"("AttachStderr":true,"HostConfig":{"ConsoleSize":[24,80]}})");
}

TEST_CASE("create request: environment and labels") {
    ::setenv("DAVIT_TEST_SET", "from outside", 1);
    ::unsetenv("DAVIT_TEST_UNSET");
    std::string name = "/tmp/davit-env.XXXXXX";
    const Fd file(::mkstemp(name.data()));
    REQUIRE(write_all(file.get(),
                      "# comment\n\nF=1 2\r\n  G=\"x\"\nDAVIT_TEST_SET\nDAVIT_TEST_UNSET\n"));
    CHECK(body({"--env-file",
                name.c_str(),
                "-e",
                "A=b=c",
                "-eDAVIT_TEST_SET",
                "-e",
                "DAVIT_TEST_UNSET"})
              .find(R"("Env":["F=1 2","G=\"x\"","DAVIT_TEST_SET=from outside","A=b=c",)"
                    R"("DAVIT_TEST_SET=from outside"])") != std::string::npos);
    CHECK(
        body({"--label-file", name.c_str(), "-l", "F=3", "-l", "empty"})
            .find(
                R"("Labels":{"DAVIT_TEST_SET":"","DAVIT_TEST_UNSET":"","F":"3","G":"\"x\"","empty":""})") !=
        std::string::npos);
    ::unlink(name.c_str());
    CHECK(body({"-e", "=a"}).find("invalid environment variable: =a") != std::string::npos);
    CHECK(body({"--env-file", "/nonexistent"}).find("/nonexistent") != std::string::npos);
}

TEST_CASE("create request: resources") {
    CHECK(host({"-m64m",
                "--memory-swap=-1",
                "--cpus",
                "1.5",
                "--cpu-shares=5",
                "--cpuset-cpus=0-1",
                "--pids-limit",
                "20",
                "--shm-size=1m",
                "--oom-score-adj=-5"}) ==
          R"({"Memory":67108864,"ShmSize":1048576,"MemorySwap":-1,"NanoCpus":1500000000,)"
          R"("CpuShares":5,"CpusetCpus":"0-1","PidsLimit":20,"OomScoreAdj":-5})");
    CHECK(
        host({"--ulimit", "nofile=10:20", "--ulimit=core=0"}) ==
        R"({"Ulimits":[{"Name":"nofile","Soft":10,"Hard":20},{"Name":"core","Soft":0,"Hard":0}]})");
    CHECK(host({"--ulimit", "x"}) == "invalid ulimit argument: x");
    CHECK(host({"--ulimit", "x=1"}) == "invalid ulimit type: x");
    CHECK(host({"--ulimit", "nofile=3:2"}).find("must be less than") != std::string::npos);
    CHECK(
        host({"--device", "/dev/a", "--device=/dev/b:/dev/c:r", "--device=/dev/d:rw"}) ==
        R"({"Devices":[{"PathOnHost":"/dev/a","PathInContainer":"/dev/a","CgroupPermissions":"rwm"},)"
        R"({"PathOnHost":"/dev/b","PathInContainer":"/dev/c","CgroupPermissions":"r"},)"
        R"({"PathOnHost":"/dev/d","PathInContainer":"/dev/d","CgroupPermissions":"rw"}]})");
    CHECK(host({"--device", "vendor.com/gpu=all"}) ==
          R"({"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["vendor.com/gpu=all"]}]})");
    CHECK(host({"--gpus", "all"}) ==
          R"({"DeviceRequests":[{"Count":-1,"Capabilities":[["gpu"]]}]})");
    CHECK(host({"--gpus", R"("device=0,1",driver=nvidia,capabilities=utility)"}) ==
          R"({"DeviceRequests":[{"DeviceIDs":["0","1"],"Driver":"nvidia",)"
          R"("Capabilities":[["utility","gpu"]]}]})");
    CHECK(host({"--gpus", "driver=nvidia", "--device", "a.b/c=d"}) ==
          R"({"DeviceRequests":[{"Driver":"nvidia","Count":1,"Capabilities":[["gpu"]]},)"
          R"({"Driver":"cdi","DeviceIDs":["a.b/c=d"]}]})");
    CHECK(host({"--gpus", "2,count=3"}) == "gpu request key 'count' can be specified only once");
    CHECK(host({"--gpus", "some"}) ==
          "invalid count (some): value must be either \"all\" or an integer");
    CHECK(host({"--gpus", "x=y"}) == "unexpected key 'x' in 'x=y'");
    CHECK(host({"--device", "/dev/a:/b:r:x"}).find("invalid device") == 0);
    CHECK(host({"--device-read-bps", "/dev/sda:1m", "--blkio-weight-device=/dev/sda:20"}) ==
          R"({"BlkioWeightDevice":[{"Path":"/dev/sda","Weight":20}],)"
          R"("BlkioDeviceReadBps":[{"Path":"/dev/sda","Rate":1048576}]})");
}

TEST_CASE("create request: mounts") {
    CHECK(body({"-v", "/data", "-v", "/a:/b:ro"}).find(R"("Volumes":{"/data":{}})") !=
          std::string::npos);
    CHECK(host({"-v", "/data", "-v", "/a:/b:ro", "-v", "name:/c"}) ==
          R"({"Binds":["/a:/b:ro","name:/c"]})");
    CHECK(host({"--tmpfs", "/run:size=1m", "--tmpfs=/tmp"}) ==
          R"({"Tmpfs":{"/run":"size=1m","/tmp":""}})");
    CHECK(host({"--mount", "type=bind,src=/a,dst=/b,ro,bind-propagation=rslave"}) ==
          R"({"Mounts":[{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,)"
          R"("BindOptions":{"Propagation":"rslave"}}]})");
    CHECK(host({"--mount", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770"}) ==
          R"({"Mounts":[{"Type":"tmpfs","Target":"/t",)"
          R"("TmpfsOptions":{"SizeBytes":1048576,"Mode":1016}}]})");
    CHECK(
        host({"--mount", "source=v,target=/v,volume-nocopy,\"volume-opt=o=a,b\""}) ==
        R"({"Mounts":[{"Type":"volume","Source":"v","Target":"/v","VolumeOptions":{"NoCopy":true,)"
        R"("DriverConfig":{"Options":{"o":"a,b"}}}}]})");
    CHECK(host({"--mount", "type=bind"}) ==
          "invalid argument \"type=bind\" for \"--mount\" flag: target is required");
    CHECK(host({"--mount", "type=bind,dst=/a,x=y"}).find("unexpected key 'x'") !=
          std::string::npos);
    CHECK(host({"--mount", "type=bind,dst"}).find("must be a key=value pair") != std::string::npos);
    CHECK(host({"--mount", "type=tmpfs,dst=/a,bind-propagation=shared"})
              .find("cannot mix 'bind-*'") != std::string::npos);
}

TEST_CASE("create request: a relative source is the client's") {
    std::array<char, 4096> directory{};
    REQUIRE(::getcwd(directory.data(), directory.size()) != nullptr);
    CHECK(host({"-v", "./x:/b"}) == "{\"Binds\":[\"" + std::string(directory.data()) + "/x:/b\"]}");
}

TEST_CASE("create request: ports") {
    CHECK(
        host({"-p", "8080:80", "-p", "127.0.0.1::53/udp", "-p", "[::1]:1-2:3-4"}) ==
        R"({"PortBindings":{"3/tcp":[{"HostIp":"::1","HostPort":"1"}],)"
        R"("4/tcp":[{"HostIp":"::1","HostPort":"2"}],"53/udp":[{"HostIp":"127.0.0.1","HostPort":""}],)"
        R"("80/tcp":[{"HostIp":"","HostPort":"8080"}]}})");
    CHECK(host({"-p", "9000-9010:80"}) ==
          R"({"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"9000-9010"}]}})");
    CHECK(body({"--expose", "70-71/udp"}).find(R"("ExposedPorts":{"70/udp":{},"71/udp":{}})") !=
          std::string::npos);
    CHECK(host({"-p", "x"}) == "invalid port: x");
    CHECK(host({"-p", "70000"}) == "invalid port: 70000");
    CHECK(host({"-p", "80/x"}) == "invalid proto: x");
    CHECK(host({"-p", "1-3:1-2"}).find("invalid ranges") == 0);
}

TEST_CASE("create request: networks") {
    CHECK(host({"--net", "none"}) == R"({"NetworkMode":"none"})");
    CHECK(
        body({"--network", "n", "--network-alias=db", "--ip=10.0.0.2", "--link", "a:b"}) ==
        R"({"Image":"img","AttachStdout":true,"AttachStderr":true,"HostConfig":{"NetworkMode":"n"},)"
        R"("NetworkingConfig":{"EndpointsConfig":{"n":{"Aliases":["db"],"Links":["a:b"],)"
        R"("IPAMConfig":{"IPv4Address":"10.0.0.2"}}}}})");
    CHECK(body({"--network", "name=n,alias=x,mac-address=m", "--network=o"})
              .find(R"("EndpointsConfig":{"n":{"Aliases":["x"],"MacAddress":"m"},"o":{}})") !=
          std::string::npos);
    CHECK(host({"--network-alias", "a"}) ==
          "network-scoped aliases are only supported for user-defined networks");
    CHECK(host({"--add-host", "a:1.2.3.4", "--add-host=b=[::1]", "--dns", "1.1.1.1"}) ==
          R"({"Dns":["1.1.1.1"],"ExtraHosts":["a:1.2.3.4","b:::1"]})");
    CHECK(host({"--add-host", "foo"}).find("bad format for add-host: \"foo\"") !=
          std::string::npos);
}

TEST_CASE("create request: security") {
    CHECK(host({"--cap-add",
                "NET_ADMIN",
                "--cap-drop=ALL",
                "--privileged",
                "--security-opt",
                "no-new-privileges",
                "--security-opt=seccomp=unconfined",
                "--security-opt=systempaths=unconfined",
                "--pid=host"}) ==
          R"({"Privileged":true,"CapAdd":["NET_ADMIN"],"CapDrop":["ALL"],"MaskedPaths":[],)"
          R"("ReadonlyPaths":[],"SecurityOpt":["no-new-privileges","seccomp=unconfined"],)"
          R"("PidMode":"host"})");
    CHECK(host({"--security-opt", "x"}) == "invalid --security-opt: \"x\"");
    CHECK(host({"--security-opt", "seccomp=/nonexistent"}).find("opening seccomp profile") == 0);
}

TEST_CASE("create request: life and health") {
    CHECK(host({"--restart", "on-failure:3"}) ==
          R"({"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}})");
    CHECK(host({"--restart", "always", "--rm"}) ==
          "conflicting options: cannot specify both --restart and --rm");
    CHECK(host({"--rm", "--init=false", "--log-driver=none", "--log-opt", "a=b"}) ==
          R"({"AutoRemove":true,"Init":false,"LogConfig":{"Type":"none","Config":{"a":"b"}}})");
    CHECK(
        body({"--health-cmd", "true", "--health-interval=5s", "--health-retries=2"})
            .find(
                R"("Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000,"Retries":2})") !=
        std::string::npos);
    CHECK(body({"--no-healthcheck"}).find(R"("Healthcheck":{"Test":["NONE"]})") !=
          std::string::npos);
    CHECK(body({"--no-healthcheck", "--health-cmd=x"}) ==
          "--no-healthcheck conflicts with --health-* options");
    CHECK(body({"--entrypoint="}).find(R"("Entrypoint":[""])") != std::string::npos);
    CHECK(body({"-a", "stderr"}).find(R"("Image":"img","AttachStderr":true)") != std::string::npos);
    CHECK(body({"-a", "x"}).find("valid streams are STDIN, STDOUT and STDERR") !=
          std::string::npos);
}

}  // namespace davit::cli
