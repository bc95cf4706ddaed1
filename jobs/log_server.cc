#include "jobs/log_server.h"

#include "http/resolver.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

Task<Fd> server_connect(SyslogServer server) {
    CO_TRY(const std::vector<std::string> addresses, co_await resolve_host(server.host));
    std::optional<Error> first;
    for (const std::string& address : addresses) {
        auto connect = [server, address] { return syslog_connect(server, address); };
        Result<Fd> connected = co_await offload_bulk(std::move(connect));
        if (connected || connected.error().kind() == ErrorKind::cancelled) {
            co_return std::move(connected);
        }
        if (!first) {
            first = std::move(connected).error();
        }
    }
    co_return first ? *std::move(first)
                    : Error(ErrorKind::unavailable, "no address of host " + server.host);
}

}  // namespace

Task<std::shared_ptr<DatagramSink>> log_service_connect(const ContainerRecord& record,
                                                        const std::string& host_name) {
    Fd connected;
    if (std::optional<SyslogServer> server = log_server_of(record.host_config.log_config)) {
        CO_TRY(connected, co_await server_connect(*std::move(server)));
    }
    co_return log_service_open(record, host_name, std::move(connected));
}

Task<void> log_server_resume(std::shared_ptr<Container> container, std::string host_name) {
    auto sink = co_await log_service_connect(container->record, host_name);
    if (sink) {
        container->output.log_also_to(*std::move(sink));
    } else {
        LOG_WARN("container={}: {}, ignoring: its log is only in its file",
                 container->id().short_id(),
                 sink.error().message());
    }
    co_return ok;
}

}  // namespace davit
