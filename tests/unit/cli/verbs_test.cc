// Goal: the commands of a container's life send docker's requests and print docker's lines. Method:
// a scripted daemon with canned answers.
#include "reactor/loop.h"
#include "tests/support/catch.h"
#include "tests/unit/cli/fake_daemon.h"

namespace davit::cli {

using test::cli_run;
using test::CliResult;
using test::FakeDaemon;

TEST_CASE("pause, unpause, restart") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("POST /containers/a/pause", 204, "");
    daemon.answer(
        "POST /containers/b/pause", 409, R"({"message":"Container b is already paused"})");
    daemon.answer("POST /containers/a/unpause", 204, "");
    daemon.answer("POST /containers/a/restart", 204, "");
    CliResult result = cli_run(daemon, {"pause", "a", "b"});
    CHECK(result.code == 1);
    CHECK(result.out == "a\n");
    CHECK(result.err == "Error response from daemon: Container b is already paused\n");
    CHECK(cli_run(daemon, {"container", "unpause", "a"}).out == "a\n");
    daemon.requests.clear();
    CHECK(cli_run(daemon, {"restart", "-s", "INT", "-t", "3", "a"}).out == "a\n");
    REQUIRE(daemon.requests.size() == 1);
    CHECK(daemon.requests[0].query().get("signal") == "INT");
    CHECK(daemon.requests[0].query().get("t") == "3");
}

TEST_CASE("rename") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("POST /containers/old/rename", 204, "");
    CliResult result = cli_run(daemon, {"rename", " old ", "new"});
    CHECK(result.code == 0);
    CHECK(result.out.empty());
    CHECK(daemon.requests.at(0).query().get("name") == "new");
    result = cli_run(daemon, {"rename", "old", " "});
    CHECK(result.code == 1);
    CHECK(result.err.find("Neither old nor new names may be empty") != std::string::npos);
    daemon.answer("POST /containers/old/rename", 409, R"({"message":"Conflict."})");
    result = cli_run(daemon, {"rename", "old", "new"});
    CHECK(result.code == 1);
    CHECK(result.err.find("Conflict.\n") != std::string::npos);
    CHECK(result.err.find("Error: failed to rename container named old") != std::string::npos);
}

TEST_CASE("container prune") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("POST /containers/prune",
                  200,
                  R"({"ContainersDeleted":["aa","bb"],"SpaceReclaimed":1500})");
    CliResult result = cli_run(daemon, {"container", "prune", "-f", "--filter", "label=a"});
    CHECK(result.out == "Deleted Containers:\naa\nbb\n\nTotal reclaimed space: 1.5kB\n");
    CHECK(daemon.requests.at(0).query().get("filters") == R"({"label":{"a":true}})");
    daemon.answer(
        "POST /containers/prune", 200, R"({"ContainersDeleted":null,"SpaceReclaimed":0})");
    CHECK(cli_run(daemon, {"container", "prune", "-f"}).out == "Total reclaimed space: 0B\n");
}

TEST_CASE("top and diff") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("GET /containers/a/top",
                  200,
                  R"({"Processes":[["root","42","sleep 5"]],"Titles":["UID","PID","CMD"]})");
    CliResult result = cli_run(daemon, {"top", "a", "-o", "pid,args"});
    CHECK(result.out ==
          "UID                 PID                 CMD\n"
          "root                42                  sleep 5\n");
    CHECK(daemon.requests.at(0).query().get("ps_args") == "-o pid,args");
    daemon.answer("GET /containers/a/changes",
                  200,
                  R"([{"Path":"/a","Kind":0},{"Path":"/b","Kind":1},{"Path":"/c","Kind":2}])");
    CHECK(cli_run(daemon, {"diff", "a"}).out == "C /a\nA /b\nD /c\n");
    daemon.answer("GET /containers/a/changes", 200, "null");
    result = cli_run(daemon, {"diff", "a"});
    CHECK(result.code == 0);
    CHECK(result.out.empty());
}

TEST_CASE("stats") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("GET /containers/web/stats", 200, R"({
        "name":"/web","id":"0123456789abcdef",
        "pids_stats":{"current":3},
        "blkio_stats":{"io_service_bytes_recursive":[
            {"major":8,"minor":0,"op":"Read","value":1000},
            {"major":8,"minor":0,"op":"Write","value":2000},
            {"major":8,"minor":0,"op":"Total","value":3000}]},
        "cpu_stats":{"cpu_usage":{"total_usage":300},"system_cpu_usage":2000,"online_cpus":2},
        "precpu_stats":{"cpu_usage":{"total_usage":100},"system_cpu_usage":1000},
        "memory_stats":{"usage":3145728,"limit":67108864,"stats":{"total_inactive_file":1048576}},
        "networks":{"eth0":{"rx_bytes":10,"tx_bytes":20},"eth1":{"rx_bytes":1,"tx_bytes":2}}})");
    CliResult result = cli_run(daemon, {"stats", "--no-stream", "web"});
    CHECK(
        result.out ==
        "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O     BLOCK I/O   "
        "PIDS\n"
        "0123456789ab   web       40.00%    2MiB / 64MiB        3.12%     11B / 22B   1kB / 2kB   "
        "3\n");
    CHECK(daemon.requests.at(0).query().get("stream") == "0");
    CHECK(cli_run(daemon, {"stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "web"}).out ==
          "web 3\n");
    daemon.answer("GET /containers/json", 200, R"([{"Id":"web"}])");
    CHECK(cli_run(daemon, {"stats", "--no-stream", "--format", "{{.Container}}"}).out == "web\n");
    result = cli_run(daemon, {"stats", "--no-stream", "none"});
    CHECK(result.code == 1);
}

TEST_CASE("update") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("POST /containers/a/update", 200, R"({"Warnings":["beware"]})");
    CliResult result =
        cli_run(daemon, {"update", "-m", "64m", "--cpus", "1.5", "--restart", "on-failure:3", "a"});
    CHECK(result.out == "a\nbeware\n");
    CHECK(daemon.requests.at(0).body ==
          R"({"Memory":67108864,"NanoCpus":1500000000,)"
          R"("RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}})");
    result = cli_run(daemon, {"update", "a"});
    CHECK(result.code == 1);
    CHECK(result.err.find("you must provide one or more flags") != std::string::npos);
}

}  // namespace davit::cli
