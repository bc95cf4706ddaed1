#pragma once
/// IP addresses and subnets as values. An IPv4 address is held as IPv4-mapped (::ffff:a.b.c.d), the
/// form that the BPF maps have too, so that one type serves both families.
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

class IpAddress {
  public:
    using Number = unsigned __int128;

    /// "::": unset.
    IpAddress() = default;

    /// Takes: host order.
    static IpAddress v4(std::uint32_t value);

    static IpAddress from_bytes(const std::array<std::uint8_t, 16>& bytes);

    /// "172.17.0.2", "fd00::1". Errors: invalid_argument.
    static Result<IpAddress> parse(std::string_view text);

    bool is_v4() const;

    bool unset() const { return *this == IpAddress(); }

    /// Host order; only of an IPv4 address.
    std::uint32_t v4_value() const;

    /// All 128 bits as a number, host order: where an address stands among the others.
    Number number() const;
    static IpAddress from_number(Number number);

    /// fe80::/10: means nothing without its link.
    bool is_link_local6() const;

    /// Network order.
    const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }

    /// As inet_ntop(3); "" if unset.
    std::string str() const;

    auto operator<=>(const IpAddress&) const = default;

  private:
    std::array<std::uint8_t, 16> bytes_{};
};

/// A subnet of either family: the network's address and its prefix length.
class Subnet {
  public:
    Subnet() = default;

    /// prefix: 0 to 32, of an IPv6 address 0 to 128; bits of the host in base are dropped.
    Subnet(IpAddress base, unsigned prefix);

    /// "172.18.0.0/16"; bits of the host are kept out. Errors: invalid_argument, as Go's
    /// netip.ParsePrefix words it.
    static Result<Subnet> parse(std::string_view text);

    bool unset() const { return base_.unset() && prefix_ == 0; }

    bool is_v4() const { return base_.is_v4(); }

    IpAddress base() const { return base_; }

    unsigned prefix() const { return prefix_; }

    /// Of IPv4 the broadcast address.
    IpAddress last() const;

    bool contains(const IpAddress& address) const;
    bool contains(const Subnet& other) const;
    bool overlaps(const Subnet& other) const;

    /// "172.18.0.0/16"; "" if unset.
    std::string str() const;

    bool operator==(const Subnet&) const = default;

  private:
    IpAddress base_;
    unsigned prefix_ = 0;
};

using MacAddress = std::array<std::uint8_t, 6>;

/// "02:42:ac:11:00:02"
std::string mac_text(const MacAddress& mac);

/// Errors: invalid_argument.
Result<MacAddress> mac_parse(std::string_view text);

/// Docker's: 02:42 and the IPv4 address, so that a neighbour's cache stays right when an address is
/// given out again.
MacAddress mac_of(const IpAddress& address);

}  // namespace davit
