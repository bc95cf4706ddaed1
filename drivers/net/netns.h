#pragma once
/// Network namespaces as descriptors: made, or entered for a moment, by a worker thread that then
/// returns to the host's. All of it blocks (about a millisecond to make one).
///
/// A namespace lives as long as a descriptor, a process or a socket is in it. Follows:
/// network_namespaces(7), setns(2).
#include <cstdint>

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

/// Make one. host: where the thread is, and returns to.
Result<NetworkNamespace> netns_make(int host);

/// The one of a process, or one that a descriptor is already. Errors: not_found (it has ended).
Result<NetworkNamespace> netns_of(int namespace_or_pidfd, int host);

}  // namespace davit
