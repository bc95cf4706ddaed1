// Goal: the volume commands send docker's requests and print docker's lines. Method: a scripted
// daemon.
#include "reactor/loop.h"
#include "tests/support/catch.h"
#include "tests/unit/cli/fake_daemon.h"

namespace davit::cli {

using test::cli_run;
using test::CliResult;
using test::FakeDaemon;

TEST_CASE("volume create", "[volumes]") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("POST /volumes/create", 201, R"({"Name":"vol"})");
    const CliResult result = cli_run(
        daemon,
        {"volume", "create", "-o", "type=tmpfs", "--opt", "device=x", "--label", "a=b", "vol"});
    CHECK(result.code == 0);
    CHECK(result.out == "vol\n");
    CHECK(daemon.request("POST /volumes/create").body ==
          R"({"Name":"vol","Driver":"local","DriverOpts":{"device":"x","type":"tmpfs"},)"
          R"("Labels":{"a":"b"}})");
    CHECK(cli_run(daemon, {"volume", "create", "--name", "a", "b"}).code == 1);
    CHECK(cli_run(daemon, {"volume", "create", "a", "b"}).code == 1);
}

TEST_CASE("volume ls", "[volumes]") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("GET /volumes", 200, R"({"Volumes":[
        {"Name":"one","Driver":"local","Mountpoint":"/v/one/_data","Scope":"local","Labels":null},
        {"Name":"two","Driver":"local","Mountpoint":"/v/two/_data","Scope":"local",
         "Labels":{"k":"v","l":""}}],"Warnings":null})");
    CHECK(cli_run(daemon, {"volume", "ls", "-f", "dangling=true"}).out ==
          "DRIVER    VOLUME NAME\nlocal     one\nlocal     two\n");
    CHECK(daemon.request("GET /volumes").query().get("filters") == R"({"dangling":{"true":true}})");
    CHECK(cli_run(daemon, {"volume", "ls", "-q"}).out == "one\ntwo\n");
    CHECK(cli_run(daemon,
                  {"volume", "ls", "--format", "{{.Mountpoint}} {{.Labels}} {{.Label \"k\"}}"})
              .out == "/v/one/_data  \n/v/two/_data k=v,l= v\n");
}

TEST_CASE("volume rm", "[volumes]") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("DELETE /volumes/one", 204, "");
    daemon.answer("DELETE /volumes/gone", 404, R"({"message":"get gone: no such volume"})");
    const CliResult result = cli_run(daemon, {"volume", "rm", "-f", "one", "gone"});
    CHECK(result.code == 1);
    CHECK(result.out == "one\n");
    CHECK(result.err.find("get gone: no such volume") != std::string::npos);
    CHECK(daemon.request("DELETE /volumes/one").query().get("force") == "1");
}

TEST_CASE("volume prune", "[volumes]") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer(
        "POST /volumes/prune", 200, R"({"VolumesDeleted":["one","two"],"SpaceReclaimed":5000})");
    const CliResult declined = cli_run(daemon, {"volume", "prune"}, "n\n");
    CHECK(declined.code == 1);
    CHECK(declined.out ==
          "WARNING! This will remove anonymous local volumes not used by at least one container.\n"
          "Are you sure you want to continue? [y/N] ");
    CHECK(daemon.requests.empty());
    const CliResult all = cli_run(daemon, {"volume", "prune", "-a"}, "y\n");
    CHECK(all.code == 0);
    CHECK(all.out.find("This will remove all local volumes") != std::string::npos);
    CHECK(all.out.find("Deleted Volumes:\none\ntwo\n\nTotal reclaimed space: 5kB\n") !=
          std::string::npos);
    CHECK(daemon.request("POST /volumes/prune").query().get("filters") ==
          R"({"all":{"true":true}})");
}

TEST_CASE("volume inspect", "[volumes]") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("GET /volumes/one", 200, R"({"Name":"one","Mountpoint":"/v"})");
    CHECK(cli_run(daemon, {"volume", "inspect", "-f", "{{.Mountpoint}}", "one"}).out == "/v\n");
    daemon.answer("GET /containers/one/json", 404, R"({"message":"No such container: one"})");
    daemon.answer("GET /images/one/json", 404, R"({"message":"No such image: one"})");
    CHECK(cli_run(daemon, {"inspect", "-f", "{{.Name}}", "one"}).out == "one\n");
    CHECK(cli_run(daemon, {"inspect", "--type", "odd", "one"}).code == 1);
}

}  // namespace davit::cli
