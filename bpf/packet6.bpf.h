/* Reading an IPv6 packet into a flow key, and rewriting it. Types of ICMPv6: RFC 4443; of neighbour
 * discovery: RFC 4861. */
#pragma once

/* clang-format off */
#include "bpf/packet.bpf.h"
#include <linux/ipv6.h>
/* clang-format on */

#define IP6_LENGTH 40
#define EXTENSIONS_MAX 4
#define TOO_DEEP (-2)
#define MAPPED (-3)
#define NEXT_HOP_BY_HOP 0
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_DESTINATION 60
#define HOP_LIMIT_OFFSET (IP_OFFSET + 7)
#define IP6_SOURCE_OFFSET (IP_OFFSET + 8)
#define ADDRESSES_BYTES 32
#define FRAGMENT6_OFFSET_MASK 0xfff8
#define FRAGMENT6_MORE 1
#define ICMP6_ERROR_LAST 127
#define ICMP6_ECHO 128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_ROUTER_ADVERTISEMENT 134
#define ICMP6_NEIGHBOUR_ADVERTISEMENT 136
#define ICMP6_REDIRECT 137

struct fragment6_head {
    __u8 next, reserved;
    __be16 offset;
    __be32 id;
};

INLINE int is_multicast6(const struct davit_address* address) {
    return address->bytes[0] == 0xff;
}

INLINE int is_same_address(const struct davit_address* a, const struct davit_address* b) {
    const __u64 *x = (const __u64*)a, *y = (const __u64*)b;
    return x[0] == y[0] && x[1] == y[1];
}

INLINE int is_unspecified6(const struct davit_address* address) {
    const __u64* words = (const __u64*)address;
    return !words[0] && !words[1];
}

/* As packet_ports(). Other messages than echo and errors are the link's own: icmp6 is their type.
 */
INLINE int packet6_ports(struct __sk_buff* skb, struct packet* p) {
    if (p->key.protocol == IPPROTO_TCP || p->key.protocol == IPPROTO_UDP) {
        return packet_ports(skb, p);
    }
    struct icmp_head icmp;
    if (p->key.protocol != IPPROTO_ICMPV6 || bpf_skb_load_bytes(skb, p->l4, &icmp, sizeof(icmp))) {
        return -1;
    }
    if (icmp.type == ICMP6_ECHO) {
        p->key.sport_be = icmp.id;
    } else if (icmp.type == ICMP6_ECHO_REPLY) {
        p->key.dport_be = icmp.id;
    } else if (icmp.type <= ICMP6_ERROR_LAST) {
        p->icmp_error = 1;
    } else {
        p->icmp6 = icmp.type;
        return -1;
    }
    return 0;
}

/* As packet_parse(); TOO_DEEP if there are more extension headers than are looked behind; MAPPED,
 * and no addresses, if they are some of IPv4's. */
GLOBAL int packet6_parse(struct __sk_buff* skb, struct packet* p) {
    struct ipv6hdr ip;
    if (!p || bpf_skb_load_bytes(skb, IP_OFFSET, &ip, sizeof(ip)) || ip.version != 6) {
        return -1;
    }
    struct davit_address src, dst;
    __builtin_memcpy(&src, &ip.saddr, sizeof(src));
    __builtin_memcpy(&dst, &ip.daddr, sizeof(dst));
    if (is_mapped(&src) || is_mapped(&dst)) {
        return MAPPED;
    }
    p->key.src = src;
    p->key.dst = dst;
    p->ttl = ip.hop_limit;
    __u32 at = IP_OFFSET + IP6_LENGTH;
    __u8 next = ip.nexthdr, fragmented = 0;
    struct fragment6_head head = {};
    _Pragma("clang loop unroll(full)") for (int i = 0; i < EXTENSIONS_MAX; i++) {
        struct fragment6_head one;
        if (next != NEXT_HOP_BY_HOP && next != NEXT_ROUTING && next != NEXT_DESTINATION &&
            next != NEXT_FRAGMENT) {
            break;
        }
        if (bpf_skb_load_bytes(skb, at, &one, sizeof(one))) {
            return TOO_DEEP;
        }
        at += 8;
        if (next == NEXT_FRAGMENT) {
            head = one;
            fragmented = 1;
            next = one.next;
            if (head.offset & bpf_htons(FRAGMENT6_OFFSET_MASK)) {
                break; /* What follows is somewhere in the middle. */
            }
        } else {
            next = one.next;
            at += (__u32)one.reserved * 8; /* There: the length, without the first eight bytes. */
        }
    }
    p->key.protocol = next;
    p->l4 = at;
    struct fragment_key key = {.id = head.id, .protocol = next};
    key.src = p->key.src;
    key.dst = p->key.dst;
    if (fragmented && head.offset & bpf_htons(FRAGMENT6_OFFSET_MASK)) {
        struct fragment_value* first = bpf_map_lookup_elem(&fragment, &key);
        if (!first) {
            return -1;
        }
        p->key.sport_be = first->sport_be;
        p->key.dport_be = first->dport_be;
        p->fragment = 1;
        return 0;
    }
    if (next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_DESTINATION ||
        next == NEXT_FRAGMENT) {
        return TOO_DEEP;
    }
    if (packet6_ports(skb, p)) {
        return -1;
    }
    if (fragmented && head.offset & bpf_htons(FRAGMENT6_MORE)) {
        struct fragment_value value = {p->key.sport_be, p->key.dport_be};
        bpf_map_update_elem(&fragment, &key, &value, BPF_ANY);
    }
    return 0;
}

/* Where others believe an address, or a router, to be: a container tells that of its own alone, and
 * is nobody's router. (Asking tells of its source, which is checked.) */
INLINE int is_forged_neighbour(struct __sk_buff* skb, const struct packet* p) {
    struct davit_address told;
    if (p->icmp6 == ICMP6_ROUTER_ADVERTISEMENT || p->icmp6 == ICMP6_REDIRECT) {
        return 1;
    }
    return p->icmp6 == ICMP6_NEIGHBOUR_ADVERTISEMENT &&
           (bpf_skb_load_bytes(skb, p->l4 + 8, &told, sizeof(told)) ||
            !is_same_address(&told, &p->key.src));
}

/* IPv6 has no checksum of its header. So what the sum of a whole packet would be (a card may have
 * told) changes with what is stored, and not with what makes up for it. */
INLINE int hop_limit_decrement(struct __sk_buff* skb, struct packet* p) {
    __u8 limit = p->ttl - 1;
    return bpf_skb_store_bytes(skb, HOP_LIMIT_OFFSET, &limit, 1, BPF_F_RECOMPUTE_CSUM);
}

/* Both addresses, in the header and in the transport's checksum at `check`; 0: there is none. The
 * checksum's change is told as the pseudo header's: half of the sums are partial ones, which only
 * have that. What that does to the whole packet's sum, RECOMPUTE takes back. */
INLINE int addresses6_rewrite(
    struct __sk_buff* skb, void* old, void* new, __u32 check, __u64 flags) {
    __s64 difference = bpf_csum_diff(old, ADDRESSES_BYTES, new, ADDRESSES_BYTES, 0);
    return bpf_skb_store_bytes(
               skb, IP6_SOURCE_OFFSET, new, ADDRESSES_BYTES, BPF_F_RECOMPUTE_CSUM) ||
           (check && bpf_l4_csum_replace(skb, check, 0, difference, BPF_F_PSEUDO_HDR | flags));
}

/* As packet_rewrite(). */
INLINE int packet6_rewrite(struct __sk_buff* skb, struct packet* p, struct flow_value* to) {
    int udp = p->key.protocol == IPPROTO_UDP, icmp = p->key.protocol == IPPROTO_ICMPV6;
    __u64 mangled = udp ? BPF_F_MARK_MANGLED_0 : 0;
    __u32 check = p->l4 + (icmp ? 2 : udp ? 6 : 16);
    if (addresses6_rewrite(skb, &p->key, to, p->fragment ? 0 : check, mangled)) {
        return -1;
    }
    if (p->fragment) {
        return 0;
    }
    if (icmp) {
        __u16 before = p->key.sport_be | p->key.dport_be, after = to->sport_be | to->dport_be;
        return before != after && (bpf_l4_csum_replace(skb, check, before, after, 2) ||
                                   bpf_skb_store_bytes(skb, p->l4 + 4, &after, 2, 0))
                   ? -1
                   : 0;
    }
    __u32 before = p->key.sport_be | ((__u32)p->key.dport_be << 16);
    __u32 after = to->sport_be | ((__u32)to->dport_be << 16);
    return before != after && (bpf_l4_csum_replace(skb, check, before, after, 4 | mangled) ||
                               bpf_skb_store_bytes(skb, p->l4, &after, 4, 0))
               ? -1
               : 0;
}

/* As icmp_error_translate(). What is quoted with extension headers is not looked into. */
GLOBAL int icmp6_error_translate(struct __sk_buff* skb, __u32 l4) {
    struct ipv6hdr quoted;
    __be16 ports[2];
    __u32 quoted_l4 = l4 + 8 + IP6_LENGTH;
    if (bpf_skb_load_bytes(skb, l4 + 8, &quoted, sizeof(quoted)) ||
        bpf_skb_load_bytes(skb, quoted_l4, ports, sizeof(ports))) {
        return TC_ACT_UNSPEC;
    }
    /* What was quoted went out as src -> dst: its answer would have been dst -> src. */
    struct flow_key key = {.sport_be = ports[1], .dport_be = ports[0], .protocol = quoted.nexthdr};
    __builtin_memcpy(&key.src, &quoted.daddr, sizeof(key.src));
    __builtin_memcpy(&key.dst, &quoted.saddr, sizeof(key.dst));
    if (quoted.nexthdr == IPPROTO_ICMPV6) {
        __be16 id;
        if (bpf_skb_load_bytes(skb, quoted_l4 + 4, &id, sizeof(id))) {
            return TC_ACT_UNSPEC;
        }
        key.sport_be = 0;
        key.dport_be = id;
    }
    struct flow_value* answer = bpf_map_lookup_elem(&flow, &key);
    if (!answer) {
        return TC_ACT_UNSPEC;
    }
    struct davit_address old[2] = {key.dst, key.src}, new[2] = {answer->dst, answer->src};
    __s64 difference =
        bpf_csum_diff((__be32*)old, ADDRESSES_BYTES, (__be32*)new, ADDRESSES_BYTES, 0);
    if (bpf_skb_store_bytes(skb, l4 + 16, new, ADDRESSES_BYTES, 0) ||
        bpf_l4_csum_replace(skb, l4 + 2, 0, difference, 0)) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    if (quoted.nexthdr == IPPROTO_ICMPV6) {
        __u16 id = answer->dport_be | answer->sport_be;
        if (bpf_skb_store_bytes(skb, quoted_l4 + 4, &id, 2, 0) ||
            bpf_l4_csum_replace(skb, l4 + 2, key.dport_be, id, 2)) {
            return drop(skb, DAVIT_STAT_DROP_MALFORMED);
        }
    } else {
        __u32 quoted_ports = ports[0] | ((__u32)ports[1] << 16);
        __u32 sent_ports = answer->dport_be | ((__u32)answer->sport_be << 16);
        if (bpf_skb_store_bytes(skb, quoted_l4, &sent_ports, 4, 0) ||
            bpf_l4_csum_replace(skb, l4 + 2, quoted_ports, sent_ports, 4)) {
            return drop(skb, DAVIT_STAT_DROP_MALFORMED);
        }
    }
    if (bpf_skb_load_bytes(skb, IP6_SOURCE_OFFSET, old, sizeof(old))) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    /* A router on the way stays the source; who answered for the translated address does not. */
    int stays = !is_same_address(&old[0], &key.src) && answer->action == DAVIT_TO_PEER;
    new[0] = stays ? old[0] : answer->src;
    new[1] = answer->dst;
    if (addresses6_rewrite(skb, old, new, l4 + 2, 0)) {
        return drop(skb, DAVIT_STAT_DROP_MALFORMED);
    }
    count(DAVIT_STAT_ICMP_ERROR, skb->len);
    return deliver(skb, answer, 0);
}
