#include "graph/image_config.h"

#include "http/json_reader.h"
#include "http/json_writer.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

Error invalid(std::string message) {
    return Error(ErrorKind::invalid_argument, "invalid image config: " + std::move(message));
}

Result<std::optional<HealthConfig>> parse_health(const JsonValue& value) {
    if (!value.present()) {
        return std::optional<HealthConfig>{};
    }
    HealthConfig health;
    TRY(health.test, value.strings("Test"));
    TRY(health.interval_ns, value.int64_or("Interval", 0));
    TRY(health.timeout_ns, value.int64_or("Timeout", 0));
    TRY(health.start_period_ns, value.int64_or("StartPeriod", 0));
    TRY(health.start_interval_ns, value.int64_or("StartInterval", 0));
    TRY(health.retries, value.int64_or("Retries", 0));
    return std::optional<HealthConfig>(std::move(health));
}

Result<std::vector<HistoryEntry>> parse_history(const JsonValue& list) {
    TRY(const std::vector<JsonValue> items, list.as_array());
    std::vector<HistoryEntry> out;
    for (const JsonValue& item : items) {
        HistoryEntry entry;
        TRY(entry.created, item.string_or("created", ""));
        TRY(entry.author, item.string_or("author", ""));
        TRY(entry.created_by, item.string_or("created_by", ""));
        TRY(entry.comment, item.string_or("comment", ""));
        TRY(entry.empty_layer, item.bool_or("empty_layer", false));
        out.push_back(std::move(entry));
    }
    return out;
}

Result<std::vector<Digest>> parse_diff_ids(const JsonValue& root) {
    TRY(const JsonValue rootfs, root.object("rootfs"));
    if (!rootfs.present()) {
        return invalid("no rootfs");
    }
    TRY(const std::string type, rootfs.string_or("type", "layers"));
    if (type != "layers") {
        return invalid("rootfs type \"" + type + "\" is not known");
    }
    TRY(const std::vector<std::string> texts, rootfs.strings("diff_ids"));
    if (texts.size() > limits::image_layers_max) {
        return invalid("more than " + std::to_string(limits::image_layers_max) + " layers");
    }
    std::vector<Digest> out;
    for (const std::string& text : texts) {
        TRY(Digest digest, Digest::parse(text));
        out.push_back(std::move(digest));
    }
    return out;
}

void write_text(JsonWriter& json, std::string_view key, std::string_view text) {
    if (!text.empty()) {
        json.key(key).string(text);
    }
}

void write_texts(JsonWriter& json, std::string_view key, const std::vector<std::string>& texts) {
    if (!texts.empty()) {
        json.key(key).strings(texts);
    }
}

void write_number(JsonWriter& json, std::string_view key, std::int64_t number) {
    if (number != 0) {
        json.key(key).number(number);
    }
}

/// A set, as Go writes map[string]struct{}.
void write_set(JsonWriter& json, std::string_view key, const std::vector<std::string>& names) {
    if (names.empty()) {
        return;
    }
    json.key(key).begin_object();
    for (const std::string& name : names) {
        json.key(name).begin_object().end_object();
    }
    json.end_object();
}

void write_health(JsonWriter& json, const HealthConfig& health) {
    json.key("Healthcheck").begin_object();
    write_texts(json, "Test", health.test);
    write_number(json, "Interval", health.interval_ns);
    write_number(json, "Timeout", health.timeout_ns);
    write_number(json, "StartPeriod", health.start_period_ns);
    write_number(json, "StartInterval", health.start_interval_ns);
    write_number(json, "Retries", health.retries);
    json.end_object();
}

void write_history(JsonWriter& json, const std::vector<HistoryEntry>& history) {
    json.key("history").begin_array();
    for (const HistoryEntry& entry : history) {
        json.begin_object();
        write_text(json, "created", entry.created);
        write_text(json, "author", entry.author);
        write_text(json, "created_by", entry.created_by);
        write_text(json, "comment", entry.comment);
        if (entry.empty_layer) {
            json.key("empty_layer").boolean(true);
        }
        json.end_object();
    }
    json.end_array();
}

}  // namespace

Result<RunConfig> run_config_parse(const JsonValue& value) {
    RunConfig config;
    TRY(config.user, value.string_or("User", ""));
    TRY(config.exposed_ports, value.keys("ExposedPorts"));
    TRY(config.env, value.strings("Env"));
    TRY(config.entrypoint, value.strings_or_one("Entrypoint"));
    TRY(config.cmd, value.strings_or_one("Cmd"));
    TRY(config.volumes, value.keys("Volumes"));
    TRY(config.working_dir, value.string_or("WorkingDir", ""));
    TRY(config.labels, value.string_map("Labels"));
    TRY(config.stop_signal, value.string_or("StopSignal", ""));
    TRY(const JsonValue health, value.object("Healthcheck"));
    TRY(config.healthcheck, parse_health(health));
    TRY(config.shell, value.strings_or_one("Shell"));
    TRY(config.on_build, value.strings("OnBuild"));
    TRY(config.args_escaped, value.bool_or("ArgsEscaped", false));
    return config;
}

Result<ImageConfig> image_config_parse(std::string_view bytes) {
    if (bytes.size() > limits::image_config_bytes_max) {
        return invalid(std::to_string(bytes.size()) + " bytes are too large");
    }
    TRY(const JsonDocument document, JsonDocument::parse(bytes));
    const JsonValue root = document.root();
    if (!root.is(JsonValue::Type::object)) {
        return invalid("it is not a JSON object");
    }
    ImageConfig config;
    TRY(config.platform.os, root.string_or("os", ""));
    TRY(config.platform.architecture, root.string_or("architecture", ""));
    TRY(config.platform.variant, root.string_or("variant", ""));
    TRY(config.platform.os_version, root.string_or("os.version", ""));
    TRY(config.platform.os_features, root.strings("os.features"));
    TRY(config.created, root.string_or("created", ""));
    TRY(config.author, root.string_or("author", ""));
    TRY(const JsonValue run, root.object("config"));
    TRY(config.config, run_config_parse(run));
    TRY(config.diff_ids, parse_diff_ids(root));
    TRY(const JsonValue history, root.array("history"));
    TRY(config.history, parse_history(history));
    return config;
}

void run_config_write(JsonWriter& json, const RunConfig& config) {
    json.begin_object();
    write_text(json, "User", config.user);
    write_set(json, "ExposedPorts", config.exposed_ports);
    write_texts(json, "Env", config.env);
    write_texts(json, "Entrypoint", config.entrypoint);
    write_texts(json, "Cmd", config.cmd);
    write_set(json, "Volumes", config.volumes);
    write_text(json, "WorkingDir", config.working_dir);
    if (!config.labels.empty()) {
        json.key("Labels").string_map(config.labels);
    }
    write_text(json, "StopSignal", config.stop_signal);
    if (config.healthcheck) {
        write_health(json, *config.healthcheck);
    }
    write_texts(json, "Shell", config.shell);
    write_texts(json, "OnBuild", config.on_build);
    if (config.args_escaped) {
        json.key("ArgsEscaped").boolean(true);
    }
    json.end_object();
}

std::string image_config_json(const ImageConfig& config) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    json.key("architecture").string(config.platform.architecture);
    write_text(json, "author", config.author);
    json.key("config");
    run_config_write(json, config.config);
    write_text(json, "created", config.created);
    if (!config.history.empty()) {
        write_history(json, config.history);
    }
    json.key("os").string(config.platform.os);
    write_texts(json, "os.features", config.platform.os_features);
    write_text(json, "os.version", config.platform.os_version);
    json.key("rootfs").begin_object().key("type").string("layers").key("diff_ids").begin_array();
    for (const Digest& diff_id : config.diff_ids) {
        json.string(diff_id.str());
    }
    json.end_array().end_object();
    write_text(json, "variant", config.platform.variant);
    json.end_object();
    return out;
}

ImageConfig image_config_for_import(const Platform& platform,
                                    const Digest& diff_id,
                                    std::string created,
                                    std::string comment) {
    HistoryEntry entry;
    entry.created = created;
    entry.comment = std::move(comment);
    ImageConfig config;
    config.platform = platform;
    config.created = std::move(created);
    config.diff_ids.push_back(diff_id);
    config.history.push_back(std::move(entry));
    return config;
}

std::vector<Digest> chain_ids(std::span<const Digest> diff_ids) {
    std::vector<Digest> chain;
    chain.reserve(diff_ids.size());
    for (const Digest& diff_id : diff_ids) {
        chain.push_back(chain.empty() ? diff_id
                                      : sha256_of(chain.back().str() + " " + diff_id.str()));
    }
    return chain;
}

Digest chain_id(std::span<const Digest> diff_ids) {
    const std::vector<Digest> chain = chain_ids(diff_ids);
    return chain.empty() ? Digest{} : chain.back();
}

}  // namespace davit
