// Goal: questions are read as RFC 1035 writes them, and nothing malformed is taken for one.
// Method: messages built byte by byte; every prefix of a good one.
#include "drivers/net/dns_message.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

std::string query(std::string_view labels, std::uint16_t type) {
    std::string out("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
    out.append(labels).push_back('\0');
    out += static_cast<char>(type >> 8);
    out += static_cast<char>(type & 0xff);
    return out + std::string("\x00\x01", 2);
}

constexpr std::string_view web_front =
    "\x03web\x05"
    "Front";

}  // namespace

TEST_CASE("a question is read", "[net][dns]") {
    const std::string message = query(web_front, 1);
    const auto question = dns_question_parse(message);
    REQUIRE(question);
    CHECK(question->id == 0x1234);
    CHECK(question->name == "web.front");
    CHECK(question->type == 1);
    CHECK(question->size == message.size());
    CHECK(dns_question_parse(message + "EDNS")->size == message.size());
    CHECK(dns_question_parse(query("", 2))->name.empty());
}

TEST_CASE("what is no question is refused", "[net][dns]") {
    const std::string good = query(web_front, 1);
    for (std::size_t size = 0; size < good.size(); ++size) {
        CHECK_FALSE(dns_question_parse(std::string_view(good).substr(0, size)));
    }
    std::string response = good;
    response[2] = '\x81';
    CHECK_FALSE(dns_question_parse(response));
    std::string two = good;
    two[5] = 2;
    CHECK_FALSE(dns_question_parse(two));
    CHECK_FALSE(dns_question_parse(query("\xc0\x0c", 1)));
    std::string label(1, '\x40');
    label.append(64, 'a');
    CHECK_FALSE(dns_question_parse(query(label, 1)));
    std::string name;
    for (int i = 0; i < 5; ++i) {
        name.append(1, '\x3f').append(63, 'a');
    }
    CHECK_FALSE(dns_question_parse(query(name, 1)));
}

TEST_CASE("an answer repeats the question and points to its name", "[net][dns]") {
    const std::string asked = query(web_front, 1);
    const auto question = dns_question_parse(asked);
    REQUIRE(question);
    const std::vector<IpAddress> addresses{IpAddress::v4(0x0a000002), IpAddress::v4(0x0a000003)};
    const std::string answer = dns_answer(asked, *question, addresses);
    CHECK(answer.substr(0, 12) ==
          std::string("\x12\x34\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00", 12));
    CHECK(answer.substr(12, asked.size() - 12) == asked.substr(12));
    CHECK(answer.substr(asked.size(), 16) ==
          std::string("\xc0\x0c\x00\x01\x00\x01\x00\x00\x02\x58\x00\x04\x0a\x00\x00\x02", 16));
    CHECK(answer.size() == asked.size() + 32);
    CHECK(dns_answers(answer, asked, *question));
    CHECK(dns_code(answer) == DnsCode::success);
    const std::string other = query("\x03www", 1);
    CHECK_FALSE(
        dns_answers(dns_answer(other, *dns_question_parse(other), addresses), asked, *question));
    CHECK_FALSE(dns_answers(asked, asked, *question));
    const std::string failed = dns_failure(asked, *question, DnsCode::server_failure);
    CHECK(dns_code(failed) == DnsCode::server_failure);
}

TEST_CASE("an IPv6 address is an answer of its own type", "[net][dns]") {
    const std::string asked = query(web_front, 28);
    const std::vector<IpAddress> addresses{*IpAddress::parse("fd00::102")};
    const std::string answer = dns_answer(asked, *dns_question_parse(asked), addresses);
    CHECK(answer.substr(asked.size()) ==
          std::string("\xc0\x0c\x00\x1c\x00\x01\x00\x00\x02\x58\x00\x10\xfd\x00", 14) +
              std::string(12, '\0') + std::string("\x01\x02", 2));
}

TEST_CASE("how long an answer may be told again", "[net][dns]") {
    const std::string message = query(web_front, 1);
    const auto question = dns_question_parse(message);
    REQUIRE(question);
    const std::vector<IpAddress> addresses{IpAddress::v4(1), IpAddress::v4(2)};
    std::string answer = dns_answer(message, *question, addresses);
    CHECK(dns_lifetime(answer) == 600);
    for (std::size_t size = 0; size < answer.size(); ++size) {
        CHECK_FALSE(dns_lifetime(std::string_view(answer).substr(0, size)));
    }
    dns_grow_old(answer, 100);
    CHECK(dns_lifetime(answer) == 500);
    dns_grow_old(answer, 1000);
    CHECK(dns_lifetime(answer) == 0);
    std::string cut = answer;
    cut[2] = static_cast<char>(cut[2] | 2);  // TC
    CHECK_FALSE(dns_lifetime(cut));
    CHECK_FALSE(dns_lifetime(dns_failure(message, *question, DnsCode::server_failure)));
    std::string nothing = dns_failure(message, *question, DnsCode::name_error);
    CHECK_FALSE(dns_lifetime(nothing));
    nothing[9] = 1;  // An SOA: for 900 s, and that there is nothing for 60 s.
    nothing += std::string("\0\0\x06\0\x01\0\0\x03\x84\0\x16\0\0", 13);
    nothing += std::string(16, '\x7f') + std::string("\0\0\0\x3c", 4);
    CHECK(dns_lifetime(nothing) == 60);
}

TEST_CASE("reverse names", "[net][dns]") {
    const std::string zeros = "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.";
    CHECK(dns_reverse_address("2.0.1." + zeros + "0.0.d.f.ip6.arpa")->str() == "fd00::102");
    for (const std::string& text : {"2.0.1." + zeros + "0.d.f.ip6.arpa",
                                    "2.0.g." + zeros + "0.0.d.f.ip6.arpa",
                                    "2.0.1." + zeros + "0.0.d-f.ip6.arpa",
                                    std::string("ip6.arpa")}) {
        CHECK_FALSE(dns_reverse_address(text));
    }
    CHECK(dns_reverse_address("4.3.2.1.in-addr.arpa")->str() == "1.2.3.4");
    for (const char* text : {"3.2.1.in-addr.arpa",
                             "5.4.3.2.1.in-addr.arpa",
                             "in-addr.arpa",
                             "a.3.2.1.in-addr.arpa",
                             "256.3.2.1.in-addr.arpa",
                             "web"}) {
        CHECK_FALSE(dns_reverse_address(text));
    }
    const std::string asked = query(
        "\x01"
        "4\x01"
        "3\x01"
        "2\x01"
        "1\x07in-addr\x04"
        "arpa",
        12);
    const std::string answer = dns_answer(asked, *dns_question_parse(asked), "web.front");
    CHECK(answer.substr(answer.size() - 11) == std::string("\x03web\x05"
                                                           "front\x00",
                                                           11));
}
