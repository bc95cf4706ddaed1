#pragma once
/// What a container's LogConfig says: where its output goes, how much of it is kept, and what is
/// noted beside every record. Follows: moby daemon/logger (json-file, local,
/// syslog, journald), loginfo.go.
#include <optional>
#include <string>
#include <vector>

#include "drivers/log/json_file.h"
#include "drivers/log/syslog_sink.h"
#include "jobs/container/host_config.h"

namespace davit {

struct ContainerRecord;

/// Unless something else is asked for: an engine's logs must not fill its disk.
inline constexpr LogRotation log_rotation_default{.bytes_max = 100'000'000, .files_max = 3};

/// Errors: invalid_argument, in Docker's words; unsupported, naming the option and what to do.
Result<void> log_config_check(const LogConfig& config);

/// The file that records go to; "" for none. directory: the container's.
std::string log_path_of(const LogConfig& config,
                        const std::string& directory,
                        const std::string& id);

/// Whether records go to a service; what they are read from is a file all the same.
bool log_has_service(const LogConfig& config);

/// The syslog server that they go to, if it is one in the network.
std::optional<SyslogServer> log_server_of(const LogConfig& config);

/// The way to that service. Errors: unavailable (there is none on this host).
/// Takes:  host_name: the host's; connected: to log_server_of(), if there is one.
Result<std::shared_ptr<DatagramSink>> log_service_open(const ContainerRecord& record,
                                                       const std::string& host_name,
                                                       Fd connected);

/// How much is kept. config passed log_config_check().
LogRotation log_rotation_of(const LogConfig& config);

/// What the options labels, env and tag want noted, by key. Follows: Docker's ExtraAttributes().
LogAttributes log_attributes_of(const ContainerRecord& record);

/// Writes to the record's log_path, as its configuration says.
JsonFileWriter log_writer_make(const ContainerRecord& record);

}  // namespace davit
