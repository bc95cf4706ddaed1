/* Reading a packet into a flow key, and rewriting it: addresses, ports, checksums, TTL, ICMP
 * errors. */
#pragma once

/* clang-format off */
#include "bpf/common.bpf.h"
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
/* clang-format on */

#define IP_OFFSET ETH_HLEN
#define IP_LENGTH 20
#define IP_CHECK_OFFSET (IP_OFFSET + 10)
#define IP_TTL_OFFSET (IP_OFFSET + 8)
#define IP_SOURCE_OFFSET (IP_OFFSET + 12)
#define FRAGMENT_OFFSET_MASK 0x1fff
#define FRAGMENT_MORE 0x2000
#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16
#define ARP_SENDER_OFFSET \
    (ETH_HLEN + 14) /* After two addresses' kinds and sizes, the operation, a MAC. */
#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO 8

struct icmp_head {
    __u8 type, code;
    __u16 check;
    __be16 id, sequence;
};

struct packet {
    struct flow_key key;
    __u16 l4; /* Offset of the transport header. */
    __u8 fragment;
    __u8 tcp;
    __u8 icmp_error;
    __u8 icmp6; /* A message of ICMPv6 that is neither an echo nor an error: its type. */
    __u8 ttl;
};

/* Ports from the transport header, an echo's identifier as one. Negative: not ours. */
INLINE int packet_ports(struct __sk_buff* skb, struct packet* p) {
    if (p->key.protocol == IPPROTO_TCP || p->key.protocol == IPPROTO_UDP) {
        if (bpf_skb_load_bytes(skb, p->l4, &p->key.sport_be, 4)) {
            return -1;
        }
        if (p->key.protocol == IPPROTO_TCP && bpf_skb_load_bytes(skb, p->l4 + 13, &p->tcp, 1)) {
            return -1;
        }
        return 0;
    }
    if (p->key.protocol != IPPROTO_ICMP) {
        return -1;
    }
    struct icmp_head icmp;
    if (bpf_skb_load_bytes(skb, p->l4, &icmp, sizeof(icmp))) {
        return -1;
    }
    if (icmp.type == ICMP_ECHO) {
        p->key.sport_be = icmp.id;
    } else if (icmp.type == ICMP_ECHO_REPLY) {
        p->key.dport_be = icmp.id;
    } else {
        p->icmp_error = 1;
    }
    return 0;
}

/* Gives: 0; negative for what the stack shall have (other protocols, IP options, lost fragments).
 * The addresses are filled in even then, if there is an IPv4 header. */
INLINE int packet_parse(struct __sk_buff* skb, struct packet* p) {
    struct iphdr ip;
    if (bpf_skb_load_bytes(skb, IP_OFFSET, &ip, sizeof(ip)) || ip.version != 4) {
        return -1;
    }
    address_v4(&p->key.src, ip.saddr);
    address_v4(&p->key.dst, ip.daddr);
    p->key.protocol = ip.protocol;
    p->ttl = ip.ttl;
    p->l4 = IP_OFFSET + IP_LENGTH;
    if (ip.ihl != 5) {
        return -1;
    }
    __u16 fragment_bits = bpf_ntohs(ip.frag_off);
    if (!(fragment_bits & (FRAGMENT_OFFSET_MASK | FRAGMENT_MORE))) {
        return packet_ports(skb, p);
    }
    struct fragment_key key = {.id = ip.id, .protocol = ip.protocol};
    key.src = p->key.src;
    key.dst = p->key.dst;
    if (fragment_bits & FRAGMENT_OFFSET_MASK) {
        struct fragment_value* first = bpf_map_lookup_elem(&fragment, &key);
        if (!first) {
            return -1;
        }
        p->key.sport_be = first->sport_be;
        p->key.dport_be = first->dport_be;
        p->fragment = 1;
        return 0;
    }
    if (packet_ports(skb, p)) {
        return -1;
    }
    struct fragment_value value = {p->key.sport_be, p->key.dport_be};
    bpf_map_update_elem(&fragment, &key, &value, BPF_ANY);
    return 0;
}

/* Where others believe an IPv4 address to be: a container tells that of its own alone. (Who asks
 * whether an address is taken has none yet, and tells nothing.) Also of one that is gone, whose
 * namespace the kernel still holds: it would go on answering for the next one with its address. */
INLINE int is_forged_arp(struct __sk_buff* skb) {
    __be32 sender;
    if (bpf_skb_load_bytes(skb, ARP_SENDER_OFFSET, &sender, sizeof(sender))) {
        return 1;
    }
    struct davit_address told;
    address_v4(&told, sender);
    struct endpoint_value* source = bpf_map_lookup_elem(&endpoint, &told);
    return sender && (!source || source->ifindex != skb->ifindex);
}

INLINE int ttl_decrement(struct __sk_buff* skb, struct packet* p) {
    __u16 before = p->ttl | (p->key.protocol << 8);
    __u16 after = (p->ttl - 1) | (p->key.protocol << 8);
    __u8 ttl = p->ttl - 1;
    return bpf_l3_csum_replace(skb, IP_CHECK_OFFSET, before, after, 2) ||
           bpf_skb_store_bytes(skb, IP_TTL_OFFSET, &ttl, 1, 0);
}

/* Make a packet what its flow says. Checksums may be partial: the pseudo header's difference and
 * the ports' are told apart. */
INLINE int packet_rewrite(struct __sk_buff* skb, struct packet* p, const struct flow_value* to) {
    __u32 old[2] = {v4_of(&p->key.src), v4_of(&p->key.dst)};
    __u32 new[2] = {v4_of(&to->src), v4_of(&to->dst)};
    __s64 difference = bpf_csum_diff(old, 8, new, 8, 0);
    if (bpf_l3_csum_replace(skb, IP_CHECK_OFFSET, 0, difference, 0) ||
        bpf_skb_store_bytes(skb, IP_SOURCE_OFFSET, new, 8, 0)) {
        return -1;
    }
    if (p->fragment) {
        return 0;
    }
    if (p->key.protocol == IPPROTO_ICMP) {
        __u16 before = p->key.sport_be | p->key.dport_be, after = to->sport_be | to->dport_be;
        return before != after && (bpf_l4_csum_replace(skb, p->l4 + 2, before, after, 2) ||
                                   bpf_skb_store_bytes(skb, p->l4 + 4, &after, 2, 0))
                   ? -1
                   : 0;
    }
    __u32 before = p->key.sport_be | ((__u32)p->key.dport_be << 16);
    __u32 after = to->sport_be | ((__u32)to->dport_be << 16);
    __u32 check = p->l4 + (p->key.protocol == IPPROTO_TCP ? 16 : 6);
    __u64 mangled = p->key.protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
    if (bpf_l4_csum_replace(skb, check, 0, difference, BPF_F_PSEUDO_HDR | mangled)) {
        return -1;
    }
    if (before != after && (bpf_l4_csum_replace(skb, check, before, after, 4 | mangled) ||
                            bpf_skb_store_bytes(skb, p->l4, &after, 4, 0))) {
        return -1;
    }
    return 0;
}

/* Destination and source MAC of what goes into a container. */
INLINE int macs_set(struct __sk_buff* skb, const struct endpoint_value* to) {
    __u8 macs[12];
    __builtin_memcpy(macs, to->mac, 6);
    __builtin_memcpy(macs + 6, to->gateway_mac, 6);
    return bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0);
}

/* Send a packet where its flow says. by_loopback: it comes from lo, which has no peer to borrow the
 * namespace of. */
INLINE int deliver(struct __sk_buff* skb, const struct flow_value* to, int by_loopback) {
    bpf_skb_change_type(skb, 0 /* PACKET_HOST */);
    if (to->action == DAVIT_TO_PEER) {
        struct endpoint_value* target = bpf_map_lookup_elem(&endpoint, &to->dst);
        if (!target || macs_set(skb, target)) {
            return drop(skb, DAVIT_STAT_DROP_NO_FLOW);
        }
        return by_loopback ? bpf_redirect(to->ifindex, 0) : bpf_redirect_peer(to->ifindex, 0);
    }
    if (to->action == DAVIT_TO_NEIGHBOUR) {
        return bpf_redirect_neigh(to->ifindex, 0, 0, 0);
    }
    if (to->action == DAVIT_TO_LOOPBACK) {
        __u8 none[12] = {};
        bpf_skb_store_bytes(skb, 0, none, sizeof(none), 0);
        return bpf_redirect(to->ifindex, BPF_F_INGRESS);
    }
    return TC_ACT_UNSPEC;
}

/* An ICMP error that quotes one of our translated packets: the quoted header becomes what its
 * sender had sent, the outer one goes to that sender. */
NOINLINE int icmp_error_translate(struct __sk_buff* skb, __u32 l4) {
    struct iphdr quoted;
    __be16 ports[2];
    if (bpf_skb_load_bytes(skb, l4 + 8, &quoted, sizeof(quoted)) || quoted.ihl != 5 ||
        bpf_skb_load_bytes(skb, l4 + 28, ports, sizeof(ports))) {
        return TC_ACT_UNSPEC;
    }
    /* What was quoted went out as src -> dst: its answer would have been dst -> src. */
    struct flow_key key = {.sport_be = ports[1], .dport_be = ports[0], .protocol = quoted.protocol};
    address_v4(&key.src, quoted.daddr);
    address_v4(&key.dst, quoted.saddr);
    if (quoted.protocol == IPPROTO_ICMP) {
        __be16 id;
        if (bpf_skb_load_bytes(skb, l4 + 32, &id, sizeof(id))) {
            return TC_ACT_UNSPEC;
        }
        key.sport_be = 0;
        key.dport_be = id;
    }
    struct flow_value* answer = bpf_map_lookup_elem(&flow, &key);
    if (!answer) {
        return TC_ACT_UNSPEC;
    }
    __u32 old[2] = {quoted.saddr, quoted.daddr};
    __u32 new[2] = {v4_of(&answer->dst), v4_of(&answer->src)};
    struct iphdr corrected = quoted;
    corrected.saddr = new[0];
    corrected.daddr = new[1];
    __s64 sum = bpf_csum_diff(old, 8, new, 8, ~(__u32)quoted.check & 0xffff);
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff);
    sum = (sum & 0xffff) + (sum >> 16);
    corrected.check = ~sum & 0xffff;
    __u32 before[5], after[5];
    __builtin_memcpy(before, &quoted, sizeof(before));
    __builtin_memcpy(after, &corrected, sizeof(after));
    if (bpf_skb_store_bytes(skb, l4 + 8, &corrected, sizeof(corrected), 0) ||
        bpf_l4_csum_replace(skb, l4 + 2, 0, bpf_csum_diff(before, 20, after, 20, 0), 0)) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    if (quoted.protocol == IPPROTO_ICMP) {
        __u16 id = answer->dport_be | answer->sport_be;
        if (bpf_skb_store_bytes(skb, l4 + 32, &id, 2, 0) ||
            bpf_l4_csum_replace(skb, l4 + 2, key.dport_be, id, 2)) {
            return drop(skb, DAVIT_STAT_DROP_MALFORMED);
        }
    } else {
        __u32 quoted_ports = ports[0] | ((__u32)ports[1] << 16);
        __u32 sent_ports = answer->dport_be | ((__u32)answer->sport_be << 16);
        if (bpf_skb_store_bytes(skb, l4 + 28, &sent_ports, 4, 0) ||
            bpf_l4_csum_replace(skb, l4 + 2, quoted_ports, sent_ports, 4)) {
            return drop(skb, DAVIT_STAT_DROP_MALFORMED);
        }
    }
    struct iphdr outer;
    if (bpf_skb_load_bytes(skb, IP_OFFSET, &outer, sizeof(outer))) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    /* A router on the way stays the source; who answered for the translated address does not. */
    __u32 source = outer.saddr == quoted.daddr || answer->action != DAVIT_TO_PEER
                       ? v4_of(&answer->src)
                       : outer.saddr;
    __u32 outer_old[2] = {outer.saddr, outer.daddr}, outer_new[2] = {source, v4_of(&answer->dst)};
    if (bpf_l3_csum_replace(
            skb, IP_CHECK_OFFSET, 0, bpf_csum_diff(outer_old, 8, outer_new, 8, 0), 0) ||
        bpf_skb_store_bytes(skb, IP_SOURCE_OFFSET, outer_new, 8, 0)) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    count(DAVIT_STAT_ICMP_ERROR, skb->len);
    return deliver(skb, answer, 0);
}
