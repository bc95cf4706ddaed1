// Goal: header fields, queries, percent-coding, URLs and routes mean what Docker clients expect.
// Method: tables of texts and what they must become.
#include "http/message.h"

#include "http/host_rules.h"
#include "http/router.h"
#include "http/url.h"
#include "tests/support/catch.h"

using namespace davit;

TEST_CASE("header fields keep order and match without case", "[message]") {
    Headers headers;
    headers.add("Accept", "a");
    headers.add("X-Two", "1");
    headers.add("accept", "b");
    CHECK(*headers.find("ACCEPT") == "a");
    CHECK(headers.find("missing") == nullptr);
    headers.set("aCCept", "c");
    std::string text;
    headers.append_to(text);
    CHECK(text == "Accept: c\r\nX-Two: 1\r\n");
    headers.set("New", "n");
    headers.remove("x-two");
    text.clear();
    headers.append_to(text);
    CHECK(text == "Accept: c\r\nNew: n\r\n");
    headers.set("New", "n\r\nSet: x");
    text.clear();
    headers.append_to(text);
    CHECK(text == "Accept: c\r\nNew: n  Set: x\r\n");
}

TEST_CASE("tokens are found in comma-separated lists", "[message]") {
    Headers headers;
    headers.add("Connection", "keep-alive , Upgrade");
    headers.add("connection", "x");
    CHECK(headers.has_token("Connection", "upgrade"));
    CHECK(headers.has_token("Connection", "X"));
    CHECK(!headers.has_token("Connection", "up"));
    CHECK(!headers.has_token("Upgrade", "upgrade"));
}

TEST_CASE("a target splits into path and query", "[message]") {
    RequestHead head;
    const auto split = [&](const char* target) {
        head.target = target;
        return std::string(head.path()) + "|" + std::string(head.query());
    };
    CHECK(split("/a/b?c=d?e") == "/a/b|c=d?e");
    CHECK(split("/a") == "/a|");
    CHECK(split("http://host:1/x?y") == "/x|y");
    CHECK(split("http://host") == "/|");
    CHECK(split("http://host?q") == "/|q");
    CHECK(split("/images/http://x") == "/images/http://x|");
    CHECK(split("*") == "*|");
}

TEST_CASE("percent-coding decodes what it encodes, and refuses halves", "[message]") {
    CHECK(*percent_decode("testcontainers%2Fryuk:0.3.3") == "testcontainers/ryuk:0.3.3");
    CHECK(*percent_decode("a+b%2b") == "a+b+");
    for (const char* bad : {"%", "%4", "a%zz", "%4g"}) {
        CHECK(percent_decode(bad).error().kind() == ErrorKind::invalid_argument);
    }
    std::string all;
    for (int i = 0; i < 256; ++i) {
        all.push_back(static_cast<char>(i));
    }
    CHECK(*percent_decode(percent_encode(all)) == all);
    CHECK(percent_encode("a/b c", true) == "a/b%20c");
}

TEST_CASE("queries keep repeated keys and follow Docker's booleans", "[message]") {
    const Query query = Query::parse("t=1&t=2&name=a+b%20c&bare&=empty&bad=%zz&&x=1=2");
    CHECK(query.all("t") == std::vector<std::string_view>{"1", "2"});
    CHECK(query.get("name") == "a b c");
    CHECK(query.contains("bare"));
    CHECK(query.get("") == "empty");
    CHECK(!query.contains("bad"));
    CHECK(query.get("x") == "1=2");
    CHECK(query.text() == "t=1&t=2&name=a%20b%20c&bare=&=empty&x=1%3D2");
    for (const char* text : {"b=", "b=0", "b=no", "b=False", "b=NONE", "c=1", "b"}) {
        INFO(text);
        CHECK(!Query::parse(text).boolean("b"));
    }
    for (const char* text : {"b=1", "b=true", "b=yes", "b=anything"}) {
        INFO(text);
        CHECK(Query::parse(text).boolean("b"));
    }
    CHECK(Query::parse("").boolean("b", true));
    CHECK(!Query::parse("b=0").boolean("b", true));
}

TEST_CASE("numbers in queries are whole or refused", "[message]") {
    CHECK(**Query::parse("n=-12").integer("n") == -12);
    CHECK(!(*Query::parse("n=").integer("n")).has_value());
    CHECK(!(*Query::parse("").integer("n")).has_value());
    for (const char* bad : {"n=1x", "n=x", "n=1.5", "n=99999999999999999999", "n= 1"}) {
        INFO(bad);
        CHECK(Query::parse(bad).integer("n").error().kind() == ErrorKind::invalid_argument);
    }
}

TEST_CASE("URLs parse into their parts", "[url]") {
    const auto url = Url::parse("HTTPS://user:p%40ss@Registry.Example:5000/v2/?n=1#frag");
    REQUIRE(url);
    CHECK(url->scheme == "https");
    CHECK(url->host == "registry.example");
    CHECK(url->port == 5000);
    CHECK(url->user_info == "user:p@ss");
    CHECK(url->target == "/v2/?n=1");
    CHECK(url->text() == "https://registry.example:5000/v2/?n=1");
    CHECK(Url::parse("http://h")->target == "/");
    CHECK(Url::parse("http://h?x")->target == "/?x");
    CHECK(Url::parse("https://h:443/")->authority() == "h");
    const auto v6 = Url::parse("http://[2001:DB8::1]:80/");
    REQUIRE(v6);
    CHECK(v6->host == "2001:db8::1");
    CHECK(v6->authority() == "[2001:db8::1]");
    for (const char* bad : {"",
                            "h",
                            "ftp://h/",
                            "http://",
                            "http:///x",
                            "http://h:0/",
                            "http://h:x/",
                            "http://h:70000/",
                            "http://h:80x/",
                            "http://[::1/",
                            "http://[x]/",
                            "http://h /",
                            "http://h/\r\nX: y",
                            "http://[::1]80/"}) {
        INFO(bad);
        CHECK(Url::parse(bad).error().kind() == ErrorKind::invalid_argument);
    }
}

TEST_CASE("Location headers resolve against their URL", "[url]") {
    const Url base = *Url::parse("https://h:1/a/b/c?q=1");
    const auto resolve = [&](const char* text) { return base.resolve(text)->text(); };
    CHECK(resolve("http://other/x") == "http://other/x");
    CHECK(resolve("//other/x") == "https://other/x");
    CHECK(resolve("/v2/x?y=../z") == "https://h:1/v2/x?y=../z");
    CHECK(resolve("d") == "https://h:1/a/b/d");
    CHECK(resolve("../d/./e") == "https://h:1/a/d/e");
    CHECK(resolve("../../../../d") == "https://h:1/d");
    CHECK(resolve("..") == "https://h:1/a/");
    CHECK(resolve("?n=2") == "https://h:1/a/b/c?n=2");
    CHECK(!base.resolve("ftp:1/2"));
    CHECK(!base.resolve("/a b"));
}

TEST_CASE("routes match the most literal pattern", "[router]") {
    Router router;
    const char* patterns[] = {"/images/{name...}",
                              "/images/json",
                              "/images/{name...}/json",
                              "/containers/{id}/json",
                              "/containers/json",
                              "/_ping",
                              "/containers/{id}/checkpoints/{checkpoint}",
                              "/images/{name...}/get",
                              "/images/search"};
    for (std::size_t i = 0; i < std::size(patterns); ++i) {
        router.add("GET", patterns[i], i);
    }
    router.add("HEAD", "/_ping", 100);

    struct Case {
        const char* path;
        int route;
        const char* name;
        const char* value;
    };

    const Case cases[] = {
        {"/images/json", 1, "", ""},
        {"/images/a/b/json", 2, "name", "a/b"},
        {"/images/testcontainers%2Fryuk:0.3.3/json", 2, "name", "testcontainers/ryuk:0.3.3"},
        {"/images/json/json", 2, "name", "json"},
        {"/images/a/get", 7, "name", "a"},
        {"/images/a/b", 0, "name", "a/b"},
        {"/images/a", 0, "name", "a"},
        {"/images/search", 8, "", ""},
        {"/containers/json", 4, "", ""},
        {"/containers/x%20y/json", 3, "id", "x y"},
        {"/containers/a/checkpoints/b", 6, "checkpoint", "b"},
        {"/containers/a/b/json", -1, "", ""},
        {"/containers//json", -1, "", ""},
        {"/images/", -1, "", ""},
        {"/_ping", 5, "", ""},
        {"/_ping/", -1, "", ""},
        {"/", -1, "", ""},
        {"*", -1, "", ""},
        {"", -1, "", ""},
        {"/containers/%zz/json", -1, "", ""},
    };
    for (const Case& expected : cases) {
        INFO(expected.path);
        const auto match = router.match("GET", expected.path);
        CHECK((match ? static_cast<int>(match->route) : -1) == expected.route);
        if (match && *expected.name != '\0') {
            CHECK(match->params.get(expected.name) == expected.value);
        }
    }
    CHECK(router.match("HEAD", "/_ping")->route == 100);
    CHECK(!router.match("POST", "/_ping"));
    CHECK(router.match("GET", "/_ping")->params.get("nothing").empty());
}

TEST_CASE("host rules match names, domains, ports, addresses and blocks", "[proxy]") {
    const HostRules rules({"a.example",
                           ".b.example",
                           "c.example:8080",
                           "10.1.0.0/16",
                           "[::1]:443",
                           "2001:db8::/33",
                           "192.168.0.1"},
                          true);
    const auto match = [&](const char* host, int port = 443) {
        return rules.match(host, static_cast<std::uint16_t>(port));
    };
    CHECK(match("a.example"));
    CHECK(match("A.Example"));
    CHECK(match("x.a.example"));
    CHECK(!match("xa.example"));
    CHECK(!match("b.example"));
    CHECK(match("x.b.example"));
    CHECK(match("c.example", 8080));
    CHECK(!match("c.example", 443));
    CHECK(match("10.1.255.1"));
    CHECK(!match("10.2.0.1"));
    CHECK(match("::1"));
    CHECK(!match("::1", 80));
    CHECK(match("2001:db8:7fff::1"));
    CHECK(!match("2001:db8:8000::1"));
    CHECK(match("192.168.0.1"));
    CHECK(HostRules({"*"}).match("anything", 1));
    CHECK(!HostRules({"a.example"}).match("x.a.example", 1));
}

TEST_CASE("proxies are chosen by scheme and exceptions", "[proxy]") {
    const auto rules =
        ProxyRules::make("proxy:3128", "https://user:pw@secure:8443", "internal, .corp");
    REQUIRE(rules);
    const auto proxy = [&](const char* text) -> std::string {
        const Url* chosen = rules->proxy_for(*Url::parse(text));
        return chosen != nullptr ? chosen->text() : "";
    };
    CHECK(proxy("http://registry.example/") == "http://proxy:3128/");
    CHECK(proxy("https://registry.example/") == "https://secure:8443/");
    CHECK(proxy("http://internal:5000/").empty());
    CHECK(proxy("http://a.corp/").empty());
    CHECK(proxy("http://localhost/").empty());
    CHECK(proxy("http://127.1.2.3/").empty());
    CHECK(proxy("https://[::1]/").empty());
    CHECK(!ProxyRules::make("ftp://x", "", ""));
}
