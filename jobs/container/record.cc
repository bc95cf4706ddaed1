#include "jobs/container/record.h"

#include "jobs/container/json_fields.h"

namespace davit {

namespace {

/// Raised when a stored record means something else than it did; older ones are then read as what
/// they meant.
constexpr std::int64_t record_version = 1;

}  // namespace

Result<void> field_read(const JsonValue& json, ContainerState& state) {
    TRY(const std::string_view name, json.as_string());
    TRY(state, container_state_parse(name));
    return ok;
}

void field_write(JsonWriter& json, const ContainerState& state) {
    json.string(container_state_name(state));
}

Result<void> field_read(const JsonValue& json, HealthStatus& status) {
    TRY(const std::string_view name, json.as_string());
    TRY(status, health_status_parse(name));
    return ok;
}

void field_write(JsonWriter& json, const HealthStatus& status) {
    json.string(health_status_name(status));
}

Result<void> field_read(const JsonValue& json, ContainerId& id) {
    TRY(const std::string_view text, json.as_string());
    TRY(id, ContainerId::parse(text));
    return ok;
}

void field_write(JsonWriter& json, const ContainerId& id) {
    json.string(id.str());
}

/// An empty digest is "": a container may have no image.
Result<void> field_read(const JsonValue& json, Digest& digest) {
    TRY(const std::string_view text, json.as_string());
    if (!text.empty()) {
        TRY(digest, Digest::parse(text));
    }
    return ok;
}

void field_write(JsonWriter& json, const Digest& digest) {
    json.string(digest.str());
}

Result<void> field_read(const JsonValue& json, ContainerConfig& config) {
    TRY(config, container_config_parse(json));
    return ok;
}

void field_write(JsonWriter& json, const ContainerConfig& config) {
    container_config_write(json, config);
}

Result<void> field_read(const JsonValue& json, HostConfig& config) {
    TRY(config, host_config_parse(json));
    return ok;
}

void field_write(JsonWriter& json, const HostConfig& config) {
    host_config_write(json, config);
}

template <typename V>
void fields(V& visit, FieldOf<V, MountPoint>& mount) {
    visit("Type", mount.type);
    visit("Source", mount.source);
    visit("Destination", mount.destination);
    visit("Mode", mount.mode);
    visit("ReadWrite", mount.read_write);
    visit("Propagation", mount.propagation);
    visit("Recursive", mount.recursive);
    visit("ReadOnlyRecursive", mount.read_only_recursive);
    visit("CreateSource", mount.create_source);
    visit("Options", mount.options);
    visit("Name", mount.name, WhenEmpty::omit);
    visit("Driver", mount.driver, WhenEmpty::omit);
    visit("CopyUp", mount.copy_up, WhenEmpty::omit);
    visit("Anonymous", mount.anonymous, WhenEmpty::omit);
    visit("Subpath", mount.subpath, WhenEmpty::omit);
    visit("ChainId", mount.chain_id, WhenEmpty::omit);
    visit("Listed", mount.listed);
}

template <typename V>
void fields(V& visit, FieldOf<V, StartPhase>& phase) {
    visit("Name", phase.name);
    visit("StartNs", phase.start_ns);
    visit("DurationNs", phase.duration_ns);
}

template <typename V>
void fields(V& visit, FieldOf<V, ResolvedUser>& user) {
    visit("Uid", user.uid);
    visit("Gid", user.gid);
    visit("AdditionalGids", user.additional_gids);
    visit("Home", user.home);
}

template <typename V>
void fields(V& visit, FieldOf<V, HealthProbeRecord>& probe) {
    visit("Start", probe.start);
    visit("End", probe.end);
    visit("ExitCode", probe.exit_code);
    visit("Output", probe.output);
}

template <typename V>
void fields(V& visit, FieldOf<V, HealthRecord>& health) {
    visit("Status", health.status);
    visit("FailingStreak", health.failing_streak);
    visit("Log", health.log);
}

template <typename V>
void fields(V& visit, FieldOf<V, ExitCause>& cause) {
    visit("Signal", cause.signal, WhenEmpty::omit);
    visit("Sent", cause.sent, WhenEmpty::omit);
    visit("Sender", cause.sender, WhenEmpty::omit);
    visit("MemoryCgroup", cause.memory_cgroup, WhenEmpty::omit);
    visit("MemoryLimit", cause.memory_limit, WhenEmpty::omit);
    visit("MemoryPeak", cause.memory_peak, WhenEmpty::omit);
    visit("FailedPhase", cause.failed_phase, WhenEmpty::omit);
}

template <typename V>
void fields(V& visit, FieldOf<V, ContainerStateRecord>& state) {
    visit("Status", state.status);
    visit("Pid", state.pid);
    visit("ExitCode", state.exit_code);
    visit("Error", state.error);
    visit("OomKilled", state.oom_killed);
    visit("StartedAt", state.started_at, WhenEmpty::omit);
    visit("FinishedAt", state.finished_at, WhenEmpty::omit);
    visit("Health", state.health, WhenEmpty::omit);
    visit("Cause", state.cause);
}

template <typename V>
void fields(V& visit, FieldOf<V, CreateKey>& key) {
    visit("Key", key.key);
    visit("Request", key.request);
    visit("Warnings", key.warnings);
}

template <typename V>
void fields(V& visit, FieldOf<V, ContainerRecord>& record) {
    visit("Id", record.id);
    visit("Name", record.name);
    visit("Created", record.created);
    visit("ImageId", record.image_id);
    visit("ChainId", record.chain_id);
    visit("Driver", record.driver);
    visit("Path", record.path);
    visit("Args", record.args);
    visit("Config", record.config);
    visit("HostConfig", record.host_config);
    visit("State", record.state);
    visit("Mounts", record.mounts);
    visit("LogPath", record.log_path);
    visit("FilesDirectory", record.files_directory);
    visit("RwName", record.rw_name);
    visit("CgroupPath", record.cgroup_path);
    visit("StartPhases", record.start_phases);
    visit("User", record.user);
    visit("Networks", record.networks);
    visit("Published", record.published, WhenEmpty::omit);
    visit("RestartCount", record.restart_count);
    visit("ManuallyStopped", record.manually_stopped);
    visit("RemovesVolumes", record.removes_volumes, WhenEmpty::omit);
    visit("LimitsDue", record.limits_due, WhenEmpty::omit);
    visit("CreateKey", record.create_key, WhenEmpty::omit);
}

namespace {

Result<ContainerRecord> record_read(const JsonDocument& document) {
    const JsonValue json = document.root();
    TRY(const std::int64_t version, json.int64_or("Version", 0));
    if (version > record_version) {
        return Error(ErrorKind::unsupported,
                     "a record of version " + std::to_string(version) +
                         ", written by a later davit; this one knows version " +
                         std::to_string(record_version));
    }
    ContainerRecord record;
    FieldReader reader(json);
    fields(reader, record);
    TRY_VOID(std::move(reader).result());
    if (version < 1 || record.id.empty() || record.name.size() < 2 || record.name.front() != '/') {
        return Error(ErrorKind::corrupt, "version, id or name is missing");
    }
    return record;
}

Error corrupt(Error error) {
    const bool later = error.kind() == ErrorKind::unsupported;
    error = std::move(error).context("container record");
    return later ? error : std::move(error).with_kind(ErrorKind::corrupt);
}

}  // namespace

std::string container_record_write(const ContainerRecord& record) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("Version").number(record_version);
    FieldWriter writer(json);
    fields(writer, record);
    json.end_object();
    return text;
}

Result<ContainerRecord> container_record_read(std::string_view text) {
    auto document = JsonDocument::parse(text);
    if (!document) {
        return corrupt(std::move(document).error());
    }
    auto record = record_read(*document);
    if (!record) {
        return corrupt(std::move(record).error());
    }
    return record;
}

}  // namespace davit
