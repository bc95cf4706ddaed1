#include "jobs/container/links.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "jobs/container/ports.h"

namespace davit {

namespace {

std::string_view last_part(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
}

std::string upper(std::string_view text) {
    std::string upper(text);
    std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return std::toupper(c); });
    return upper;
}

/// "db-1": "DB_1".
std::string variable_prefix(std::string_view alias) {
    std::string prefix = upper(alias);
    std::ranges::replace(prefix, '-', '_');
    return prefix;
}

/// By number; of the same number TCP first.
std::vector<PortName> ports_sorted(const std::set<std::string>& names) {
    std::vector<PortName> ports;
    for (const std::string& name : names) {
        if (const auto port = port_name_parse(name)) {
            ports.push_back(*port);
        }
    }
    std::ranges::stable_sort(ports, [](const PortName& a, const PortName& b) {
        return a.number != b.number ? a.number < b.number
                                    : a.protocol == "tcp" && b.protocol != "tcp";
    });
    return ports;
}

/// The last one of a row of ports without a gap that begins at `first`.
std::size_t row_end(const std::vector<PortName>& ports, std::size_t first) {
    std::size_t last = first;
    while (last + 1 < ports.size() && ports[last + 1].number <= ports[last].number + 1) {
        ++last;
    }
    return last;
}

class Writer {
  public:
    explicit Writer(const LinkTarget& target)
        : target_(target), prefix_(variable_prefix(last_part(target.name))) {}

    std::vector<std::string> take() && { return std::move(variables_); }

    void add(std::string_view suffix, std::string_view value) {
        variables_.push_back(fmt::format("{}_{}={}", prefix_, suffix, value));
    }

    std::string url(const PortName& port) const {
        return fmt::format("{}://{}:{}", port.protocol, target_.address, port.number);
    }

    /// "PORT_80_TCP"
    static std::string name(const PortName& port) {
        return fmt::format("PORT_{}_{}", port.number, upper(port.protocol));
    }

    void row(const PortName& first, const PortName& last) {
        add(name(first) + "_START", url(first));
        add(name(first) + "_PORT_START", std::to_string(first.number));
        add(name(last) + "_END", url(last));
        add(name(last) + "_PORT_END", std::to_string(last.number));
    }

    void port(const PortName& port) {
        add(name(port), url(port));
        add(name(port) + "_ADDR", target_.address);
        add(name(port) + "_PORT", std::to_string(port.number));
        add(name(port) + "_PROTO", port.protocol);
    }

  private:
    const LinkTarget& target_;
    std::string prefix_;
    std::vector<std::string> variables_;
};

}  // namespace

Result<ContainerLink> link_parse(std::string_view text) {
    const auto bad = [](const std::string& message) {
        return Error(ErrorKind::invalid_argument, message);
    };
    if (text.empty()) {
        return bad("empty string specified for links");
    }
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
        return ContainerLink{std::string(text), std::string(text)};
    }
    std::string_view name = text.substr(0, colon);
    std::string_view alias = text.substr(colon + 1);
    if (alias.find(':') != std::string_view::npos) {
        return bad("bad format for links: " + std::string(text));
    }
    if (name.starts_with('/')) {
        name.remove_prefix(1);
        alias = last_part(alias);
    }
    return ContainerLink{std::string(name), std::string(alias)};
}

std::vector<std::string> link_environment(const LinkTarget& target) {
    Writer writer(target);
    const std::vector<PortName> ports = ports_sorted(target.ports);
    if (!ports.empty()) {
        writer.add("PORT", writer.url(ports.front()));
    }
    for (std::size_t first = 0; first < ports.size();) {
        const std::size_t last = row_end(ports, first);
        if (last > first + 1) {  // Two are none yet.
            writer.row(ports[first], ports[last]);
        }
        first = last + 1;
    }
    std::ranges::for_each(ports, [&](const PortName& port) { writer.port(port); });
    writer.add("NAME", target.name);
    for (const std::string& entry : target.environment) {
        const std::size_t equals = entry.find('=');
        const std::string name = entry.substr(0, equals);
        if (equals != std::string::npos && name != "HOME" && name != "PATH") {
            writer.add("ENV_" + name, entry.substr(equals + 1));
        }
    }
    return std::move(writer).take();
}

}  // namespace davit
