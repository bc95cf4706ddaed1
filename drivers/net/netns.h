#pragma once
/// Network namespaces as descriptors: made, or entered for a moment, by a worker thread that then
/// returns to the host's. All of it blocks (about a millisecond to make one).
///
/// A namespace lives as long as a descriptor, a process or a socket is in it. Follows:
/// network_namespaces(7), setns(2).
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "drivers/net/netlink.h"

namespace davit {

struct NetworkNamespace {
    Fd fd;
    /// Speaks to the kernel about this namespace, from whichever thread.
    NetlinkSocket socket;
    /// SO_NETNS_COOKIE: what BPF programs know it by.
    std::uint64_t cookie = 0;
};

/// The calling thread's.
Result<Fd> netns_current();
Result<std::uint64_t> netns_cookie();

/// One of net.ipv6.conf.INTERFACE's settings, in the calling thread's namespace.
/// Errors: not_found (no such interface, or a kernel without IPv6).
Result<void> ipv6_setting(const std::string& interface,
                          const std::string& name,
                          std::string_view value);

/// Do something in a namespace. Takes: fd: of a process, or of the namespace.
Result<void> netns_visit(int fd, const std::function<Result<void>()>& act);

/// Make one. host: where the thread is, and returns to. IPv6 is off on the links that come into it,
/// as Docker has it: on a network without, nobody announces a router to them.
/// Takes: made: one that is there and has no links yet, for a user namespace owns it; -1: none.
Result<NetworkNamespace> netns_make(int host, int made = -1);

/// Switch it on for some of its links.
Result<void> netns_ipv6_enable(const NetworkNamespace& netns,
                               int host,
                               const std::vector<std::string>& interfaces);

/// The one of a process, or of a descriptor of it. Errors: not_found (the process has ended).
Result<NetworkNamespace> netns_of(int fd, int host);

}  // namespace davit
