// Goal: `changes` in the Dockerfile's words do what they do there. Method: instructions in, config
// out.
#include "jobs/image/config_change.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

RunConfig changed(std::vector<std::string> changes) {
    RunConfig config;
    const Result<void> applied = config_change_apply(config, changes);
    INFO((applied ? "" : applied.error().message()));
    REQUIRE(applied);
    return config;
}

std::string refusal(std::string change) {
    RunConfig config;
    const std::vector<std::string> changes = {std::move(change)};
    const Result<void> applied = config_change_apply(config, changes);
    if (applied) {
        return "";
    }
    CHECK(applied.error().kind() == ErrorKind::invalid_argument);
    return applied.error().message();
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("commands in both forms", "[config_change]") {
    CHECK(changed({R"(CMD ["a", "b c"])"}).cmd == Strings{"a", "b c"});
    CHECK(changed({"cmd echo $HOME"}).cmd == Strings{"/bin/sh", "-c", "echo $HOME"});
    CHECK(changed({R"(ENTRYPOINT ["/init"])"}).entrypoint == Strings{"/init"});
    CHECK(changed({"CMD [not json"}).cmd == Strings{"/bin/sh", "-c", "[not json"});
}

TEST_CASE("names with values", "[config_change]") {
    CHECK(changed({"ENV A=1 B='two words' C=\"x y\" D=a\\ b"}).env ==
          Strings{"A=1", "B=two words", "C=x y", "D=a b"});
    CHECK(changed({"ENV A the rest  of it"}).env == Strings{"A=the rest  of it"});
    CHECK(changed({"ENV A=1", "ENV B=2", "ENV A=3"}).env == Strings{"A=3", "B=2"});
    const RunConfig labels = changed({"LABEL a=1 \"b c\"=2", "LABEL a=3"});
    CHECK(labels.labels.at("a") == "3");
    CHECK(labels.labels.at("b c") == "2");
}

TEST_CASE("ports, volumes and the rest", "[config_change]") {
    CHECK(changed({"EXPOSE 80 53/udp 80/tcp 8000-8002"}).exposed_ports ==
          Strings{"80/tcp", "53/udp", "8000-8002/tcp"});
    CHECK(changed({R"(VOLUME ["/a", "/b"])", "VOLUME /c /a"}).volumes == Strings{"/a", "/b", "/c"});
    CHECK(changed({"USER 1000:1000"}).user == "1000:1000");
    CHECK(changed({"WORKDIR /a", "WORKDIR b"}).working_dir == "/a/b");
    CHECK(changed({"WORKDIR b"}).working_dir == "/b");
    CHECK(changed({"STOPSIGNAL SIGQUIT"}).stop_signal == "SIGQUIT");
    CHECK(changed({"ONBUILD RUN x"}).on_build == Strings{"RUN x"});
    CHECK(changed({"", "# comment", "  USER  u  "}).user == "u");
}

TEST_CASE("health checks", "[config_change]") {
    const RunConfig config =
        changed({"HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl -f x"});
    REQUIRE(config.healthcheck);
    CHECK(config.healthcheck->test == Strings{"CMD-SHELL", "curl -f x"});
    CHECK(config.healthcheck->interval_ns == 90'000'000'000);
    CHECK(config.healthcheck->timeout_ns == 500'000'000);
    CHECK(config.healthcheck->retries == 3);
    CHECK(changed({R"(HEALTHCHECK CMD ["a","b"])"}).healthcheck->test == Strings{"CMD", "a", "b"});
    CHECK(changed({"HEALTHCHECK NONE"}).healthcheck->test == Strings{"NONE"});
}

TEST_CASE("what is no change is refused, by its text", "[config_change]") {
    CHECK(refusal("RUN rm -rf /").find("RUN is not a valid change command") != std::string::npos);
    CHECK(refusal("FROM x").find("FROM x") != std::string::npos);
    for (const char* change : {"CMD",
                               "ENV A",
                               "ENV =1",
                               "ENV A=1 B",
                               "EXPOSE x",
                               "EXPOSE 70000",
                               "EXPOSE 9-8",
                               "EXPOSE 80/icmp",
                               "LABEL a='b",
                               "HEALTHCHECK x",
                               "HEALTHCHECK --interval=1 CMD x",
                               "HEALTHCHECK --odd=1s CMD x"}) {
        CAPTURE(change);
        CHECK_FALSE(refusal(change).empty());
    }
}
