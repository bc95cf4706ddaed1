// Goal: what is traced is a packet that a kernel would take: lengths and checksums are right, and
// it reads back. Method: frames of both families and protocols, summed up again as a receiver does.
#include "drivers/net/trace_frame.h"

#include <netinet/in.h>

#include "tests/support/catch.h"

using namespace davit;

namespace {

std::uint32_t sum_of(std::string_view bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
        const auto low = i + 1 < bytes.size() ? static_cast<unsigned char>(bytes[i + 1]) : 0U;
        sum += static_cast<unsigned>(static_cast<unsigned char>(bytes[i])) << 8 | low;
    }
    return sum;
}

/// A receiver's view: the sum over what is right is all ones.
std::uint32_t folded(std::uint32_t sum) {
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

TraceTuple tuple(const char* from, const char* to, std::uint8_t protocol) {
    return {*IpAddress::parse(from), *IpAddress::parse(to), 40000, 80, protocol};
}

}  // namespace

TEST_CASE("a frame to trace is whole, and reads back", "[network]") {
    const MacAddress from_mac{2, 0x42, 1, 2, 3, 4};
    const MacAddress to_mac{2, 0x42, 9, 8, 7, 6};
    for (const std::uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
        for (const bool six : {false, true}) {
            const TraceTuple sent = six ? tuple("fd00::2", "fd00::3", protocol)
                                        : tuple("172.18.0.2", "10.0.0.9", protocol);
            const std::string frame = trace_frame_write(sent, from_mac, to_mac);
            const std::size_t header = six ? 40 : 20;
            const std::size_t segment = protocol == IPPROTO_TCP ? 20 : 8;
            REQUIRE(frame.size() == 14 + header + segment);
            CHECK(frame.substr(0, 6) == std::string(to_mac.begin(), to_mac.end()));
            CHECK(frame.substr(6, 6) == std::string(from_mac.begin(), from_mac.end()));
            const std::string_view packet = std::string_view(frame).substr(14);
            if (!six) {
                CHECK(folded(sum_of(packet.substr(0, header))) == 0xffff);
            }
            const std::string_view addresses = six ? packet.substr(8, 32) : packet.substr(12, 8);
            const auto pseudo = static_cast<std::uint32_t>(protocol + segment);
            CHECK(folded(sum_of(addresses) + pseudo + sum_of(packet.substr(header))) == 0xffff);
            const auto read = trace_frame_read(frame);
            REQUIRE(read);
            CHECK(*read == sent);
            CHECK(!trace_frame_read(frame.substr(0, 14 + header)));
        }
    }
    CHECK(tuple("172.18.0.2", "10.0.0.9", IPPROTO_TCP).str() ==
          "tcp 172.18.0.2:40000 -> 10.0.0.9:80");
    CHECK(tuple("fd00::2", "::", IPPROTO_UDP).str() == "udp [fd00::2]:40000 -> [::]:80");
    CHECK(!trace_frame_read(std::string(60, '\0')));
}
