// Goal: push, login, logout and search send docker's requests, print docker's lines, and keep
// config.json as docker does. Method: a scripted daemon and a private configuration directory.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/json_reader.h"
#include "http/registry/base64.h"
#include "reactor/loop.h"
#include "tests/support/catch.h"
#include "tests/unit/cli/fake_daemon.h"

namespace davit::cli {

using test::cli_run;
using test::CliResult;
using test::FakeDaemon;

namespace {

struct ConfigDaemon : FakeDaemon {
    std::string config = directory() + "/config";

    ~ConfigDaemon() { REQUIRE(remove_tree(AT_FDCWD, config).has_value()); }

    CliResult run(std::vector<std::string> words, std::string_view in = "") {
        words.insert(words.begin(), {"--config", config});
        return cli_run(*this, std::move(words), in);
    }

    std::string text() {
        auto read = file_read(config + "/config.json");
        return read ? *read : "";
    }

    void write(const std::string& text) {
        REQUIRE(make_directories(config).has_value());
        REQUIRE(file_replace(AT_FDCWD, config + "/config.json", text, 0640).has_value());
    }
};

}  // namespace

TEST_CASE("login stores the password, and nothing else changes") {
    Loop loop;
    ConfigDaemon daemon;
    daemon.answer("POST /auth", 200, R"({"Status":"Login Succeeded","IdentityToken":""})");
    CliResult result = daemon.run(
        {"login", "-u", "u", "--password-stdin", "https://reg.example:5000/v2/"}, "p:w\n");
    CHECK(result.code == 0);
    CHECK(result.out == "Login Succeeded\n");
    CHECK(result.err.find("stored unencrypted in '" + daemon.config + "/config.json'") !=
          std::string::npos);
    CHECK(daemon.request("POST /auth").body ==
          R"({"username":"u","password":"p:w","serveraddress":"reg.example:5000"})");
    CHECK(daemon.text() == "{\n\t\"auths\": {\n\t\t\"reg.example:5000\": {\n\t\t\t\"auth\": \"" +
                               base64_encode("u:p:w") + "\"\n\t\t}\n\t}\n}");

    struct stat info {};

    REQUIRE(::stat((daemon.config + "/config.json").c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);

    daemon.write(R"({"HttpHeaders":{"A":"b"},"auths":{"http://reg.example:5000":{"auth":"eDp5"},)"
                 R"("other":{"auth":"eDp5"}},"detachKeys":"ctrl-x"})");
    result = daemon.run({"login", "-u", "v", "-p", "q", "reg.example:5000"});
    CHECK(result.code == 0);
    CHECK(result.err.find("WARNING! Using --password via the CLI is insecure") == 0);
    const auto document = JsonDocument::parse(daemon.text());
    REQUIRE(document);
    const JsonValue root = document->root();
    CHECK(root.member("detachKeys").to_json() == "\"ctrl-x\"");
    CHECK(root.member("HttpHeaders").to_json() == R"({"A":"b"})");
    CHECK(root.member("auths").to_json() == R"({"other":{"auth":"eDp5"},)"
                                            R"("reg.example:5000":{"auth":")" +
                                                base64_encode("v:q") + R"("}})");
    REQUIRE(::stat((daemon.config + "/config.json").c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0640);
}

TEST_CASE("login keeps an identity token instead of the password, and uses it again") {
    Loop loop;
    ConfigDaemon daemon;
    daemon.answer("POST /auth", 200, R"({"Status":"Login Succeeded","IdentityToken":"id"})");
    CHECK(daemon.run({"login", "-u", "u", "--password-stdin"}, "p").code == 0);
    const auto document = JsonDocument::parse(daemon.text());
    REQUIRE(document);
    CHECK(document->root().member("auths").to_json() ==
          R"({"https://index.docker.io/v1/":{"auth":")" + base64_encode("u:") +
              R"(","identitytoken":"id"}})");
    daemon.requests.clear();
    const CliResult again = daemon.run({"login"});
    CHECK(again.code == 0);
    CHECK(again.out ==
          "Authenticating with existing credentials... [Username: u]\nLogin Succeeded\n");
    CHECK(daemon.request("POST /auth").body ==
          R"({"username":"u","identitytoken":"id","serveraddress":"https://index.docker.io/v1/"})");
}

TEST_CASE("login that cannot be") {
    Loop loop;
    ConfigDaemon daemon;
    CHECK(daemon.run({"login", "x"}).err ==
          "Error: Cannot perform an interactive login from a non TTY device\n");
    CHECK(daemon.run({"login", "--password-stdin", "x"}).err ==
          "Must provide --username with --password-stdin\n");
    CHECK(daemon.run({"login", "-u", "u", "-p", "p", "--password-stdin", "x"}).err ==
          "--password and --password-stdin are mutually exclusive\n");
    CHECK(daemon.requests.empty());
    daemon.answer("POST /auth", 401, R"({"message":"login attempt failed"})");
    const CliResult refused = daemon.run({"login", "-u", "u", "--password-stdin", "x"}, "p");
    CHECK(refused.code == 1);
    CHECK(refused.err.find("login attempt failed") != std::string::npos);
    CHECK(daemon.text().empty());
    daemon.write(R"({"credsStore":"pass"})");
    CHECK(daemon.run({"login", "-u", "u", "-p", "p", "x"}).err.find("\"pass\"") !=
          std::string::npos);
    daemon.write("no json");
    CHECK(daemon.run({"login", "-u", "u", "-p", "p", "x"}).code == 1);
    CHECK(daemon.text() == "no json");
}

TEST_CASE("logout") {
    Loop loop;
    ConfigDaemon daemon;
    CHECK(daemon.run({"logout", "reg.example"}).out == "Not logged in to reg.example\n");
    daemon.write(R"({"auths":{"reg.example":{"auth":"eDp5"},"other":{"auth":"eDp5"}},"a":[1]})");
    CHECK(daemon.run({"logout", "https://reg.example"}).out ==
          "Removing login credentials for reg.example\n");
    const auto document = JsonDocument::parse(daemon.text());
    REQUIRE(document);
    CHECK(document->root().to_json() == R"({"auths":{"other":{"auth":"eDp5"}},"a":[1]})");
    CHECK(daemon.run({"logout"}).out == "Not logged in to https://index.docker.io/v1/\n");
}

TEST_CASE("push") {
    Loop loop;
    ConfigDaemon daemon;
    daemon.answer("POST /images/reg.example/team/app/push",
                  200,
                  "{\"status\":\"The push refers to repository [reg.example/team/app]\"}\r\n"
                  "{\"status\":\"Pushed\",\"progressDetail\":{},\"id\":\"abc\"}\r\n"
                  "{\"progressDetail\":{},\"aux\":{\"Tag\":\"latest\"}}\r\n");
    CliResult result = daemon.run({"push", "reg.example/team/app"});
    CHECK(result.code == 0);
    CHECK(result.out ==
          "Using default tag: latest\nThe push refers to repository [reg.example/team/app]\n"
          "abc: Pushed\n");
    CHECK(daemon.requests.back().query().get("tag") == "latest");
    CHECK(daemon.requests.back().headers.get("X-Registry-Auth") == "e30=");
    result = daemon.run({"push", "-q", "reg.example/team/app:1"});
    CHECK(result.out == "reg.example/team/app:1\n");
    daemon.write(R"({"auths":{"reg.example":{"auth":"dTpw"}}})");
    CHECK(daemon.run({"image", "push", "-a", "reg.example/team/app"}).code == 0);
    CHECK_FALSE(daemon.requests.back().query().contains("tag"));
    const auto header = base64_decode(daemon.requests.back().headers.get("X-Registry-Auth"));
    REQUIRE(header);
    CHECK(*header == R"({"username":"u","password":"p","serveraddress":"reg.example"})");
    CHECK(daemon.run({"push", "--platform", "linux/arm/v7", "reg.example/team/app:1"}).code == 0);
    CHECK(daemon.requests.back().query().get("platform") ==
          R"({"architecture":"arm","os":"linux","variant":"v7"})");
    CHECK_FALSE(daemon.requests.back().query().contains("allPlatforms"));
    CHECK(daemon.run({"push", "--all-platforms", "reg.example/team/app:1"}).code == 0);
    CHECK(daemon.requests.back().query().get("allPlatforms") == "1");
    result = daemon.run({"push", "-a", "reg.example/team/app:1"});
    CHECK(result.code == 1);
    CHECK(result.err == "tag can't be used with --all-tags/-a\n");
    daemon.answer("POST /images/reg.example/team/app/push",
                  200,
                  R"({"errorDetail":{"message":"denied: no"},"error":"denied: no"})");
    result = daemon.run({"push", "reg.example/team/app:1"});
    CHECK(result.code == 1);
    CHECK(result.err.find("denied: no") != std::string::npos);
}

TEST_CASE("image referrers") {
    Loop loop;
    ConfigDaemon daemon;
    daemon.answer("GET /davit/referrers/reg.example/app:1",
                  200,
                  R"({"Subject":"sha256:00","Referrers":[{"mediaType":"m/m","digest":"sha256:aa",)"
                  R"("size":7,"artifactType":"a/b","annotations":{"k":"v","n":"w"}}]})");
    CliResult result = daemon.run({"image", "referrers", "reg.example/app:1"});
    CHECK(result.code == 0);
    CHECK(result.out ==
          "DIGEST      ARTIFACT TYPE   SIZE\n"
          "sha256:aa   a/b             7\n");
    result = daemon.run({"image",
                         "referrers",
                         "--artifact-type",
                         "a/b",
                         "--format",
                         "{{.MediaType}} {{.Annotations}}",
                         "reg.example/app:1"});
    CHECK(result.out == "m/m k=v,n=w\n");
    CHECK(daemon.requests.back().query().get("artifactType") == "a/b");
}

TEST_CASE("search") {
    Loop loop;
    ConfigDaemon daemon;
    daemon.answer("GET /images/search", 200, R"([
        {"name":"first","description":"The first\none, described at much greater length than fits",
         "star_count":12,"is_official":true,"is_automated":false},
        {"name":"team/second","description":"","star_count":0}])");
    const CliResult result =
        daemon.run({"search", "--limit", "5", "-f", "is-official=true", "some thing"});
    CHECK(result.code == 0);
    CHECK(result.out ==
          "NAME          DESCRIPTION                                     STARS     OFFICIAL\n"
          "first         The first one, described at much greater len…   12        [OK]\n"
          "team/second                                                   0         \n");
    const Query query = daemon.requests.back().query();
    CHECK(query.get("term") == "some thing");
    CHECK(query.get("limit") == "5");
    CHECK(query.get("filters") == R"({"is-official":{"true":true}})");
    CHECK(daemon.run({"search", "--format", "{{.Name}}:{{.StarCount}}", "x"}).out ==
          "first:12\nteam/second:0\n");
}

}  // namespace davit::cli
