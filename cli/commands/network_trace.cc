// davit network trace
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/table_writer.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct NetworkTraceOptions {
    std::string from;
    std::string to;
    std::optional<std::int64_t> port;
    std::string protocol = "tcp";
    std::string format;
};

constexpr Flag trace_flags[] = {
    flag<NetworkTraceOptions, &NetworkTraceOptions::format>(
        "format", 0, "string", "json: the whole answer"),
    flag<NetworkTraceOptions, &NetworkTraceOptions::from>(
        "from", 0, "string", "Who sends: a container, an address outside, or host"),
    flag<NetworkTraceOptions, &NetworkTraceOptions::port>(
        "port", 0, "int", "The port that it is sent to"),
    flag<NetworkTraceOptions, &NetworkTraceOptions::protocol>(
        "proto", 0, "string", "tcp (default) or udp"),
    flag<NetworkTraceOptions, &NetworkTraceOptions::to>(
        "to", 0, "string", "Who shall get it: a container, an address, or host"),
};

/// What the verdict means, in a sentence.
std::string verdict_text(const std::string& way,
                         const std::string& by,
                         const std::string& receiver) {
    if (way == "dropped") {
        return "dropped";
    }
    if (way == "container") {
        return fmt::format(
            "goes into {} by {}", receiver.empty() ? "a container" : "container " + receiver, by);
    }
    if (way == "outside") {
        return "goes out by " + by;
    }
    if (way == "host") {
        return "goes back to a socket of this host";
    }
    return "left to this host's own stack";
}

Result<std::string> trace_text(const JsonValue& trace) {
    TRY(const std::string packet, trace.string_or("Packet", ""));
    TRY(const std::string network, trace.string_or("Network", ""));
    TRY(const std::string enters_by, trace.string_or("EntersBy", ""));
    TRY(const std::string program, trace.string_or("Program", ""));
    TRY(const std::string way, trace.string_or("Way", ""));
    TRY(const std::string reason, trace.string_or("Reason", ""));
    TRY(const std::string meaning, trace.string_or("Meaning", ""));
    TRY(const std::string leaves_by, trace.string_or("LeavesBy", ""));
    TRY(const std::string becomes, trace.string_or("Becomes", ""));
    TRY(const std::string socket_becomes, trace.string_or("SocketBecomes", ""));
    TRY(const std::string receiver, trace.string_or("Receiver", ""));
    TableWriter table;
    const auto row = [&](const char* what, std::string text) {
        if (!text.empty()) {
            table.row({what, std::move(text)});
        }
    };
    if (!socket_becomes.empty()) {
        // A socket of the host's is led there when it connects: most never send the packet below.
        row("connect",
            fmt::format(
                "becomes {}{}", socket_becomes, receiver.empty() ? "" : ", container " + receiver));
    }
    row("packet", packet);
    row("network", network);
    row("enters by", enters_by);
    row("program", program);
    row("verdict", verdict_text(way, leaves_by, receiver));
    row("becomes", becomes);
    row("reason", reason.empty() ? "" : reason + ": " + meaning);
    return table.text();
}

Task<int> network_trace_show(Context& context,
                             NetworkTraceOptions options,
                             Arguments /*arguments*/) {
    if (options.from.empty() || options.to.empty() || !options.port) {
        co_return Error(ErrorKind::invalid_argument,
                        "davit network trace needs --from, --to and --port");
    }
    if (!options.format.empty() && options.format != "json") {
        co_return Error(ErrorKind::invalid_argument,
                        "invalid format \"" + options.format + "\": json, or none");
    }
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", "/davit/network/trace"};
    call.query.add("from", options.from);
    call.query.add("to", options.to);
    call.query.add("port", std::to_string(*options.port));
    call.query.add("proto", options.protocol);
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    if (options.format == "json") {
        context.out.line(body);
        co_return 0;
    }
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::string text, trace_text(document.root()));
    context.out.write(text);
    co_return 0;
}

}  // namespace

constexpr Command network_trace_command{
    .group = "network",
    .group_names = "trace",
    .usage = "--from FROM --to TO --port PORT [OPTIONS]",
    .summary = "Show where the first packet of a connection would go, and why",
    .count = {.max = 0},
    .flags = trace_flags,
    .body = command_body<NetworkTraceOptions, network_trace_show>,
};

}  // namespace davit::cli
