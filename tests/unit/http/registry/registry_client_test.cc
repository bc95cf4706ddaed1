// Goal: logging in, redirects, retries and checks of documents, against registries that lie and
// fail. Method: scripted registries on loopback in the test's own loop; what they were asked is
// counted.
#include "http/registry/base64.h"
#include "tests/support/catch.h"
#include "tests/unit/http/registry/fake_registry.h"

using namespace davit;
using namespace davit::test;

namespace {

const std::string manifest_target = "/v2/app/manifests/1";
const std::string document = R"({"schemaVersion":2})";

FakeReply unknown_manifest() {
    return FakeReply::of(
        404, R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})");
}

/// A registry whose token server is itself: issues t1, t2, ... and takes the newest only.
struct TokenRegistry {
    int issued = 0;
    bool refuse_all = false;
    std::string token_refusal;
    FakeRegistry registry{[this](const FakeRequest& request) { return answer(request); }};

    FakeReply answer(const FakeRequest& request) {
        if (request.target.starts_with("/token")) {
            if (!token_refusal.empty()) {
                return FakeReply::of(401, token_refusal);
            }
            return FakeReply::of(200, R"({"token":"t)" + std::to_string(++issued) + R"("})");
        }
        if (refuse_all ||
            request.headers.get("Authorization") != "Bearer t" + std::to_string(issued)) {
            return FakeReply::of(401).with("WWW-Authenticate",
                                           "Bearer realm=\"" + registry.url("/token") +
                                               "\",service=\"fake\",scope=\"repository:app:pull\"");
        }
        return FakeReply::of(200, document).with("Content-Type", "application/json; charset=utf-8");
    }
};

}  // namespace

TEST_CASE("a manifest is fetched by plain http from loopback", "[registry]") {
    Loop loop;
    FakeRegistry registry([](const FakeRequest&) {
        return FakeReply::of(200, document).with("Content-Type", "application/x; v=1");
    });
    RegistryClient client(fast_options());
    RegistryRepository repository = repository_of(client, registry);
    const auto manifest = run_beside(loop, {&registry}, repository.manifest_get("1"));
    REQUIRE(manifest);
    CHECK(manifest->body == document);
    CHECK(manifest->media_type == "application/x");
    CHECK(manifest->digest == sha256_of(document));
    REQUIRE(registry.count("GET", manifest_target) == 1);
    const std::string accept(registry.requests.back().headers.get("Accept"));
    for (const char* type : {"application/vnd.oci.image.index.v1+json",
                             "application/vnd.docker.distribution.manifest.list.v2+json",
                             "application/vnd.oci.image.manifest.v1+json",
                             "application/vnd.docker.distribution.manifest.v2+json"}) {
        CHECK(accept.find(type) != std::string::npos);
    }
}

TEST_CASE("a bearer token is fetched once and used for what follows", "[registry]") {
    Loop loop;
    TokenRegistry fake;
    RegistryClient client(fast_options());
    RegistryCredentials who;
    who.username = "u";
    who.password = "p";
    RegistryRepository repository = repository_of(client, fake.registry, who);
    RegistryRepository other = repository_of(client, fake.registry, who);
    auto twice = [](RegistryRepository& one, RegistryRepository& two) -> Task<void> {
        CO_TRY(const FetchedManifest first, co_await one.manifest_get("1"));
        CO_TRY(const FetchedManifest second, co_await one.manifest_get("1"));
        CO_TRY(const FetchedManifest third, co_await two.manifest_get("1"));
        co_return ok;
    };
    const auto done = run_beside(loop, {&fake.registry}, twice(repository, other));
    REQUIRE(done);
    CHECK(fake.issued == 1);
    // Two repositories, each with one 401, and three answers.
    CHECK(fake.registry.count("GET", manifest_target) == 5);
    const std::string token_target = "/token?service=fake&scope=repository%3Aapp%3Apull&account=u";
    REQUIRE(fake.registry.count("GET", token_target) == 1);
    for (const FakeRequest& request : fake.registry.requests) {
        if (request.target == token_target) {
            CHECK(request.headers.get("Authorization") == "Basic " + base64_encode("u:p"));
        }
    }
}

TEST_CASE("a token that is refused later is replaced once, not for ever", "[registry]") {
    Loop loop;
    TokenRegistry fake;
    RegistryClient client(fast_options());
    RegistryRepository repository = repository_of(client, fake.registry);
    auto expire = [](RegistryRepository& app, TokenRegistry& tokens) -> Task<void> {
        CO_TRY(const FetchedManifest first, co_await app.manifest_get("1"));
        ++tokens.issued;  // What was issued is not the newest any more.
        CO_TRY(const FetchedManifest second, co_await app.manifest_get("1"));
        tokens.refuse_all = true;
        Result<FetchedManifest> third = co_await app.manifest_get("1");
        if (third || third.error().kind() != ErrorKind::unauthorized) {
            co_return Error(ErrorKind::internal, "the third was not refused");
        }
        co_return ok;
    };
    const auto done = run_beside(loop, {&fake.registry}, expire(repository, fake));
    CHECK(done);
    // 401 + 200, 401 + 200, 401 + 401.
    CHECK(fake.registry.count("GET", manifest_target) == 6);
}

TEST_CASE("an identity token is exchanged by POST", "[registry]") {
    Loop loop;
    TokenRegistry fake;
    RegistryClient client(fast_options());
    RegistryCredentials who;
    who.identity_token = "refresh&me";
    RegistryRepository repository = repository_of(client, fake.registry, who);
    const auto manifest = run_beside(loop, {&fake.registry}, repository.manifest_get("1"));
    REQUIRE(manifest);
    bool posted = false;
    for (const FakeRequest& request : fake.registry.requests) {
        if (request.method == "POST") {
            posted = true;
            CHECK(Query::parse(request.body).get("refresh_token") == "refresh&me");
            CHECK(Query::parse(request.body).get("grant_type") == "refresh_token");
            CHECK(request.target == "/token");
        }
    }
    CHECK(posted);
}

TEST_CASE("a token server's refusal is the answer", "[registry]") {
    Loop loop;
    TokenRegistry fake;
    fake.token_refusal = R"({"details":"incorrect username or password"})";
    RegistryClient client(fast_options());
    RegistryRepository repository = repository_of(client, fake.registry);
    const auto manifest = run_beside(loop, {&fake.registry}, repository.manifest_get("1"));
    REQUIRE_FALSE(manifest);
    CHECK(manifest.error().kind() == ErrorKind::unauthorized);
    CHECK(manifest.error().message().find("incorrect username or password") != std::string::npos);
}

TEST_CASE("Basic: with credentials, and without", "[registry]") {
    Loop loop;
    const std::string expected = "Basic " + base64_encode("u:p");
    FakeRegistry registry([&expected](const FakeRequest& request) {
        if (request.headers.get("Authorization") == expected) {
            return FakeReply::of(200, document);
        }
        return FakeReply::of(401).with("WWW-Authenticate", "Basic realm=\"r\"");
    });
    RegistryClient client(fast_options());
    RegistryCredentials who;
    who.username = "u";
    who.password = "p";
    RegistryRepository known = repository_of(client, registry, who);
    RegistryRepository nobody = repository_of(client, registry);
    CHECK(run_beside(loop, {&registry}, known.manifest_get("1")));
    const auto refused = run_beside(loop, {&registry}, nobody.manifest_get("1"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind() == ErrorKind::unauthorized);
    CHECK(refused.error().message().find("no basic auth credentials") != std::string::npos);
}

TEST_CASE("credentials do not follow a redirect to another origin", "[registry]") {
    Loop loop;
    FakeRegistry store([](const FakeRequest& request) {
        return request.target == "/bytes?signed=1" ? FakeReply::of(200, "blob")
                                                   : FakeReply::of(404);
    });
    FakeRegistry* near = nullptr;
    const std::string expected = "Basic " + base64_encode("u:p");
    FakeRegistry registry([&](const FakeRequest& request) {
        if (request.headers.get("Authorization") != expected) {
            return FakeReply::of(401).with("WWW-Authenticate", "Basic realm=\"r\"");
        }
        if (request.target == "/same") {
            return FakeReply::of(302).with("Location", store.url("/bytes?signed=1"));
        }
        return FakeReply::of(307, "moved").with("Location", "/same");
    });
    near = &registry;
    RegistryClient client(fast_options());
    RegistryCredentials who;
    who.username = "u";
    who.password = "p";
    RegistryRepository repository = repository_of(client, registry, who);
    const auto blob =
        run_beside(loop, {near, &store}, repository.blob_get(sha256_of("blob"), 4, 100));
    REQUIRE(blob);
    CHECK(*blob == "blob");
    CHECK(registry.count("GET", "/same") == 1);
    REQUIRE(store.requests.size() == 1);
    CHECK_FALSE(store.requests[0].headers.contains("Authorization"));
}

TEST_CASE("a ring of redirects ends", "[registry]") {
    Loop loop;
    FakeRegistry registry(
        [](const FakeRequest&) { return FakeReply::of(307).with("Location", "/again"); });
    RegistryClient client(fast_options());
    RegistryRepository repository = repository_of(client, registry);
    const auto manifest = run_beside(loop, {&registry}, repository.manifest_get("1"));
    REQUIRE_FALSE(manifest);
    CHECK(manifest.error().message().find("too many redirects") != std::string::npos);
}

TEST_CASE("a busy registry is asked again; a busy one for too long is not", "[registry]") {
    Loop loop;
    int busy = 2;
    std::string retry_after = "0";
    FakeRegistry registry([&](const FakeRequest&) {
        if (busy-- > 0) {
            return FakeReply::of(429, R"({"errors":[{"code":"TOOMANYREQUESTS","message":"slow"}]})")
                .with("Retry-After", retry_after);
        }
        return FakeReply::of(200, document);
    });
    RegistryClient client(fast_options());
    RegistryRepository repository = repository_of(client, registry);
    CHECK(run_beside(loop, {&registry}, repository.manifest_get("1")));
    CHECK(registry.requests.size() == 3);
    busy = 1;
    retry_after = "3600";
    const auto refused = run_beside(loop, {&registry}, repository.manifest_get("1"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message() == "toomanyrequests: slow");
    CHECK(registry.requests.size() == 4);
}

TEST_CASE("documents that are not what they should be", "[registry]") {
    Loop loop;
    std::string body = document;
    std::string told;
    FakeRegistry registry([&](const FakeRequest& request) {
        FakeReply reply = FakeReply::of(200, body);
        if (!told.empty()) {
            reply.headers.set("Docker-Content-Digest", told);
        }
        return request.target.find("missing") == std::string::npos ? reply : unknown_manifest();
    });
    RegistryClient client(fast_options());
    RegistryRepository repository = repository_of(client, registry);
    const auto get = [&](const std::string& reference) {
        return run_beside(loop, {&registry}, repository.manifest_get(reference));
    };
    const Digest other = sha256_of("other");
    CHECK(get(sha256_of(document).str()));
    auto wrong = get(other.str());
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().kind() == ErrorKind::corrupt);
    told = other.str();
    wrong = get("1");
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().kind() == ErrorKind::corrupt);
    told.clear();

    const auto missing = get("missing");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().message() == "manifest for " + registry.domain() +
                                           "/app:1 not found: manifest unknown: manifest unknown");

    body.assign(limits::manifest_bytes_max + 1, 'x');
    const auto large = get("1");
    REQUIRE_FALSE(large);
    CHECK(large.error().kind() == ErrorKind::resource_exhausted);

    body = "config";
    const auto blob = [&](std::uint64_t bytes) {
        return run_beside(loop, {&registry}, repository.blob_get(sha256_of("config"), bytes, 100));
    };
    CHECK(blob(6));
    CHECK_FALSE(blob(5));
    CHECK_FALSE(blob(7));
    CHECK_FALSE(blob(101));
    body = "confug";
    CHECK(blob(6).error().kind() == ErrorKind::corrupt);
}

TEST_CASE("HEAD tells the digest, or nothing", "[registry]") {
    Loop loop;
    FakeRegistry registry([](const FakeRequest& request) {
        if (request.target != manifest_target) {
            return unknown_manifest();
        }
        return FakeReply::of(200).with("Docker-Content-Digest", sha256_of(document).str());
    });
    RegistryClient client(fast_options());
    RegistryRepository repository = repository_of(client, registry);
    const auto head = run_beside(loop, {&registry}, repository.manifest_head("1"));
    REQUIRE(head);
    REQUIRE(*head);
    CHECK((*head)->digest == sha256_of(document));
    const auto missing = run_beside(loop, {&registry}, repository.manifest_head("2"));
    REQUIRE(missing);
    CHECK_FALSE(*missing);
}

TEST_CASE("a mirror is asked first, without credentials, and may fail", "[registry]") {
    Loop loop;
    int mirror_status = 200;
    FakeRegistry mirror([&](const FakeRequest&) { return FakeReply::of(mirror_status, document); });
    FakeRegistry registry([](const FakeRequest&) { return FakeReply::of(200, document); });
    RegistryOptions options = fast_options();
    options.config.mirrors[registry.domain()] = {mirror.url("/cache")};
    RegistryClient client(std::move(options));
    RegistryCredentials who;
    who.registry_token = "secret";
    {
        RegistryRepository repository = repository_of(client, registry, who);
        CHECK(run_beside(loop, {&mirror, &registry}, repository.manifest_get("1")));
    }
    CHECK(registry.requests.empty());
    REQUIRE(mirror.requests.size() == 1);
    CHECK(mirror.requests[0].target.starts_with("/cache/v2/app/manifests/1?ns=127.0.0.1"));
    CHECK_FALSE(mirror.requests[0].headers.contains("Authorization"));
    for (const int status : {401, 403, 404, 500, 503}) {
        CAPTURE(status);
        mirror_status = status;
        RegistryRepository repository = repository_of(client, registry, who);
        CHECK(run_beside(loop, {&mirror, &registry}, repository.manifest_get("1")));
        CHECK(registry.requests.back().headers.get("Authorization") == "Bearer secret");
    }
}

TEST_CASE("a mirror that is not there is passed over", "[registry]") {
    Loop loop;
    std::string gone;
    {
        const FakeRegistry was([](const FakeRequest&) { return FakeReply::of(200, document); });
        gone = was.url("/");
    }
    FakeRegistry registry([](const FakeRequest&) { return FakeReply::of(200, document); });
    RegistryOptions options = fast_options();
    options.config.mirrors[registry.domain()] = {gone};
    RegistryClient client(std::move(options));
    RegistryRepository repository = repository_of(client, registry);
    const auto manifest = run_beside(loop, {&registry}, repository.manifest_get("1"));
    INFO((manifest ? "" : manifest.error().message()));
    REQUIRE(manifest);
    CHECK(manifest->body == document);
}
