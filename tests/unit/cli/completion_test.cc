// Goal: a shell is offered what could come next, and nothing else. Method: `__complete` against a
// scripted daemon.
#include "reactor/loop.h"
#include "tests/support/catch.h"
#include "tests/unit/cli/fake_daemon.h"

namespace davit::cli {

using test::cli_run;
using test::FakeDaemon;

namespace {

/// The words that are offered, without what is said of them.
std::vector<std::string> offered(FakeDaemon& daemon, std::vector<std::string> words) {
    words.insert(words.begin(), "__complete");
    const std::string out = cli_run(daemon, words).out;
    std::vector<std::string> found;
    for (std::size_t at = 0; at < out.size();) {
        const std::string line = out.substr(at, out.find('\n', at) - at);
        at += line.size() + 1;
        found.push_back(line.substr(0, line.find('\t')));
    }
    return found;
}

using Words = std::vector<std::string>;

void answer_lists(FakeDaemon& daemon) {
    daemon.answer("GET /containers/json",
                  200,
                  R"([{"Names":["/web"],"Image":"alpine","Status":"Up 3 seconds"},)"
                  R"({"Names":["/db"],"Image":"postgres","Status":"Exited"}])");
    daemon.answer(
        "GET /images/json", 200, R"([{"RepoTags":["alpine:3","web:1"]},{"RepoTags":null}])");
    daemon.answer("GET /volumes", 200, R"({"Volumes":[{"Name":"data","Driver":"local"}]})");
}

}  // namespace

TEST_CASE("commands, groups and flags are completed from their tables") {
    Loop loop;
    FakeDaemon daemon;
    CHECK(offered(daemon, {"comm"}) == Words{"commit"});
    CHECK(offered(daemon, {"volu"}) == Words{"volume"});
    CHECK(offered(daemon, {"volume", "c"}) == Words{"create"});
    CHECK(offered(daemon, {"--hos"}) == Words{"--host"});
    CHECK(offered(daemon, {"-H", "x", "ren"}) == Words{"rename"});
    CHECK(offered(daemon, {"run", "--log-d"}) == Words{"--log-driver"});
    CHECK(offered(daemon, {"run", "--log-driver", "j"}) == Words{"journald", "json-file"});
    CHECK(offered(daemon, {"run", "--restart=un"}) == Words{"--restart=unless-stopped"});
    CHECK(offered(daemon, {"run", "-it", "--help", "--env-file", ""}) == Words{":files"});
    CHECK(offered(daemon, {"nothing", "x"}).empty());
    CHECK(daemon.requests.empty());
}

TEST_CASE("names are asked of the daemon") {
    Loop loop;
    FakeDaemon daemon;
    answer_lists(daemon);
    CHECK(offered(daemon, {"rm", "-f", ""}) == Words{"db", "web"});
    CHECK(daemon.requests.at(0).query().get("all") == "1");
    CHECK(offered(daemon, {"rm", "db", "w"}) == Words{"web"});
    daemon.requests.clear();
    CHECK(offered(daemon, {"stop", "-t", "3", "w"}) == Words{"web"});
    CHECK(daemon.requests.at(0).query().get("all").empty());
    CHECK(offered(daemon, {"run", "--rm", "-e", "A=b", "al"}) == Words{"alpine:3"});
    CHECK(offered(daemon, {"run", "-v", "da"}) == Words{"data", ":files"});
    CHECK(offered(daemon, {"run", "alpine", "-"}) == Words{":files"});
    CHECK(offered(daemon, {"inspect", "we"}) == Words{"web", "web:1"});
    CHECK(offered(daemon, {"cp", "w"}) == Words{"web:", ":files"});
    CHECK(offered(daemon, {"rename", "web", ""}).empty());
}

TEST_CASE("names are asked of the daemon that the line names") {
    Loop loop;
    FakeDaemon daemon;
    answer_lists(daemon);
    const std::string host = daemon.host();
    const auto result = cli_run(
        daemon, {"--host", "unix:///nowhere/socket", "__complete", "-H", host, "stop", "d"});
    CHECK(result.out == "db\tpostgres, Exited\n");
}

TEST_CASE("a daemon that does not answer offers no names") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("GET /containers/json", 500, R"({"message":"no"})");
    const auto result = cli_run(daemon, {"__complete", "rm", ""});
    CHECK(result.code == 0);
    CHECK(result.out.empty());
    CHECK(result.err.empty());
}

TEST_CASE("the shells' scripts") {
    Loop loop;
    FakeDaemon daemon;
    CHECK(cli_run(daemon, {"completion", "zsh"}).out.starts_with("#compdef davit\n"));
    CHECK(cli_run(daemon, {"completion", "fish"}).out.find("complete -c davit") !=
          std::string::npos);
    CHECK(cli_run(daemon, {"completion", "bash"}).out.ends_with("complete -F _davit davit\n"));
    const auto refused = cli_run(daemon, {"completion", "tcsh"});
    CHECK(refused.code == 1);
    CHECK(refused.err == "no completion for \"tcsh\": use bash, zsh or fish\n");
}

}  // namespace davit::cli
