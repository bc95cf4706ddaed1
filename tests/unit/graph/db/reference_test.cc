// Goal: names of images are read as Docker reads them. Method: tables of names with their familiar
// and complete forms, and of names that are none with the text users see.
#include "graph/reference.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

const std::string hex(64, 'a');
const std::string digest_text = "sha256:" + hex;

std::string refused(std::string_view text) {
    const Result<Reference> reference = Reference::parse(text);
    INFO(text);
    REQUIRE_FALSE(reference);
    CHECK(reference.error().kind() == ErrorKind::invalid_argument);
    return reference.error().message();
}

}  // namespace

TEST_CASE("reference forms") {
    struct Row {
        std::string text;
        std::string complete;
        std::string familiar;
    };

    const std::vector<Row> rows = {
        {"alpine", "docker.io/library/alpine", "alpine"},
        {"alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"},
        {"library/alpine", "docker.io/library/alpine", "alpine"},
        {"docker.io/alpine", "docker.io/library/alpine", "alpine"},
        {"docker.io/library/alpine:latest", "docker.io/library/alpine:latest", "alpine:latest"},
        {"index.docker.io/alpine", "docker.io/library/alpine", "alpine"},
        {"user/repo", "docker.io/user/repo", "user/repo"},
        {"library/a/b", "docker.io/library/a/b", "library/a/b"},
        {"docker.io/localhost/x", "docker.io/localhost/x", "docker.io/localhost/x"},
        {"docker.io/host.name/x", "docker.io/host.name/x", "docker.io/host.name/x"},
        {"docker.io/library/" + hex, "docker.io/library/" + hex, "docker.io/library/" + hex},
        {"localhost/alpine", "localhost/alpine", "localhost/alpine"},
        {"localhost:5000/a:b", "localhost:5000/a:b", "localhost:5000/a:b"},
        {"127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c"},
        {"[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"},
        {"Registry/a", "Registry/a", "Registry/a"},
        {"ghcr.io/o/r@" + digest_text, "ghcr.io/o/r@" + digest_text, "ghcr.io/o/r@" + digest_text},
        {"a:t@" + digest_text, "docker.io/library/a:t@" + digest_text, "a:t@" + digest_text},
        {"a__b.c-d---e", "docker.io/library/a__b.c-d---e", "a__b.c-d---e"},
        {"foo:5000", "docker.io/library/foo:5000", "foo:5000"},
        {"a:" + std::string(128, 't'),
         "docker.io/library/a:" + std::string(128, 't'),
         "a:" + std::string(128, 't')},
        {"a:_T.x-Y", "docker.io/library/a:_T.x-Y", "a:_T.x-Y"},
    };
    for (const Row& row : rows) {
        INFO(row.text);
        const Result<Reference> reference = Reference::parse(row.text);
        REQUIRE(reference);
        CHECK(reference->str() == row.complete);
        CHECK(reference->familiar() == row.familiar);
        CHECK(*Reference::parse(row.complete) == *reference);
        CHECK(*Reference::parse(row.familiar) == *reference);
    }
}

TEST_CASE("reference refusals") {
    CHECK(refused("Foo") ==
          "invalid reference format: repository name (library/Foo) must be lowercase");
    CHECK(refused("user/Foo:tag") ==
          "invalid reference format: repository name (user/Foo) must be lowercase");
    CHECK(refused(hex) ==
          "invalid repository name (" + hex + "), cannot specify 64-byte hexadecimal strings");
    for (const std::string& text : std::vector<std::string>{"",
                                                            ":latest",
                                                            "@" + digest_text,
                                                            "a:",
                                                            "a@",
                                                            "a@sha256:abc",
                                                            "a@sha257:" + hex,
                                                            "a@" + digest_text + "@" + digest_text,
                                                            "a:b:c",
                                                            "a/",
                                                            "/a",
                                                            "a//b",
                                                            "-a",
                                                            "a-",
                                                            "a..b",
                                                            "a___b",
                                                            "a._b",
                                                            "a b",
                                                            "a\n",
                                                            std::string("a\0", 2),
                                                            "h\xC3\xA9",
                                                            "a:.tag",
                                                            "a:-tag",
                                                            "a:" + std::string(129, 't'),
                                                            "host.:80/a",
                                                            "-host.io/a",
                                                            "host_.io/a",
                                                            "host.io:/a",
                                                            "host.io:8x/a",
                                                            "[::1/a",
                                                            "[]/a",
                                                            "[::1]x/a",
                                                            "../../etc/passwd",
                                                            "a/../b",
                                                            "https://host.io/a"}) {
        CHECK(refused(text) == "invalid reference format");
    }
}

TEST_CASE("reference name length is bounded") {
    // docker.io/ + path: 255 in all.
    const std::string longest = "u/" + std::string(243, 'a');
    CHECK(Reference::parse(longest)->name().size() == 255);
    CHECK(refused(longest + "a") == "repository name must not be more than 255 characters");
}

TEST_CASE("reference from repository and tag") {
    CHECK(Reference::parse("alpine", "3.20")->familiar() == "alpine:3.20");
    CHECK(Reference::parse("alpine:", "")->familiar() == "alpine");
    CHECK(Reference::parse("alpine:3.19", "")->familiar() == "alpine:3.19");
    CHECK(Reference::parse("alpine:3.19", "3.20")->familiar() == "alpine:3.20");
    CHECK(Reference::parse("alpine:3.19", digest_text)->familiar() == "alpine@" + digest_text);
    CHECK(Reference::parse("alpine", "no good").error().message() == "invalid tag format");
    CHECK(Reference::parse("alpine", "")->with_default_tag().familiar() == "alpine:latest");
    CHECK(Reference::parse("a@" + digest_text)->with_default_tag().familiar() ==
          "a@" + digest_text);
}
