#include "bpf/programs.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "reactor/base/fd.h"

#include "davit.skel.h"

namespace davit {

namespace {

/// Above the default range of ephemeral ports, so that the host's own sockets rarely meet them.
constexpr std::uint16_t snat_port_first = 61000;
constexpr std::uint16_t snat_port_last = 65535;

struct StatName {
    const char* name;
    const char* meaning;
};

/// In the order of davit_stat.
constexpr std::array<StatName, DAVIT_STAT_COUNT> stat_names{{
    {"socket_translated",
     "connections of the host's, led straight to a published port's container"},
    {"published", "connections from outside to a published port"},
    {"masqueraded", "connections of containers to the outside"},
    {"hairpin", "connections of containers to a published port"},
    {"loopback", "connections of the host's to a published port, by its loopback"},
    {"direct", "packets from container to container of one network"},
    {"icmp_error", "ICMP errors that were translated"},
    {"drop_spoofed", "a container sent from an address that is not its own"},
    {"drop_other_network", "a container sent to one of another network"},
    {"drop_no_icc", "containers of this network may not reach one another"},
    {"drop_internal", "a container of an internal network sent to the outside"},
    {"drop_unpublished", "sent from outside straight to a container's address"},
    {"drop_no_port", "no port was free to masquerade with"},
    {"drop_no_route", "the host has no route there by a link with an address"},
    {"drop_malformed", "headers that cannot be understood or changed"},
    {"drop_no_flow", "its container has just gone, or the table of flows took no more"},
    {"answered", "packets of containers that went no further: too many hops, or too long"},
}};

/// The last thing that libbpf warned of on this thread: it says more than an errno.
thread_local std::string warning;

__attribute__((format(printf, 2, 0))) int print(enum libbpf_print_level level,
                                                const char* format,
                                                va_list arguments) {
    constexpr std::size_t shown_max = 512;
    if (level == LIBBPF_WARN) {
        char line[shown_max];
        std::vsnprintf(line, sizeof(line), format, arguments);
        warning = line;
        while (!warning.empty() && warning.back() == '\n') {
            warning.pop_back();
        }
    }
    return 0;
}

Error refused(const char* what) {
    const int error = errno;
    std::string message = std::string("BPF: ") + what + ": " + errno_text(error);
    if (!warning.empty()) {
        message += ": " + warning;
    }
    return Error(ErrorKind::unsupported, std::move(message));
}

template <typename Key>
std::vector<Key> keys_of(int map) {
    std::vector<Key> keys;
    Key key{};
    for (int more = bpf_map_get_next_key(map, nullptr, &key); more == 0;
         more = bpf_map_get_next_key(map, &key, &key)) {
        keys.push_back(key);
    }
    return keys;
}

template <typename Key, typename Value>
Result<void> set(int map, const Key& key, const Value& value, const char* name) {
    if (bpf_map_update_elem(map, &key, &value, BPF_ANY) != 0) {
        return Error::from_errno(errno, "update BPF map", name);
    }
    return ok;
}

template <typename Value, typename Key>
std::optional<Value> get(int map, const Key& key) {
    Value value{};
    if (bpf_map_lookup_elem(map, &key, &value) != 0) {
        return std::nullopt;
    }
    return value;
}

template <typename Key>
void erase(int map, const Key& key) {
    static_cast<void>(bpf_map_delete_elem(map, &key));
}

int fd_of(const bpf_map* map) {
    return bpf_map__fd(map);
}

}  // namespace

std::string network_layout() {
    return "v" + std::to_string(DAVIT_LAYOUT_VERSION);
}

struct NetworkPrograms::Object {
    davit_bpf* skeleton = nullptr;
    std::vector<bpf_link*> links;

    ~Object() {
        for (bpf_link* link : links) {
            bpf_link__disconnect(link);  // Pinned: it lives on.
            bpf_link__destroy(link);
        }
        if (skeleton != nullptr) {
            davit_bpf__destroy(skeleton);
        }
    }

    Result<void> maps_pin(const std::string& directory) {
        bpf_map* map = nullptr;
        bpf_object__for_each_map(map, skeleton->obj) {
            const std::string name = bpf_map__name(map);
            if (bpf_map__is_internal(map)) {
                continue;
            }
            if (bpf_map__set_pin_path(map, (directory + "/" + name).c_str()) != 0) {
                return refused("pin a map");
            }
        }
        return ok;
    }

    /// Attach a hook, or give the one that is attached this program.
    Result<void> hook_attach(bpf_program* program, int cgroup, const std::string& directory) {
        const std::string path = directory + "/link_" + bpf_program__name(program);
        bpf_link* link = bpf_link__open(path.c_str());
        if (link != nullptr) {
            links.push_back(link);
            if (bpf_link__update_program(link, program) != 0) {
                return refused("replace a program");
            }
            return ok;
        }
        link = bpf_program__attach_cgroup(program, cgroup);
        if (link == nullptr) {
            return refused("attach to the cgroup");
        }
        links.push_back(link);
        if (bpf_link__pin(link, path.c_str()) != 0) {
            return refused("pin a link");
        }
        return ok;
    }

    Result<void> hooks_attach(int cgroup, const std::string& directory) {
        bpf_program* program = nullptr;
        bpf_object__for_each_program(program, skeleton->obj) {
            const enum bpf_prog_type type = bpf_program__type(program);
            if (type == BPF_PROG_TYPE_CGROUP_SOCK_ADDR || type == BPF_PROG_TYPE_CGROUP_SOCK) {
                TRY_VOID(hook_attach(program, cgroup, directory));
            }
        }
        return ok;
    }
};

NetworkPrograms::NetworkPrograms(std::unique_ptr<Object> object) : object_(std::move(object)) {}

NetworkPrograms::~NetworkPrograms() = default;

Result<std::unique_ptr<NetworkPrograms>> NetworkPrograms::open(
    const NetworkProgramsOptions& options) {
    libbpf_set_print(print);
    warning.clear();
    const std::string directory = options.pin_directory + "/" + network_layout();
    TRY_VOID(make_directories(directory, 0700));
    auto object = std::make_unique<Object>();
    object->skeleton = davit_bpf__open();
    if (object->skeleton == nullptr) {
        return refused("open the programs");
    }
    TRY_VOID(object->maps_pin(directory));
    if (davit_bpf__load(object->skeleton) != 0) {
        return refused("load the programs");
    }
    const std::uint32_t zero = 0;
    const config_value settings{.host_cookie = options.host_cookie,
                                .layout = DAVIT_LAYOUT_VERSION,
                                .snat_port_first = snat_port_first,
                                .snat_port_last = snat_port_last};
    TRY_VOID(set(fd_of(object->skeleton->maps.config), zero, settings, "config"));
    TRY_VOID(object->hooks_attach(options.cgroup_fd, directory));
    return std::unique_ptr<NetworkPrograms>(new NetworkPrograms(std::move(object)));
}

int NetworkPrograms::from_container_fd() const {
    return bpf_program__fd(object_->skeleton->progs.from_container);
}

int NetworkPrograms::from_uplink_l3_fd() const {
    return bpf_program__fd(object_->skeleton->progs.from_uplink_l3);
}

int NetworkPrograms::from_uplink_fd() const {
    return bpf_program__fd(object_->skeleton->progs.from_uplink);
}

int NetworkPrograms::from_lo_fd() const {
    return bpf_program__fd(object_->skeleton->progs.from_lo);
}

Result<PacketRun> NetworkPrograms::packet_run(int program_fd,
                                              std::uint32_t ifindex,
                                              const std::string& frame) const {
    constexpr std::size_t growth_max = 64;
    PacketRun run;
    run.frame.resize(frame.size() + growth_max);
    __sk_buff context{};
    context.ifindex = ifindex;
    bpf_test_run_opts options{};
    options.sz = sizeof(options);
    options.data_in = frame.data();
    options.data_size_in = static_cast<__u32>(frame.size());
    options.data_out = run.frame.data();
    options.data_size_out = static_cast<__u32>(run.frame.size());
    options.ctx_in = &context;
    options.ctx_size_in = sizeof(context);
    if (bpf_prog_test_run_opts(program_fd, &options) != 0) {
        return Error::from_errno(errno, "run a BPF program on a packet");
    }
    run.verdict = static_cast<int>(options.retval);
    run.frame.resize(options.data_size_out);
    return run;
}

std::optional<flow_value> NetworkPrograms::flow_get(const flow_key& key) const {
    return get<flow_value>(fd_of(object_->skeleton->maps.flow), key);
}

void NetworkPrograms::flow_delete(const flow_key& key) {
    erase(fd_of(object_->skeleton->maps.flow), key);
}

std::optional<port_map_value> NetworkPrograms::port_get(const davit_address& address,
                                                        std::uint16_t port_be,
                                                        std::uint8_t protocol) const {
    constexpr std::size_t mapped_bytes = 12;  // ::ffff:0.0.0.0 is any IPv4 address.
    port_map_key key{.addr = address, .port_be = port_be, .protocol = protocol, .pad = 0};
    const int map = fd_of(object_->skeleton->maps.port_map);
    if (const auto exact = get<port_map_value>(map, key)) {
        return exact;
    }
    constexpr davit_address any4{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};
    const bool is_v4 = std::memcmp(&address, &any4, mapped_bytes) == 0;
    key.addr = is_v4 ? any4 : davit_address{};
    return get<port_map_value>(map, key);
}

Result<void> NetworkPrograms::port_set(const port_map_key& key, const port_map_value& value) {
    return set(fd_of(object_->skeleton->maps.port_map), key, value, "port_map");
}

void NetworkPrograms::port_delete(const port_map_key& key) {
    erase(fd_of(object_->skeleton->maps.port_map), key);
}

std::vector<port_map_key> NetworkPrograms::ports() const {
    return keys_of<port_map_key>(fd_of(object_->skeleton->maps.port_map));
}

Result<void> NetworkPrograms::endpoint_set(const davit_address& address,
                                           const endpoint_value& value) {
    return set(fd_of(object_->skeleton->maps.endpoint), address, value, "endpoint");
}

std::optional<endpoint_value> NetworkPrograms::endpoint_get(const davit_address& address) const {
    return get<endpoint_value>(fd_of(object_->skeleton->maps.endpoint), address);
}

void NetworkPrograms::endpoint_delete(const davit_address& address) {
    erase(fd_of(object_->skeleton->maps.endpoint), address);
}

std::vector<davit_address> NetworkPrograms::endpoints() const {
    return keys_of<davit_address>(fd_of(object_->skeleton->maps.endpoint));
}

Result<void> NetworkPrograms::net_set(std::uint32_t number,
                                      const net_value& value,
                                      const davit_address& gateway6) {
    TRY_VOID(set(fd_of(object_->skeleton->maps.gateway6), number, gateway6, "gateway6"));
    return set(fd_of(object_->skeleton->maps.net), number, value, "net");
}

Result<void> NetworkPrograms::host_address_set(const davit_address& address,
                                               std::uint32_t ifindex) {
    const host_addr_value value{.ifindex = ifindex};
    return set(fd_of(object_->skeleton->maps.host_addr), address, value, "host_addr");
}

void NetworkPrograms::host_address_delete(const davit_address& address) {
    erase(fd_of(object_->skeleton->maps.host_addr), address);
}

std::vector<davit_address> NetworkPrograms::host_addresses() const {
    return keys_of<davit_address>(fd_of(object_->skeleton->maps.host_addr));
}

Result<void> NetworkPrograms::uplink_set(std::uint32_t ifindex, const uplink_value& value) {
    return set(fd_of(object_->skeleton->maps.uplink), ifindex, value, "uplink");
}

void NetworkPrograms::uplink_delete(std::uint32_t ifindex) {
    erase(fd_of(object_->skeleton->maps.uplink), ifindex);
}

std::vector<std::uint32_t> NetworkPrograms::uplinks() const {
    return keys_of<std::uint32_t>(fd_of(object_->skeleton->maps.uplink));
}

Result<void> NetworkPrograms::uplink6_set(std::uint32_t ifindex, const uplink_value& value) {
    return set(fd_of(object_->skeleton->maps.uplink6), ifindex, value, "uplink6");
}

void NetworkPrograms::uplink6_delete(std::uint32_t ifindex) {
    erase(fd_of(object_->skeleton->maps.uplink6), ifindex);
}

std::vector<std::uint32_t> NetworkPrograms::uplinks6() const {
    return keys_of<std::uint32_t>(fd_of(object_->skeleton->maps.uplink6));
}

Result<void> NetworkPrograms::netns_set(std::uint64_t cookie, const netns_value& value) {
    return set(fd_of(object_->skeleton->maps.netns), cookie, value, "netns");
}

void NetworkPrograms::netns_delete(std::uint64_t cookie) {
    erase(fd_of(object_->skeleton->maps.netns), cookie);
}

std::vector<std::uint64_t> NetworkPrograms::namespaces() const {
    return keys_of<std::uint64_t>(fd_of(object_->skeleton->maps.netns));
}

Result<void> NetworkPrograms::holder_allow(std::uint64_t cookie) {
    const std::uint32_t one = 1;
    return set(fd_of(object_->skeleton->maps.holder), cookie, one, "holder");
}

void NetworkPrograms::holder_forget(std::uint64_t cookie) {
    erase(fd_of(object_->skeleton->maps.holder), cookie);
}

std::vector<NetworkStat> NetworkPrograms::stats_none() {
    std::vector<NetworkStat> stats;
    for (const auto& [name, meaning] : stat_names) {
        stats.push_back({.name = name, .meaning = meaning});
    }
    return stats;
}

std::vector<NetworkStat> NetworkPrograms::stats() const {
    std::vector<NetworkStat> stats = stats_none();
    const int cpus = libbpf_num_possible_cpus();
    if (cpus <= 0) {
        return stats;
    }
    std::vector<stat_value> values(static_cast<std::size_t>(cpus));
    for (std::uint32_t i = 0; i < stats.size(); ++i) {
        if (bpf_map_lookup_elem(fd_of(object_->skeleton->maps.stats), &i, values.data()) == 0) {
            for (const stat_value& value : values) {
                stats[i].packets += value.packets;
                stats[i].bytes += value.bytes;
            }
        }
    }
    return stats;
}

}  // namespace davit
