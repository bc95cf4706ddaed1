/* The packet programs, at the ingress of clsact: from_container on the host's end of a container's
 * veth, from_uplink (from_uplink_l3) on the host's links, from_lo on the loopback. Together with
 * the socket hooks (socket.bpf.h) they are davit's network: published ports, masquerade, isolation.
 *
 * Passing is TC_ACT_UNSPEC, so that filters of others behind ours still run. */
#include "bpf/flow.bpf.h"
#include "bpf/socket.bpf.h"

NOINLINE int from_uplink4(struct __sk_buff* skb) {
    struct packet p = {};
    int parsed = packet_parse(skb, &p);
    if (!parsed && p.icmp_error) {
        return icmp_error_translate(skb, p.l4);
    }
    if (!parsed) {
        int followed = flow_follow(skb, &p, 0, 1);
        if (followed != NO_FLOW) {
            return followed;
        }
    }
    if (bpf_map_lookup_elem(&endpoint, &p.key.dst)) {
        /* Straight to a container's address: nobody published that. */
        return drop(skb, DAVIT_STAT_DROP_UNPUBLISHED);
    }
    if (parsed || !begins_flow(&p) || !bpf_map_lookup_elem(&host_addr, &p.key.dst)) {
        return TC_ACT_UNSPEC;
    }
    struct port_map_value* published = port_find(&p.key.dst, p.key.dport_be, p.key.protocol);
    if (!published || host_is_connected(skb, &p.key)) {
        return TC_ACT_UNSPEC;
    }
    int failed = published_begin(skb, &p.key, published);
    if (failed) {
        return failed;
    }
    count(DAVIT_STAT_PUBLISHED, skb->len);
    int followed = flow_follow(skb, &p, 0, 1);
    return followed == NO_FLOW ? drop(skb, DAVIT_STAT_DROP_NO_FLOW) : followed;
}

NOINLINE int from_uplink6(struct __sk_buff* skb) {
    struct packet p = {};
    int parsed = packet6_parse(skb, &p);
    if (!parsed && p.icmp_error) {
        return icmp6_error_translate(skb, p.l4);
    }
    if (!parsed) {
        int followed = flow6_follow(skb, &p, 0, 1);
        if (followed != NO_FLOW) {
            return followed;
        }
    }
    if (bpf_map_lookup_elem(&endpoint, &p.key.dst)) {
        return drop(skb, DAVIT_STAT_DROP_UNPUBLISHED);
    }
    if (parsed || !begins_flow(&p) || !bpf_map_lookup_elem(&host_addr, &p.key.dst)) {
        return TC_ACT_UNSPEC;
    }
    struct port_map_value* published = port_find(&p.key.dst, p.key.dport_be, p.key.protocol);
    if (!published || host_is_connected(skb, &p.key)) {
        return TC_ACT_UNSPEC;
    }
    int failed = published_begin(skb, &p.key, published);
    if (failed) {
        return failed;
    }
    count(DAVIT_STAT_PUBLISHED, skb->len);
    int followed = flow6_follow(skb, &p, 0, 1);
    return followed == NO_FLOW ? drop(skb, DAVIT_STAT_DROP_NO_FLOW) : followed;
}

/* Before: as it arrived on a link of the host. After: into a container, or the stack's. */
SEC("tc")

int from_uplink(struct __sk_buff* skb) {
    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        return from_uplink4(skb);
    }
    return skb->protocol == bpf_htons(ETH_P_IPV6) ? from_uplink6(skb) : TC_ACT_UNSPEC;
}

/* The same of a link without Ethernet headers (tun, wireguard): the packet gets one, so that all is
 * at its usual place. The stack, if it comes to have it, begins at the network header as before. */
SEC("tc")

int from_uplink_l3(struct __sk_buff* skb) {
    __be16 protocol = skb->protocol;
    if (protocol != bpf_htons(ETH_P_IP) && protocol != bpf_htons(ETH_P_IPV6)) {
        return TC_ACT_UNSPEC;
    }
    if (bpf_skb_change_head(skb, ETH_HLEN, 0) ||
        bpf_skb_store_bytes(skb, 2 * ETH_ALEN, &protocol, sizeof(protocol), 0)) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    return protocol == bpf_htons(ETH_P_IP) ? from_uplink4(skb) : from_uplink6(skb);
}

/* From container to container: same network only, past the bridge. */
INLINE int to_container(struct __sk_buff* skb,
                        const struct endpoint_value* source,
                        const struct endpoint_value* target,
                        const struct net_value* network) {
    if (target->net != source->net) {
        return drop(skb, DAVIT_STAT_DROP_OTHER_NET);
    }
    if (network->flags & DAVIT_NET_NO_ICC) {
        return drop(skb, DAVIT_STAT_DROP_NO_ICC);
    }
    if (network->flags & DAVIT_NET_BY_BRIDGE) {
        return TC_ACT_UNSPEC;
    }
    /* Another next hop than the target itself: a route through a container. The bridge knows. */
    __u8 mac[6];
    if (bpf_skb_load_bytes(skb, 0, mac, sizeof(mac))) {
        return TC_ACT_UNSPEC;
    }
    for (int i = 0; i < 6; i++) {
        if (mac[i] != target->mac[i]) {
            return TC_ACT_UNSPEC;
        }
    }
    count(DAVIT_STAT_DIRECT, skb->len);
    bpf_skb_change_type(skb, 0);
    return bpf_redirect_peer(target->ifindex, 0);
}

INLINE int to_host(struct __sk_buff* skb,
                   struct packet* p,
                   const struct net_value* network,
                   int parsed) {
    __be32 dst = v4_of(&p->key.dst);
    if ((network->flags & DAVIT_NET_INTERNAL) && dst != v4_of(&network->gateway4)) {
        return drop(skb, DAVIT_STAT_DROP_INTERNAL);
    }
    if (!parsed || !begins_flow(p) || (network->flags & DAVIT_NET_INTERNAL)) {
        return TC_ACT_UNSPEC;
    }
    struct port_map_value* published = port_find(&p->key.dst, p->key.dport_be, p->key.protocol);
    if (!published) {
        return TC_ACT_UNSPEC;
    }
    int failed = hairpin_begin(skb, &p->key, published, DAVIT_TO_PEER);
    if (failed) {
        return failed;
    }
    count(DAVIT_STAT_HAIRPIN, skb->len);
    int followed = flow_follow(skb, p, 0, 1);
    return followed == NO_FLOW ? drop(skb, DAVIT_STAT_DROP_NO_FLOW) : followed;
}

INLINE int is_multicast_or_broadcast(__be32 v4) {
    return v4 == 0xffffffff || (v4 & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000);
}

NOINLINE int from_container4(struct __sk_buff* skb) {
    struct packet p = {};
    int parsed = packet_parse(skb, &p) == 0;
    struct endpoint_value* source = bpf_map_lookup_elem(&endpoint, &p.key.src);
    if (!source || source->ifindex != skb->ifindex) {
        return drop(skb, DAVIT_STAT_DROP_SPOOFED);
    }
    if (parsed && p.icmp_error) {
        return icmp_error_translate(skb, p.l4);
    }
    if (parsed && p.ttl > 1) { /* One that ends here may still be for a neighbour, or the host. */
        int followed = flow_follow(skb, &p, 0, 1);
        if (followed != NO_FLOW) {
            return followed;
        }
    }
    __u32 number = source->net;
    struct net_value* network = bpf_map_lookup_elem(&net, &number);
    if (!network) {
        return drop(skb, DAVIT_STAT_DROP_SPOOFED);
    }
    struct endpoint_value* target = bpf_map_lookup_elem(&endpoint, &p.key.dst);
    if (target) {
        return to_container(skb, source, target, network);
    }
    if (bpf_map_lookup_elem(&host_addr, &p.key.dst)) {
        return to_host(skb, &p, network, parsed);
    }
    if (is_multicast_or_broadcast(v4_of(&p.key.dst))) {
        return TC_ACT_UNSPEC;
    }
    if (network->flags & DAVIT_NET_INTERNAL) {
        return drop(skb, DAVIT_STAT_DROP_INTERNAL);
    }
    /* Without masquerade, and for other protocols, the host routes if it does (ip_forward). */
    if (!parsed || !(network->flags & DAVIT_NET_MASQUERADE) || p.fragment) {
        return TC_ACT_UNSPEC;
    }
    if (p.ttl <= 1) {
        return error_answer4(skb, ICMP_TIME_EXCEEDED, 0, 0);
    }
    int failed = masquerade_begin(skb, &p.key, network->bridge_ifindex);
    if (failed) {
        /* The stack answers: no route to host. */
        return failed == NO_ROUTE ? TC_ACT_UNSPEC : failed;
    }
    count(DAVIT_STAT_MASQUERADED, skb->len);
    int followed = flow_follow(skb, &p, 0, 1);
    return followed == NO_FLOW ? drop(skb, DAVIT_STAT_DROP_NO_FLOW) : followed;
}

/* Without an address yet: asks whether one is taken, joins groups. */
INLINE int is_joining(const struct packet* p) {
    return p->icmp6 && is_unspecified6(&p->key.src) && is_multicast6(&p->key.dst);
}

INLINE int to_host6(struct __sk_buff* skb,
                    struct packet* p,
                    const struct net_value* network,
                    __u32 number,
                    int parsed) {
    if (network->flags & DAVIT_NET_INTERNAL) {
        struct davit_address* gateway = bpf_map_lookup_elem(&gateway6, &number);
        return gateway && is_same_address(gateway, &p->key.dst)
                   ? TC_ACT_UNSPEC
                   : drop(skb, DAVIT_STAT_DROP_INTERNAL);
    }
    if (!parsed || !begins_flow(p)) {
        return TC_ACT_UNSPEC;
    }
    struct port_map_value* published = port_find(&p->key.dst, p->key.dport_be, p->key.protocol);
    if (!published) {
        return TC_ACT_UNSPEC;
    }
    int failed = hairpin_begin(skb, &p->key, published, DAVIT_TO_PEER);
    if (failed) {
        return failed;
    }
    count(DAVIT_STAT_HAIRPIN, skb->len);
    int followed = flow6_follow(skb, p, 0, 1);
    return followed == NO_FLOW ? drop(skb, DAVIT_STAT_DROP_NO_FLOW) : followed;
}

NOINLINE int from_container6(struct __sk_buff* skb) {
    struct packet p = {};
    int parsed = packet6_parse(skb, &p);
    if (parsed == TOO_DEEP || parsed == MAPPED) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    if (is_forged_neighbour(skb, &p)) {
        return drop(skb, DAVIT_STAT_DROP_SPOOFED);
    }
    if (is_joining(&p)) {
        return TC_ACT_UNSPEC;
    }
    struct endpoint_value* source = bpf_map_lookup_elem(&endpoint, &p.key.src);
    if (!source || source->ifindex != skb->ifindex) {
        return drop(skb, DAVIT_STAT_DROP_SPOOFED);
    }
    if (!parsed && p.icmp_error) {
        return icmp6_error_translate(skb, p.l4);
    }
    int followed = parsed || p.ttl <= 1 ? NO_FLOW : flow6_follow(skb, &p, 0, 1);
    if (followed != NO_FLOW) {
        return followed;
    }
    __u32 number = source->net;
    struct net_value* network = bpf_map_lookup_elem(&net, &number);
    if (!network) {
        return drop(skb, DAVIT_STAT_DROP_SPOOFED);
    }
    struct endpoint_value* target = bpf_map_lookup_elem(&endpoint, &p.key.dst);
    if (target) {
        return to_container(skb, source, target, network);
    }
    if (bpf_map_lookup_elem(&host_addr, &p.key.dst)) {
        return to_host6(skb, &p, network, number, !parsed);
    }
    if (is_multicast6(&p.key.dst)) {
        return TC_ACT_UNSPEC;
    }
    if (network->flags & DAVIT_NET_INTERNAL) {
        return drop(skb, DAVIT_STAT_DROP_INTERNAL);
    }
    if (parsed || !(network->flags & DAVIT_NET_MASQUERADE) || p.fragment) {
        return TC_ACT_UNSPEC; /* The host routes if it does (forwarding), or answers. */
    }
    if (p.ttl <= 1) {
        return error_answer6(skb, ICMP6_TIME_EXCEEDED, 0);
    }
    int failed = masquerade_begin(skb, &p.key, network->bridge_ifindex);
    if (failed) {
        return failed == NO_ROUTE ? TC_ACT_UNSPEC : failed;
    }
    count(DAVIT_STAT_MASQUERADED, skb->len);
    followed = flow6_follow(skb, &p, 0, 1);
    return followed == NO_FLOW ? drop(skb, DAVIT_STAT_DROP_NO_FLOW) : followed;
}

/* Before: as the container sent it, to its gateway's or a neighbour's MAC. After: rewritten and out
 * of an uplink, into another container, or to the bridge as it is. */
SEC("tc")

int from_container(struct __sk_buff* skb) {
    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        return from_container4(skb);
    }
    if (skb->protocol == bpf_htons(ETH_P_ARP)) {
        return is_forged_arp(skb) ? drop(skb, DAVIT_STAT_DROP_SPOOFED) : TC_ACT_UNSPEC;
    }
    return skb->protocol == bpf_htons(ETH_P_IPV6) ? from_container6(skb) : TC_ACT_UNSPEC;
}

NOINLINE int from_lo4(struct __sk_buff* skb) {
    struct packet p = {};
    if (packet_parse(skb, &p) || p.icmp_error || p.key.protocol == IPPROTO_ICMP) {
        return TC_ACT_UNSPEC;
    }
    struct port_map_value* published = port_find(&p.key.dst, p.key.dport_be, p.key.protocol);
    if (!published) {
        return TC_ACT_UNSPEC;
    }
    int followed = flow_follow(skb, &p, 1, 0);
    if (followed != NO_FLOW) {
        return followed;
    }
    if (!begins_flow(&p)) {
        return TC_ACT_UNSPEC;
    }
    int failed = hairpin_begin(skb, &p.key, published, DAVIT_TO_LOOPBACK);
    if (failed) {
        return failed;
    }
    count(DAVIT_STAT_LOOPBACK, skb->len);
    followed = flow_follow(skb, &p, 1, 0);
    return followed == NO_FLOW ? drop(skb, DAVIT_STAT_DROP_NO_FLOW) : followed;
}

NOINLINE int from_lo6(struct __sk_buff* skb) {
    struct packet p = {};
    if (packet6_parse(skb, &p) || p.icmp_error || p.key.protocol == IPPROTO_ICMPV6) {
        return TC_ACT_UNSPEC;
    }
    struct port_map_value* published = port_find(&p.key.dst, p.key.dport_be, p.key.protocol);
    if (!published) {
        return TC_ACT_UNSPEC;
    }
    int followed = flow6_follow(skb, &p, 1, 0);
    if (followed != NO_FLOW) {
        return followed;
    }
    if (!begins_flow(&p)) {
        return TC_ACT_UNSPEC;
    }
    int failed = hairpin_begin(skb, &p.key, published, DAVIT_TO_LOOPBACK);
    if (failed) {
        return failed;
    }
    count(DAVIT_STAT_LOOPBACK, skb->len);
    followed = flow6_follow(skb, &p, 1, 0);
    return followed == NO_FLOW ? drop(skb, DAVIT_STAT_DROP_NO_FLOW) : followed;
}

/* Local clients that the socket hooks did not translate: those bound to 127.0.0.1, raw sockets.
 * Before: on lo, from and to addresses of the host's. After: out of a veth, as if forwarded. */
SEC("tc")

int from_lo(struct __sk_buff* skb) {
    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        return from_lo4(skb);
    }
    return skb->protocol == bpf_htons(ETH_P_IPV6) ? from_lo6(skb) : TC_ACT_UNSPEC;
}

char license_text[] SEC("license") = "GPL";
