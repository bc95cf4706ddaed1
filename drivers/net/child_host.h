#pragma once
/// What the child link driver does on the host and in containers' namespaces. Functions for a
/// worker thread, values in and out.
#include <set>
#include <string>
#include <vector>

#include "drivers/net/driver.h"
#include "drivers/net/netns.h"

namespace davit {

/// The parent of a network: it is made if it is one that davit makes. Gives: its index.
/// Errors: not_found (no such link); invalid_argument (no parent for such links); unsupported (the
///         kernel has no such links); conflict (a link of this name that is not davit's).
Result<int> child_parent_make(const std::string& owner, const NetworkSpec& network);

/// Delete a parent, if it is one that davit made; missing is fine.
Result<void> child_parent_delete(const std::string& owner, const NetworkSpec& network);

/// Delete parents of this owner's that no known network has.
Result<void> child_parents_sweep(const std::string& owner, const std::vector<NetworkSpec>& known);

struct ChildTarget {
    EndpointSpec spec;
    int parent_index = 0;
};

struct ChildJob {
    std::vector<ChildTarget> targets;
    /// -1: a new namespace: `netns`, or one that is made.
    int pidfd = -1;
    Fd netns = {};
    /// The links are there.
    bool adopt = false;
};

/// All of it, or nothing. Errors: as NetworkDriver::attach(), adopt().
Result<NetworkNamespace> children_make(const ChildJob& job);

/// Take a link out of a namespace that lives on.
Result<void> child_delete(int netns_fd, const std::string& interface);

}  // namespace davit
