// Goal: a blob comes out whole, or an error does, whatever the registry does to the transfer.
// Method: scripted registries that cut, stall, lie and refuse; the bytes and the ranges are
// compared.
#include "http/registry/blob_reader.h"

#include "tests/support/catch.h"
#include "tests/unit/http/registry/fake_registry.h"

using namespace davit;
using namespace davit::test;

namespace {

std::string pattern(std::size_t bytes) {
    std::string text(bytes, 0);
    for (std::size_t i = 0; i < bytes; ++i) {
        text[i] = static_cast<char>('a' + i * 7 % 26);
    }
    return text;
}

const std::string content = pattern(10'000);

Task<std::string> read_all(RegistryRepository& repository, BlobDescriptor blob) {
    BlobReader reader(repository, std::move(blob));
    std::string all;
    for (;;) {
        char buffer[3000];
        CO_TRY(const std::size_t got, co_await reader.read(buffer));
        if (got == 0) {
            co_return std::move(all);
        }
        all.append(buffer, got);
    }
}

/// The rest of the content from the request's range on, as a 206, or all of it.
FakeReply honest(const FakeRequest& request) {
    const std::string range(request.headers.get("Range"));
    if (range.empty()) {
        return FakeReply::of(200, content);
    }
    const std::size_t start = std::stoul(range.substr(6));
    return FakeReply::of(206, content.substr(start))
        .with("Content-Range",
              "bytes " + std::to_string(start) + "-" + std::to_string(content.size() - 1) + "/" +
                  std::to_string(content.size()));
}

struct Outcome {
    Result<std::string> bytes;
    std::vector<FakeRequest> requests;
};

Outcome fetch(FakeRegistry::Script script, BlobDescriptor blob = {}) {
    Loop loop;
    FakeRegistry registry(std::move(script));
    RegistryClient client(fast_options());
    RegistryRepository repository = repository_of(client, registry);
    if (blob.digest.empty()) {
        blob.digest = sha256_of(content);
        blob.bytes = content.size();
    }
    Result<std::string> bytes =
        run_beside(loop, {&registry}, read_all(repository, std::move(blob)));
    return Outcome{std::move(bytes), std::move(registry.requests)};
}

}  // namespace

TEST_CASE("a blob in one piece", "[blob]") {
    const Outcome outcome = fetch(honest);
    REQUIRE(outcome.bytes);
    CHECK(*outcome.bytes == content);
    CHECK(outcome.requests.size() == 1);
}

TEST_CASE("a transfer that breaks off goes on where it stopped", "[blob]") {
    int cuts = 4;
    const Outcome outcome = fetch([&cuts](const FakeRequest& request) {
        FakeReply reply = honest(request);
        if (cuts-- > 0) {
            reply.cut = 1000;
        }
        return reply;
    });
    REQUIRE(outcome.bytes);
    CHECK(*outcome.bytes == content);
    REQUIRE(outcome.requests.size() == 5);
    CHECK(outcome.requests[1].headers.get("Range") == "bytes=1000-");
    CHECK(outcome.requests[4].headers.get("Range") == "bytes=4000-");
}

TEST_CASE("a transfer that stalls is given up and resumed", "[blob]") {
    int stalls = 2;
    const Outcome outcome = fetch([&stalls](const FakeRequest& request) {
        FakeReply reply = honest(request);
        if (stalls-- > 0) {
            reply.cut = 2000;
            reply.stall = true;
        }
        return reply;
    });
    REQUIRE(outcome.bytes);
    CHECK(*outcome.bytes == content);
    CHECK(outcome.requests.size() == 3);
}

TEST_CASE("a registry that knows no ranges sends all of it again", "[blob]") {
    bool cut = true;
    const Outcome outcome = fetch([&cut](const FakeRequest&) {
        FakeReply reply = FakeReply::of(200, content);
        if (std::exchange(cut, false)) {
            reply.cut = 4567;
        }
        return reply;
    });
    REQUIRE(outcome.bytes);
    CHECK(*outcome.bytes == content);
}

TEST_CASE("a registry that never sends it all is given up", "[blob]") {
    const Outcome outcome = fetch([](const FakeRequest& request) {
        FakeReply reply = honest(request);
        reply.cut = 0;
        return reply;
    });
    REQUIRE_FALSE(outcome.bytes);
    CHECK(outcome.bytes.error().kind() == ErrorKind::unavailable);
    CHECK(outcome.requests.size() == 1 + fast_options().retry.attempts_max);
}

TEST_CASE("a body shorter than the blob, by its own account, is no success", "[blob]") {
    const Outcome outcome = fetch([](const FakeRequest& request) {
        return request.headers.contains("Range") ? FakeReply::of(416)
                                                 : FakeReply::of(200, content.substr(0, 500));
    });
    CHECK_FALSE(outcome.bytes);
}

TEST_CASE("more bytes than the blob has are refused", "[blob]") {
    SECTION("announced") {
        const Outcome outcome =
            fetch([](const FakeRequest&) { return FakeReply::of(200, content + "x"); });
        REQUIRE_FALSE(outcome.bytes);
        CHECK(outcome.bytes.error().kind() == ErrorKind::corrupt);
        CHECK(outcome.requests.size() == 1);
    }
    SECTION("in the resumed part") {
        bool cut = true;
        const Outcome outcome = fetch([&cut](const FakeRequest& request) {
            FakeReply reply = honest(request);
            if (std::exchange(cut, false)) {
                reply.cut = 10;
            } else {
                reply.body += "x";
            }
            return reply;
        });
        REQUIRE_FALSE(outcome.bytes);
        CHECK(outcome.bytes.error().kind() == ErrorKind::corrupt);
    }
}

TEST_CASE("a range that was not asked for is refused", "[blob]") {
    bool cut = true;
    const Outcome outcome = fetch([&cut](const FakeRequest& request) {
        FakeReply reply = honest(request);
        if (std::exchange(cut, false)) {
            reply.cut = 10;
        } else {
            reply.headers.set("Content-Range", "bytes 0-9999/10000");
        }
        return reply;
    });
    REQUIRE_FALSE(outcome.bytes);
    CHECK(outcome.bytes.error().kind() == ErrorKind::corrupt);
}

TEST_CASE("a registry that refuses a range is asked for all of it, once", "[blob]") {
    for (const bool whole_again : {true, false}) {
        CAPTURE(whole_again);
        bool cut = true;
        const Outcome outcome = fetch([&cut, whole_again](const FakeRequest& request) {
            if (request.headers.contains("Range")) {
                return FakeReply::of(416);
            }
            if (!whole_again && !cut) {
                return FakeReply::of(416);
            }
            FakeReply reply = FakeReply::of(200, content);
            if (std::exchange(cut, false)) {
                reply.cut = 4567;
            }
            return reply;
        });
        CHECK(outcome.requests.size() == 3);
        REQUIRE(outcome.bytes.has_value() == whole_again);
        if (whole_again) {
            CHECK(*outcome.bytes == content);
        }
    }
}

TEST_CASE("what passes is tried again, what stays is not", "[blob]") {
    for (const int status : {429, 500, 502, 503}) {
        CAPTURE(status);
        bool busy = true;
        const Outcome outcome = fetch([&busy, status](const FakeRequest& request) {
            return std::exchange(busy, false) ? FakeReply::of(status) : honest(request);
        });
        CHECK(outcome.bytes);
        CHECK(outcome.requests.size() == 2);
    }
    for (const int status : {400, 403, 404}) {
        CAPTURE(status);
        const Outcome outcome =
            fetch([status](const FakeRequest&) { return FakeReply::of(status); });
        CHECK_FALSE(outcome.bytes);
        CHECK(outcome.requests.size() == 1);
    }
}

TEST_CASE("a foreign layer comes from its own address", "[blob]") {
    Loop loop;
    FakeRegistry elsewhere([](const FakeRequest&) { return FakeReply::of(200, content); });
    FakeRegistry registry([](const FakeRequest&) { return FakeReply::of(404); });
    RegistryClient client(fast_options());
    RegistryCredentials who;
    who.registry_token = "secret";
    RegistryRepository repository = repository_of(client, registry, who);
    BlobDescriptor blob;
    blob.digest = sha256_of(content);
    blob.bytes = content.size();
    blob.urls = {elsewhere.url("/layer")};
    const auto bytes =
        run_beside(loop, {&registry, &elsewhere}, read_all(repository, std::move(blob)));
    REQUIRE(bytes);
    CHECK(*bytes == content);
    REQUIRE(elsewhere.requests.size() == 1);
    CHECK_FALSE(elsewhere.requests[0].headers.contains("Authorization"));
}

TEST_CASE("an empty blob", "[blob]") {
    BlobDescriptor blob;
    blob.digest = sha256_of("");
    const Outcome outcome = fetch([](const FakeRequest&) { return FakeReply::of(200); }, blob);
    REQUIRE(outcome.bytes);
    CHECK(outcome.bytes->empty());
}
