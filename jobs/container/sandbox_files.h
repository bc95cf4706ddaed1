#pragma once
/// The files that davit writes for a container and mounts over its own: /etc/hostname, /etc/hosts,
/// /etc/resolv.conf. Made anew at every start, in the run directory.
#include <string>
#include <string_view>
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
};

/// Contents of /etc/hosts. host_file: the host's own, for host_network.
std::string hosts_text(const SandboxFilesRequest& request, std::string_view host_file);

/// Contents of /etc/resolv.conf: the host's lines where the request does not replace them.
std::string resolv_conf_text(const SandboxFilesRequest& request, std::string_view host_file);

/// Write all three into an existing directory, named hostname, hosts, resolv.conf.
Result<void> sandbox_files_write(const std::string& directory, const SandboxFilesRequest& request);

}  // namespace davit
