/* What all programs share: maps, addresses, counters. */
#pragma once

/* clang-format off: linux/bpf.h first. */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
/* clang-format on */

#include "bpf/shared/types.h"

#define INLINE static __always_inline
#define NOINLINE static __attribute__((noinline))
/* Verified once by itself, not once for every way to a call: pointers may be null there. */
#define GLOBAL __attribute__((noinline))

#define DAVIT_MAP(name, kind, key_type, value_type, entries, flag_bits) \
    struct {                                                            \
        __uint(type, kind);                                             \
        __uint(max_entries, entries);                                   \
        __uint(map_flags, flag_bits);                                   \
        __type(key, key_type);                                          \
        __type(value, value_type);                                      \
    } name SEC(".maps")

DAVIT_MAP(port_map,
          BPF_MAP_TYPE_HASH,
          struct port_map_key,
          struct port_map_value,
          DAVIT_PORTS_MAX,
          BPF_F_NO_PREALLOC);
DAVIT_MAP(endpoint,
          BPF_MAP_TYPE_HASH,
          struct davit_address,
          struct endpoint_value,
          DAVIT_ENDPOINTS_MAX,
          BPF_F_NO_PREALLOC);
DAVIT_MAP(net, BPF_MAP_TYPE_ARRAY, __u32, struct net_value, DAVIT_NETWORKS_MAX, 0);
/* By the number of its network: its IPv6 gateway, all zero without one. */
DAVIT_MAP(gateway6, BPF_MAP_TYPE_ARRAY, __u32, struct davit_address, DAVIT_NETWORKS_MAX, 0);
DAVIT_MAP(host_addr,
          BPF_MAP_TYPE_HASH,
          struct davit_address,
          struct host_addr_value,
          16384,
          BPF_F_NO_PREALLOC);
DAVIT_MAP(uplink, BPF_MAP_TYPE_HASH, __u32, struct uplink_value, 4096, BPF_F_NO_PREALLOC);
/* The same of IPv6. */
DAVIT_MAP(uplink6, BPF_MAP_TYPE_HASH, __u32, struct uplink_value, 4096, BPF_F_NO_PREALLOC);
DAVIT_MAP(flow, BPF_MAP_TYPE_LRU_HASH, struct flow_key, struct flow_value, 131072, 0);
DAVIT_MAP(sock_rev, BPF_MAP_TYPE_LRU_HASH, struct sock_rev_key, struct sock_rev_value, 32768, 0);
DAVIT_MAP(fragment, BPF_MAP_TYPE_LRU_HASH, struct fragment_key, struct fragment_value, 4096, 0);
DAVIT_MAP(
    netns, BPF_MAP_TYPE_HASH, __u64, struct netns_value, DAVIT_ENDPOINTS_MAX, BPF_F_NO_PREALLOC);
/* Sockets of the daemon's that may be bound to published ports: it holds them (by cookie). */
DAVIT_MAP(holder, BPF_MAP_TYPE_HASH, __u64, __u32, 64, BPF_F_NO_PREALLOC);
DAVIT_MAP(config, BPF_MAP_TYPE_ARRAY, __u32, struct config_value, 1, 0);
DAVIT_MAP(stats, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct stat_value, DAVIT_STATS_MAX, 0);

/* Its key has a place on a stack of its own: before kernel 6.8 all that call one another share 512
 * bytes, and callers are near that. */
NOINLINE void count(__u32 reason, __u32 bytes) {
    struct stat_value* value = bpf_map_lookup_elem(&stats, &reason);
    if (value) {
        value->packets += 1;
        value->bytes += bytes;
    }
}

/* The only way to drop a packet: none goes without a counter. */
INLINE int drop(struct __sk_buff* skb, __u32 reason) {
    count(reason, skb->len);
    return TC_ACT_SHOT;
}

INLINE struct config_value* config_get(void) {
    __u32 zero = 0;
    return bpf_map_lookup_elem(&config, &zero);
}

INLINE void address_v4(struct davit_address* address, __be32 v4) {
    __u32* words = (__u32*)address;
    words[0] = 0;
    words[1] = 0;
    words[2] = bpf_htonl(0xffff);
    words[3] = v4;
}

INLINE __be32 v4_of(const struct davit_address* address) {
    return ((const __u32*)address)[3];
}

INLINE int is_loopback_v4(__be32 v4) {
    return (v4 & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
}

/* ::ffff:a.b.c.d: what the maps have for IPv4; on a link it is nobody's. */
INLINE int is_mapped(const struct davit_address* address) {
    const __u32* words = (const __u32*)address;
    return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

/* A published port: of this very address, else of all of its family. */
INLINE struct port_map_value* port_find(const struct davit_address* address,
                                        __be16 port_be,
                                        __u8 protocol) {
    struct port_map_key key = {.port_be = port_be, .protocol = protocol};
    key.addr = *address;
    struct port_map_value* value = bpf_map_lookup_elem(&port_map, &key);
    if (value) {
        return value;
    }
    __builtin_memset(&key.addr, 0, sizeof(key.addr));
    if (is_mapped(address)) {
        address_v4(&key.addr, 0);
    }
    return bpf_map_lookup_elem(&port_map, &key);
}

INLINE struct port_map_value* port_find_v4(__be32 v4, __be16 port_be, __u8 protocol) {
    struct davit_address address;
    address_v4(&address, v4);
    return port_find(&address, port_be, protocol);
}
