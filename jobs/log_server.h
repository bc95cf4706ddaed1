#pragma once
/// The way of a container's records to a logging service, which may be a server in the network.
#include <memory>

#include "jobs/container/container.h"
#include "jobs/container/log_config.h"
#include "reactor/task.h"

namespace davit {

/// Takes:  record: lives until then; host_name: the host's.
/// Errors: as log_service_open(), resolve_host() and syslog_connect().
Task<std::shared_ptr<DatagramSink>> log_service_connect(const ContainerRecord& record,
                                                        const std::string& host_name);

/// For a container that outlived its daemon: until the server is there its records are in the log
/// alone. A server that cannot be had is logged, and the container goes on.
Task<void> log_server_resume(std::shared_ptr<Container> container, std::string host_name);

}  // namespace davit
