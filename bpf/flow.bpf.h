/* Flows: two entries for each connection that is translated, one for each way; beginning them, and
 * following them. An address of a key tells its family: IPv4's are mapped. */
#pragma once

#include "bpf/answer.bpf.h"

#define PROBES 8
#define NO_FLOW (-100)
/* For the stack to answer; else what begins a flow gives 0, or what drop() did. */
#define NO_ROUTE (-1)
#define SECOND_NS 1000000000ull
#define TOUCH_NS (SECOND_NS / 2)
#define CLOSED_NS (10 * SECOND_NS)
#define TCP_IDLE_NS (7200 * SECOND_NS)
#define OTHER_IDLE_NS (180 * SECOND_NS)
#define TCP_GONE (TCP_FIN | TCP_RST)

/* A flow of an endpoint that is gone, or that another has the address of by now. */
INLINE int flow_is_stale(const struct flow_key* key, const struct flow_value* value) {
    struct endpoint_value* owner =
        bpf_map_lookup_elem(&endpoint, value->action == DAVIT_TO_PEER ? &value->dst : &key->src);
    return !owner || owner->generation != value->generation;
}

/* The flow of a packet, if it is known; seen now. */
INLINE struct flow_value* flow_find(struct packet* p) {
    struct flow_value* found = bpf_map_lookup_elem(&flow, &p->key);
    if (!found) {
        return 0;
    }
    if (flow_is_stale(&p->key, found)) {
        bpf_map_delete_elem(&flow, &p->key);
        return 0;
    }
    __u64 now = bpf_ktime_get_ns();
    if (now - found->last_ns > TOUCH_NS) {
        found->last_ns = now;
    }
    if (p->tcp & TCP_GONE) {
        found->tcp_flags |= p->tcp & TCP_GONE;
    }
    return found;
}

/* Follow a flow that is known. Gives: what becomes of the packet; NO_FLOW if there is none. Inline,
 * it would have its copy of the flow on the stack that masquerade_begin() needs (see count()). */
NOINLINE int flow_follow(struct __sk_buff* skb, struct packet* p, int by_loopback, int routed) {
    struct flow_value* found = flow_find(p);
    if (!found) {
        return NO_FLOW;
    }
    struct flow_value to = *found;
    if (routed && p->ttl <= 1) {
        return TC_ACT_UNSPEC;
    }
    __u32 mtu = mtu_exceeded(skb, p, &to);
    if (mtu) {
        return error_answer4(skb, ICMP_UNREACHABLE, ICMP_CODE_FRAGMENTATION, bpf_htonl(mtu));
    }
    if ((routed && ttl_decrement(skb, p)) || packet_rewrite(skb, p, &to)) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    return deliver(skb, &to, by_loopback);
}

/* Not in the next function: kernel 6.1 takes no map's key out of the argument of a global one. */
NOINLINE struct flow_value* flow6_find(struct packet* p) {
    return flow_find(p);
}

/* What flow_follow() does with a flow that was found, of an IPv6 packet. */
GLOBAL int flow6_translate(struct __sk_buff* skb,
                           struct packet* p,
                           struct flow_value* found,
                           int by_loopback,
                           int routed) {
    if (!p || !found) {
        return NO_FLOW;
    }
    struct flow_value to = *found;
    if (routed && p->ttl <= 1) {
        return TC_ACT_UNSPEC;
    }
    __u32 mtu = mtu_exceeded(skb, p, &to);
    if (mtu) {
        return error_answer6(skb, ICMP6_TOO_BIG, bpf_htonl(mtu));
    }
    if ((routed && hop_limit_decrement(skb, p)) || packet6_rewrite(skb, p, &to)) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    return deliver(skb, &to, by_loopback);
}

/* As flow_follow(), of an IPv6 packet. */
INLINE int flow6_follow(struct __sk_buff* skb, struct packet* p, int by_loopback, int routed) {
    struct flow_value* found = flow6_find(p);
    return found ? flow6_translate(skb, p, found, by_loopback, routed) : NO_FLOW;
}

/* What a socket is looked up by. Gives: its size. */
INLINE __u32 socket_tuple(struct bpf_sock_tuple* tuple, const struct flow_key* key) {
    if (is_mapped(&key->src)) {
        tuple->ipv4.saddr = v4_of(&key->src);
        tuple->ipv4.daddr = v4_of(&key->dst);
        tuple->ipv4.sport = key->sport_be;
        tuple->ipv4.dport = key->dport_be;
        return sizeof(tuple->ipv4);
    }
    __builtin_memcpy(tuple->ipv6.saddr, &key->src, sizeof(key->src));
    __builtin_memcpy(tuple->ipv6.daddr, &key->dst, sizeof(key->dst));
    tuple->ipv6.sport = key->sport_be;
    tuple->ipv6.dport = key->dport_be;
    return sizeof(tuple->ipv6);
}

/* A socket of the host's own speaks (or, UDP, listens) with this tuple. */
INLINE int host_owns(struct __sk_buff* skb, const struct flow_key* key) {
    struct bpf_sock_tuple tuple = {};
    __u32 size = socket_tuple(&tuple, key);
    struct bpf_sock* sk = 0;
    if (key->protocol == IPPROTO_TCP) {
        sk = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
    } else if (key->protocol == IPPROTO_UDP) {
        sk = bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
    }
    if (!sk) {
        return 0;
    }
    bpf_sk_release(sk);
    return 1;
}

/* A UDP socket of the host that is connected to the sender: the packet is an answer to it. */
INLINE int host_is_connected(struct __sk_buff* skb, const struct flow_key* key) {
    struct bpf_sock_tuple tuple = {};
    if (key->protocol != IPPROTO_UDP) {
        return 0;
    }
    __u32 size = socket_tuple(&tuple, key);
    struct bpf_sock* sk = bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
    if (!sk) {
        return 0;
    }
    int connected = sk->dst_port != 0;
    bpf_sk_release(sk);
    return connected;
}

/* Whether a reverse key that is taken may be taken over; its pair goes then. */
NOINLINE int flow_reclaim(struct flow_key* reverse) {
    if (!reverse) {
        return 0;
    }
    struct flow_value* old = bpf_map_lookup_elem(&flow, reverse);
    if (!old) {
        return 1;
    }
    struct flow_key pair = {
        .sport_be = old->dport_be, .dport_be = old->sport_be, .protocol = reverse->protocol};
    pair.src = old->dst;
    pair.dst = old->src;
    __u64 now = bpf_ktime_get_ns(), last = old->last_ns;
    int gone = old->tcp_flags & TCP_RST, closed = 0;
    if (flow_is_stale(reverse, old)) {
        gone = 1;
    }
    struct flow_value* other = bpf_map_lookup_elem(&flow, &pair);
    if (other) {
        last = other->last_ns > last ? other->last_ns : last;
        closed = old->tcp_flags & other->tcp_flags & TCP_FIN;
        gone |= other->tcp_flags & TCP_RST;
    } else {
        gone = 1;
    }
    __u64 age = now > last ? now - last : 0;
    __u64 idle = reverse->protocol == IPPROTO_TCP ? TCP_IDLE_NS : OTHER_IDLE_NS;
    if (!gone && !(closed && age > CLOSED_NS) && age < idle) {
        return 0;
    }
    bpf_map_delete_elem(&flow, &pair);
    return 1;
}

/* Two entries for a new flow whose source port on our side is still to be chosen: wanted, if that
 * is free, else one of the masquerade's range. Gives: 0, or what drop() gave. */
INLINE int flow_pair_add(struct __sk_buff* skb,
                         struct flow_key* forward,
                         struct flow_value* forward_to,
                         struct flow_key* reverse,
                         struct flow_value* reverse_to,
                         __be16 wanted) {
    struct config_value* settings = config_get();
    if (!settings) {
        return drop(skb, DAVIT_STAT_DROP_NO_FLOW);
    }
    __u32 first = settings->snat_port_first;
    __u32 range = (__u32)settings->snat_port_last - first + 1;
    __u32 start = bpf_get_prandom_u32();
    if (!range) {
        return drop(skb, DAVIT_STAT_DROP_NO_FLOW);
    }
    _Pragma("clang loop unroll(full)") for (int i = 0; i < PROBES; i++) {
        __be16 port = i == 0 && wanted ? wanted : bpf_htons(first + (start + i * 7) % range);
        reverse->dport_be = port;
        if (i == 0 && wanted && host_owns(skb, reverse)) {
            continue;
        }
        long failed = bpf_map_update_elem(&flow, reverse, reverse_to, BPF_NOEXIST);
        if (failed && flow_reclaim(reverse)) {
            failed = bpf_map_update_elem(&flow, reverse, reverse_to, BPF_ANY);
        }
        if (!failed) {
            forward_to->sport_be = port;
            if (bpf_map_update_elem(&flow, forward, forward_to, BPF_ANY)) {
                bpf_map_delete_elem(&flow, reverse);
                return drop(skb, DAVIT_STAT_DROP_NO_FLOW);
            }
            return 0;
        }
    }
    return drop(skb, DAVIT_STAT_DROP_NO_PORT);
}

/* The link a packet of a container's leaves by; 0: none. The link it is looked up for must forward:
 * IPv4 does on the veth, IPv6 on the bridge. */
NOINLINE __u32 route_find(struct __sk_buff* skb, const struct flow_key* key, __u32 bridge) {
    struct bpf_fib_lookup route = {};
    route.l4_protocol = key->protocol;
    if (is_mapped(&key->src)) {
        route.family = 2; /* AF_INET */
        route.ipv4_src = v4_of(&key->src);
        route.ipv4_dst = v4_of(&key->dst);
        route.ifindex = skb->ifindex;
    } else {
        route.family = 10; /* AF_INET6 */
        __builtin_memcpy(route.ipv6_src, &key->src, sizeof(key->src));
        __builtin_memcpy(route.ipv6_dst, &key->dst, sizeof(key->dst));
        route.ifindex = bridge;
    }
    long found = bpf_fib_lookup(skb, &route, sizeof(route), 0);
    /* Whether it is too long is looked at later: here our header counts, too. */
    return found == BPF_FIB_LKUP_RET_SUCCESS || found == BPF_FIB_LKUP_RET_NO_NEIGH ||
                   found == BPF_FIB_LKUP_RET_FRAG_NEEDED
               ? route.ifindex
               : 0;
}

NOINLINE int masquerade_begin(struct __sk_buff* skb, struct flow_key* key, __u32 bridge) {
    if (!key) {
        return drop(skb, DAVIT_STAT_DROP_NO_FLOW);
    }
    struct endpoint_value* source = bpf_map_lookup_elem(&endpoint, &key->src);
    __u32 out = route_find(skb, key, bridge);
    struct uplink_value* link;
    if (is_mapped(&key->src)) {
        link = bpf_map_lookup_elem(&uplink, &out);
    } else {
        link = bpf_map_lookup_elem(&uplink6, &out);
    }
    if (!source || !link) {
        count(DAVIT_STAT_DROP_NO_ROUTE, skb->len);
        return NO_ROUTE;
    }
    __u64 now = bpf_ktime_get_ns();
    struct flow_value to = {.dport_be = key->dport_be,
                            .ifindex = out,
                            .generation = source->generation,
                            .action = DAVIT_TO_NEIGHBOUR,
                            .last_ns = now};
    to.src = link->addr;
    to.dst = key->dst;
    struct flow_key reverse = {.sport_be = key->dport_be, .protocol = key->protocol};
    reverse.src = key->dst;
    reverse.dst = link->addr;
    struct flow_value back = {.sport_be = key->dport_be,
                              .dport_be = key->sport_be,
                              .ifindex = source->ifindex,
                              .generation = source->generation,
                              .action = DAVIT_TO_PEER,
                              .last_ns = now};
    back.src = key->dst;
    back.dst = key->src;
    int kept = bpf_ntohs(key->sport_be) >= 1024 || key->protocol == IPPROTO_ICMP ||
               key->protocol == IPPROTO_ICMPV6;
    return flow_pair_add(skb, key, &to, &reverse, &back, kept ? key->sport_be : 0);
}

/* A local client to a published port: the container sees its gateway. back_*: where answers go. */
NOINLINE int hairpin_begin(struct __sk_buff* skb,
                           struct flow_key* key,
                           struct port_map_value* published,
                           __u32 back_action) {
    if (!key || !published) {
        return drop(skb, DAVIT_STAT_DROP_NO_FLOW);
    }
    struct endpoint_value* target = bpf_map_lookup_elem(&endpoint, &published->addr);
    if (!target) {
        return drop(skb, DAVIT_STAT_DROP_NO_FLOW);
    }
    __u32 generation = target->generation;
    struct net_value* network = bpf_map_lookup_elem(&net, &target->net);
    if (!network) {
        return drop(skb, DAVIT_STAT_DROP_NO_FLOW);
    }
    __u64 now = bpf_ktime_get_ns();
    struct flow_value to = {.dport_be = published->port_be,
                            .ifindex = target->ifindex,
                            .generation = generation,
                            .action = DAVIT_TO_PEER,
                            .last_ns = now};
    to.src = network->gateway4;
    if (!is_mapped(&published->addr)) {
        struct davit_address* gateway = bpf_map_lookup_elem(&gateway6, &target->net);
        if (!gateway) {
            return drop(skb, DAVIT_STAT_DROP_NO_FLOW);
        }
        to.src = *gateway;
    }
    to.dst = published->addr;
    struct flow_key reverse = {.sport_be = published->port_be, .protocol = key->protocol};
    reverse.src = published->addr;
    reverse.dst = to.src;
    struct flow_value back = {.sport_be = key->dport_be,
                              .dport_be = key->sport_be,
                              .ifindex = skb->ifindex,
                              .generation = generation,
                              .action = back_action,
                              .last_ns = now};
    back.src = key->dst;
    back.dst = key->src;
    if (back_action == DAVIT_TO_PEER) {
        struct endpoint_value* client = bpf_map_lookup_elem(&endpoint, &key->src);
        if (!client) {
            return drop(skb, DAVIT_STAT_DROP_NO_FLOW);
        }
        back.generation = client->generation;
    }
    return flow_pair_add(skb, key, &to, &reverse, &back, 0);
}

INLINE int begins_flow(const struct packet* p) {
    return p->key.protocol == IPPROTO_UDP ||
           (p->key.protocol == IPPROTO_TCP && (p->tcp & (TCP_SYN | TCP_ACK)) == TCP_SYN);
}

NOINLINE int published_begin(struct __sk_buff* skb,
                             struct flow_key* key,
                             struct port_map_value* published) {
    if (!key || !published) {
        return drop(skb, DAVIT_STAT_DROP_NO_FLOW);
    }
    struct endpoint_value* target = bpf_map_lookup_elem(&endpoint, &published->addr);
    if (!target) {
        return drop(skb, DAVIT_STAT_DROP_NO_FLOW);
    }
    __u64 now = bpf_ktime_get_ns();
    struct flow_value to = {.sport_be = key->sport_be,
                            .dport_be = published->port_be,
                            .ifindex = target->ifindex,
                            .generation = target->generation,
                            .action = DAVIT_TO_PEER,
                            .last_ns = now};
    to.src = key->src;
    to.dst = published->addr;
    struct flow_key reverse = {
        .sport_be = published->port_be, .dport_be = key->sport_be, .protocol = key->protocol};
    reverse.src = published->addr;
    reverse.dst = key->src;
    struct flow_value back = {.sport_be = key->dport_be,
                              .dport_be = key->sport_be,
                              .ifindex = skb->ifindex,
                              .generation = target->generation,
                              .action = DAVIT_TO_NEIGHBOUR,
                              .last_ns = now};
    back.src = key->dst;
    back.dst = key->src;
    return bpf_map_update_elem(&flow, &reverse, &back, BPF_ANY) ||
                   bpf_map_update_elem(&flow, key, &to, BPF_ANY)
               ? drop(skb, DAVIT_STAT_DROP_NO_FLOW)
               : 0;
}
