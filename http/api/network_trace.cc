// GET /davit/network/trace: where a packet would go, and why.
#include <netinet/in.h>

#include <charconv>

#include "http/api/handlers.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"
#include "jobs/network/networks.h"

namespace davit::api {

namespace {

Result<NetworkTraceRequest> request_of(const ApiContext& context) {
    NetworkTraceRequest request;
    request.from = context.query.get("from");
    request.to = context.query.get("to");
    const std::string_view port = context.query.get("port");
    const std::string_view protocol = context.query.get("proto");
    if (request.from.empty() || request.to.empty()) {
        return Error(ErrorKind::invalid_argument, "from and to are required");
    }
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), request.port);
    if (error != std::errc{} || end != port.data() + port.size() || request.port == 0) {
        return Error(ErrorKind::invalid_argument, "invalid port: \"" + std::string(port) + "\"");
    }
    if (protocol == "udp") {
        request.protocol = IPPROTO_UDP;
    } else if (protocol.empty() || protocol == "tcp") {
        request.protocol = IPPROTO_TCP;
    } else {
        return Error(ErrorKind::invalid_argument,
                     "invalid protocol \"" + std::string(protocol) + "\": tcp or udp");
    }
    return request;
}

std::string_view way_name(TraceWay way) {
    switch (way) {
        case TraceWay::dropped:
            return "dropped";
        case TraceWay::passed:
            return "passed";
        case TraceWay::container:
            return "container";
        case TraceWay::outside:
            return "outside";
        case TraceWay::host:
            return "host";
    }
    return "";
}

}  // namespace

Task<void> network_trace(ApiContext& context) {
    CO_TRY(NetworkTraceRequest request, request_of(context));
    CO_TRY(const NetworkTrace trace, co_await context.daemon.networks->trace(std::move(request)));
    const TraceOutcome& outcome = trace.outcome;
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("Packet").string(outcome.packet.str());
    json.key("Network").string(trace.network);
    json.key("EntersBy").string(outcome.enters_by).key("Program").string(outcome.program);
    json.key("Way").string(way_name(outcome.way)).key("Reason").string(outcome.reason);
    json.key("Meaning").string(outcome.meaning);
    json.key("LeavesBy").string(outcome.leaves_by);
    json.key("Becomes").string(outcome.becomes == outcome.packet ? "" : outcome.becomes.str());
    json.key("SocketBecomes").string(outcome.translated ? outcome.translated->str() : "");
    json.key("Receiver").string(trace.receiver).end_object();
    co_return co_await context.send_json(200, std::move(body));
}

}  // namespace davit::api
