// Goal: blobs get into a registry whole, by whichever way it asks for, through broken connections,
// and uploads that fail are cancelled there. Method: a scripted registry that stores what it gets.
#include "http/registry/blob_upload.h"

#include "tests/support/catch.h"
#include "tests/unit/http/registry/upload_registry.h"

using namespace davit;
using namespace davit::test;

namespace {

/// Bytes of which no two parts are the same.
std::string noise(std::size_t bytes) {
    std::string text;
    for (std::size_t i = 0; text.size() < bytes; ++i) {
        text += std::to_string(i) + ",";
    }
    text.resize(bytes);
    return text;
}

BlobUploadRequest upload_of(const std::string& blob) {
    BlobUploadRequest request;
    request.digest = sha256_of(blob);
    request.bytes = blob.size();
    request.open = [blob]() -> Task<BlobBytes> {
        auto at = std::make_shared<std::size_t>(0);
        auto open = [](std::string bytes, std::shared_ptr<std::size_t> from) -> Task<BlobBytes> {
            co_return BlobBytes([bytes, from](std::span<char> buffer) -> Task<std::size_t> {
                const std::size_t count = std::min(buffer.size(), bytes.size() - *from);
                std::copy_n(bytes.data() + *from, count, buffer.data());
                *from += count;
                auto give = [](std::size_t n) -> Task<std::size_t> { co_return n; };
                return give(count);
            });
        };
        return open(blob, at);
    };
    return request;
}

Result<BlobUploaded> upload(UploadRegistry& fake, BlobUploadRequest request, Loop& loop) {
    RegistryClient client(fast_options());
    RegistryRepository repository = repository_of(client, fake.registry);
    repository.push_prepare();
    return run_beside(loop, {&fake.registry}, blob_upload(repository, std::move(request)));
}

}  // namespace

TEST_CASE("a blob goes in one PUT", "[upload]") {
    Loop loop;
    UploadRegistry fake;
    const std::string blob = noise(700'000);
    std::uint64_t told = 0;
    BlobUploadRequest request = upload_of(blob);
    request.sent = [&told](std::uint64_t bytes) { told = bytes; };
    const auto done = upload(fake, std::move(request), loop);
    INFO((done ? "" : done.error().message()));
    REQUIRE(done);
    CHECK(done->digest == sha256_of(blob));
    CHECK(done->mounted_from.empty());
    CHECK(fake.blobs[sha256_of(blob).str()] == blob);
    CHECK(told == blob.size());
    CHECK(fake.methods("PATCH") == 0);
    CHECK(fake.methods("PUT") == 1);
    CHECK(fake.registry.requests.back().headers.get("Content-Length") == "700000");
}

TEST_CASE("an empty blob is pushed", "[upload]") {
    Loop loop;
    UploadRegistry fake;
    REQUIRE(upload(fake, upload_of(""), loop));
    CHECK(fake.blobs.contains(sha256_of("").str()));
}

TEST_CASE("a blob that another repository has is mounted", "[upload]") {
    Loop loop;
    UploadRegistry fake;
    const std::string blob = noise(1000);
    fake.mountable[sha256_of(blob).str()] = "library/second";
    BlobUploadRequest request = upload_of(blob);
    request.mount_from = {"library/first", "library/second"};
    const auto done = upload(fake, request, loop);
    REQUIRE(done);
    CHECK(done->mounted_from == "library/second");
    CHECK(fake.blobs.empty());
    CHECK(fake.methods("PUT") == 0);
    // What the first one began instead is cancelled.
    CHECK(fake.methods("DELETE") == 1);
    // Nobody has it: the upload that was begun last is used.
    fake.mountable.clear();
    fake.registry.requests.clear();
    const auto sent = upload(fake, request, loop);
    REQUIRE(sent);
    CHECK(sent->mounted_from.empty());
    CHECK(fake.blobs.size() == 1);
    CHECK(fake.methods("POST") == 2);
}

TEST_CASE("a registry that wants pieces gets them", "[upload]") {
    Loop loop;
    UploadRegistry fake;
    const std::string blob = noise(50'017);
    BlobUploadRequest request = upload_of(blob);
    request.piece_bytes = 20'000;
    std::vector<std::string> expected = {"0-19999", "20000-39999", "40000-50016"};
    SECTION("of any size") {
        fake.chunk_min = "1";
    }
    SECTION("of a size at least") {
        fake.chunk_min = "40000";
        expected = {"0-39999", "40000-50016"};
    }
    REQUIRE(upload(fake, std::move(request), loop));
    CHECK(fake.blobs[sha256_of(blob).str()] == blob);
    std::vector<std::string> ranges;
    for (const FakeRequest& sent : fake.registry.requests) {
        if (sent.method == "PATCH") {
            ranges.emplace_back(sent.headers.get("Content-Range"));
        }
    }
    CHECK(ranges == expected);
}

TEST_CASE("a registry that takes no whole blobs gets it by PATCH", "[upload]") {
    Loop loop;
    UploadRegistry fake;
    fake.instead = [](const FakeRequest& request) -> std::optional<FakeReply> {
        if (request.method == "PUT" && !request.body.empty()) {
            return FakeReply::of(405);
        }
        return std::nullopt;
    };
    const std::string blob = noise(5000);
    const auto done = upload(fake, upload_of(blob), loop);
    INFO((done ? "" : done.error().message()));
    REQUIRE(done);
    CHECK(fake.blobs[sha256_of(blob).str()] == blob);
    CHECK(fake.methods("DELETE") == 1);
}

TEST_CASE("a digest that is not known beforehand", "[upload]") {
    Loop loop;
    UploadRegistry fake;
    const std::string blob = noise(300'000);
    BlobUploadRequest request = upload_of(blob);
    request.digest = Digest();
    request.bytes = 0;
    const auto done = upload(fake, std::move(request), loop);
    REQUIRE(done);
    CHECK(done->digest == sha256_of(blob));
    CHECK(done->bytes == blob.size());
    CHECK(fake.blobs[done->digest.str()] == blob);
}

TEST_CASE("an upload that breaks off goes on where it stopped", "[upload]") {
    Loop loop;
    UploadRegistry fake;
    const std::string blob = noise(500'000);
    bool broken = false;
    fake.registry.hang_up = [&](const FakeRequest& request) -> std::optional<std::size_t> {
        if (request.method != "PUT" || broken) {
            return std::nullopt;
        }
        broken = true;
        fake.uploads.begin()->second.bytes = blob.substr(0, 100'000);
        return 100'000;
    };
    SECTION("and the registry says where") {
        REQUIRE(upload(fake, upload_of(blob), loop));
        REQUIRE(fake.methods("PATCH") == 1);
        for (const FakeRequest& request : fake.registry.requests) {
            if (request.method == "PATCH") {
                CHECK(request.headers.get("Content-Range") == "100000-499999");
            }
        }
        CHECK(fake.methods("POST") == 1);
    }
    SECTION("and the registry has forgotten it") {
        fake.knows_status = false;
        REQUIRE(upload(fake, upload_of(blob), loop));
        CHECK(fake.methods("PATCH") == 0);
        CHECK(fake.methods("POST") == 2);
    }
    CHECK(broken);
    CHECK(fake.blobs[sha256_of(blob).str()] == blob);
}

TEST_CASE("an answer that is lost is not waited for twice", "[upload]") {
    Loop loop;
    UploadRegistry fake;
    const std::string blob = noise(4000);
    fake.registry.hang_up = [&](const FakeRequest& request) -> std::optional<std::size_t> {
        if (request.method != "PUT") {
            return std::nullopt;
        }
        fake.blobs[sha256_of(blob).str()] = blob;
        return 4000;
    };
    REQUIRE(upload(fake, upload_of(blob), loop));
    CHECK(fake.methods("PUT") == 1);
}

TEST_CASE("an upload that never succeeds is given up and cancelled", "[upload]") {
    Loop loop;
    UploadRegistry fake;
    const std::string blob = noise(4000);
    std::string expected;
    SECTION("a refusal at once") {
        fake.instead = [](const FakeRequest& request) -> std::optional<FakeReply> {
            if (request.method == "PUT") {
                return FakeReply::of(403, R"({"errors":[{"code":"DENIED","message":"not you"}]})");
            }
            return std::nullopt;
        };
        expected = "denied: not you";
    }
    SECTION("a failing registry after all attempts") {
        fake.instead = [](const FakeRequest& request) -> std::optional<FakeReply> {
            if (request.method == "PUT" || request.method == "PATCH") {
                return FakeReply::of(503, "busy");
            }
            return std::nullopt;
        };
        expected = "unexpected status from the registry: 503 Service Unavailable: busy";
    }
    const auto done = upload(fake, upload_of(blob), loop);
    REQUIRE_FALSE(done);
    CHECK(done.error().message() == expected);
    CHECK(fake.methods("PUT") == (expected == "denied: not you" ? 1 : 6));
    CHECK(fake.methods("DELETE") == 1);
    CHECK(fake.uploads.empty());
}

TEST_CASE("a token that ends while the bytes go out is replaced once", "[upload]") {
    Loop loop;
    UploadRegistry fake;
    int issued = 0;
    bool ended = false;
    bool ends_for_ever = false;
    fake.instead = [&](const FakeRequest& request) -> std::optional<FakeReply> {
        if (request.target.starts_with("/token")) {
            return FakeReply::of(200, R"({"token":"t)" + std::to_string(++issued) + R"("})");
        }
        ended = ended || request.method == "PUT";
        const bool refused = ends_for_ever && request.method == "PUT";
        if (!refused &&
            request.headers.get("Authorization") == (ended ? "Bearer t2" : "Bearer t1")) {
            return std::nullopt;
        }
        return FakeReply::of(401).with("WWW-Authenticate",
                                       "Bearer realm=\"" + fake.registry.url("/token") + "\"");
    };
    const std::string blob = noise(4000);
    SECTION("once") {
        const auto done = upload(fake, upload_of(blob), loop);
        INFO((done ? "" : done.error().message()));
        REQUIRE(done);
        CHECK(fake.blobs[sha256_of(blob).str()] == blob);
        CHECK(fake.methods("PUT") == 2);
        CHECK(issued == 2);
    }
    SECTION("and no more") {
        ends_for_ever = true;
        const auto done = upload(fake, upload_of(blob), loop);
        REQUIRE_FALSE(done);
        CHECK(done.error().kind() == ErrorKind::unauthorized);
        CHECK(fake.methods("PUT") == 2);
    }
}

TEST_CASE("bytes that are not those of the digest never arrive whole", "[upload]") {
    Loop loop;
    UploadRegistry fake;
    const std::string blob = noise(600'000);
    BlobUploadRequest request = upload_of(blob);
    SECTION("other bytes") {
        request.digest = sha256_of("other");
    }
    SECTION("fewer") {
        request.bytes += 1;
    }
    SECTION("more") {
        request.bytes -= 1;
    }
    const auto done = upload(fake, std::move(request), loop);
    REQUIRE_FALSE(done);
    CHECK(done.error().kind() == ErrorKind::corrupt);
    CHECK(fake.blobs.empty());
    CHECK(fake.methods("PUT") == 0);  // It never came to its end.
    CHECK(fake.methods("POST") == 1);
    CHECK(fake.methods("DELETE") == 1);
}
