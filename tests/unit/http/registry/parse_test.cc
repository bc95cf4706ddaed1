// Goal: what registries write in headers and error bodies is understood, whatever its form.
// Method: texts in, values out; no network.
#include "http/registry/base64.h"
#include "http/registry/challenge.h"
#include "http/registry/credentials.h"
#include "http/registry/endpoint.h"
#include "http/registry/registry_client.h"
#include "http/registry/registry_error.h"
#include "http/registry/token.h"
#include "tests/support/catch.h"

using namespace davit;
using namespace std::chrono_literals;

TEST_CASE("challenges: one Bearer challenge as Docker Hub writes it", "[registry]") {
    const auto challenges = challenges_parse(std::string_view(
        R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",)"
        R"(scope="repository:a/b:pull,push")"));
    REQUIRE(challenges.size() == 1);
    CHECK(challenges[0].scheme == "bearer");
    CHECK(challenges[0].parameter("realm") == "https://auth.docker.io/token");
    CHECK(challenges[0].parameter("service") == "registry.docker.io");
    CHECK(challenges[0].parameter("scope") == "repository:a/b:pull,push");
    CHECK(challenges[0].parameter("error").empty());
}

TEST_CASE("challenges: several in one field, odd spacing, escapes and tokens", "[registry]") {
    const auto challenges = challenges_parse(std::string_view(
        R"(Negotiate YII/abc==, basic REALM = "a \"b\", c" , BEARER realm=x,scope=y,,Digest)"));
    REQUIRE(challenges.size() == 4);
    CHECK(challenges[0].scheme == "negotiate");
    CHECK(challenges[1].scheme == "basic");
    CHECK(challenges[1].parameter("realm") == R"(a "b", c)");
    CHECK(challenges[2].scheme == "bearer");
    CHECK(challenges[2].parameter("realm") == "x");
    CHECK(challenges[2].parameter("scope") == "y");
    CHECK(challenges[3].scheme == "digest");
}

TEST_CASE("challenges: what is malformed ends its field and nothing else", "[registry]") {
    Headers headers;
    headers.add("WWW-Authenticate", R"(Bearer realm="never closed)");
    headers.add("www-authenticate", R"(Basic realm="b")");
    const auto challenges = challenges_parse(headers);
    REQUIRE(challenges.size() == 2);
    CHECK(challenges[0].parameters.empty());
    CHECK(challenges[1].parameter("realm") == "b");
    CHECK(challenges_parse(std::string_view("")).empty());
    CHECK(challenges_parse(std::string_view(" ,, \"")).empty());
}

TEST_CASE("base64: both alphabets, with and without padding", "[registry]") {
    CHECK(base64_encode("") == "");
    CHECK(base64_encode("f") == "Zg==");
    CHECK(base64_encode("fo") == "Zm8=");
    CHECK(base64_encode("foo") == "Zm9v");
    CHECK(base64_encode("\xfb\xff") == "+/8=");
    for (const char* text : {"+/8=", "-_8=", "-_8", "+/8"}) {
        REQUIRE(base64_decode(text));
        CHECK(*base64_decode(text) == "\xfb\xff");
    }
    CHECK_FALSE(
        base64_decode("Zg=="
                      "!"));
    CHECK_FALSE(base64_decode("Z"));
}

TEST_CASE("credentials: what clients put into X-Registry-Auth", "[registry]") {
    const auto parse = [](const char* json) { return credentials_parse(base64_encode(json)); };
    CHECK(credentials_parse("")->empty());
    CHECK(credentials_parse("e30=")->empty());
    CHECK(credentials_parse("e30")->empty());
    const auto plain = parse(R"({"username":"u","password":"p","serveraddress":"r.example"})");
    REQUIRE(plain);
    CHECK(plain->username == "u");
    CHECK(plain->password == "p");
    CHECK(plain->server_address == "r.example");
    CHECK(parse(R"({"auth":"dTpwOnE="})")->password == "p:q");
    const auto token = parse(R"({"username":"<token>","password":"secret"})");
    CHECK(token->identity_token == "secret");
    CHECK(token->username.empty());
    CHECK(parse(R"({"identitytoken":"i"})")->identity_token == "i");
    CHECK_FALSE(parse("[1"));
    CHECK_FALSE(credentials_parse("%%%"));
}

TEST_CASE("endpoints: Docker Hub's host, mirrors first, and who is insecure", "[registry]") {
    RegistryConfig config;
    config.mirrors["docker.io"] = {"https://mirror.example/hub", "http://10.0.0.9:5000"};
    config.insecure_hosts = {"10.0.0.0/24", "plain.example:5000"};
    const auto hub = registry_endpoints(config, "docker.io");
    REQUIRE(hub);
    REQUIRE(hub->size() == 3);
    CHECK((*hub)[0].mirror);
    CHECK((*hub)[0].base.target == "/hub/");
    CHECK_FALSE((*hub)[0].insecure);
    CHECK((*hub)[1].insecure);
    CHECK((*hub)[2].base.text() == "https://registry-1.docker.io/");
    CHECK_FALSE((*hub)[2].mirror);

    for (const char* insecure : {"localhost",
                                 "localhost:5000",
                                 "127.0.0.1:5000",
                                 "127.9.8.7",
                                 "[::1]:5000",
                                 "10.0.0.77:1",
                                 "plain.example:5000"}) {
        CAPTURE(insecure);
        CHECK(registry_is_insecure(config, insecure));
    }
    for (const char* secure : {"docker.io",
                               "127.0.0.1.example",
                               "10.0.1.1",
                               "plain.example",
                               "plain.example:5001",
                               "128.0.0.1:5000"}) {
        CAPTURE(secure);
        CHECK_FALSE(registry_is_insecure(config, secure));
    }
    config.mirrors["docker.io"] = {"no url"};
    CHECK_FALSE(registry_endpoints(config, "docker.io"));
}

TEST_CASE("tokens: both spellings, and how long they last", "[registry]") {
    const MonotonicTime now{1000s};
    CHECK(token_parse(R"({"token":"a","access_token":"b","expires_in":300})", now)->value == "a");
    CHECK(token_parse(R"({"access_token":"b"})", now)->value == "b");
    CHECK(token_parse(R"({"token":"a","expires_in":300})", now)->expires == now + 295s);
    CHECK(token_parse(R"({"token":"a"})", now)->expires == now + 55s);
    // Shorter than the specification's minimum: registries that say 0 mean "I do not know".
    CHECK(token_parse(R"({"token":"a","expires_in":0})", now)->expires == now + 55s);
    CHECK_FALSE(token_parse("{}", now));
    CHECK_FALSE(token_parse("<html>", now));
    // It goes into a header.
    CHECK_FALSE(token_parse(R"({"token":"a\r\nX: y"})", now));
}

TEST_CASE("token keys: what must not be shared differs", "[registry]") {
    TokenKey a;
    a.realm = "https://t/";
    a.scope = "repository:x:pull";
    TokenKey b = a;
    CHECK(a.text() == b.text());
    b.scope = "repository:y:pull";
    CHECK(a.text() != b.text());
    b = a;
    b.credentials.username = "u";
    b.credentials.password = "p";
    CHECK(a.text() != b.text());
    CHECK(b.text().find("p\n") == std::string::npos);
    TokenKey c = a;
    c.credentials.username = "up";
    CHECK(b.text() != c.text());
}

TEST_CASE("Retry-After: seconds, dates, and nonsense", "[registry]") {
    const WallTime now = wall_from_unix_nanoseconds(784111777LL * 1'000'000'000);
    const auto parse = [now](const char* value) {
        Headers headers;
        headers.set("Retry-After", value);
        return retry_after_parse(headers, now);
    };
    CHECK(parse("120") == Nanoseconds(120s));
    CHECK(parse("Sun, 06 Nov 1994 08:49:47 GMT") == Nanoseconds(10s));
    CHECK(parse("Sun, 06 Nov 1994 08:49:27 GMT") == Nanoseconds(0));
    CHECK_FALSE(parse("soon"));
    CHECK_FALSE(parse("-1"));
    CHECK_FALSE(retry_after_parse(Headers(), now));
}

TEST_CASE("pauses double up to their bound", "[registry]") {
    RegistryRetry retry;
    retry.pause = 500ms;
    retry.pause_max = 3s;
    CHECK(retry.pause_before(1) == 500ms);
    CHECK(retry.pause_before(2) == 1s);
    CHECK(retry.pause_before(3) == 2s);
    CHECK(retry.pause_before(4) == 3s);
    CHECK(retry.pause_before(1000) == 3s);
}

TEST_CASE("a registry's refusals in Docker's words", "[registry]") {
    const RegistrySubject subject{"app", "app:1"};
    const auto error = [&subject](int status, const char* body, const char* challenge = "") {
        ResponseHead head;
        head.status = status;
        if (*challenge != 0) {
            head.headers.add("WWW-Authenticate", challenge);
        }
        return registry_error(head, body, subject);
    };
    const Error unknown =
        error(404, R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})");
    CHECK(unknown.message() == "manifest for app:1 not found: manifest unknown: manifest unknown");
    CHECK(unknown.kind() == ErrorKind::not_found);

    const char* denied_text =
        "pull access denied for app, repository does not exist or may require 'docker login': "
        "denied: requested access to the resource is denied";
    const Error denied = error(
        403,
        R"({"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]})");
    CHECK(denied.message() == denied_text);
    CHECK(denied.kind() == ErrorKind::not_found);
    CHECK(error(401,
                R"({"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]})",
                R"(Bearer realm="r",error="insufficient_scope")")
              .message() == denied_text);

    const Error unauthorized =
        error(401, R"({"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]})");
    CHECK(unauthorized.message() == "unauthorized: authentication required");
    CHECK(unauthorized.kind() == ErrorKind::unauthorized);

    const Error limit = error(
        429, R"({"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your limit."}]})");
    CHECK(limit.message() == "toomanyrequests: You have reached your limit.");
    CHECK(limit.kind() == ErrorKind::resource_exhausted);
    CHECK(error(502, "<html>bad</html>").kind() == ErrorKind::unavailable);
    CHECK(error(418, "").kind() == ErrorKind::internal);
    CHECK(error(500, R"({"errors":[]})").kind() == ErrorKind::unavailable);
    CHECK(error(500, R"({"errors":"x"})").kind() == ErrorKind::unavailable);
}
