#pragma once
/// DNS messages: reading a question, and answering one of our own. Everything else is passed on as
/// it is. Follows: RFC 1035 section 4; RFC 6891 for what may follow a question.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/net/address.h"

namespace davit {

enum class DnsType : std::uint16_t { a = 1, ptr = 12, aaaa = 28 };

enum class DnsCode : std::uint16_t { success = 0, server_failure = 2, name_error = 3, refused = 5 };

struct DnsQuestion {
    std::uint16_t id = 0;
    /// Lower case, dots between labels, none at the end; "" is the root.
    std::string name;
    std::uint16_t type = 0;
    std::uint16_t network_class = 0;
    /// Bytes of header and question in the message.
    std::size_t size = 0;
};

/// The one question of a standard query. Errors: corrupt (a response, no or several questions, a
/// compressed or overlong name, another opcode).
Result<DnsQuestion> dns_question_parse(std::string_view message);

/// "4.3.2.1.in-addr.arpa": 1.2.3.4; thirty-two digits and ".ip6.arpa" (RFC 3596 section 2.5): an
/// IPv6 address. Nothing for other names.
std::optional<IpAddress> dns_reverse_address(std::string_view name);

/// An answer to a query with addresses of the family that was asked for; without any: that the name
/// has none of that type.
std::string dns_answer(std::string_view query,
                       const DnsQuestion& question,
                       std::span<const IpAddress> addresses);

/// An answer with one name (PTR).
std::string dns_answer(std::string_view query, const DnsQuestion& question, std::string_view name);

/// An answer that says why there is none.
std::string dns_failure(std::string_view query, const DnsQuestion& question, DnsCode code);

/// The number by which an answer finds its question. Message: at least dns_header_bytes.
inline constexpr std::size_t dns_header_bytes = 12;
std::uint16_t dns_id(std::string_view message);
void dns_id_set(std::string& message, std::uint16_t id);

/// Whether a message is the answer to this very question: id, response bit, question.
bool dns_answers(std::string_view answer, std::string_view query, const DnsQuestion& question);

/// The response code of an answer.
DnsCode dns_code(std::string_view answer);

/// For how many seconds an answer may be told again: as long as the record of it that may be for
/// the shortest time; one that there is nothing, as long as its SOA says (RFC 2308 section 5).
/// Nothing: it may not (cut short, a failure, without records, malformed).
std::optional<std::uint32_t> dns_lifetime(std::string_view answer);

/// Make an answer so many seconds older: what is left to each of its records.
void dns_grow_old(std::string& answer, std::uint32_t seconds);

}  // namespace davit
