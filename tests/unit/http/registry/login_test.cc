// Goal: logging in, and the rights a push asks for. Method: a scripted registry with its own token
// server; what the server was asked is looked at.
#include "http/registry/base64.h"
#include "tests/support/catch.h"
#include "tests/unit/http/registry/fake_registry.h"

using namespace davit;
using namespace davit::test;

namespace {

const std::string index_type = "application/vnd.oci.image.index.v1+json";
const std::string index_body = R"({"schemaVersion":2,"manifests":[]})";

struct BearerRegistry {
    std::string challenge_scope;
    bool oauth_only = false;
    std::vector<FakeRequest> token_requests;
    FakeRegistry registry{[this](const FakeRequest& request) { return answer(request); }};

    FakeReply token(const FakeRequest& request) {
        token_requests.push_back(request);
        const Query form = Query::parse(request.body);
        const bool basic = request.headers.get("Authorization") == "Basic " + base64_encode("u:p");
        const bool post = request.method == "POST" &&
                          (form.get("password") == "p" || form.get("refresh_token") == "r0");
        if (oauth_only && request.method == "GET") {
            return FakeReply::of(405);
        }
        if (!basic && !post) {
            return FakeReply::of(401, R"({"details":"incorrect username or password"})");
        }
        return FakeReply::of(200, R"({"access_token":"t","refresh_token":"r1"})");
    }

    FakeReply answer(const FakeRequest& request) {
        if (request.target.starts_with("/token")) {
            return token(request);
        }
        if (request.headers.get("Authorization") == "Bearer t") {
            return FakeReply::of(request.method == "PUT" ? 201 : 200, "{}");
        }
        std::string challenge = "Bearer realm=\"" + registry.url("/token") + "\",service=\"fake\"";
        if (!challenge_scope.empty()) {
            challenge += ",scope=\"" + challenge_scope + "\"";
        }
        return FakeReply::of(401).with("WWW-Authenticate", challenge);
    }
};

RegistryCredentials who(std::string username, std::string password) {
    RegistryCredentials credentials;
    credentials.username = std::move(username);
    credentials.password = std::move(password);
    return credentials;
}

Result<std::string> login(FakeRegistry& registry, RegistryCredentials credentials) {
    RegistryClient client(fast_options());
    RegistryRepository repository = repository_of(client, registry, std::move(credentials));
    return run_beside(Loop::current(), {&registry}, repository.login());
}

}  // namespace

TEST_CASE("a login with a token server brings an identity token", "[login]") {
    Loop loop;
    BearerRegistry fake;
    const auto identity = login(fake.registry, who("u", "p"));
    REQUIRE(identity);
    CHECK(*identity == "r1");
    CHECK(fake.registry.requests.front().target == "/v2/");
    REQUIRE(fake.token_requests.size() == 1);
    CHECK(fake.token_requests[0].target ==
          "/token?service=fake&account=u&offline_token=true&client_id=davit");

    const auto wrong = login(fake.registry, who("u", "x"));
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().kind() == ErrorKind::unauthorized);
    CHECK(wrong.error().message().starts_with("Get \"http://" + fake.registry.domain() + "/v2/\""));
    CHECK(wrong.error().message().ends_with("unauthorized: incorrect username or password"));

    RegistryCredentials token;
    token.identity_token = "r0";
    CHECK(login(fake.registry, token));
}

TEST_CASE("a token server that knows only OAuth2 gets the password by POST", "[login]") {
    Loop loop;
    BearerRegistry fake;
    fake.oauth_only = true;
    const auto identity = login(fake.registry, who("u", "p"));
    REQUIRE(identity);
    CHECK(*identity == "r1");
    REQUIRE(fake.token_requests.size() == 2);
    const Query form = Query::parse(fake.token_requests[1].body);
    CHECK(form.get("grant_type") == "password");
    CHECK(form.get("username") == "u");
    CHECK(form.get("access_type") == "offline");
}

TEST_CASE("a login with Basic, and where none is needed", "[login]") {
    Loop loop;
    FakeRegistry registry([](const FakeRequest& request) {
        if (request.headers.get("Authorization") == "Basic " + base64_encode("u:p")) {
            return FakeReply::of(200, "{}");
        }
        return FakeReply::of(401).with("WWW-Authenticate", "Basic realm=\"r\"");
    });
    const auto identity = login(registry, who("u", "p"));
    REQUIRE(identity);
    CHECK(identity->empty());
    const auto wrong = login(registry, who("u", "x"));
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().message() ==
          "login attempt to " + registry.url("/v2/") + " failed with status: 401 Unauthorized");
    CHECK(wrong.error().kind() == ErrorKind::unauthorized);
    FakeRegistry anyone([](const FakeRequest&) { return FakeReply::of(200, "{}"); });
    CHECK(login(anyone, who("u", "p")));
}

TEST_CASE("a push asks for every right it needs at once", "[login]") {
    Loop loop;
    BearerRegistry fake;
    const auto scopes = [&](const std::string& challenge) {
        fake.challenge_scope = challenge;
        fake.token_requests.clear();
        RegistryClient client(fast_options());
        RegistryRepository repository = repository_of(client, fake.registry, who("u", "p"));
        repository.push_prepare({"library/base"});
        REQUIRE(run_beside(
            loop, {&fake.registry}, repository.manifest_put("1", index_type, index_body)));
        REQUIRE(fake.token_requests.size() == 1);
        const std::string target = fake.token_requests[0].target;
        const Query query = Query::parse(std::string_view(target).substr(target.find('?') + 1));
        const std::vector<std::string_view> all = query.all("scope");
        return std::vector<std::string>(all.begin(), all.end());
    };
    const std::vector<std::string> all = {"repository:app:pull,push",
                                          "repository:library/base:pull"};
    CHECK(scopes("repository:app:pull") == all);
    CHECK(scopes("") == all);
    CHECK(scopes("repository:app:delete").front() == "repository:app:pull,push,delete");
    // A registry that calls the repository otherwise is asked for what it asks for.
    CHECK(scopes("repository:other/app:push") ==
          std::vector<std::string>{"repository:other/app:push"});
}

TEST_CASE("a manifest that the registry stores as something else", "[login]") {
    Loop loop;
    FakeRegistry registry([](const FakeRequest&) {
        return FakeReply::of(201).with("Docker-Content-Digest", sha256_of("other").str());
    });
    RegistryClient client(fast_options());
    RegistryRepository repository = repository_of(client, registry);
    repository.push_prepare();
    const auto put =
        run_beside(loop, {&registry}, repository.manifest_put("1", index_type, index_body));
    REQUIRE_FALSE(put);
    CHECK(put.error().kind() == ErrorKind::corrupt);
    CHECK(registry.requests.back().headers.get("Content-Type") == index_type);
    CHECK(registry.requests.back().body == index_body);
}
