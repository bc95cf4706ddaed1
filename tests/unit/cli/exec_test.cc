// Goal: exec sends the requests that docker's would, carries every byte, and ends with the
// command's exit code. Method: a daemon with scripted answers.
#include "reactor/loop.h"
#include "tests/support/catch.h"
#include "tests/unit/cli/fake_daemon.h"

namespace davit {

namespace {

using test::cli_run;
using test::CliResult;
using test::FakeDaemon;
using test::FakeRequest;
using test::frame;

/// Answers what it reads up to the end of input, in frames.
void exec_answer(FakeDaemon& daemon, bool with_input) {
    daemon.answer("POST /containers/web/exec", 201, "{\"Id\":\"e1\"}");
    daemon.answer("GET /exec/e1/json", 200, "{\"Running\":false,\"ExitCode\":7}");
    daemon.on("POST /exec/e1/start", [with_input](FakeRequest, FdStream& stream) -> Task<void> {
        CO_CHECK(co_await test::write_upgrade(stream));
        std::string input;
        while (with_input) {
            std::array<char, 512> part{};
            CO_TRY(const std::size_t got, co_await stream.read(part));
            if (got == 0) {
                break;
            }
            input.append(part.data(), got);
        }
        const std::string output = frame(1, "out:" + input) + frame(2, "err");
        co_return co_await stream.write(output);
    });
}

}  // namespace

TEST_CASE("exec: requests, output, exit code") {
    Loop loop;
    FakeDaemon daemon;
    exec_answer(daemon, false);
    const CliResult result = cli_run(daemon,
                                     {"exec",
                                      "-u",
                                      "web:staff",
                                      "-w",
                                      "/srv",
                                      "-e",
                                      "A=1",
                                      "--privileged",
                                      "web",
                                      "sh",
                                      "-c",
                                      "exit 7"});
    CHECK(result.code == 7);
    CHECK(result.out == "out:");
    CHECK(result.err == "err");
    CHECK(daemon.routes() == std::vector<std::string>{"POST /containers/web/exec",
                                                      "POST /exec/e1/start",
                                                      "GET /exec/e1/json"});
    CHECK(daemon.request("POST /containers/web/exec").body ==
          R"({"AttachStdout":true,"AttachStderr":true,"Privileged":true,"User":"web:staff",)"
          R"("WorkingDir":"/srv","Env":["A=1"],"Cmd":["sh","-c","exit 7"]})");
    CHECK(daemon.request("POST /exec/e1/start").body == R"({"Detach":false,"Tty":false})");
}

TEST_CASE("exec -i: input goes in, and its end closes only the input") {
    Loop loop;
    FakeDaemon daemon;
    exec_answer(daemon, true);
    const CliResult result = cli_run(daemon, {"exec", "-i", "web", "cat"}, "some input");
    CHECK(result.code == 7);
    CHECK(result.out == "out:some input");
}

TEST_CASE("exec -d: starts and leaves") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("POST /containers/web/exec", 201, "{\"Id\":\"e1\"}");
    daemon.answer("POST /exec/e1/start", 200, "");
    const CliResult result = cli_run(daemon, {"exec", "-dt", "web", "true"});
    CHECK(result.code == 0);
    CHECK(result.out.empty());
    CHECK(daemon.request("POST /containers/web/exec").body == R"({"Tty":true,"Cmd":["true"]})");
    CHECK(daemon.request("POST /exec/e1/start").body == R"({"Detach":true,"Tty":true})");
}

TEST_CASE("exec: refusals") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer(
        "POST /containers/web/exec", 409, "{\"message\":\"container c1 is not running\"}");
    const CliResult result = cli_run(daemon, {"exec", "web", "true"});
    CHECK(result.code == 1);
    CHECK(result.err == "Error response from daemon: container c1 is not running\n");
    CHECK(cli_run(daemon, {"exec", "-it", "web", "sh"}).err == "the input device is not a TTY\n");
    CHECK(cli_run(daemon, {"exec", "web"}).code == 1);
}

}  // namespace davit
