#include "jobs/network/network_check.h"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "drivers/net/child_links.h"
#include "jobs/container/field_check.h"

namespace davit {

namespace {

Error not_yet(const std::string& what, const std::string& instead) {
    return Error(ErrorKind::unsupported, what + " is not supported by davit yet: " + instead);
}

Result<void> name_check(const std::string& name) {
    if (name.find_first_not_of(" \t\r\n\v\f") == std::string::npos) {
        return bad("invalid name: \"" + name + "\"");
    }
    static constexpr std::array<std::string_view, 4> predefined{
        "bridge", "host", "none", "default"};
    if (std::ranges::find(predefined, name) != predefined.end()) {
        return Error(ErrorKind::permission_denied,
                     "operation is not permitted on predefined " + name + " network ");
    }
    if (name.starts_with("container:") || name.find('/') != std::string::npos) {
        return bad("invalid network name: " + name);
    }
    return ok;
}

Result<void> driver_check(const std::string& driver) {
    if (driver.empty() || driver == "bridge" || driver == "default" || driver == "macvlan" ||
        driver == "ipvlan") {
        return ok;
    }
    if (driver == "host" || driver == "null") {
        return Error(ErrorKind::permission_denied,
                     "only one instance of \"" + driver + "\" network is allowed");
    }
    if (driver == "overlay") {
        return not_yet("network driver \"" + driver + "\"", "use bridge");
    }
    return Error(ErrorKind::not_found, "plugin \"" + driver + "\" not found");
}

Result<void> option_check(const std::string& key, const std::string& value) {
    static constexpr std::array<std::string_view, 8> truths{
        "1", "t", "T", "true", "True", "TRUE", "0", "f"};
    static constexpr std::array<std::string_view, 4> lies{"F", "false", "False", "FALSE"};
    if (key == option_icc || key == option_masquerade || key == option_direct) {
        if (std::ranges::find(truths, value) == truths.end() &&
            std::ranges::find(lies, value) == lies.end()) {
            return bad("failed to parse " + key + " value: " + value);
        }
        return ok;
    }
    if (key == option_bridge_name) {
        if (value.empty() || value.size() >= IFNAMSIZ ||
            value.find_first_of("/ :") != std::string::npos) {
            return bad("invalid bridge name: \"" + value + "\"");
        }
        return ok;
    }
    if (key == option_binding) {
        const auto address = IpAddress::parse(value);
        if (!address || !address->is_v4()) {
            return bad("invalid " + key + ": " + value);
        }
        return ok;
    }
    if (key == option_mtu) {
        unsigned mtu = 0;
        const char* end = value.data() + value.size();
        const auto [last, error] = std::from_chars(value.data(), end, mtu);
        if (error != std::errc{} || last != end || (mtu != 0 && mtu < 68) || mtu > 65535) {
            return bad("failed to parse " + key + " value: " + value);
        }
        return ok;
    }
    if (key.starts_with("com.docker.network.")) {
        return not_yet("network option " + key, "leave it out");
    }
    return ok;  // A label of some client's: Docker keeps it, too.
}

/// What macvlan and ipvlan take. Follows: moby's libnetwork/drivers/macvlan, ipvlan.
Result<void> hanging_check(const NetworkRecord& record) {
    const std::string parent = record.option(option_parent);
    if (record.internal && !parent.empty()) {
        return bad("an internal " + record.driver +
                   " network hangs on nothing: leave -o parent=" + parent + " or --internal out");
    }
    if (parent == "lo") {
        return bad("loopback interface is not a valid " + record.driver + " parent link");
    }
    if (parent.size() >= IFNAMSIZ || parent.find_first_of("/ :") != std::string::npos) {
        return bad("invalid parent interface name: \"" + parent + "\"");
    }
    for (const auto& [key, value] : record.options) {
        if (key.starts_with("com.docker.network.bridge.") || key == option_binding ||
            key == option_direct) {
            return bad("option " + key + " is of bridge networks alone, not of " + record.driver +
                       " ones");
        }
        const bool is_ipvlan = key == option_ipvlan_mode || key == option_ipvlan_flag;
        if ((is_ipvlan && record.driver != "ipvlan") ||
            (key == option_macvlan_mode && record.driver != "macvlan")) {
            return bad("option " + key + " is not one of " + record.driver + " networks");
        }
    }
    const std::string mode = record.option(record.driver + "_mode");
    if (record.driver == "macvlan" && !macvlan_mode_known(mode)) {
        return bad("requested macvlan mode '" + mode +
                   "' is not valid, 'bridge' mode is the macvlan driver default");
    }
    if (record.driver == "ipvlan" && !ipvlan_mode_known(mode)) {
        return bad("requested ipvlan mode '" + mode +
                   "' is not valid, 'l2' mode is the ipvlan driver default");
    }
    const std::string flag = record.option(option_ipvlan_flag);
    if (!ipvlan_flag_known(flag)) {
        return bad("requested ipvlan flag '" + flag +
                   "' is not valid, 'bridge' is the ipvlan driver default");
    }
    return ok;
}

Result<void> subnets_check(const NetworkRecord& record) {
    std::size_t of_v4 = 0;
    std::size_t of_v6 = 0;
    for (const IpamConfig& config : record.ipam) {
        if (config.subnet.empty()) {
            if (!config.gateway.empty() || !config.ip_range.empty() ||
                !config.auxiliary_addresses.empty()) {
                return bad("invalid network config:\ninvalid subnet : subnet must be given with " +
                           std::string(config.gateway.empty() ? "an ip-range" : "a gateway"));
            }
            continue;
        }
        ++(config.is_v6() ? of_v6 : of_v4);
        if (config.is_v6() && !record.enable_ipv6) {
            return bad("invalid network config:\nIPv6 subnet " + config.subnet +
                       " is of no use without IPv6: add --ipv6");
        }
    }
    if (of_v4 > 1 || of_v6 > 1) {
        return not_yet("a network of several subnets of one family", "give one --subnet of each");
    }
    return ok;
}

}  // namespace

Result<void> network_create_check(const NetworkCreateRequest& request) {
    const NetworkRecord& record = request.record;
    TRY_VOID(name_check(record.name));
    TRY_VOID(driver_check(record.driver));
    if (request.ingress) {
        return Error(ErrorKind::unavailable,
                     "This node is not a swarm manager. Use \"docker swarm init\" or \"docker "
                     "swarm join\" to connect this node to swarm and try again.");
    }
    if (request.config_only) {
        return not_yet("ConfigOnly", "leave --config-only out");
    }
    if (!request.config_from.empty()) {
        return not_yet("ConfigFrom", "leave --config-from out");
    }
    if (record.ipam_driver != "default" && !record.ipam_driver.empty()) {
        return Error(ErrorKind::not_found, "plugin \"" + record.ipam_driver + "\" not found");
    }
    if (record.hangs()) {
        TRY_VOID(hanging_check(record));
    }
    for (const auto& [key, value] : record.options) {
        TRY_VOID(option_check(key, value));
    }
    return subnets_check(record);
}

Result<void> network_addresses_check(const IpamConfig& config) {
    TRY(const Subnet subnet, Subnet::parse(config.subnet));
    const unsigned prefix_max = subnet.is_v4() ? 30 : 126;
    if (subnet.prefix() > prefix_max || subnet.prefix() < 8) {
        return bad("invalid subnet " + config.subnet + ": davit takes prefixes from 8 to " +
                   std::to_string(prefix_max));
    }
    if (!config.ip_range.empty()) {
        TRY(const Subnet range, Subnet::parse(config.ip_range));
        if (!subnet.contains(range)) {
            return bad("invalid network config:\ninvalid ip-range " + config.ip_range +
                       ": parent subnet is " + config.subnet);
        }
    }
    const auto inside = [&](const std::string& what, const std::string& text) -> Result<void> {
        TRY(const IpAddress address, IpAddress::parse(text));
        if (!subnet.contains(address)) {
            return bad("invalid network config:\ninvalid " + what + " address " + text +
                       ": parent subnet is " + config.subnet);
        }
        return ok;
    };
    TRY_VOID(inside("gateway", config.gateway));
    for (const auto& [name, text] : config.auxiliary_addresses) {
        TRY_VOID(inside("auxiliary", text));
        if (text == config.gateway) {
            return Error(ErrorKind::permission_denied, "Address already in use");
        }
    }
    return ok;
}

Result<void> network_parent_check(const NetworkRecord& record, const NetworkRecord& other) {
    if (!record.hangs() || !other.hangs() || record.interface != other.interface) {
        return ok;
    }
    const auto takes_all = [](const NetworkRecord& one) {
        return one.driver == "ipvlan" || one.option(option_macvlan_mode) == "passthru";
    };
    if (takes_all(record) || takes_all(other)) {
        return Error(
            ErrorKind::conflict,
            "network " + other.name + " is already using parent interface " + record.interface);
    }
    return ok;
}

std::string network_parent_name(const NetworkId& id) {
    return "dm-" + id.short_id();
}

std::string network_interface_name(const NetworkId& id) {
    return "dv-" + id.short_id();
}

}  // namespace davit
