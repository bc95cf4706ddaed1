#include "drivers/net/bridge_host.h"

#include <linux/if_arp.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "bpf/pins.h"
#include "drivers/net/loopback.h"
#include "libcontainer/mount.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

constexpr std::string_view alias_prefix = "davit:";

bool is_bpffs(const std::string& path) {
    struct statfs info {};

    return ::statfs(path.c_str(), &info) == 0 && info.f_type == BPF_FS_MAGIC;
}

Error no_bridges(Error error) {
    return Error(ErrorKind::unsupported,
                 "bridge networks need eBPF, which this host does not let davit use: " +
                     error.message() + "; --network none and --network host work without");
}

/// The host may have IPv6 off for new links; no container is a router of the host's; and routes
/// are looked up (bpf_fib_lookup()) for links that forward alone. The stack forwards nothing by
/// that: it asks net.ipv6.conf.all.
Result<void> ipv6_configure(const std::string& bridge) {
    constexpr std::array<std::pair<const char*, const char*>, 3> settings{
        {{"disable_ipv6", "0"}, {"accept_ra", "0"}, {"forwarding", "1"}}};
    Result<void> done = ok;
    for (const auto& [name, value] : settings) {
        if (done) {
            done = ipv6_setting(bridge, name, value);
        }
    }
    if (!done && done.error().kind() == ErrorKind::not_found) {
        return Error(ErrorKind::unsupported, "this host's kernel has no IPv6: leave --ipv6 out");
    }
    return done;
}

/// Open lo for packets between 127.0.0.1 and containers. What it was like before is in the note
/// of every daemon's filter there, so that the last one that leaves can put it back.
Result<void> loopback_take(NetlinkSocket& socket, const BridgeDriverOptions& options, int program) {
    // In this order: one that changes the settings has put its filter there before.
    TRY(std::string closed, loopback_closed());
    TRY(const std::vector<FilterInfo> filters, filters_read(socket, loopback_index));
    for (const FilterInfo& filter : filters) {
        if (auto name = filter_name_of(filter)) {
            closed = std::move(name->note);
        }
    }
    TRY(closed, loopback_note(options.loopback_note, closed));
    TRY_VOID(filter_put(socket, loopback_index, program, {"davit_from_lo", options.owner, closed}));
    NetlinkBatch batch;
    loopback_up(batch);
    loopback_open(batch);
    return socket.run(batch);
}

}  // namespace

davit_address bpf_address(const IpAddress& address) {
    davit_address value{};
    std::memcpy(value.bytes, address.bytes().data(), sizeof(value.bytes));
    return value;
}

IpAddress address_from(const davit_address& address) {
    std::array<std::uint8_t, sizeof(address.bytes)> bytes{};
    std::memcpy(bytes.data(), address.bytes, bytes.size());
    return IpAddress::from_bytes(bytes);
}

std::string link_alias_prefix(const std::string& owner) {
    return std::string(alias_prefix) + owner + ":";
}

bool is_davits(const LinkInfo& link) {
    return link.alias.starts_with(alias_prefix);
}

std::string bridge_alias(const std::string& owner, const NetworkId& network) {
    return bridge_alias_prefix(owner) + network.str();
}

std::string parent_alias(const std::string& owner, const NetworkId& network) {
    return parent_alias_prefix(owner) + network.str();
}

std::string bridge_alias_prefix(const std::string& owner) {
    return link_alias_prefix(owner) + "network:";
}

std::string parent_alias_prefix(const std::string& owner) {
    return link_alias_prefix(owner) + "parent:";
}

std::string endpoint_alias(const std::string& owner, const EndpointId& endpoint) {
    return endpoint_alias_prefix(owner) + endpoint.str();
}

std::string endpoint_alias_prefix(const std::string& owner) {
    return link_alias_prefix(owner) + "endpoint:";
}

std::string veth_name(const EndpointId& endpoint) {
    constexpr std::size_t digits = 12;  // IFNAMSIZ leaves 15 characters.
    return "dve" + endpoint.str().substr(0, digits);
}

Result<HostInstalled> host_install(const BridgeDriverOptions& options) {
    HostInstalled installed;
    const bool was_there = is_bpffs(options.pin_directory);
    const auto install = [&]() -> Result<void> {
        TRY_VOID(make_directories(options.pin_directory, 0700));
        if (!is_bpffs(options.pin_directory) && ::mount("bpf",
                                                        options.pin_directory.c_str(),
                                                        "bpf",
                                                        MS_NOSUID | MS_NODEV | MS_NOEXEC,
                                                        "mode=0700") != 0) {
            return Error::from_errno(errno, "mount a bpffs", options.pin_directory);
        }
        TRY_VOID(make_directories(options.cgroup_path));
        TRY(const Fd cgroup, Fd::open(options.cgroup_path, O_RDONLY | O_DIRECTORY));
        NetworkProgramsOptions programs;
        programs.pin_directory = options.pin_directory;
        programs.cgroup_fd = cgroup.get();
        TRY(programs.host_cookie, netns_cookie());
        TRY(installed.netns, netns_current());
        TRY(installed.programs, NetworkPrograms::open(programs));
        // Of an earlier davit, whose maps were of other types: its hooks would answer still.
        return network_pins_remove(options.pin_directory, network_layout());
    };
    if (options.cgroup_path.empty()) {
        return no_bridges(Error(ErrorKind::unsupported, "no cgroup2 hierarchy is mounted"));
    }
    Result<void> done = install();
    if (!done) {
        if (!was_there) {
            static_cast<void>(host_uninstall(options));  // Nothing is in it yet.
        }
        return no_bridges(std::move(done).error());
    }
    return installed;
}

bool host_is_installed(const BridgeDriverOptions& options) {
    return is_bpffs(options.pin_directory);
}

bool is_uplink(const LinkInfo& link, const std::string& owner) {
    const bool has_known_header = link.type == ARPHRD_ETHER || link.type == ARPHRD_NONE;
    return link.index != loopback_index && has_known_header && link.master == 0 &&
           !link.alias.starts_with(link_alias_prefix(owner));
}

Result<HostLinks> host_links_follow(const BridgeDriverOptions& options,
                                    const NetworkPrograms& programs,
                                    FilteredLinks filtered) {
    TRY(NetlinkSocket socket, NetlinkSocket::open());
    HostLinks links;
    TRY(links.host, host_network_read(socket));
    if (!filtered.contains(loopback_index)) {
        TRY_VOID(loopback_take(socket, options, programs.from_lo_fd()));
        filtered.insert(loopback_index);
    }
    for (const LinkInfo& link : links.host.links) {
        if (!is_uplink(link, options.owner) || filtered.contains(link.index)) {
            continue;
        }
        const int program =
            link.type == ARPHRD_NONE ? programs.from_uplink_l3_fd() : programs.from_uplink_fd();
        const Result<void> put =
            filter_put(socket, link.index, program, {"davit_from_uplink", options.owner});
        if (put) {
            filtered.insert(link.index);
        } else if (put.error().errno_value() != ENODEV) {
            LOG_WARN("network: {}: {}, ignoring: nothing is published there",
                     link.name,
                     put.error().message());
        }
    }
    std::erase_if(filtered, [&](int index) { return links.host.find(index) == nullptr; });
    links.filtered = std::move(filtered);
    return links;
}

Result<std::vector<std::string>> network_links_delete(const std::string& alias_prefix,
                                                      const std::set<std::string>& kept_aliases) {
    TRY(NetlinkSocket socket, NetlinkSocket::open());
    TRY(const std::vector<LinkInfo> links, links_read(socket));
    std::vector<std::string> deleted;
    for (const LinkInfo& link : links) {
        if (link.alias.starts_with(alias_prefix) && !kept_aliases.contains(link.alias)) {
            NetlinkBatch batch;
            link_delete(batch, link.index, link.name);
            TRY_VOID(socket.run(batch));
            deleted.push_back(link.name);
        }
    }
    return deleted;
}

Result<BridgeMade> bridge_make(const std::string& owner, const NetworkSpec& network, unsigned mtu) {
    TRY(NetlinkSocket socket, NetlinkSocket::open());
    BridgeRequest request;
    request.name = network.interface;
    request.alias = bridge_alias(owner, network.id);
    request.mac = mac_of(network.gateway);
    request.addresses.push_back({network.gateway, network.subnet.prefix()});
    if (!network.gateway6.unset()) {
        request.addresses.push_back({network.gateway6, network.subnet6.prefix()});
    }
    request.mtu = mtu;
    // By its name alone: the host may have thousands of links.
    TRY(std::optional<LinkInfo> link, link_read(socket, request.name));
    if (link && link->alias != request.alias) {
        return Error(ErrorKind::permission_denied,
                     "cannot create network " + network.id.str() + " (" + network.interface +
                         "): the host has an interface of this name already");
    }
    if (!link) {
        NetlinkBatch batch;
        bridge_add(batch, request);
        TRY_VOID(socket.run(batch));
        TRY(link, link_read(socket, request.name));
    }
    if (!link) {
        return Error(ErrorKind::internal, "bridge " + request.name + " vanished");
    }
    if (!network.gateway6.unset()) {
        TRY_VOID(ipv6_configure(request.name));
    }
    NetlinkBatch batch;
    bridge_configure(batch, link->index, request);
    TRY_VOID(socket.run(batch));
    return BridgeMade{link->index, link->mac};
}

Result<void> host_uninstall(const BridgeDriverOptions& options) {
    if (!is_bpffs(options.pin_directory)) {
        return ok;
    }
    TRY_VOID(network_pins_remove(options.pin_directory));
    TRY_VOID(mount_detach(options.pin_directory));
    if (::rmdir(options.pin_directory.c_str()) != 0 && errno != ENOENT) {
        return Error::from_errno(errno, "rmdir", options.pin_directory);
    }
    return ok;
}

}  // namespace davit
