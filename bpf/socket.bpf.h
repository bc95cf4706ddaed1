/* Socket hooks of the v2 cgroup: a local client's connect goes straight to the container, and it is
 * shown what it asked for; the embedded resolver; published ports stay reserved.
 *
 * They see the sockets of every network namespace below the cgroup: the host's are told by its
 * cookie, containers' are looked up by theirs. Attached with BPF_F_ALLOW_MULTI as links. */
#pragma once

#include "bpf/common.bpf.h"

#define PROTOCOL_MPTCP 262
#define ADDRESS_IN_USE (-98)
#define PORT_DNS 53
#define RESOLVER_V4 0x7f00000b /* 127.0.0.11 */
#define LOOPBACK_V4 0x7f000001

struct translation {
    struct davit_address addr;
    __be16 port_be;
};

INLINE int remember(void* ctx,
                    const struct davit_address* asked,
                    __be16 asked_port_be,
                    const struct translation* to) {
    struct sock_rev_key key = {.cookie = bpf_get_socket_cookie(ctx), .port_be = to->port_be};
    struct sock_rev_value value = {.port_be = asked_port_be};
    key.addr = to->addr;
    value.addr = *asked;
    return bpf_map_update_elem(&sock_rev, &key, &value, BPF_ANY) == 0;
}

INLINE int is_loopback(const struct davit_address* address) {
    const __u32* words = (const __u32*)address;
    if (is_mapped(address)) {
        return is_loopback_v4(words[3]);
    }
    return !words[0] && !words[1] && !words[2] && words[3] == bpf_htonl(1);
}

/* The container that a published port of the host's is; of the family of `address`. */
INLINE struct port_map_value* published_here(const struct davit_address* address,
                                             __be16 port_be,
                                             __u8 protocol) {
    if (!is_loopback(address) && !bpf_map_lookup_elem(&host_addr, address)) {
        return 0;
    }
    return port_find(address, port_be, protocol);
}

/* Whether what a socket connects or sends to becomes something else, and what. asked: an address of
 * IPv4 is mapped. */
INLINE int translate(struct bpf_sock_addr* ctx,
                     const struct davit_address* asked,
                     struct translation* to) {
    __be16 port_be = ctx->user_port;
    __u8 protocol = ctx->protocol == PROTOCOL_MPTCP ? IPPROTO_TCP : ctx->protocol;
    if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) {
        return 0;
    }
    struct config_value* settings = config_get();
    if (!settings) {
        return 0;
    }
    __u64 cookie = bpf_get_netns_cookie(ctx);
    if (cookie != settings->host_cookie) {
        if (!is_mapped(asked) || v4_of(asked) != bpf_htonl(RESOLVER_V4) ||
            port_be != bpf_htons(PORT_DNS)) {
            return 0;
        }
        struct netns_value* resolver = bpf_map_lookup_elem(&netns, &cookie);
        if (!resolver || !resolver->port_be) {
            return 0;
        }
        to->addr = resolver->resolver;
        to->port_be = resolver->port_be;
        return remember(ctx, asked, port_be, to);
    }
    struct davit_address here = *asked; /* To nowhere is to oneself. */
    if (is_mapped(asked) && !v4_of(asked)) {
        address_v4(&here, bpf_htonl(LOOPBACK_V4));
    } else if (is_unspecified6(asked)) {
        here.bytes[15] = 1;
    }
    struct port_map_value* published = published_here(&here, port_be, protocol);
    if (!published && is_loopback(&here) && !is_mapped(&here)) {
        /* A container without IPv6 is reached by ::1 all the same. */
        struct davit_address loopback;
        address_v4(&loopback, bpf_htonl(LOOPBACK_V4));
        published = port_find(&loopback, port_be, protocol);
    }
    if (!published) {
        return 0;
    }
    to->addr = published->addr;
    to->port_be = published->port_be;
    count(DAVIT_STAT_SOCKET_TRANSLATED, 0);
    return remember(ctx, &here, port_be, to);
}

INLINE int forward4(struct bpf_sock_addr* ctx) {
    struct translation to = {};
    struct davit_address asked;
    struct bpf_sock* sk = ctx->sk;
    if (sk && is_loopback_v4(sk->src_ip4)) {
        return 1; /* Could not send from there to a container: from_lo takes it. */
    }
    address_v4(&asked, ctx->user_ip4);
    if (translate(ctx, &asked, &to)) {
        ctx->user_ip4 = v4_of(&to.addr);
        ctx->user_port = to.port_be;
    }
    return 1;
}

INLINE int reverse4(struct bpf_sock_addr* ctx) {
    struct sock_rev_key key = {.cookie = bpf_get_socket_cookie(ctx), .port_be = ctx->user_port};
    address_v4(&key.addr, ctx->user_ip4);
    struct sock_rev_value* asked = bpf_map_lookup_elem(&sock_rev, &key);
    if (asked) {
        ctx->user_ip4 = v4_of(&asked->addr);
        ctx->user_port = asked->port_be;
    }
    return 1;
}

INLINE void asked6(struct bpf_sock_addr* ctx, struct davit_address* address) {
    __u32* words = (__u32*)address;
    words[0] = ctx->user_ip6[0];
    words[1] = ctx->user_ip6[1];
    words[2] = ctx->user_ip6[2];
    words[3] = ctx->user_ip6[3];
}

INLINE void answer6(struct bpf_sock_addr* ctx, const struct davit_address* address) {
    const __u32* words = (const __u32*)address;
    ctx->user_ip6[0] = words[0];
    ctx->user_ip6[1] = words[1];
    ctx->user_ip6[2] = words[2];
    ctx->user_ip6[3] = words[3];
}

/* unconnected: the kernel does not take an IPv4 address for an IPv6 one in sendmsg(2). */
INLINE int forward6(struct bpf_sock_addr* ctx, int unconnected) {
    struct translation to = {};
    struct davit_address asked, source = {};
    struct bpf_sock* sk = ctx->sk;
    if (sk) {
        __u32* words = (__u32*)&source;
        words[0] = sk->src_ip6[0];
        words[1] = sk->src_ip6[1];
        words[2] = sk->src_ip6[2];
        words[3] = sk->src_ip6[3];
        if (is_loopback(&source)) {
            return 1; /* from_lo takes it. */
        }
    }
    asked6(ctx, &asked);
    if (translate(ctx, &asked, &to) && !(unconnected && is_mapped(&to.addr))) {
        answer6(ctx, &to.addr);
        ctx->user_port = to.port_be;
    }
    return 1;
}

INLINE int reverse6(struct bpf_sock_addr* ctx) {
    struct sock_rev_key key = {.cookie = bpf_get_socket_cookie(ctx), .port_be = ctx->user_port};
    asked6(ctx, &key.addr);
    struct sock_rev_value* asked = bpf_map_lookup_elem(&sock_rev, &key);
    if (asked) {
        answer6(ctx, &asked->addr);
        ctx->user_port = asked->port_be;
    }
    return 1;
}

/* A published port is the container's: EADDRINUSE to whoever else binds it in the host. */
INLINE int reserved(struct bpf_sock* sk, const struct davit_address* address) {
    struct config_value* settings = config_get();
    __u16 port = sk->src_port;
    __u8 protocol = sk->protocol;
    if (!settings || bpf_get_netns_cookie(sk) != settings->host_cookie || port == 0 ||
        (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)) {
        return 1;
    }
    if (!port_find(address, bpf_htons(port), protocol)) {
        return 1;
    }
    __u64 cookie = bpf_get_socket_cookie(sk);
    if (bpf_map_lookup_elem(&holder, &cookie)) {
        return 1;
    }
    bpf_set_retval(ADDRESS_IN_USE);
    return 0;
}

SEC("cgroup/connect4")

int host_connect4(struct bpf_sock_addr* ctx) {
    return forward4(ctx);
}

SEC("cgroup/connect6")

int host_connect6(struct bpf_sock_addr* ctx) {
    return forward6(ctx, 0);
}

SEC("cgroup/sendmsg4")

int host_sendmsg4(struct bpf_sock_addr* ctx) {
    return forward4(ctx);
}

SEC("cgroup/sendmsg6")

int host_sendmsg6(struct bpf_sock_addr* ctx) {
    return forward6(ctx, 1);
}

SEC("cgroup/recvmsg4")

int host_recvmsg4(struct bpf_sock_addr* ctx) {
    return reverse4(ctx);
}

SEC("cgroup/recvmsg6")

int host_recvmsg6(struct bpf_sock_addr* ctx) {
    return reverse6(ctx);
}

SEC("cgroup/getpeername4")

int host_getpeername4(struct bpf_sock_addr* ctx) {
    return reverse4(ctx);
}

SEC("cgroup/getpeername6")

int host_getpeername6(struct bpf_sock_addr* ctx) {
    return reverse6(ctx);
}

SEC("cgroup/post_bind4")

int host_post_bind4(struct bpf_sock* sk) {
    struct davit_address address;
    address_v4(&address, sk->src_ip4);
    return reserved(sk, &address);
}

SEC("cgroup/post_bind6")

int host_post_bind6(struct bpf_sock* sk) {
    struct davit_address address, all4;
    __u32* words = (__u32*)&address;
    words[0] = sk->src_ip6[0];
    words[1] = sk->src_ip6[1];
    words[2] = sk->src_ip6[2];
    words[3] = sk->src_ip6[3];
    address_v4(&all4, 0);
    /* The wildcard binds IPv4, too. */
    return reserved(sk, &address) && (!is_unspecified6(&address) || reserved(sk, &all4));
}
