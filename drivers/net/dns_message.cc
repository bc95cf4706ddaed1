#include "drivers/net/dns_message.h"

#include <algorithm>
#include <cassert>
#include <charconv>

namespace davit {

namespace {

constexpr std::size_t label_bytes_max = 63;
constexpr std::size_t name_bytes_max = 255;
constexpr std::uint16_t flag_response = 0x8000;
constexpr std::uint16_t flags_opcode = 0x7800;
constexpr std::uint16_t flag_truncated = 0x0200;
constexpr std::uint16_t flag_recursion_wanted = 0x0100;
constexpr std::uint16_t flag_recursion_offered = 0x0080;
constexpr std::uint16_t class_internet = 1;
constexpr std::uint16_t pointer_to_question = 0xc000 | dns_header_bytes;
/// As Docker's: names move rarely, and a client that caches may be wrong for so long.
constexpr std::uint32_t time_to_live_seconds = 600;

std::uint16_t u16_at(std::string_view bytes, std::size_t at) {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 |
                                      static_cast<unsigned char>(bytes[at + 1]));
}

void u16_put(std::string& out, std::uint16_t value) {
    out += static_cast<char>(value >> 8);
    out += static_cast<char>(value & 0xff);
}

void u32_put(std::string& out, std::uint32_t value) {
    u16_put(out, static_cast<std::uint16_t>(value >> 16));
    u16_put(out, static_cast<std::uint16_t>(value & 0xffff));
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Header and question of the answer to a query.
std::string answer_begin(std::string_view query,
                         const DnsQuestion& question,
                         DnsCode code,
                         std::size_t answers) {
    std::string out;
    u16_put(out, question.id);
    const std::uint16_t asked = u16_at(query, 2);
    u16_put(out,
            static_cast<std::uint16_t>(flag_response | (asked & flag_recursion_wanted) |
                                       flag_recursion_offered | static_cast<std::uint16_t>(code)));
    u16_put(out, 1);
    u16_put(out, static_cast<std::uint16_t>(answers));
    u16_put(out, 0);
    u16_put(out, 0);
    out.append(query, dns_header_bytes, question.size - dns_header_bytes);
    return out;
}

void record_begin(std::string& out, DnsType type, std::size_t bytes) {
    u16_put(out, pointer_to_question);
    u16_put(out, static_cast<std::uint16_t>(type));
    u16_put(out, class_internet);
    u32_put(out, time_to_live_seconds);
    u16_put(out, static_cast<std::uint16_t>(bytes));
}

/// "a.b" as labels.
std::string name_labels(std::string_view name) {
    std::string out;
    while (!name.empty()) {
        const std::string_view label = name.substr(0, name.find('.'));
        name.remove_prefix(std::min(name.size(), label.size() + 1));
        const std::size_t size = std::min(label.size(), label_bytes_max);
        out += static_cast<char>(size);
        out.append(label, 0, size);
    }
    out += '\0';
    return out;
}

}  // namespace

Result<DnsQuestion> dns_question_parse(std::string_view message) {
    const auto bad = [](const char* why) {
        return Error(ErrorKind::corrupt, std::string("DNS query: ") + why);
    };
    if (message.size() < dns_header_bytes) {
        return bad("shorter than its header");
    }
    const std::uint16_t flags = u16_at(message, 2);
    if ((flags & (flag_response | flags_opcode | flag_truncated)) != 0) {
        return bad("no standard query");
    }
    if (u16_at(message, 4) != 1) {
        return bad("not one question");
    }
    DnsQuestion question;
    question.id = u16_at(message, 0);
    std::size_t at = dns_header_bytes;
    for (;;) {
        if (at >= message.size()) {
            return bad("a name without an end");
        }
        const std::size_t length = static_cast<unsigned char>(message[at++]);
        if (length == 0) {
            break;
        }
        if (length > label_bytes_max || at + length > message.size()) {
            return bad("a label that is too long, or compressed");
        }
        question.name += question.name.empty() ? "" : ".";
        for (const char c : message.substr(at, length)) {
            question.name += lower(c);
        }
        at += length;
        if (at - dns_header_bytes > name_bytes_max) {
            return bad("a name that is too long");
        }
    }
    if (at + 4 > message.size()) {
        return bad("a question without type and class");
    }
    question.type = u16_at(message, at);
    question.network_class = u16_at(message, at + 2);
    question.size = at + 4;
    return question;
}

namespace {

/// "1.0.f. ...": the digits of an IPv6 address, the last one first.
std::optional<IpAddress> reverse_address6(std::string_view digits) {
    constexpr std::size_t count = 32;
    if (digits.size() != 2 * count - 1) {
        return std::nullopt;
    }
    IpAddress::Number number = 0;
    for (std::size_t i = count; i > 0; --i) {
        const char* at = digits.data() + 2 * (i - 1);
        std::uint8_t digit = 0;
        if (std::from_chars(at, at + 1, digit, 16).ec != std::errc{} ||
            (i < count && at[1] != '.')) {
            return std::nullopt;
        }
        number = number << 4 | digit;
    }
    return IpAddress::from_number(number);
}

}  // namespace

std::optional<IpAddress> dns_reverse_address(std::string_view name) {
    constexpr std::string_view suffix = ".in-addr.arpa";
    constexpr std::string_view suffix6 = ".ip6.arpa";
    if (name.ends_with(suffix6)) {
        return reverse_address6(name.substr(0, name.size() - suffix6.size()));
    }
    if (!name.ends_with(suffix)) {
        return std::nullopt;
    }
    name.remove_suffix(suffix.size());
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) {
        const std::string_view part = name.substr(0, name.find('.'));
        std::uint8_t octet = 0;
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), octet);
        if (error != std::errc{} || end != part.data() + part.size() ||
            (i < 3) != (part.size() < name.size())) {
            return std::nullopt;
        }
        value |= std::uint32_t{octet} << (8 * i);
        name.remove_prefix(std::min(name.size(), part.size() + 1));
    }
    return IpAddress::v4(value);
}

std::string dns_answer(std::string_view query,
                       const DnsQuestion& question,
                       std::span<const IpAddress> addresses) {
    std::string out = answer_begin(query, question, DnsCode::success, addresses.size());
    for (const IpAddress& address : addresses) {
        const std::span<const std::uint8_t> bytes =
            std::span(address.bytes()).subspan(address.is_v4() ? 12 : 0);
        record_begin(out, address.is_v4() ? DnsType::a : DnsType::aaaa, bytes.size());
        out.append(bytes.begin(), bytes.end());
    }
    return out;
}

std::string dns_answer(std::string_view query, const DnsQuestion& question, std::string_view name) {
    std::string out = answer_begin(query, question, DnsCode::success, 1);
    const std::string labels = name_labels(name);
    record_begin(out, DnsType::ptr, labels.size());
    return out + labels;
}

std::string dns_failure(std::string_view query, const DnsQuestion& question, DnsCode code) {
    return answer_begin(query, question, code, 0);
}

std::uint16_t dns_id(std::string_view message) {
    assert(message.size() >= dns_header_bytes);
    return u16_at(message, 0);
}

void dns_id_set(std::string& message, std::uint16_t id) {
    assert(message.size() >= dns_header_bytes);
    message[0] = static_cast<char>(id >> 8);
    message[1] = static_cast<char>(id & 0xff);
}

bool dns_answers(std::string_view answer, std::string_view query, const DnsQuestion& question) {
    if (answer.size() < question.size || (u16_at(answer, 2) & flag_response) == 0 ||
        dns_id(answer) != dns_id(query) || u16_at(answer, 4) != 1) {
        return false;
    }
    const auto same = [](char a, char b) { return lower(a) == lower(b); };
    return std::equal(query.begin() + dns_header_bytes,
                      query.begin() + static_cast<std::ptrdiff_t>(question.size),
                      answer.begin() + dns_header_bytes,
                      same);
}

DnsCode dns_code(std::string_view answer) {
    constexpr std::uint16_t mask = 0xf;
    return static_cast<DnsCode>(u16_at(answer, 2) & mask);
}

namespace {

constexpr std::uint16_t type_soa = 6;
constexpr std::uint16_t type_opt = 41;
constexpr std::size_t record_head_bytes = 10;  // Type, class, time to live, length.
constexpr std::size_t soa_numbers_bytes = 20;

struct Record {
    std::uint16_t type = 0;
    /// Where its time to live is in the message.
    std::size_t lifetime_at = 0;
    std::string_view data;
};

std::uint32_t u32_at(std::string_view bytes, std::size_t at) {
    return static_cast<std::uint32_t>(u16_at(bytes, at)) << 16 | u16_at(bytes, at + 2);
}

/// Past a name, compressed or not; 0: it does not end in the message.
std::size_t name_skip(std::string_view message, std::size_t at) {
    constexpr unsigned pointer = 0xc0;
    while (at < message.size()) {
        const unsigned length = static_cast<unsigned char>(message[at]);
        if ((length & pointer) == pointer) {
            return at + 2 <= message.size() ? at + 2 : 0;
        }
        at += 1 + length;
        if (length == 0) {
            return at;
        }
        if (length > label_bytes_max) {
            return 0;
        }
    }
    return 0;
}

/// All records of an answer, without its OPT; nothing: it is malformed.
std::optional<std::vector<Record>> records_of(std::string_view answer) {
    if (answer.size() < dns_header_bytes || u16_at(answer, 4) != 1) {
        return std::nullopt;
    }
    std::size_t at = name_skip(answer, dns_header_bytes);
    if (at == 0 || at + 4 > answer.size()) {
        return std::nullopt;
    }
    at += 4;
    const std::size_t count =
        std::size_t{u16_at(answer, 6)} + u16_at(answer, 8) + u16_at(answer, 10);
    std::vector<Record> records;
    for (std::size_t i = 0; i < count; ++i) {
        at = name_skip(answer, at);
        if (at == 0 || at + record_head_bytes > answer.size()) {
            return std::nullopt;
        }
        const std::size_t length = u16_at(answer, at + 8);
        if (at + record_head_bytes + length > answer.size()) {
            return std::nullopt;
        }
        const Record record{
            u16_at(answer, at), at + 4, answer.substr(at + record_head_bytes, length)};
        if (record.type != type_opt) {  // Whose time to live is none.
            records.push_back(record);
        }
        at += record_head_bytes + length;
    }
    return records;
}

}  // namespace

std::optional<std::uint32_t> dns_lifetime(std::string_view answer) {
    const auto records = records_of(answer);
    if (!records || records->empty() || (u16_at(answer, 2) & flag_truncated) != 0) {
        return std::nullopt;
    }
    const DnsCode code = dns_code(answer);
    const bool is_there = code == DnsCode::success && u16_at(answer, 6) > 0;
    if (!is_there && code != DnsCode::success && code != DnsCode::name_error) {
        return std::nullopt;
    }
    std::optional<std::uint32_t> lifetime;
    bool has_soa = false;
    for (const Record& record : *records) {
        std::uint32_t one = u32_at(answer, record.lifetime_at);
        if (record.type == type_soa && record.data.size() >= soa_numbers_bytes) {
            has_soa = true;
            one = std::min(one, u32_at(record.data, record.data.size() - 4));
        }
        lifetime = std::min(lifetime.value_or(one), one);
    }
    return is_there || has_soa ? lifetime : std::nullopt;
}

void dns_grow_old(std::string& answer, std::uint32_t seconds) {
    const auto records = records_of(answer);
    if (!records) {
        return;
    }
    for (const Record& record : *records) {
        const std::size_t at = record.lifetime_at;
        const std::uint32_t left = u32_at(answer, at);
        const std::uint32_t now = left - std::min(left, seconds);
        for (std::size_t i = 0; i < 4; ++i) {
            answer[at + i] = static_cast<char>(now >> (24 - 8 * i) & 0xff);
        }
    }
}

}  // namespace davit
