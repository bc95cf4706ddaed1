// Goal: what is about a manifest is found, whether its registry keeps the list or its clients do,
// and a push of such a manifest leaves a list that is right. Method: scripted registries on
// loopback.
#include "http/registry/referrers.h"

#include <algorithm>

#include "tests/support/catch.h"
#include "tests/unit/http/registry/upload_registry.h"

using namespace davit;
using namespace davit::test;

namespace {

const std::string index_type = "application/vnd.oci.image.index.v1+json";
const std::string manifest_type = "application/vnd.oci.image.manifest.v1+json";
const Digest subject = sha256_of("subject");
const std::string target = "/v2/app/referrers/" + subject.str();

std::string entry(const std::string& word, const std::string& type, const std::string& more = {}) {
    return R"({"mediaType":")" + manifest_type + R"(","digest":")" + sha256_of(word).str() +
           R"(","size":7,"artifactType":")" + type + "\"" + more + "}";
}

FakeReply list(const std::string& entries, const std::string& link = {}) {
    FakeReply reply = FakeReply::of(200,
                                    R"({"schemaVersion":2,"mediaType":")" + index_type +
                                        R"(","manifests":[)" + entries + "]}")
                          .with("Content-Type", index_type);
    return link.empty() ? std::move(reply) : std::move(reply).with("Link", link);
}

struct Listing {
    Listing(Loop& loop, FakeRegistry::Script script, std::string type = {})
        : registry(std::move(script)) {
        RegistryClient client(fast_options());
        RegistryRepository repository = repository_of(client, registry);
        found = run_beside(loop, {&registry}, repository.referrers(subject, std::move(type)));
    }

    /// The words that the found ones were made of.
    std::string words() const {
        INFO((found ? "" : found.error().message()));
        REQUIRE(found);
        std::string all;
        for (const Descriptor& one : *found) {
            for (const char* word : {"a", "b", "c"}) {
                all += one.digest == sha256_of(word) ? word : "";
            }
        }
        return all;
    }

    FakeRegistry registry;
    Result<std::vector<Descriptor>> found = std::vector<Descriptor>{};
};

/// A manifest of an artifact that is about the subject.
std::string artifact(const std::string& type) {
    return R"({"schemaVersion":2,"mediaType":")" + manifest_type + R"(","artifactType":")" + type +
           R"(","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":")" +
           sha256_of("{}").str() + R"(","size":2},"layers":[],"subject":{"mediaType":")" +
           manifest_type + R"(","digest":")" + subject.str() +
           R"(","size":7},"annotations":{"note":"x"}})";
}

Result<Digest> put(Loop& loop, UploadRegistry& target_registry, const std::string& body) {
    RegistryClient client(fast_options());
    RegistryRepository repository = repository_of(client, target_registry.registry);
    repository.push_prepare();
    return run_beside(loop,
                      {&target_registry.registry},
                      repository.manifest_put(sha256_of(body).str(), manifest_type, body));
}

/// A registry without the API gives what it has under the tag.
std::optional<FakeReply> kept(const UploadRegistry& registry, const FakeRequest& request) {
    if (request.method != "GET") {
        return std::nullopt;
    }
    const auto found = registry.manifests.find(referrers_tag(subject));
    if (!request.target.ends_with("/manifests/" + referrers_tag(subject)) ||
        found == registry.manifests.end()) {
        return FakeReply::of(404, R"({"errors":[{"code":"MANIFEST_UNKNOWN"}]})");
    }
    return FakeReply::of(200, found->second.body).with("Content-Type", index_type);
}

}  // namespace

TEST_CASE("referrers: a registry that lists them is asked", "[registry]") {
    Loop loop;
    const auto script = [](const FakeRequest& request) {
        if (request.target == target) {
            return list(entry("a", "t/1") + "," + entry("b", "t/2"),
                        "<" + target + "?last=b>; rel=\"next\"");
        }
        if (request.target == target + "?last=b") {
            return list(entry("b", "t/2") + "," + entry("c", "t/1"));
        }
        return FakeReply::of(400);
    };
    Listing all(loop, script);
    CHECK(all.words() == "abc");
    CHECK(all.registry.requests.front().headers.get("Accept") == index_type);
    CHECK(all.found->front().artifact_type == "t/1");
    CHECK(all.registry.requests.size() == 2);
}

TEST_CASE("referrers: of one type, whether the registry filters or not", "[registry]") {
    Loop loop;
    bool filters = false;
    const auto script = [&filters](const FakeRequest& request) {
        CHECK(request.target == target + "?artifactType=t%2F1");
        FakeReply all = list(entry("a", "t/1") + (filters ? "" : "," + entry("b", "t/2")));
        return filters ? std::move(all).with("OCI-Filters-Applied", "artifactType") : all;
    };
    CHECK(Listing(loop, script, "t/1").words() == "a");
    filters = true;
    CHECK(Listing(loop, script, "t/1").words() == "a");
}

TEST_CASE("referrers: else the tag that clients keep", "[registry]") {
    Loop loop;
    const std::string tag = "/v2/app/manifests/sha256-" + std::string(subject.hex());
    const auto script = [&tag](const FakeRequest& request) {
        return request.target == tag ? list(entry("a", "t/1") + "," + entry("b", "t/2"))
                                     : FakeReply::of(404, "404 page not found\n");
    };
    CHECK(Listing(loop, script).words() == "ab");
    CHECK(Listing(loop, script, "t/2").words() == "b");
    CHECK(Listing(loop, [](const FakeRequest&) { return FakeReply::of(404); }).words().empty());
}

TEST_CASE("referrers: what is no list of them", "[registry]") {
    Loop loop;
    const auto refusal = [&loop](FakeRegistry::Script script) {
        const Listing listing(loop, std::move(script));
        REQUIRE_FALSE(listing.found);
        return listing.found.error().kind();
    };
    CHECK(refusal([](const FakeRequest&) { return FakeReply::of(200, "<html>"); }) ==
          ErrorKind::corrupt);
    CHECK(refusal([](const FakeRequest&) {
              return list(entry("a", "t"), "<" + target + "?n=1>; rel=\"next\"");
          }) == ErrorKind::corrupt);
    CHECK(refusal([](const FakeRequest&) {
              return list(entry("a", "t"), "</v2/other/tags/list?n=1>; rel=\"next\"");
          }) == ErrorKind::corrupt);
    CHECK(refusal([](const FakeRequest&) { return FakeReply::of(403); }) != ErrorKind::corrupt);
}

TEST_CASE("referrers: a push brings the clients' list up to date", "[registry]") {
    Loop loop;
    UploadRegistry registry;
    registry.instead = [&registry](const FakeRequest& request) { return kept(registry, request); };
    for (const char* type : {"t/1", "t/2", "t/2"}) {
        const auto done = put(loop, registry, artifact(type));
        INFO((done ? "" : done.error().message()));
        REQUIRE(done);
    }
    CHECK(registry.manifests.size() == 3);
    const FakeRequest& stored = registry.manifests.at(referrers_tag(subject));
    CHECK(stored.headers.get("Content-Type") == index_type);
    const auto contents = manifest_contents(stored.body, index_type);
    REQUIRE(contents);
    REQUIRE(contents->manifests.size() == 2);
    const Descriptor& second = contents->manifests[1];
    CHECK(second.media_type == manifest_type);
    CHECK(second.digest == sha256_of(artifact("t/2")));
    CHECK(second.size == artifact("t/2").size());
    CHECK(second.artifact_type == "t/2");
    CHECK(second.annotations.at("note") == "x");
}

TEST_CASE("referrers: a registry that keeps the list itself is left to it", "[registry]") {
    Loop loop;
    UploadRegistry registry;
    registry.instead = [](const FakeRequest& request) -> std::optional<FakeReply> {
        CHECK(request.method == "PUT");
        return FakeReply::of(201).with("OCI-Subject", subject.str());
    };
    REQUIRE(put(loop, registry, artifact("t/1")));
    CHECK(registry.registry.requests.size() == 1);
}

TEST_CASE("referrers: of a list only what is added changes", "[registry]") {
    Descriptor one;
    one.media_type = manifest_type;
    one.digest = sha256_of("new");
    one.size = 3;
    const std::string good = R"({"schemaVersion":2,"mediaType":")" + index_type +
                             R"(","manifests":[)" +
                             entry("a", "t/1", R"(,"data":"e30=","unknown":{"x":[1]})") +
                             R"(],"annotations":{"kept":"yes"}})";
    const auto after = referrers_add(good, one);
    REQUIRE(after);
    std::string expected = good;
    expected.insert(expected.find(R"(],"annotations")"),
                    R"(,{"mediaType":")" + manifest_type + R"(","digest":")" + one.digest.str() +
                        R"(","size":3})");
    CHECK(*after == expected);
    const auto again = referrers_add(*after, one);
    REQUIRE(again);
    CHECK(*again == *after);
    CHECK_FALSE(referrers_add("[]", one));
    CHECK_FALSE(referrers_add(artifact("t/1"), one));
}
