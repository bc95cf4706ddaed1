#pragma once
/// Host names to addresses, through c-ares on the loop: /etc/hosts, then DNS by /etc/resolv.conf.
#include <string>
#include <vector>

#include "reactor/task.h"

namespace davit {

/// The numeric addresses of a host, in the order in which to try them (RFC 6724, by c-ares); a
/// numeric host is its own answer. Reads /etc/hosts and /etc/resolv.conf anew each time, so changes
/// count at once. servers ("127.0.0.1:53,...") are asked instead of those of /etc/resolv.conf.
/// Errors: internal (no such host); unavailable (no name server answers); cancelled.
Task<std::vector<std::string>> resolve_host(std::string host, std::string servers = {});

}  // namespace davit
