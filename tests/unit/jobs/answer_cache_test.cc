// Goal: what other name servers answered is told again to the same question, no longer than it may
// be. Method: answers built by hand, moments that are given.
#include "jobs/network/answer_cache.h"

#include "drivers/net/dns_message.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

using std::chrono::seconds;

const std::vector<std::string> servers{"192.0.2.53"};

std::string query_of(char letter, std::uint16_t id = 0x1234) {
    std::string out("\0\0\x01\0\0\x01\0\0\0\0\0\0\x01", 13);
    dns_id_set(out, id);
    out += letter;
    return out + std::string("\0\0\x01\0\x01", 5);
}

/// With one address, which may be kept for 600 s.
std::string answer_of(const std::string& query) {
    const std::vector<IpAddress> addresses{IpAddress::v4(0x01020304)};
    return dns_answer(query, *dns_question_parse(query), addresses);
}

}  // namespace

TEST_CASE("an answer is told again to the same question alone", "[network][dns]") {
    AnswerCache cache;
    const MonotonicTime now = monotonic_now();
    const std::string query = query_of('a');
    CHECK_FALSE(cache.find(query, servers, now));
    cache.put(query, servers, answer_of(query), now);
    const std::string later = query_of('a', 0x4321);
    const auto found = cache.find(later, servers, now);
    REQUIRE(found);
    CHECK(dns_answers(*found, later, *dns_question_parse(later)));
    CHECK_FALSE(cache.find(query_of('b'), servers, now));
    CHECK_FALSE(cache.find(query, {"192.0.2.54"}, now));
    CHECK_FALSE(cache.find("", servers, now));
}

TEST_CASE("an answer grows old, and is forgotten", "[network][dns]") {
    AnswerCache cache;
    const MonotonicTime now = monotonic_now();
    const std::string query = query_of('a');
    cache.put(query, servers, answer_of(query), now);
    const auto found = cache.find(query, servers, now + seconds(7));
    REQUIRE(found);
    CHECK(dns_lifetime(*found) == 593);
    CHECK_FALSE(cache.find(query, servers, now + seconds(AnswerCache::seconds_max)));
    CHECK(cache.size() == 0);
}

TEST_CASE("the oldest answer goes for a new one", "[network][dns]") {
    AnswerCache cache;
    const MonotonicTime now = monotonic_now();
    for (std::size_t i = 0; i < AnswerCache::answers_max + 5; ++i) {
        const std::string query = query_of('a');
        cache.put(query, {std::to_string(i)}, answer_of(query), now);
    }
    CHECK(cache.size() == AnswerCache::answers_max);
    CHECK_FALSE(cache.find(query_of('a'), {"4"}, now));
    CHECK(cache.find(query_of('a'), {"5"}, now));
    cache.put(query_of('a'), {"5"}, answer_of(query_of('a')), now);
    CHECK(cache.size() == AnswerCache::answers_max);
}
