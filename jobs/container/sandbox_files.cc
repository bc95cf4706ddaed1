#include "jobs/container/sandbox_files.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "reactor/base/fd.h"

namespace davit {

namespace {

constexpr std::string_view embedded_resolver = "127.0.0.11";
/// Docker's, where the host names none that a container can reach.
constexpr std::array<std::string_view, 2> fallback_servers{"8.8.8.8", "8.8.4.4"};

/// The lines of a resolv.conf that begin with one of these words.
void copy_lines(std::string& out, std::string_view text, std::string_view word) {
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.starts_with(word) && line.size() > word.size() &&
            (line[word.size()] == ' ' || line[word.size()] == '\t')) {
            out.append(line).append("\n");
        }
    }
}

void append_words(std::string& out, std::string_view word, const std::vector<std::string>& values) {
    out += word;
    for (const std::string& value : values) {
        out.append(" ").append(value);
    }
    out += '\n';
}

}  // namespace

std::string hosts_text(const SandboxFilesRequest& request, std::string_view host_file) {
    std::string text;
    if (request.host_network) {
        text = host_file;
        if (!text.empty() && text.back() != '\n') {
            text += '\n';
        }
    } else {
        text =
            "127.0.0.1\tlocalhost\n"
            "::1\tlocalhost ip6-localhost ip6-loopback\n"
            "fe00::\tip6-localnet\n"
            "ff00::\tip6-mcastprefix\n"
            "ff02::1\tip6-allnodes\n"
            "ff02::2\tip6-allrouters\n";
    }
    for (const std::string& extra : request.extra_hosts) {
        const std::size_t colon = extra.find_first_of(":=");
        const std::string address = extra.substr(colon + 1);
        text.append(address == "host-gateway" ? request.host_gateway : address);
        text.append("\t").append(extra, 0, colon).append("\n");
    }
    for (const auto& [address, names] : request.own_hosts) {
        text.append(address).append("\t").append(names).append("\n");
    }
    return text;
}

std::vector<std::string> name_servers(const SandboxFilesRequest& request,
                                      std::string_view host_file) {
    if (!request.dns.empty()) {
        return request.dns;
    }
    std::string lines;
    copy_lines(lines, host_file, "nameserver");
    std::vector<std::string> servers;
    std::string_view rest = lines;
    while (!rest.empty()) {
        std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(line.size() + 1);
        line.remove_prefix(std::min(line.find_first_of(" \t"), line.size()));
        line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
        const std::string_view server = line.substr(0, line.find_first_of(" \t"));
        const bool on_loopback = server.starts_with("127.") || server == "::1";
        if (!server.empty() && !(request.own_network && on_loopback)) {
            servers.emplace_back(server);
        }
    }
    if (servers.empty() && request.own_network) {
        servers.assign(fallback_servers.begin(), fallback_servers.end());
    }
    return servers;
}

std::string resolv_conf_text(const SandboxFilesRequest& request, std::string_view host_file) {
    std::string text;
    const std::vector<std::string> servers =
        request.resolver ? std::vector<std::string>{std::string(embedded_resolver)}
                         : name_servers(request, host_file);
    for (const std::string& server : servers) {
        text.append("nameserver ").append(server).append("\n");
    }
    if (request.dns_search.empty()) {
        copy_lines(text, host_file, "search");
    } else if (request.dns_search != std::vector<std::string>{"."}) {
        append_words(text, "search", request.dns_search);  // "." alone means: no search list.
    }
    if (request.dns_options.empty()) {
        copy_lines(text, host_file, "options");
        if (request.resolver && text.find("\noptions ") == std::string::npos) {
            text += "options ndots:0\n";
        }
    } else {
        append_words(text, "options", request.dns_options);
    }
    return text;
}

namespace {

Result<void> replace_in_place(const std::string& path, std::string_view text) {
    TRY(const Fd file, Fd::open(path, O_WRONLY | O_TRUNC));
    return write_all(file.get(), text);
}

}  // namespace

Result<void> resolv_conf_replace(const std::string& directory, const SandboxFilesRequest& request) {
    const auto host_file = file_read("/etc/resolv.conf");
    return replace_in_place(
        directory + "/resolv.conf",
        resolv_conf_text(request, host_file ? std::string_view(*host_file) : std::string_view()));
}

Result<void> hosts_add(const std::string& directory,
                       const std::string& address,
                       const std::string& names) {
    TRY(const Fd file, Fd::open(directory + "/hosts", O_WRONLY | O_APPEND));
    return write_all(file.get(), address + "\t" + names + "\n");
}

namespace {

/// Put every line through a function that gives what stands there from now on.
template <typename Change>
Result<void> hosts_change(const std::string& directory, Change change) {
    TRY(const std::string text, file_read(directory + "/hosts"));
    std::string changed;
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size() - 1) + 1;
        changed += change(rest.substr(0, end));
        rest.remove_prefix(end);
    }
    return replace_in_place(directory + "/hosts", changed);
}

}  // namespace

Result<void> hosts_remove(const std::string& directory, const std::string& address) {
    return hosts_change(directory, [&](std::string_view line) {
        return line.starts_with(address + "\t") ? std::string() : std::string(line);
    });
}

Result<void> hosts_readdress(const std::string& directory,
                             const std::string& name,
                             const std::string& address) {
    return hosts_change(directory, [&](std::string_view line) {
        const std::size_t tab = std::min(line.find('\t'), line.size() - 1);
        const std::string_view names = line.substr(tab + 1);
        const bool is_it = names.substr(0, names.find_first_of(" \t\n")) == name;
        return is_it ? address + std::string(line.substr(tab)) : std::string(line);
    });
}

Result<void> sandbox_files_write(const std::string& directory, const SandboxFilesRequest& request) {
    const auto resolv = file_read("/etc/resolv.conf");
    std::string hosts;
    if (request.host_network) {
        auto own = file_read("/etc/hosts");
        hosts = own ? *std::move(own) : std::string();
    }
    const std::string full_name =
        request.domainname.empty() ? request.hostname : request.hostname + "." + request.domainname;
    TRY(Fd dir, Fd::open(directory, O_RDONLY | O_DIRECTORY));
    const auto write = [&](const char* name, std::string_view text) -> Result<void> {
        TRY(Fd file, Fd::openat(dir.get(), name, O_WRONLY | O_CREAT | O_TRUNC, 0644));
        if (::fchown(file.get(), request.uid, request.gid) != 0) {
            return Error::from_errno(errno, "fchown", name);
        }
        return write_all(file.get(), text);
    };
    TRY_VOID(write("hostname", full_name + "\n"));
    TRY_VOID(write("hosts", hosts_text(request, hosts)));
    return write(
        "resolv.conf",
        resolv_conf_text(request, resolv ? std::string_view(*resolv) : std::string_view()));
}

}  // namespace davit
