#pragma once
/// The files that davit writes for a container and mounts over its own: /etc/hostname, /etc/hosts,
/// /etc/resolv.conf. Made anew at every start, in the run directory.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

struct SandboxFilesRequest {
    std::string hostname;
    std::string domainname;
    /// The container shares the host's network: it sees the host's own files.
    bool host_network = false;
    /// "name:address", as --add-host gives them.
    std::vector<std::string> extra_hosts;
    std::vector<std::string> dns;
    std::vector<std::string> dns_search;
    std::vector<std::string> dns_options;
    /// Its own addresses, each with the names that stand for it.
    std::vector<std::pair<std::string, std::string>> own_hosts;
    /// What "host-gateway" in extra_hosts stands for.
    std::string host_gateway;
    /// It has a network of its own: a name server on the host's loopback is none to it.
    bool own_network = false;
    /// 127.0.0.11 answers, and asks the others.
    bool resolver = false;
    /// Whose the files are: the container's root.
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
};

/// Contents of /etc/hosts. host_file: the host's own, for host_network.
std::string hosts_text(const SandboxFilesRequest& request, std::string_view host_file);

/// The name servers that a container asks, or its embedded resolver does for it.
std::vector<std::string> name_servers(const SandboxFilesRequest& request,
                                      std::string_view host_file);

/// Contents of /etc/resolv.conf: the host's lines where the request does not replace them.
std::string resolv_conf_text(const SandboxFilesRequest& request, std::string_view host_file);

/// What a running container sees changes with its networks: replace resolv.conf; add or remove
/// lines of hosts. In place, since the files are mounted.
Result<void> resolv_conf_replace(const std::string& directory, const SandboxFilesRequest& request);
Result<void> hosts_add(const std::string& directory,
                       const std::string& address,
                       const std::string& names);
Result<void> hosts_remove(const std::string& directory, const std::string& address);

/// A name's address is another one now: change the lines whose first name it is.
Result<void> hosts_readdress(const std::string& directory,
                             const std::string& name,
                             const std::string& address);

/// Write all three into an existing directory, named hostname, hosts, resolv.conf.
Result<void> sandbox_files_write(const std::string& directory, const SandboxFilesRequest& request);

}  // namespace davit
