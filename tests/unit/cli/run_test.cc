// Goal: run, start and attach send the right requests in the right order, pass every byte and
// signal, and end with docker's exit codes. Method: a scripted daemon plays the container.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "reactor/loop.h"
#include "tests/support/catch.h"
#include "tests/unit/cli/fake_daemon.h"

namespace davit::cli {

namespace {

using test::cli_run;
using test::CliResult;
using test::FakeDaemon;
using test::FakeRequest;
using test::frame;

/// A daemon with one container: start lets its output flow and its wait end.
struct Container {
    FakeDaemon daemon;
    AsyncEvent started;
    AsyncEvent exited;
    std::string input;
    std::string output;
    std::string exit_answer = "{\"StatusCode\":0}";

    Container() {
        daemon.answer("POST /containers/create", 201, "{\"Id\":\"c1\",\"Warnings\":[]}");
        daemon.on("POST /containers/c1/attach", [this](FakeRequest request, FdStream& stream) {
            return attach(request.query().boolean("stdin"), stream);
        });
        daemon.on("POST /containers/c1/wait",
                  [this](FakeRequest, FdStream& stream) { return wait(stream); });
        daemon.on("POST /containers/c1/start", [this](FakeRequest, FdStream& stream) {
            started.set();
            return test::write_answer(stream, 204, "");
        });
    }

    Task<void> attach(bool with_input, FdStream& stream) {
        CO_CHECK(co_await test::write_upgrade(stream));
        CO_CHECK(co_await started.wait());
        while (with_input) {
            std::array<char, 512> part{};
            CO_TRY(const std::size_t got, co_await stream.read(part));
            if (got == 0) {
                break;
            }
            input.append(part.data(), got);
        }
        CO_CHECK(co_await stream.write(output));
        exited.set();
        co_return ok;
    }

    Task<void> wait(FdStream& stream) {
        CO_CHECK(co_await test::write_chunk_head(stream));
        CO_CHECK(co_await exited.wait());
        CO_CHECK(co_await test::write_chunk(stream, exit_answer + "\n"));
        co_return co_await test::write_chunk_end(stream);
    }
};

std::size_t place_of(const std::vector<std::string>& routes, const std::string& route) {
    return static_cast<std::size_t>(std::ranges::find(routes, route) - routes.begin());
}

}  // namespace

TEST_CASE("run: output, order of requests, exit code") {
    Loop loop;
    Container container;
    container.output = frame(1, "to stdout\n") + frame(2, "to stderr\n") + frame(1, "more\n");
    container.exit_answer = "{\"StatusCode\":7}";
    const CliResult result =
        cli_run(container.daemon, {"run", "--rm", "img", "sh", "-c", "exit 7"});
    CHECK(result.code == 7);
    CHECK(result.out == "to stdout\nmore\n");
    CHECK(result.err == "to stderr\n");
    const std::vector<std::string> routes = container.daemon.routes();
    REQUIRE(routes.size() == 5);
    CHECK(routes[0] == "POST /davit/run");  // This daemon does not know it.
    CHECK(routes[1] == "POST /containers/create");
    // Both before start, so that no output and no exit is missed.
    CHECK(routes[4] == "POST /containers/c1/start");
    CHECK(container.daemon.request("POST /containers/c1/attach").query().text() ==
          "stream=1&stdout=1&stderr=1");
    CHECK(container.daemon.request("POST /containers/c1/wait").query().get("condition") ==
          "removed");
    CHECK(container.daemon.request("POST /containers/create").body ==
          R"({"Image":"img","Cmd":["sh","-c","exit 7"],"AttachStdout":true,"AttachStderr":true,)"
          R"("HostConfig":{"AutoRemove":true}})");
    CHECK(container.daemon.connections == 3);
}

namespace {

/// Answers POST /davit/run: these frames, and the end of the stream.
test::FakeHandler run_answer(std::string frames) {
    return [frames = std::move(frames)](FakeRequest, FdStream& stream) -> Task<void> {
        return [](FdStream& out, std::string bytes) -> Task<void> {
            CO_CHECK(
                co_await out.write("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n"
                                   "Upgrade: tcp\r\nDavit-Container: c1\r\n"
                                   "Davit-Warnings: [\"careful\"]\r\n\r\n"));
            co_return co_await out.write(bytes);
        }(stream, frames);
    };
}

}  // namespace

TEST_CASE("run: one request where the daemon knows it") {
    Loop loop;
    FakeDaemon daemon;
    daemon.on("POST /davit/run",
              run_answer(frame(1, "out") + frame(2, "err") + frame(4, "{\"Status") +
                         frame(4, "Code\":7}")));
    const CliResult result = cli_run(daemon, {"run", "--rm", "--name", "x", "img", "sh"});
    CHECK(result.code == 7);
    CHECK(result.out == "out");
    CHECK(result.err == "WARNING: careful\nerr");
    CHECK(daemon.routes() == std::vector<std::string>{"POST /davit/run"});
    CHECK(daemon.request("POST /davit/run").query().text() == "name=x&stdout=1&stderr=1");
    CHECK(daemon.request("POST /davit/run").body ==
          R"({"Image":"img","Cmd":["sh"],"AttachStdout":true,"AttachStderr":true,)"
          R"("HostConfig":{"AutoRemove":true}})");
    CHECK(daemon.connections == 1);
}

TEST_CASE("run: how one request ends that did not run") {
    Loop loop;
    FakeDaemon daemon;
    daemon.on("POST /davit/run",
              run_answer(frame(4,
                               "{\"StartError\":{\"Status\":400,\"Message\":\"exec: executable "
                               "file not found in $PATH\"}}")));
    const CliResult missing = cli_run(daemon, {"run", "img", "x"});
    CHECK(missing.code == 127);
    CHECK(missing.err.find("davit: Error response from daemon: exec: ") != std::string::npos);
    daemon.on("POST /davit/run", run_answer(frame(1, "cut off")));
    const CliResult cut = cli_run(daemon, {"run", "img", "x"});
    CHECK(cut.code == 125);
    CHECK(cut.out == "cut off");
    daemon.on("POST /davit/run",
              run_answer(frame(4,
                               "{\"StatusCode\":0,\"Error\":{\"Message\":"
                               "\"the disk is broken\"}}")));
    const CliResult kept = cli_run(daemon, {"run", "--rm", "img", "x"});
    CHECK(kept.code == 125);
    CHECK(kept.err.find("the disk is broken") != std::string::npos);
}

TEST_CASE("run -i: input goes in, and its end closes only the input") {
    Loop loop;
    Container container;
    container.output = frame(1, "after the end of input");
    const CliResult result = cli_run(container.daemon, {"run", "-i", "img", "cat"}, "some input");
    CHECK(result.code == 0);
    CHECK(container.input == "some input");
    CHECK(result.out == "after the end of input");
    CHECK(container.daemon.request("POST /containers/c1/wait").query().get("condition") ==
          "next-exit");
}

TEST_CASE("run -d: prints the id and leaves") {
    Loop loop;
    Container container;
    const CliResult result = cli_run(container.daemon, {"run", "-d", "--name", "x", "img"});
    CHECK(result.code == 0);
    CHECK(result.out == "c1\n");
    CHECK(container.daemon.routes() ==
          std::vector<std::string>{"POST /containers/create", "POST /containers/c1/start"});
    CHECK(container.daemon.request("POST /containers/create").query().get("name") == "x");
}

TEST_CASE("run: signals are forwarded, also one from before the start") {
    Loop loop;
    Container container;
    // The signal comes while the daemon works on the start; the process ends by it.
    container.daemon.on("POST /containers/c1/start", [&](FakeRequest, FdStream& stream) {
        ::raise(SIGTERM);
        return test::write_answer(stream, 204, "");
    });
    container.daemon.on("POST /containers/c1/kill", [&](FakeRequest, FdStream& stream) {
        container.started.set();
        return test::write_answer(stream, 204, "");
    });
    container.exit_answer = "{\"StatusCode\":143}";
    const CliResult result = cli_run(container.daemon, {"run", "img", "sleep", "9"});
    CHECK(result.code == 143);
    CHECK(container.daemon.request("POST /containers/c1/kill").query().get("signal") == "SIGTERM");
}

TEST_CASE("run: exit codes of what cannot be started") {
    struct Case {
        const char* message;
        int code;
    };

    for (const Case& item : {Case{"exec: \\\"x\\\": executable file not found in $PATH", 127},
                             Case{"stat /x: no such file or directory", 127},
                             Case{"exec /etc: permission denied", 126},
                             Case{"exec /etc: is a directory", 126},
                             Case{"something else", 125}}) {
        Loop loop;
        Container container;
        container.daemon.answer("POST /containers/c1/start",
                                400,
                                std::string("{\"message\":\"") + item.message + "\"}");
        const CliResult result = cli_run(container.daemon, {"run", "img", "x"});
        INFO(item.message);
        CHECK(result.code == item.code);
        CHECK(result.err.find("davit: Error response from daemon: ") == 0);
        CHECK(result.err.find("\n\nRun 'davit run --help' for more information\n") !=
              std::string::npos);
    }
}

TEST_CASE("run: a missing image is pulled, then created again") {
    Loop loop;
    Container container;
    int creates = 0;
    container.daemon.on("POST /containers/create", [&](FakeRequest, FdStream& stream) {
        return ++creates == 1
                   ? test::write_answer(stream, 404, "{\"message\":\"No such image: img:latest\"}")
                   : test::write_answer(stream, 201, "{\"Id\":\"c1\",\"Warnings\":[\"careful\"]}");
    });
    container.daemon.answer(
        "POST /images/create",
        200,
        "{\"status\":\"Pulling from library/img\",\"id\":\"latest\"}\r\n"
        "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1,\"total\":2},\"id\":\"l1\"}"
        "\r\n"
        "{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"l1\"}\r\n");
    container.output = frame(1, "x");
    const CliResult result = cli_run(container.daemon, {"run", "img"});
    CHECK(result.code == 0);
    CHECK(result.out == "x");
    CHECK(result.err ==
          "Unable to find image 'img:latest' locally\nlatest: Pulling from library/img\n"
          "l1: Pull complete\nWARNING: careful\n");
    const Query pull = container.daemon.request("POST /images/create").query();
    CHECK(pull.get("fromImage") == "docker.io/library/img");
    CHECK(pull.get("tag") == "latest");
}

TEST_CASE("run --pull: never does not, always does first; anything else is refused") {
    Loop loop;
    Container container;
    container.daemon.answer("POST /images/create", 200, "{\"status\":\"fine\"}\n");
    CHECK(cli_run(container.daemon, {"run", "-d", "--pull=always", "-q", "img"}).code == 0);
    CHECK(container.daemon.routes()[0] == "POST /images/create");
    container.daemon.answer("POST /containers/create", 404, "{\"message\":\"No such image\"}");
    container.daemon.requests.clear();
    CHECK(cli_run(container.daemon, {"run", "--pull", "never", "img"}).code == 125);
    CHECK(container.daemon.routes() ==
          std::vector<std::string>{"POST /davit/run", "POST /containers/create"});
    CHECK(cli_run(container.daemon, {"run", "--pull", "foo", "img"}).code == 125);
}

TEST_CASE("run: a pull that fails in the middle") {
    Loop loop;
    Container container;
    container.daemon.answer("POST /containers/create", 404, "{\"message\":\"No such image\"}");
    container.daemon.answer(
        "POST /images/create",
        200,
        "{\"errorDetail\":{\"message\":\"disk full\"},\"error\":\"disk full\"}\n");
    const CliResult result = cli_run(container.daemon, {"run", "img"});
    CHECK(result.code == 125);
    CHECK(result.err.find("davit: disk full\n") != std::string::npos);
}

TEST_CASE("run --cidfile: written once, never over another's") {
    Loop loop;
    Container container;
    const std::string path = container.daemon.directory() + "/cid";
    CHECK(cli_run(container.daemon, {"run", "-d", "--cidfile", path, "img"}).code == 0);
    CHECK(*file_read(path) == "c1");
    const CliResult again = cli_run(container.daemon, {"run", "-d", "--cidfile", path, "img"});
    CHECK(again.code == 125);
    CHECK(again.err.find("container ID file found") != std::string::npos);
    // A run that fails leaves no empty file behind.
    const std::string other = path + "2";
    container.daemon.answer("POST /containers/create", 409, "{\"message\":\"name taken\"}");
    CHECK(cli_run(container.daemon, {"run", "-d", "--cidfile", other, "img"}).code == 125);
    CHECK(::access(other.c_str(), F_OK) != 0);
}

TEST_CASE("run: what cannot be together, and a terminal that is none") {
    Loop loop;
    Container container;
    CHECK(cli_run(container.daemon, {"run", "-d", "-a", "stdout", "img"}).code == 1);
    const CliResult result = cli_run(container.daemon, {"run", "-it", "img"});
    CHECK(result.code == 1);
    CHECK(result.err == "the input device is not a TTY\n");
    CHECK(container.daemon.requests.empty());
}

TEST_CASE("run: the daemon goes away") {
    Loop loop;
    Container container;
    container.daemon.on(
        "POST /containers/c1/attach", [](FakeRequest, FdStream& stream) -> Task<void> {
            CO_CHECK(co_await test::write_upgrade(stream));
            co_return co_await stream.write(std::string_view("\1\0\0\0\0\0\0\11cut", 11));
        });
    const CliResult result = cli_run(container.daemon, {"run", "img"});
    CHECK(result.code == 125);
    CHECK(result.err.find("ended in the middle") != std::string::npos);
}

TEST_CASE("start -ai: asks for the container's kind first") {
    Loop loop;
    Container container;
    container.daemon.answer("GET /containers/web/json",
                            200,
                            "{\"Id\":\"c1\",\"Config\":{\"Tty\":false,\"OpenStdin\":true},"
                            "\"State\":{\"Running\":false}}");
    container.output = frame(1, "hi");
    container.exit_answer = "{\"StatusCode\":3}";
    const CliResult result = cli_run(container.daemon, {"start", "-ai", "web"}, "in");
    CHECK(result.code == 3);
    CHECK(result.out == "hi");
    CHECK(container.input == "in");
    const std::vector<std::string> routes = container.daemon.routes();
    CHECK(place_of(routes, "POST /containers/c1/attach") <
          place_of(routes, "POST /containers/c1/start"));
    CHECK(cli_run(container.daemon, {"start", "-a", "web", "two"}).code == 1);
}

TEST_CASE("attach: a stopped container is refused") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("GET /containers/web/json", 200, "{\"Id\":\"c1\",\"State\":{\"Running\":false}}");
    const CliResult result = cli_run(daemon, {"attach", "web"});
    CHECK(result.code == 1);
    CHECK(result.err == "cannot attach to a stopped container, start it first\n");
}

namespace {

/// A pseudo-terminal whose slave has a size.
struct Terminal {
    Fd master{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
    Fd slave;

    Terminal() {
        REQUIRE(::grantpt(master.get()) == 0);
        REQUIRE(::unlockpt(master.get()) == 0);
        std::array<char, 128> name{};
        REQUIRE(::ptsname_r(master.get(), name.data(), name.size()) == 0);
        slave = Fd(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        REQUIRE(slave);
        const winsize size{33, 99, 0, 0};
        REQUIRE(::ioctl(master.get(), TIOCSWINSZ, &size) == 0);
    }

    tcflag_t local_flags() const {
        termios state{};
        ::tcgetattr(slave.get(), &state);
        return state.c_lflag;
    }
};

}  // namespace

TEST_CASE("run -it: raw mode while it runs, the window's size, detach keys") {
    Loop loop;
    Container container;
    Terminal terminal;
    const tcflag_t before = terminal.local_flags();
    tcflag_t during = before;
    std::string typed;
    AsyncEvent resized;
    container.daemon.on("POST /containers/c1/resize", [&resized](FakeRequest, FdStream& stream) {
        resized.set();
        return test::write_answer(stream, 200, "");
    });
    auto session = [&](FdStream& stream) -> Task<void> {
        CO_CHECK(co_await test::write_upgrade(stream));
        CO_CHECK(co_await container.started.wait());
        CO_CHECK(co_await stream.write("prompt"));
        // By then it is raw: what is typed before would meet the line discipline.
        CO_CHECK(co_await resized.wait());
        CO_CHECK(write_all(terminal.master.get(), "ls"));
        std::array<char, 64> part{};
        while (typed.size() < 2) {
            CO_TRY(const std::size_t got, co_await stream.read(part));
            typed.append(part.data(), got);
        }
        during = terminal.local_flags();
        CO_CHECK(write_all(terminal.master.get(), "\x10\x11"));
        CO_TRY(const std::size_t got, co_await stream.read(part));
        typed.append(part.data(), got);
        co_return ok;
    };
    container.daemon.on("POST /containers/c1/attach",
                        [&session](FakeRequest, FdStream& stream) { return session(stream); });
    CHECK(test::cli_run_on_terminal(
              container.daemon, {"run", "-it", "img"}, terminal.slave.get()) == 0);
    CHECK(typed == "ls");
    CHECK((before & (ICANON | ECHO)) == (ICANON | ECHO));
    CHECK(terminal.local_flags() == before);
    const Query resize = container.daemon.request("POST /containers/c1/resize").query();
    CHECK(resize.get("h") == "33");
    CHECK(resize.get("w") == "99");
    CHECK(
        container.daemon.request("POST /containers/create").body.find("\"ConsoleSize\":[33,99]") !=
        std::string::npos);
    CHECK((during & (ICANON | ECHO)) == 0);
}

}  // namespace davit::cli
