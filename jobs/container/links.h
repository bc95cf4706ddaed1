#pragma once
/// Links: what a container is told of another one on the default bridge (`--link db:alias`).
///
/// Follows: docker-run(1) --link; moby opts/parse.go ParseLink(), daemon/links/links.go.
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

struct ContainerLink {
    /// Name or id, as it was given.
    std::string container;
    std::string alias;
};

/// "name", "name:alias", or as inspect shows one: "/name:/parent/alias".
/// Errors: invalid_argument, in Docker's words.
Result<ContainerLink> link_parse(std::string_view text);

/// The container that is linked to, while it runs.
struct LinkTarget {
    /// "/parent/alias".
    std::string name;
    std::string address;
    /// "80/tcp", "53/udp".
    std::set<std::string> ports;
    /// "NAME=value".
    std::vector<std::string> environment;
};

/// ALIAS_NAME, ALIAS_PORT, ALIAS_PORT_80_TCP, ..., ALIAS_ENV_NAME, as "NAME=value".
std::vector<std::string> link_environment(const LinkTarget& target);

}  // namespace davit
