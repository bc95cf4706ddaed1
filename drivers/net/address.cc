#include "drivers/net/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

namespace davit {

namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

constexpr unsigned v4_bits = 32;
constexpr unsigned v6_bits = 128;

/// The bits of the host of a subnet's addresses, set.
IpAddress::Number host_mask(bool is_v4, unsigned prefix) {
    const unsigned bits = (is_v4 ? v4_bits : v6_bits) - prefix;
    return bits == v6_bits ? ~IpAddress::Number{0} : (IpAddress::Number{1} << bits) - 1;
}

}  // namespace

IpAddress IpAddress::v4(std::uint32_t value) {
    IpAddress address;
    std::ranges::copy(mapped_prefix, address.bytes_.begin());
    for (unsigned i = 0; i < 4; ++i) {
        address.bytes_[12 + i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
    }
    return address;
}

IpAddress IpAddress::from_bytes(const std::array<std::uint8_t, 16>& bytes) {
    IpAddress address;
    address.bytes_ = bytes;
    return address;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
    const std::string copy(text);
    in_addr four{};
    if (::inet_pton(AF_INET, copy.c_str(), &four) == 1) {
        return v4(ntohl(four.s_addr));
    }
    IpAddress address;
    if (::inet_pton(AF_INET6, copy.c_str(), address.bytes_.data()) == 1) {
        return address;
    }
    return Error(ErrorKind::invalid_argument, "invalid IP address: " + copy);
}

bool IpAddress::is_v4() const {
    return std::equal(mapped_prefix.begin(), mapped_prefix.end(), bytes_.begin());
}

std::uint32_t IpAddress::v4_value() const {
    assert(is_v4());
    std::uint32_t value = 0;
    for (unsigned i = 12; i < 16; ++i) {
        value = value << 8 | bytes_[i];
    }
    return value;
}

IpAddress::Number IpAddress::number() const {
    Number number = 0;
    for (const std::uint8_t byte : bytes_) {
        number = number << 8 | byte;
    }
    return number;
}

IpAddress IpAddress::from_number(Number number) {
    IpAddress address;
    for (std::size_t i = address.bytes_.size(); i > 0; --i) {
        address.bytes_[i - 1] = static_cast<std::uint8_t>(number & 0xff);
        number >>= 8;
    }
    return address;
}

bool IpAddress::is_link_local6() const {
    return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

std::string IpAddress::str() const {
    if (unset()) {
        return "";
    }
    char buffer[INET6_ADDRSTRLEN];
    const bool four = is_v4();
    const std::uint8_t* from = bytes_.data() + (four ? 12 : 0);
    return ::inet_ntop(four ? AF_INET : AF_INET6, from, buffer, sizeof(buffer));
}

Subnet::Subnet(IpAddress base, unsigned prefix)
    : base_(IpAddress::from_number(base.number() & ~host_mask(base.is_v4(), prefix))),
      prefix_(prefix) {}

Result<Subnet> Subnet::parse(std::string_view text) {
    const auto bad = [&](std::string_view why) {
        return Error(ErrorKind::invalid_argument,
                     fmt::format("invalid network config:\ninvalid subnet {}: {}", text, why));
    };
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) {
        return bad("no '/'");
    }
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address) {
        return bad("unable to parse IP");
    }
    unsigned prefix = 0;
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (error != std::errc{} || end != digits.data() + digits.size()) {
        return bad("bad bits after slash: \"" + std::string(digits) + "\"");
    }
    if (prefix > (address->is_v4() ? v4_bits : v6_bits)) {
        return bad("prefix length out of range");
    }
    return Subnet(*address, prefix);
}

IpAddress Subnet::last() const {
    return IpAddress::from_number(base_.number() | host_mask(is_v4(), prefix_));
}

bool Subnet::contains(const IpAddress& address) const {
    return address.is_v4() == is_v4() && base_ <= address && address <= last();
}

bool Subnet::contains(const Subnet& other) const {
    return prefix_ <= other.prefix_ && contains(other.base_);
}

bool Subnet::overlaps(const Subnet& other) const {
    return contains(other) || other.contains(*this);
}

std::string Subnet::str() const {
    return unset() ? "" : base_.str() + "/" + std::to_string(prefix_);
}

std::string mac_text(const MacAddress& mac) {
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
                       mac[0],
                       mac[1],
                       mac[2],
                       mac[3],
                       mac[4],
                       mac[5]);
}

Result<MacAddress> mac_parse(std::string_view text) {
    MacAddress mac{};
    const Error bad(ErrorKind::invalid_argument,
                    "address " + std::string(text) + ": invalid MAC address");
    if (text.size() != 17) {
        return bad;
    }
    for (std::size_t i = 0; i < mac.size(); ++i) {
        const char* at = text.data() + 3 * i;
        const auto [end, error] = std::from_chars(at, at + 2, mac[i], 16);
        if (error != std::errc{} || end != at + 2 || (i < 5 && *end != ':' && *end != '-')) {
            return bad;
        }
    }
    return mac;
}

MacAddress mac_of(const IpAddress& address) {
    const auto& bytes = address.bytes();
    return {0x02, 0x42, bytes[12], bytes[13], bytes[14], bytes[15]};
}

}  // namespace davit
