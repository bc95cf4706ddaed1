// Goal: a repository's tags are listed completely, and a registry that lies about them is refused
// in bounded time. Method: scripted registries on loopback; what they were asked is counted.
#include "http/registry/tags.h"

#include "tests/support/catch.h"
#include "tests/unit/http/registry/fake_registry.h"

using namespace davit;
using namespace davit::test;

namespace {

const std::string first_page = "/v2/app/tags/list?n=100";

FakeReply page(const std::string& tags, const std::string& link = {}) {
    FakeReply reply = FakeReply::of(200, R"({"name":"app","tags":)" + tags + "}");
    return link.empty() ? std::move(reply) : std::move(reply).with("Link", link);
}

struct Listing {
    Listing(Loop& loop, FakeRegistry::Script script) : registry(std::move(script)) {
        RegistryClient client(fast_options());
        RegistryRepository repository = repository_of(client, registry);
        tags = run_beside(loop, {&registry}, repository.tags_list());
    }

    std::string refusal(ErrorKind kind) const {
        REQUIRE_FALSE(tags);
        CHECK(tags.error().kind() == kind);
        return tags.error().message();
    }

    FakeRegistry registry;
    Result<std::vector<std::string>> tags = std::vector<std::string>{};
};

std::optional<std::string> next_of(const std::string& value) {
    Headers headers;
    headers.add("link", value);
    return link_next(headers);
}

}  // namespace

TEST_CASE("the next page is the one that is called so", "[registry]") {
    CHECK(next_of("</v2/a/tags/list?last=b&n=2>; rel=\"next\"") == "/v2/a/tags/list?last=b&n=2");
    CHECK(next_of("<?n=2>;rel=next") == "?n=2");
    CHECK(next_of("<x>; rel=\"prev\", <y>; title=\"t\"; rel=\"next\"") == "y");
    CHECK_FALSE(next_of("<x>; rel=\"prev\""));
    CHECK_FALSE(next_of("<x>"));
    CHECK_FALSE(next_of("<x; rel=\"next\""));
    CHECK_FALSE(next_of(""));
    CHECK_FALSE(link_next(Headers()));
}

TEST_CASE("pages are followed to the last, and every tag is given once", "[registry]") {
    Loop loop;
    Listing listing(loop, [](const FakeRequest& request) {
        if (request.target == first_page) {
            return page(R"(["a","b"])", "</v2/app/tags/list?last=b&n=2>; rel=\"next\"");
        }
        if (request.target == "/v2/app/tags/list?last=b&n=2") {
            return page(R"(["b","c"])",
                        "<http://elsewhere.example/v2/app/tags/list?last=c#x>; rel=\"next\"");
        }
        return page(R"(["d"])");
    });
    REQUIRE(listing.tags);
    CHECK(*listing.tags == std::vector<std::string>{"a", "b", "c", "d"});
    CHECK(listing.registry.count("GET", "/v2/app/tags/list?last=c") == 1);
    CHECK(listing.registry.requests.size() == 3);
}

TEST_CASE("a repository may have no tags, or not exist", "[registry]") {
    Loop loop;
    Listing none(loop, [](const FakeRequest&) { return page("null"); });
    REQUIRE(none.tags);
    CHECK(none.tags->empty());
    Listing unknown(loop, [](const FakeRequest&) {
        return FakeReply::of(404, R"({"errors":[{"code":"NAME_UNKNOWN","message":"unknown"}]})");
    });
    CHECK(unknown.refusal(ErrorKind::not_found).starts_with("repository 127.0.0.1:"));
}

TEST_CASE("a list that does not end is refused", "[registry]") {
    Loop loop;
    Listing same(loop, [](const FakeRequest&) {
        return page(R"(["a"])", "</v2/app/tags/list?last=a>; rel=\"next\"");
    });
    CHECK(same.refusal(ErrorKind::corrupt).find("does not end") != std::string::npos);
    CHECK(same.registry.requests.size() == 2);

    int count = 0;
    Listing pages(loop, [&count](const FakeRequest&) {
        const std::string number = std::to_string(++count);
        return page("[\"t" + number + "\"]", "<?last=" + number + ">; rel=\"next\"");
    });
    CHECK(pages.refusal(ErrorKind::resource_exhausted).find("200 pages") != std::string::npos);

    std::string many = "[\"t\"";
    for (std::size_t i = 0; i < registry_tags_max; ++i) {
        many += ",\"t" + std::to_string(i) + "\"";
    }
    Listing huge(loop, [&many](const FakeRequest&) { return page(many + "]"); });
    CHECK(huge.refusal(ErrorKind::resource_exhausted).find("10000 tags") != std::string::npos);
}

TEST_CASE("what is no list of tags is refused", "[registry]") {
    Loop loop;
    for (const std::string body : {"", "[]x", R"({"tags":"a"})", R"({"tags":[1]})"}) {
        CAPTURE(body);
        Listing listing(loop, [&body](const FakeRequest&) { return FakeReply::of(200, body); });
        CHECK_FALSE(listing.refusal(ErrorKind::corrupt).empty());
    }
    Listing malformed(loop, [](const FakeRequest&) { return page(R"(["../../x"])"); });
    CHECK(malformed.refusal(ErrorKind::corrupt).find("malformed") != std::string::npos);
    Listing elsewhere(loop, [](const FakeRequest&) {
        return page(R"(["a"])", "</v2/other/manifests/x>; rel=\"next\"");
    });
    CHECK(elsewhere.refusal(ErrorKind::corrupt).find("another place") != std::string::npos);
    CHECK(elsewhere.registry.requests.size() == 1);
}
