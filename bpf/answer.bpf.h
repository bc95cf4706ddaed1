/* What a router answers a container whose packet goes no further: "time exceeded", "fragmentation
 * needed". The gateway of its network is who says it. */
#pragma once

#include "bpf/packet.bpf.h"
#include "bpf/packet6.bpf.h"

#define QUOTED_PORTS 8
#define ANSWER_TTL 64
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_CODE_FRAGMENTATION 4
#define ICMP6_TOO_BIG 2
#define ICMP6_TIME_EXCEEDED 3
/* No link that IPv6 works on is narrower: shorter packets need no look at it. */
#define MTU_LEAST 1280

struct icmp_error_head {
    __u8 type, code;
    __u16 check;
    __be32 value;
};

struct answer4 {
    struct iphdr ip;
    struct icmp_error_head icmp;
    struct iphdr quoted;
    __u8 ports[QUOTED_PORTS];
};

struct answer6 {
    struct ipv6hdr ip;
    struct icmp_error_head icmp;
    struct ipv6hdr quoted;
    __u8 ports[QUOTED_PORTS];
};

INLINE __u16 checksum_of(__s64 sum) {
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

/* Back to where it came from; its length is the answer's by now. */
INLINE int answer_send(struct __sk_buff* skb, const struct endpoint_value* source) {
    if (macs_set(skb, source)) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    bpf_skb_change_type(skb, 0 /* PACKET_HOST */);
    count(DAVIT_STAT_ANSWERED, skb->len);
    return bpf_redirect_peer(source->ifindex, 0);
}

/* Takes: the packet as the container sent it, without IP options, and no later fragment. */
GLOBAL int error_answer4(struct __sk_buff* skb, __u32 type, __u32 code, __be32 told) {
    struct answer4 answer = {};
    if (bpf_skb_load_bytes(skb, IP_OFFSET, &answer.quoted, sizeof(answer.quoted) + QUOTED_PORTS) ||
        bpf_skb_change_tail(skb, IP_OFFSET + sizeof(answer), 0)) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    struct davit_address address;
    address_v4(&address, answer.quoted.saddr);
    struct endpoint_value* source = bpf_map_lookup_elem(&endpoint, &address);
    struct net_value* network = source ? bpf_map_lookup_elem(&net, &source->net) : 0;
    if (!network) {
        return drop(skb, DAVIT_STAT_DROP_SPOOFED);
    }
    answer.icmp.type = type;
    answer.icmp.code = code;
    answer.icmp.value = told;
    answer.icmp.check = checksum_of(
        bpf_csum_diff(0, 0, (__be32*)&answer.icmp, sizeof(answer) - sizeof(answer.ip), 0));
    answer.ip.version = 4;
    answer.ip.ihl = 5;
    answer.ip.ttl = ANSWER_TTL;
    answer.ip.protocol = IPPROTO_ICMP;
    answer.ip.tot_len = bpf_htons(sizeof(answer));
    answer.ip.saddr = v4_of(&network->gateway4);
    answer.ip.daddr = answer.quoted.saddr;
    answer.ip.check = checksum_of(bpf_csum_diff(0, 0, (__be32*)&answer.ip, sizeof(answer.ip), 0));
    if (bpf_skb_store_bytes(skb, IP_OFFSET, &answer, sizeof(answer), BPF_F_RECOMPUTE_CSUM)) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    return answer_send(skb, source);
}

/* The same of an IPv6 packet. */
GLOBAL int error_answer6(struct __sk_buff* skb, __u32 type, __be32 told) {
    struct answer6 answer = {};
    if (bpf_skb_load_bytes(skb, IP_OFFSET, &answer.quoted, sizeof(answer.quoted) + QUOTED_PORTS) ||
        bpf_skb_change_tail(skb, IP_OFFSET + sizeof(answer), 0)) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    struct davit_address address;
    __builtin_memcpy(&address, &answer.quoted.saddr, sizeof(address));
    struct endpoint_value* source = bpf_map_lookup_elem(&endpoint, &address);
    struct davit_address* router = source ? bpf_map_lookup_elem(&gateway6, &source->net) : 0;
    if (!router) {
        return drop(skb, DAVIT_STAT_DROP_SPOOFED);
    }
    __u16 length = sizeof(answer) - sizeof(answer.ip);
    answer.icmp.type = type;
    answer.icmp.value = told;
    __builtin_memcpy(&answer.ip.saddr, router, sizeof(*router));
    __builtin_memcpy(&answer.ip.daddr, &address, sizeof(address));
    /* The pseudo header, RFC 8200 section 8.1: addresses, length, protocol. */
    __be32 rest[2] = {bpf_htonl(length), bpf_htonl(IPPROTO_ICMPV6)};
    __s64 sum = bpf_csum_diff(0, 0, rest, sizeof(rest), 0);
    sum = bpf_csum_diff(0, 0, (__be32*)&answer.ip.saddr, ADDRESSES_BYTES, sum);
    answer.icmp.check = checksum_of(bpf_csum_diff(0, 0, (__be32*)&answer.icmp, length, sum));
    answer.ip.version = 6;
    answer.ip.hop_limit = ANSWER_TTL;
    answer.ip.nexthdr = IPPROTO_ICMPV6;
    answer.ip.payload_len = bpf_htons(length);
    if (bpf_skb_store_bytes(skb, IP_OFFSET, &answer, sizeof(answer), BPF_F_RECOMPUTE_CSUM)) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    return answer_send(skb, source);
}

/* What a link that a packet is longer than takes; 0: it is not. Those that may be fragmented are
 * told of like those that may not: nobody here would do it. */
INLINE __u32 mtu_exceeded(struct __sk_buff* skb,
                          const struct packet* p,
                          const struct flow_value* to) {
    if (to->action != DAVIT_TO_NEIGHBOUR || skb->len <= ETH_HLEN + MTU_LEAST || p->fragment) {
        return 0;
    }
    /* Segments that a card is to make are looked at one by one; else the length without our header,
     * which the link need not have. */
    __u32 mtu = skb->gso_size ? 0 : skb->len - ETH_HLEN;
    __u64 flags = skb->gso_size ? BPF_MTU_CHK_SEGS : 0;
    return bpf_check_mtu(skb, to->ifindex, &mtu, 0, flags) > 0 ? mtu : 0;
}
