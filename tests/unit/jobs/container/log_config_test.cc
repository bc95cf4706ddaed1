/// Goal: log drivers and their options are taken, and refused, as Docker does it.
#include "jobs/container/log_config.h"

#include "tests/unit/jobs/container/model_support.h"

namespace davit::test {

namespace {

LogConfig log_of(std::string type, std::map<std::string, std::string> options) {
    return LogConfig{std::move(type), std::move(options)};
}

std::string failure_of(const LogConfig& config) {
    const Result<void> checked = log_config_check(config);
    return checked ? "" : checked.error().message();
}

}  // namespace

TEST_CASE("rotation is on by default, and off only when asked for", "[container][log]") {
    CHECK(log_rotation_of(log_of("json-file", {})) == log_rotation_default);
    CHECK(log_rotation_of(log_of("", {})) == log_rotation_default);
    CHECK(log_rotation_default.bytes_max > 0);
    CHECK(log_rotation_of(log_of("json-file", {{"max-size", "-1"}})).bytes_max == 0);
    CHECK(log_rotation_of(log_of("json-file", {{"max-size", "10k"}})) ==
          LogRotation{.bytes_max = 10'000, .files_max = 1});
    CHECK(log_rotation_of(log_of("json-file", {{"max-size", "1.5MB"}, {"max-file", "7"}})) ==
          LogRotation{.bytes_max = 1'500'000, .files_max = 7});
    CHECK(log_rotation_of(log_of("json-file", {{"max-file", "2"}})) ==
          LogRotation{.bytes_max = log_rotation_default.bytes_max, .files_max = 2});
    CHECK(log_rotation_of(log_of("local", {})) ==
          LogRotation{.bytes_max = 20'000'000, .files_max = 5});
    CHECK(log_rotation_of(log_of("local", {{"max-size", "1m"}})) ==
          LogRotation{.bytes_max = 1'000'000, .files_max = 5});
}

TEST_CASE("options that cannot be", "[container][log]") {
    const std::pair<LogConfig, std::string> cases[] = {
        {log_of("json-file", {{"max-size", "0"}}), "max-size must be a positive number"},
        {log_of("json-file", {{"max-size", "ten"}}), "invalid size: 'ten'"},
        {log_of("json-file", {{"max-size", "10x"}}), "invalid size: '10x'"},
        {log_of("json-file", {{"max-file", "0"}}), "max-file cannot be less than 1"},
        {log_of("json-file", {{"max-file", "many"}}),
         "strconv.Atoi: parsing \"many\": invalid syntax"},
        {log_of("json-file", {{"mode", "maybe"}}), "logger: logging mode not supported: maybe"},
        {log_of("json-file", {{"max-buffer-size", "1m"}}),
         "logger: max-buffer-size option is only supported with 'mode=non-blocking'"},
        {log_of("json-file", {{"nope", "1"}}), "unknown log opt 'nope' for json-file log driver"},
        {log_of("local", {{"labels", "a"}}), "unknown log opt 'labels' for log driver 'local'"},
        {log_of("syslog", {{"syslog-facility", "nope"}}), "invalid syslog facility"},
        {log_of("journald", {{"max-size", "1m"}}),
         "unknown log opt 'max-size' for journald log driver"},
        {log_of("nope", {}), "error looking up logging plugin nope: plugin \"nope\" not found"},
        {log_of("json-file", {{"env-regex", "("}}), "error parsing regexp: ("},
    };
    for (const auto& [config, message] : cases) {
        CHECK(failure_of(config) == message);
    }
    CHECK(failure_of(log_of("json-file", {{"compress", "true"}})).empty());
    for (const auto& [name, value] : {std::pair("max-file", "1"), std::pair("max-size", "-1")}) {
        CHECK(failure_of(log_of("json-file", {{"compress", "true"}, {name, value}})) ==
              "compress cannot be true when max-file is less than 2 or max-size is not set");
    }
    CHECK_THAT(failure_of(log_of("json-file", {{"tag", "{{.Nope}}"}})),
               Catch::Matchers::Contains("not supported by davit yet"));
    CHECK(failure_of(log_of("json-file",
                            {{"max-size", "10m"},
                             {"max-file", "3"},
                             {"compress", "false"},
                             {"mode", "non-blocking"},
                             {"labels", "a,b"},
                             {"tag", "{{.Name}}/{{ .ID }}"}}))
              .empty());
    CHECK_THAT(failure_of(log_of("syslog", {{"syslog-address", "tcp+tls://host:514"}})),
               Catch::Matchers::Contains("not supported by davit yet: use tcp://HOST:PORT"));
    CHECK(failure_of(log_of("syslog", {{"syslog-address", "http://host"}})) ==
          "unsupported scheme: 'http'");
    CHECK(failure_of(log_of("syslog", {{"syslog-address", "udp://host:x"}})) ==
          "invalid syslog-address: bad port in host:x");
    CHECK(failure_of(log_of("syslog", {{"syslog-address", "udp://"}})) ==
          "invalid syslog-address: bad host in ");
    CHECK(failure_of(log_of("syslog", {{"syslog-format", "rfc9"}})) == "Invalid syslog format");
    const auto server = [](const std::string& address) {
        return log_server_of(log_of("syslog", {{"syslog-address", address}}));
    };
    CHECK(server("tcp://logs.example") == SyslogServer{"logs.example", 514, true});
    CHECK(server("udp://127.0.0.1:5000") == SyslogServer{"127.0.0.1", 5000, false});
    CHECK(server("udp://[::1]:5000") == SyslogServer{"::1", 5000, false});
    CHECK(server("udp://[::1]") == SyslogServer{"::1", 514, false});
    CHECK_FALSE(server("unix:///dev/log"));
    CHECK(failure_of(
              log_of("syslog", {{"syslog-address", "unix:///x"}, {"syslog-facility", "local3"}}))
              .empty());
    CHECK(failure_of(log_of("none", {{"whatever", "1"}})).empty());
}

TEST_CASE("what is noted beside every record", "[container][log]") {
    const ContainerRecord record = record_of(
        R"({"Image":"web:1","Env":["A=1","B=2","LC_ALL=C"],"Labels":{"one":"1","two":"2","x.y":"3"},)"
        R"("HostConfig":{"LogConfig":{"Type":"json-file","Config":{"labels":"two,none",)"
        R"("labels-regex":"^x\\.","env":"A","env-regex":"^LC_","tag":"{{.Name}}@{{.ImageName}}"}}}})");
    const LogAttributes expected{
        {"A", "1"}, {"LC_ALL", "C"}, {"tag", "brave_sloop@web:1"}, {"two", "2"}, {"x.y", "3"}};
    CHECK(log_attributes_of(record) == expected);
    CHECK(log_attributes_of(record_of(R"({"Image":"web","Labels":{"a":"b"}})")).empty());
}

TEST_CASE("where records go", "[container][log]") {
    CHECK(log_path_of(log_of("json-file", {}), "/d", "id") == "/d/id-json.log");
    CHECK(log_path_of(log_of("local", {}), "/d", "id") == "/d/local-logs/container.log");
    CHECK(log_path_of(log_of("none", {}), "/d", "id").empty());
}

}  // namespace davit::test
