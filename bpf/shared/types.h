/* What the BPF programs and the daemon both read and write: keys and values of the maps.
 *
 * Fixed-width types, explicit padding, no holes; both compilers check the sizes. Keys are zeroed
 * before they are filled. _be is network order. An IPv4 address is ::ffff:a.b.c.d. A change of any
 * layout needs another DAVIT_LAYOUT_VERSION: a daemon that finds pinned maps of another one makes
 * new maps. */
#pragma once

#include <linux/types.h>

#ifdef __cplusplus
#define DAVIT_STATIC_ASSERT(condition) static_assert(condition)
#else
#define DAVIT_STATIC_ASSERT(condition) _Static_assert(condition, #condition)
#endif

#define DAVIT_LAYOUT_VERSION 2
#define DAVIT_NETWORKS_MAX 8192
#define DAVIT_ENDPOINTS_MAX 16384
#define DAVIT_PORTS_MAX 65536
#define DAVIT_STATS_MAX 64

struct davit_address {
    __u8 bytes[16];
};

/* Key of port_map: a published port, as it looks on the host. */
struct port_map_key {
    struct davit_address addr; /* ::ffff:0.0.0.0 is any of the host's IPv4 ones, :: any IPv6 one. */
    __be16 port_be;
    __u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP. */
    __u8 pad;
};

DAVIT_STATIC_ASSERT(sizeof(struct port_map_key) == 20);

struct port_map_value {
    struct davit_address addr; /* The container's, of the same family. */
    __be16 port_be;
    __u16 pad;
};

DAVIT_STATIC_ASSERT(sizeof(struct port_map_value) == 20);

/* Key of endpoint: struct davit_address. */
struct endpoint_value {
    __u32 ifindex; /* The host's end of the veth pair. */
    __u32 net;     /* Index into net. */
    __u32 generation;
    __u32 flags;
    __u8 mac[6];         /* The container's end. */
    __u8 gateway_mac[6]; /* The bridge. */
};

DAVIT_STATIC_ASSERT(sizeof(struct endpoint_value) == 28);

enum {
    DAVIT_NET_INTERNAL = 1,
    DAVIT_NET_NO_ICC = 2,
    DAVIT_NET_MASQUERADE = 4,
    DAVIT_NET_BY_BRIDGE = 8, /* From container to container by the bridge, where it can be seen. */
};

struct net_value {
    struct davit_address gateway4;
    __u32 flags;
    __u32 bridge_ifindex;
};

DAVIT_STATIC_ASSERT(sizeof(struct net_value) == 24);

/* Key of host_addr: struct davit_address. */
struct host_addr_value {
    __u32 ifindex;
};

/* Key of uplink: ifindex. The address that packets leave with. */
struct uplink_value {
    struct davit_address addr;
    __u32 mtu;
};

DAVIT_STATIC_ASSERT(sizeof(struct uplink_value) == 20);

/* Key of flow: a packet as it comes in. */
struct flow_key {
    struct davit_address src;
    struct davit_address dst;
    __be16 sport_be;
    __be16 dport_be;
    __u8 protocol;
    __u8 pad[3];
};

DAVIT_STATIC_ASSERT(sizeof(struct flow_key) == 40);

enum {
    DAVIT_TO_PEER = 1,  /* Into the container behind a veth. */
    DAVIT_TO_NEIGHBOUR, /* Out of an uplink. */
    DAVIT_TO_LOOPBACK,  /* Back to a local socket. */
};

/* What becomes of it: the whole rewritten tuple, and where it goes. */
struct flow_value {
    struct davit_address src;
    struct davit_address dst;
    __be16 sport_be;
    __be16 dport_be;
    __u32 ifindex;
    __u32 generation; /* The endpoint's, when the flow began. */
    __u8 action;
    __u8 tcp_flags; /* FIN and RST seen this way. */
    __u8 pad[2];
    __u64 last_ns; /* CLOCK_MONOTONIC, to half a second. */
};

DAVIT_STATIC_ASSERT(sizeof(struct flow_value) == 56);

/* Key of sock_rev: what a socket was connected to in place of what it asked for. */
struct sock_rev_key {
    __u64 cookie;
    struct davit_address addr;
    __be16 port_be;
    __u8 pad[6];
};

DAVIT_STATIC_ASSERT(sizeof(struct sock_rev_key) == 32);

struct sock_rev_value {
    struct davit_address addr;
    __be16 port_be;
    __u16 pad;
};

DAVIT_STATIC_ASSERT(sizeof(struct sock_rev_value) == 20);

struct fragment_key {
    struct davit_address src;
    struct davit_address dst;
    __u32 id;
    __u8 protocol;
    __u8 pad[3];
};

DAVIT_STATIC_ASSERT(sizeof(struct fragment_key) == 40);

struct fragment_value {
    __be16 sport_be;
    __be16 dport_be;
};

/* Key of netns: the cookie of a container's network namespace. */
struct netns_value {
    struct davit_address resolver;
    __be16 port_be;
    __u16 pad;
    __u32 net;
};

DAVIT_STATIC_ASSERT(sizeof(struct netns_value) == 24);

struct config_value {
    __u64 host_cookie;
    __u32 layout;
    __u16 snat_port_first; /* Host order. */
    __u16 snat_port_last;
};

DAVIT_STATIC_ASSERT(sizeof(struct config_value) == 16);

/* Why a packet took the way it took; the index into stats. */
enum davit_stat {
    DAVIT_STAT_SOCKET_TRANSLATED, /* A local connect went straight to the container. */
    DAVIT_STAT_PUBLISHED,         /* A flow from outside began. */
    DAVIT_STAT_MASQUERADED,       /* A flow to the outside began. */
    DAVIT_STAT_HAIRPIN,           /* A container's flow to a published port began. */
    DAVIT_STAT_LOOPBACK,          /* A flow by the loopback began. */
    DAVIT_STAT_DIRECT,            /* From container to container, past the bridge. */
    DAVIT_STAT_ICMP_ERROR,        /* An ICMP error was translated. */
    DAVIT_STAT_DROP_SPOOFED,
    DAVIT_STAT_DROP_OTHER_NET,
    DAVIT_STAT_DROP_NO_ICC,
    DAVIT_STAT_DROP_INTERNAL,
    DAVIT_STAT_DROP_UNPUBLISHED, /* From outside straight to a container's address. */
    DAVIT_STAT_DROP_NO_PORT,     /* No port was free for masquerading. */
    DAVIT_STAT_DROP_NO_ROUTE,
    DAVIT_STAT_DROP_MALFORMED,
    DAVIT_STAT_DROP_NO_FLOW, /* Its container has just gone, or the table of flows refused. */
    DAVIT_STAT_ANSWERED,     /* A container's packet went no further, and it was told so. */
    DAVIT_STAT_COUNT,
};

DAVIT_STATIC_ASSERT(DAVIT_STAT_COUNT <= DAVIT_STATS_MAX);

struct stat_value {
    __u64 packets;
    __u64 bytes;
};
