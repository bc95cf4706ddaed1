// davit port
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct PortOptionsNone {};

std::string shown(const std::string& ip, const std::string& port) {
    return ip.find(':') == std::string::npos ? ip + ":" + port : "[" + ip + "]:" + port;
}

Task<int> port(Context& context, PortOptionsNone /*options*/, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", container_path(arguments[0], "json")};
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const JsonValue settings, document.root().object("NetworkSettings"));
    CO_TRY(const JsonValue ports, settings.object("Ports"));
    CO_TRY(const auto members, ports.as_object());
    std::string wanted = arguments.size() > 1 ? arguments[1] : "";
    if (!wanted.empty() && wanted.find('/') == std::string::npos) {
        wanted += "/tcp";
    }
    bool found = wanted.empty();
    for (const auto& [name, list] : members) {
        if (!wanted.empty() && name != wanted) {
            continue;
        }
        CO_TRY(const std::vector<JsonValue> bindings, list.as_array());
        for (const JsonValue& binding : bindings) {
            CO_TRY(const std::string ip, binding.string_or("HostIp", ""));
            CO_TRY(const std::string number, binding.string_or("HostPort", ""));
            found = true;
            context.out.line(wanted.empty() ? fmt::format("{} -> {}", name, shown(ip, number))
                                            : shown(ip, number));
        }
    }
    if (!found) {
        co_return Error(ErrorKind::not_found,
                        fmt::format("no public port '{}' published for {}", wanted, arguments[0]));
    }
    co_return 0;
}

}  // namespace

constexpr Command port_command{
    .name = "port",
    .group = "container",
    .group_names = "port",
    .usage = "CONTAINER [PRIVATE_PORT[/PROTO]]",
    .summary = "List the ports that a container publishes",
    .count = {.min = 1, .max = 2},
    .body = command_body<PortOptionsNone, port>,
};

}  // namespace davit::cli
