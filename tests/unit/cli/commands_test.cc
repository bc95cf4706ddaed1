// Goal: the commands that list, show and change things send docker's requests and print docker's
// lines. Method: a scripted daemon with canned answers.
#include <unistd.h>

#include "reactor/loop.h"
#include "tests/support/catch.h"
#include "tests/unit/cli/fake_daemon.h"

namespace davit::cli {

using test::cli_run;
using test::CliResult;
using test::FakeDaemon;
using test::FakeRequest;
using test::frame;

TEST_CASE("command line: help, versions, and what is unknown") {
    Loop loop;
    FakeDaemon daemon;
    CHECK(cli_run(daemon, {}).out.find("Usage:  davit [OPTIONS] COMMAND\n") == 0);
    CHECK(cli_run(daemon, {"--version"}).out == "davit version " DAVIT_VERSION "\n");
    CHECK(cli_run(daemon, {"ps", "--help"}).out.find("Usage:  davit ps [OPTIONS]\n") == 0);
    CHECK(cli_run(daemon, {"help", "ps"}).out ==
          cli_run(daemon, {"container", "ls", "--help"}).out);
    CHECK(cli_run(daemon, {"container"}).out.find("Usage:  davit container COMMAND\n") == 0);
    CliResult result = cli_run(daemon, {"foo"});
    CHECK(result.code == 1);
    CHECK(result.err.find("davit: unknown command: davit foo\n") == 0);
    CHECK(cli_run(daemon, {"container", "foo"}).code == 1);
    CHECK(cli_run(daemon, {""}).code == 1);
    CHECK(cli_run(daemon, {"--foo"}).code == 125);
    result = cli_run(daemon, {"ps", "--foo=1"});
    CHECK(result.code == 125);
    CHECK(result.err ==
          "unknown flag: --foo\n\nUsage:  davit ps [OPTIONS]\n\nRun 'davit ps --help' for more "
          "information\n");
    result = cli_run(daemon, {"ps", "x"});
    CHECK(result.code == 1);
    CHECK(result.err.find("davit: 'davit ps' accepts no arguments\n") == 0);
    CHECK(cli_run(daemon, {"run"}).err.find("davit: 'davit run' requires at least 1 argument\n") ==
          0);
    CHECK(cli_run(daemon, {"tag", "a"}).err.find("davit: 'davit tag' requires 2 arguments\n") == 0);
    CHECK(daemon.requests.empty());
}

TEST_CASE("ps") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("GET /containers/json", 200, R"([{
        "Id":"0123456789abcdef","Names":["/web","/other/alias"],"Image":"sha256:aabbccddeeff0011",
        "ImageID":"sha256:aabbccddeeff0011","Command":"sh -c \"echo a long command\"",
        "Created":0,"State":"running","Status":"Up 2 seconds","Labels":{"a":"b"},"SizeRw":5,
        "Ports":[{"PrivatePort":80,"PublicPort":8080,"IP":"0.0.0.0","Type":"tcp"},
                 {"PrivatePort":53,"Type":"udp"}],
        "NetworkSettings":{"Networks":{"bridge":{}}},"Mounts":[]}])");
    const CliResult result =
        cli_run(daemon,
                {"ps",
                 "-a",
                 "-f",
                 "label=a",
                 "--format",
                 "{{.ID}}|{{.Image}}|{{.Command}}|{{.Names}}|{{.Ports}}|{{.Status}}|"
                 "{{.Label \"a\"}}|{{.Networks}}"});
    CHECK(result.code == 0);
    CHECK(result.out ==
          "0123456789ab|aabbccddeeff|\"sh -c \\\"echo a long …\"|web|53/udp, "
          "0.0.0.0:8080->80/tcp|Up 2 seconds|b|bridge\n");
    const Query query = daemon.request("GET /containers/json").query();
    CHECK(query.get("all") == "1");
    CHECK(query.get("filters") == R"({"label":{"a":true}})");
    CHECK(cli_run(daemon, {"ps", "-q", "--no-trunc"}).out == "0123456789abcdef\n");
    CHECK(cli_run(daemon, {"ps"})
              .out.find("CONTAINER ID   IMAGE          COMMAND                   CREATED") == 0);
    CHECK(cli_run(daemon, {"ps", "--format", "json"}).out.find("{\"Command\":") == 0);
    CHECK(cli_run(daemon, {"ps", "-s"}).out.find("SIZE") != std::string::npos);
    CHECK(cli_run(daemon, {"ps", "--format", "{{.Foo}}"}).code == 1);
}

TEST_CASE("images") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("GET /images/json", 200, R"([
        {"Id":"sha256:0123456789abcdef","Created":0,"Size":4261550,
         "RepoTags":["a:1","b:5000/x:2"],"RepoDigests":["a@sha256:d"]},
        {"Id":"sha256:ffff456789abcdef","Created":0,"Size":0,"RepoTags":null,"RepoDigests":[]}])");
    CHECK(
        cli_run(daemon, {"images", "--format", "{{.Repository}} {{.Tag}} {{.ID}} {{.Size}}"}).out ==
        "a 1 0123456789ab 4.26MB\nb:5000/x 2 0123456789ab 4.26MB\n<none> <none> ffff456789ab 0B\n");
    CHECK(cli_run(daemon, {"images", "--digests", "alpine"}).out.find("sha256:d") !=
          std::string::npos);
    CHECK(daemon.requests.back().query().get("filters") == R"({"reference":{"alpine":true}})");
    CHECK(cli_run(daemon, {"image", "ls", "-q", "--no-trunc"})
              .out.find("sha256:0123456789abcdef\n") == 0);
}

TEST_CASE("history") {
    Loop loop;
    FakeDaemon daemon;
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    daemon.answer("GET /images/a:1/history", 200, R"([
        {"Id":"sha256:0123456789abcdef","Created":1136214245,"Size":0,"Tags":["a:1"],
         "Comment":"c","CreatedBy":"CMD\t[\"sh\", \"-c\", \"something longer than fits here\"]"},
        {"Id":"<missing>","Created":0,"Size":4261550,"Tags":null,"Comment":"",
         "CreatedBy":"ADD file"}])");
    CHECK(cli_run(daemon, {"history", "--format", "{{.ID}}|{{.CreatedBy}}|{{.Size}}", "a:1"}).out ==
          "0123456789ab|CMD [\"sh\", \"-c\", \"something longer than fits…|0B\n"
          "<missing>|ADD file|4.26MB\n");
    CHECK(cli_run(daemon, {"image", "history", "-H=false", "--no-trunc", "a:1"}).out ==
          "IMAGE                     CREATED AT             CREATED BY"
          "                                            SIZE      COMMENT\n"
          "sha256:0123456789abcdef   2006-01-02T15:04:05Z   CMD [\"sh\", \"-c\", \"something longer"
          " than fits here\"]   0         c\n"
          "<missing>                 1970-01-01T00:00:00Z   ADD file"
          "                                              4261550   \n");
    CHECK(
        cli_run(daemon, {"history", "a:1"}).out.find("IMAGE          CREATED        CREATED BY") ==
        0);
    CHECK(cli_run(daemon, {"history", "--format", "{{.CreatedSince}}", "a:1"})
              .out.find(" years ago\nN/A\n") != std::string::npos);
    CHECK(cli_run(daemon, {"history", "-q", "a:1"}).out == "0123456789ab\n<missing>\n");
    CHECK(cli_run(daemon, {"history", "-q", "--format", "{{.Size}}", "a:1"}).out == "0B\n4.26MB\n");
    daemon.answer("GET /images/b/history", 404, R"({"message":"No such image: b:latest"})");
    const CliResult unknown = cli_run(daemon, {"history", "b"});
    CHECK(unknown.code == 1);
    CHECK(unknown.err.find("No such image: b:latest") != std::string::npos);
}

TEST_CASE("the platform of images that are here goes as an object") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("GET /images/a/json", 200, "{}");
    daemon.answer("GET /images/a/history", 200, "[]");
    daemon.answer("GET /images/get", 200, "");
    daemon.answer("POST /images/load", 200, "");
    for (std::vector<std::string> words : {std::vector<std::string>{"image", "inspect", "a"},
                                           std::vector<std::string>{"history", "a"},
                                           std::vector<std::string>{"save", "a"},
                                           std::vector<std::string>{"load"}}) {
        words.insert(words.end(), {"--platform", "linux/arm"});
        CAPTURE(words.front());
        CHECK(cli_run(daemon, words).code == 0);
        CHECK(daemon.requests.back().query().get("platform") ==
              R"({"architecture":"arm","os":"linux","variant":"v7"})");
        words.back() = "a b";
        CHECK(cli_run(daemon, words).code == 1);
    }
    CHECK(daemon.requests.size() == 4);
}

TEST_CASE("rmi and tag") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("DELETE /images/a:1", 200, R"([{"Untagged":"a:1"},{"Deleted":"sha256:x"}])");
    daemon.answer("DELETE /images/b", 404, R"({"message":"No such image: b:latest"})");
    daemon.answer("POST /images/a:1/tag", 201, "");
    CliResult result = cli_run(daemon, {"rmi", "a:1", "b"});
    CHECK(result.code == 1);
    CHECK(result.out == "Untagged: a:1\nDeleted: sha256:x\n");
    CHECK(result.err == "Error response from daemon: No such image: b:latest\n");
    CHECK(cli_run(daemon, {"rmi", "-f", "b"}).code == 0);
    CHECK(cli_run(daemon, {"tag", "a:1", "host:5000/c"}).code == 0);
    CHECK(daemon.requests.back().query().text() == "repo=host%3A5000%2Fc&tag=latest");
    CHECK(cli_run(daemon, {"tag", "a:1", "BAD"}).code == 1);
}

TEST_CASE("pull: lines, name, credentials, errors") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("POST /images/create",
                  200,
                  "{\"status\":\"Pulling from library/a\",\"id\":\"latest\"}\r\n"
                  "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":5},\"id\":\"l\"}\r\n"
                  "{\"status\":\"Status: Image is up to date for a:latest\"}\r\n");
    REQUIRE(file_replace(AT_FDCWD,
                         daemon.directory() + "/config.json",
                         R"({"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYXNz"},
                             "other":{}},"credsStore":"secret"})"));
    CliResult result = cli_run(daemon, {"pull", "a"});
    CHECK(result.code == 0);
    CHECK(result.out ==
          "Using default tag: latest\nlatest: Pulling from library/a\n"
          "Status: Image is up to date for a:latest\ndocker.io/library/a:latest\n");
    // {"username":"user","password":"pass","serveraddress":"https://index.docker.io/v1/"}
    CHECK(
        daemon.requests.back().headers.get("X-Registry-Auth") ==
        "eyJ1c2VybmFtZSI6InVzZXIiLCJwYXNzd29yZCI6InBhc3MiLCJzZXJ2ZXJhZGRyZXNzIjoiaHR0cHM6Ly9pbmRle"
        "C5kb2NrZXIuaW8vdjEvIn0=");
    result = cli_run(daemon, {"pull", "-q", "other/a:2"});
    CHECK(result.out == "docker.io/other/a:2\n");
    result = cli_run(daemon, {"pull", "-q", "localhost/a:2"});
    CHECK(result.err.find("credential helper \"secret\"") != std::string::npos);
    daemon.answer("POST /images/create", 404, "{\"message\":\"pull access denied for a\"}");
    result = cli_run(daemon, {"pull", "a:1"});
    CHECK(result.code == 1);
    CHECK(result.err == "Error response from daemon: pull access denied for a\n");
    daemon.answer("POST /images/create", 200, "{\"error\":\"broken\"}\n");
    result = cli_run(daemon, {"pull", "a:1"});
    CHECK(result.code == 1);
    CHECK(result.err == "broken\n");
    CHECK(cli_run(daemon, {"pull", "A"}).err ==
          "invalid reference format: repository name (library/A) must be lowercase\n");
    CHECK(cli_run(daemon, {"pull", "-a", "a:1"}).err == "tag can't be used with --all-tags/-a\n");
}

TEST_CASE("import: standard input, a file, a URL") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("POST /images/create", 200, "{\"status\":\"sha256:abc\"}\n");
    const CliResult result = cli_run(daemon, {"import", "-c", "CMD sh", "-", "a:1"}, "tar bytes");
    CHECK(result.code == 0);
    CHECK(result.out == "sha256:abc\n");
    CHECK(daemon.requests.back().body == "tar bytes");
    CHECK(daemon.requests.back().query().text() == "fromSrc=-&repo=a%3A1&changes=CMD%20sh");
    CHECK(daemon.requests.back().headers.has_token("Transfer-Encoding", "chunked"));
    const std::string path = daemon.directory() + "/layer.tar";
    REQUIRE(file_replace(AT_FDCWD, path, std::string(200'000, 'x')));
    CHECK(cli_run(daemon, {"import", path}).code == 0);
    CHECK(daemon.requests.back().body.size() == 200'000);
    CHECK(cli_run(daemon, {"import", "https://x/y.tar", "a"}).code == 0);
    CHECK(daemon.requests.back().query().get("fromSrc") == "https://x/y.tar");
    CHECK(daemon.requests.back().body == "");
    CHECK(cli_run(daemon, {"import", "/nonexistent"}).code == 1);
}

TEST_CASE("logs") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("GET /containers/web/json", 200, R"({"Id":"c1","Config":{"Tty":false}})");
    daemon.on("GET /containers/c1/logs", [](FakeRequest, FdStream& stream) -> Task<void> {
        const std::string whole = frame(1, "one\n") + frame(2, "two\n");
        CO_CHECK(co_await test::write_chunk_head(stream));
        CO_CHECK(co_await test::write_chunk(stream, whole.substr(0, 10)));
        CO_CHECK(co_await test::write_chunk(stream, whole.substr(10)));
        co_return co_await test::write_chunk_end(stream);
    });
    const CliResult result = cli_run(daemon, {"logs", "-ft", "--tail=5", "--since", "17", "web"});
    CHECK(result.code == 0);
    CHECK(result.out == "one\n");
    CHECK(result.err == "two\n");
    CHECK(daemon.requests.back().query().text() ==
          "stdout=1&stderr=1&since=17&follow=1&timestamps=1&tail=5");
    CHECK(cli_run(daemon, {"logs", "--since=x", "web"}).err.find("invalid value for \"since\"") ==
          0);
    daemon.answer("GET /containers/web/json", 200, R"({"Id":"c1","Config":{"Tty":true}})");
    daemon.answer("GET /containers/c1/logs", 200, "raw \r\n");
    CHECK(cli_run(daemon, {"logs", "web"}).out == "raw \r\n");
}

TEST_CASE("stop, kill, rm: every name is tried and answered for") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("POST /containers/a/stop", 204, "");
    daemon.answer("POST /containers/b/stop", 304, "");
    daemon.answer("POST /containers/c/stop", 404, R"({"message":"No such container: c"})");
    CliResult result = cli_run(daemon, {"stop", "-t", "3", "-s", "SIGINT", "a", "c", "b"});
    CHECK(result.code == 1);
    CHECK(result.out == "a\nb\n");
    CHECK(result.err == "Error response from daemon: No such container: c\n");
    CHECK(daemon.request("POST /containers/a/stop").query().text() == "signal=SIGINT&t=3");
    daemon.answer("POST /containers/a/kill", 204, "");
    CHECK(cli_run(daemon, {"kill", "-sHUP", "a"}).out == "a\n");
    CHECK(daemon.requests.back().query().text() == "signal=HUP");
    daemon.answer("DELETE /containers/a", 204, "");
    CHECK(cli_run(daemon, {"rm", "-fv", "/a"}).out == "/a\n");
    CHECK(daemon.requests.back().query().text() == "force=1&v=1");
}

TEST_CASE("wait") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("POST /containers/a/wait", 200, "{\"StatusCode\":3}\n");
    daemon.answer("POST /containers/b/wait", 404, R"({"message":"No such container: b"})");
    const CliResult result = cli_run(daemon, {"wait", "a", "b", "a"});
    CHECK(result.code == 1);
    CHECK(result.out == "3\n3\n");
}

TEST_CASE("inspect: containers, then images; forms") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("GET /containers/web/json", 200, R"({"Id":"c1","State":{"Status":"running"}})");
    daemon.answer("GET /images/img/json", 200, R"({"Id":"sha256:x","Config":{"Cmd":["sh"]}})");
    daemon.answer("GET /containers/img/json", 404, "{}");
    CliResult result = cli_run(daemon, {"inspect", "web", "img", "none"});
    CHECK(result.code == 1);
    CHECK(
        result.out ==
        "[\n    {\n        \"Id\": \"c1\",\n        \"State\": {\n            \"Status\": "
        "\"running\"\n        }\n    },\n    {\n        \"Id\": \"sha256:x\",\n        \"Config\": "
        "{\n            \"Cmd\": [\n                \"sh\"\n            ]\n        }\n    }\n]\n");
    CHECK(result.err == "error: no such object: none\n");
    CHECK(cli_run(daemon, {"inspect", "-f", "{{.State.Status}}", "web"}).out == "running\n");
    CHECK(cli_run(daemon, {"image", "inspect", "-f", "{{json .Config.Cmd}}", "img"}).out ==
          "[\"sh\"]\n");
    CHECK(cli_run(daemon, {"inspect", "--format=json", "web"}).out ==
          "{\"Id\":\"c1\",\"State\":{\"Status\":\"running\"}}\n");
    daemon.requests.clear();
    CHECK(cli_run(daemon, {"inspect", "-f", "{{.foo", "web"}).code == 1);
    CHECK(daemon.requests.empty());
    CHECK(cli_run(daemon, {"inspect", "none"}).out == "[]\n");
    CHECK(cli_run(daemon, {"inspect", "--type", "x", "web"}).code == 1);
}

TEST_CASE("events") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer(
        "GET /events",
        200,
        R"({"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"name":"web",)"
        R"("exitCode":"0"}},"scope":"local","time":1,"timeNano":1000000002})"
        "\n");
    ::setenv("TZ", "UTC", 1);
    CHECK(cli_run(daemon, {"events", "--since", "1", "-f", "type=container"}).out ==
          "1970-01-01T00:00:01.000000002Z container die c1 (exitCode=0, name=web)\n");
    CHECK(cli_run(daemon, {"events", "--format", "{{.Action}} {{.Actor.Attributes.name}}"}).out ==
          "die web\n");
    CHECK(cli_run(daemon, {"events", "--format", "json"}).out.find("{\"Type\":\"container\"") == 0);
}

TEST_CASE("version and info") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer(
        "GET /version",
        200,
        R"({"Version":"28.2.2+davit.1","ApiVersion":"1.50","MinAPIVersion":"1.24","Os":"linux"})");
    const CliResult result = cli_run(daemon, {"version"});
    CHECK(result.code == 0);
    CHECK(result.out.find("  Version:           28.2.2+davit.1\n") != std::string::npos);
    CHECK(result.out.find("1.50 (minimum version 1.24)\n") != std::string::npos);
    CHECK(cli_run(daemon, {"version", "-f", "{{.Server.Version}} {{.Client.ApiVersion}}"}).out ==
          "28.2.2+davit.1 1.50\n");
    daemon.answer("GET /info",
                  200,
                  R"({"Containers":3,"NCPU":2,"MemTotal":1048576,"Name":"host","Warnings":["w"]})");
    const CliResult info = cli_run(daemon, {"info"});
    CHECK(info.out.find(" Containers: 3\n") != std::string::npos);
    CHECK(info.out.find(" Total Memory: 1.00MiB\n") != std::string::npos);
    CHECK(info.err == "w\n");
    CHECK(cli_run(daemon, {"info", "--format", "{{.NCPU}}"}).out == "2\n");
    // The client's half is shown although there is no daemon.
    FakeDaemon gone;
    gone.answer("GET /version", 503, "{\"message\":\"starting\"}");
    const CliResult half = cli_run(gone, {"version"});
    CHECK(half.code == 1);
    CHECK(half.out.find("Client: davit\n") == 0);
}

TEST_CASE("jobs and trace") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer(
        "GET /davit/jobs",
        200,
        R"([{"Id":4,"Name":"image_pull","Args":["a","b"],"Status":"running","Started":"x",)"
        R"("ElapsedNs":1500000,"Phases":[{"Name":"resolve","StartNs":0,"DurationNs":200000}]}])");
    daemon.answer("POST /davit/jobs/4/cancel", 204, "");
    const CliResult jobs = cli_run(daemon, {"jobs"});
    CHECK(jobs.code == 0);
    CHECK(jobs.out ==
          "ID        JOB          ARGUMENTS   STATUS    ELAPSED   PHASES\n"
          "4         image_pull   a b         running   1.50ms    resolve 200µs\n");
    CHECK(cli_run(daemon, {"jobs", "cancel", "4"}).out == "4\n");
    CHECK(cli_run(daemon, {"jobs", "cancel"}).code == 1);
    CHECK(cli_run(daemon, {"jobs", "foo"}).code == 1);
    daemon.answer("GET /containers/web/json",
                  200,
                  R"({"Id":"c1","Davit":{"StartPhases":[)"
                  R"({"Name":"rootfs","StartNs":0,"DurationNs":300000},)"
                  R"({"Name":"clone","StartNs":300000,"DurationNs":900000}]}})");
    const CliResult trace = cli_run(daemon, {"trace", "web"});
    CHECK(trace.code == 0);
    CHECK(trace.out ==
          "PHASE          AT       TOOK\n"
          "rootfs        0µs      300µs  ###############\n"
          "clone       300µs      900µs                 " +
              std::string(45, '#') + "\n" + "total                 1.20ms\n");
    daemon.answer("GET /containers/old/json", 200, R"({"Id":"c2"})");
    CHECK(cli_run(daemon, {"trace", "old"}).code == 1);
}

}  // namespace davit::cli
