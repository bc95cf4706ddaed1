#include "jobs/container/sandbox_files.h"

#include "reactor/base/fd.h"

namespace davit {

namespace {

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
        text.append(extra, colon + 1).append("\t").append(extra, 0, colon).append("\n");
    }
    return text;
}

std::string resolv_conf_text(const SandboxFilesRequest& request, std::string_view host_file) {
    std::string text;
    if (request.dns.empty()) {
        copy_lines(text, host_file, "nameserver");
    }
    for (const std::string& server : request.dns) {
        text.append("nameserver ").append(server).append("\n");
    }
    if (request.dns_search.empty()) {
        copy_lines(text, host_file, "search");
    } else if (request.dns_search != std::vector<std::string>{"."}) {
        append_words(text, "search", request.dns_search);  // "." alone means: no search list.
    }
    if (request.dns_options.empty()) {
        copy_lines(text, host_file, "options");
    } else {
        append_words(text, "options", request.dns_options);
    }
    return text;
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
        return write_all(file.get(), text);
    };
    TRY_VOID(write("hostname", full_name + "\n"));
    TRY_VOID(write("hosts", hosts_text(request, hosts)));
    return write(
        "resolv.conf",
        resolv_conf_text(request, resolv ? std::string_view(*resolv) : std::string_view()));
}

}  // namespace davit
