// Promises: a question that is read lies within its message, its name is as long as a name may be,
// and its answers are answers to it.
#include "drivers/net/dns_message.h"
#include "tests/fuzz/fuzz.h"

namespace davit::fuzz {

namespace {

/// As an answer of another server: what may be kept stays an answer of the same size, and ages.
void dns_kept(std::string_view input) {
    const auto lifetime = dns_lifetime(input);
    std::string older(input);
    dns_grow_old(older, 1);
    require(older.size() == input.size(), "it stays as long as it is");
    if (lifetime) {
        const auto left = dns_lifetime(older);
        require(left && *left + 1 >= *lifetime && *left <= *lifetime, "a second is gone, at most");
    }
}

void dns(std::string_view input) {
    dns_kept(input);
    const auto question = dns_question_parse(input);
    if (!question) {
        require(question.error().kind() == ErrorKind::corrupt, "refusals are the message's");
        return;
    }
    require(question->size <= input.size(), "a question lies within its message");
    require(question->name.size() <= 255, "a name is no longer than names are");
    const std::vector<IpAddress> addresses{IpAddress::v4(1), IpAddress::v4(2)};
    const std::string answer = dns_answer(input, *question, addresses);
    require(dns_answers(answer, input, *question), "an answer answers");
    require(!dns_question_parse(answer), "an answer is no question");
    const std::string named = dns_answer(input, *question, question->name);
    require(dns_answers(named, input, *question), "an answer with a name answers");
    static_cast<void>(dns_reverse_address(question->name));
}

const bool registered =
    add({"dns",
         dns,
         {std::string("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x05"
                      "front\x00\x00\x01\x00\x01",
                      27),
          std::string("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01"
                      "4\x01"
                      "3\x01"
                      "2\x01"
                      "1\x07in-addr\x04"
                      "arpa\x00\x00\x0c\x00\x01",
                      38)},
         {std::string("\xc0\x0c", 2),
          std::string(1, '\0'),
          std::string(1, '\x3f'),
          "\x01"
          "a"},
         30'000});

}  // namespace

}  // namespace davit::fuzz
