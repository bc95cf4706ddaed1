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

struct translation {
    struct davit_address addr;
    __be16 port_be;
};

INLINE int remember(void* ctx, __be32 asked, __be16 asked_port_be, const struct translation* to) {
    struct sock_rev_key key = {.cookie = bpf_get_socket_cookie(ctx), .port_be = to->port_be};
    struct sock_rev_value value = {.port_be = asked_port_be};
    key.addr = to->addr;
    address_v4(&value.addr, asked);
    return bpf_map_update_elem(&sock_rev, &key, &value, BPF_ANY) == 0;
}

INLINE int is_host_address(__be32 v4) {
    struct davit_address address;
    if (v4 == 0 || is_loopback_v4(v4)) {
        return 1;
    }
    address_v4(&address, v4);
    return bpf_map_lookup_elem(&host_addr, &address) != 0;
}

/* Whether what a socket connects or sends to becomes something else, and what. */
INLINE int translate(struct bpf_sock_addr* ctx, __be32 asked, struct translation* to) {
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
        if (asked != bpf_htonl(RESOLVER_V4) || port_be != bpf_htons(PORT_DNS)) {
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
    if (!is_host_address(asked)) {
        return 0;
    }
    if (asked == 0) {
        asked = bpf_htonl(0x7f000001);
    }
    struct bpf_sock* sk = ctx->sk;
    if (sk && is_loopback_v4(sk->src_ip4)) {
        return 0; /* Could not send from there to a container: from_lo takes it. */
    }
    struct port_map_value* published = port_find(asked, port_be, protocol);
    if (!published) {
        return 0;
    }
    to->addr = published->addr;
    to->port_be = published->port_be;
    count(DAVIT_STAT_SOCKET_TRANSLATED, 0);
    return remember(ctx, asked, port_be, to);
}

INLINE int forward4(struct bpf_sock_addr* ctx) {
    struct translation to = {};
    if (translate(ctx, ctx->user_ip4, &to)) {
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

/* ::1, :: and IPv4-mapped addresses of the host become the container's, IPv4-mapped. */
INLINE int forward6(struct bpf_sock_addr* ctx) {
    __u32 high = ctx->user_ip6[0] | ctx->user_ip6[1];
    __u32 third = ctx->user_ip6[2], last = ctx->user_ip6[3];
    struct translation to = {};
    __be32 asked = last;
    if (high) {
        return 1;
    }
    if (third == 0 && (last == bpf_htonl(1) || last == 0)) {
        asked = bpf_htonl(0x7f000001);
    } else if (third != bpf_htonl(0xffff)) {
        return 1;
    }
    if (translate(ctx, asked, &to)) {
        ctx->user_ip6[0] = 0;
        ctx->user_ip6[1] = 0;
        ctx->user_ip6[2] = bpf_htonl(0xffff);
        ctx->user_ip6[3] = v4_of(&to.addr);
        ctx->user_port = to.port_be;
    }
    return 1;
}

INLINE int reverse6(struct bpf_sock_addr* ctx) {
    __u32 last = ctx->user_ip6[3];
    struct sock_rev_key key = {.cookie = bpf_get_socket_cookie(ctx), .port_be = ctx->user_port};
    if (ctx->user_ip6[2] != bpf_htonl(0xffff)) {
        return 1;
    }
    address_v4(&key.addr, last);
    struct sock_rev_value* asked = bpf_map_lookup_elem(&sock_rev, &key);
    if (asked) {
        ctx->user_ip6[3] = v4_of(&asked->addr);
        ctx->user_port = asked->port_be;
    }
    return 1;
}

/* A published port is the container's: EADDRINUSE to whoever else binds it in the host. */
INLINE int reserved(struct bpf_sock* sk, __be32 v4) {
    struct config_value* settings = config_get();
    __u16 port = sk->src_port;
    __u8 protocol = sk->protocol;
    if (!settings || bpf_get_netns_cookie(sk) != settings->host_cookie || port == 0 ||
        (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)) {
        return 1;
    }
    if (!port_find(v4, bpf_htons(port), protocol)) {
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
    return forward6(ctx);
}

SEC("cgroup/sendmsg4")

int host_sendmsg4(struct bpf_sock_addr* ctx) {
    return forward4(ctx);
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
    return reserved(sk, sk->src_ip4);
}

SEC("cgroup/post_bind6")

int host_post_bind6(struct bpf_sock* sk) {
    __u32 high = sk->src_ip6[0] | sk->src_ip6[1] | sk->src_ip6[2];
    /* The wildcard binds IPv4, too. */
    return !high && !sk->src_ip6[3] ? reserved(sk, 0) : 1;
}
