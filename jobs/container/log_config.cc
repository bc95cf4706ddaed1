#include "jobs/container/log_config.h"

#include <regex.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>

#include "jobs/container/field_check.h"
#include "jobs/container/record.h"

namespace davit {

namespace {

using Words = std::span<const std::string_view>;

Error not_yet(const std::string& option, const std::string& value, std::string_view instead) {
    return Error(
        ErrorKind::unsupported,
        option + " \"" + value + "\" is not supported by davit yet: " + std::string(instead));
}

const std::string* option_of(const LogConfig& config, const char* name) {
    const auto found = config.config.find(name);
    return found == config.config.end() ? nullptr : &found->second;
}

/// "10m", "1.5GB": powers of 1000. Follows: go-units' FromHumanSize().
std::optional<std::uint64_t> size_parse(std::string_view text) {
    double number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (parsed.ec != std::errc{} || !std::isfinite(number) || number < 0) {
        return std::nullopt;
    }
    std::string unit(parsed.ptr, text.data() + text.size());
    std::ranges::transform(
        unit, unit.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    unit.erase(0, unit.starts_with(' ') ? 1 : 0);
    constexpr std::string_view prefixes = "kmgtp";
    if (const std::size_t power = unit.empty() ? std::string_view::npos : prefixes.find(unit[0]);
        power != std::string_view::npos) {
        number *= std::pow(1000.0, static_cast<double>(power + 1));
        unit.erase(0, unit.size() > 1 && unit[1] == 'i' ? 2 : 1);
    }
    constexpr double most = 1e18;
    if ((!unit.empty() && unit != "b") || number > most) {
        return std::nullopt;
    }
    return static_cast<std::uint64_t>(number);
}

std::optional<bool> boolean_parse(std::string_view text) {
    static constexpr std::array<std::string_view, 6> yes{"1", "t", "T", "TRUE", "true", "True"};
    static constexpr std::array<std::string_view, 6> no{"0", "f", "F", "FALSE", "false", "False"};
    if (is_one_of(text, yes) || is_one_of(text, no)) {
        return is_one_of(text, yes);
    }
    return std::nullopt;
}

/// The expression, if it is one.
class Pattern {
  public:
    explicit Pattern(const std::string& expression)
        : good_(::regcomp(&compiled_, expression.c_str(), REG_EXTENDED | REG_NOSUB) == 0) {}

    Pattern(const Pattern&) = delete;
    Pattern& operator=(const Pattern&) = delete;

    ~Pattern() {
        if (good_) {
            ::regfree(&compiled_);
        }
    }

    bool good() const { return good_; }

    bool matches(const std::string& text) const {
        return good_ && ::regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0;
    }

  private:
    regex_t compiled_{};
    bool good_;
};

/// {{.Name}} and the like; the words of templates beyond these are not known.
std::optional<std::string> tag_fill(std::string_view text, const ContainerRecord& record) {
    constexpr std::size_t short_digits = 12;
    const std::string image = record.image_id.str();
    const std::string digits = image.substr(image.find(':') + 1);
    const std::array<std::pair<std::string_view, std::string>, 7> values{{
        {"ID", record.id.short_id()},
        {"FullID", record.id.str()},
        {"Name", record.name.empty() ? "" : record.name.substr(1)},
        {"ImageID", digits.substr(0, short_digits)},
        {"ImageFullID", image},
        {"ImageName", record.config.image},
        {"DaemonName", "docker"},
    }};
    std::string filled;
    for (;;) {
        const std::size_t begin = text.find("{{");
        filled += text.substr(0, begin);
        if (begin == std::string_view::npos) {
            return filled;
        }
        const std::size_t end = text.find("}}", begin);
        if (end == std::string_view::npos) {
            return std::nullopt;
        }
        std::string_view name = text.substr(begin + 2, end - begin - 2);
        name.remove_prefix(std::min(name.find_first_not_of(' '), name.size()));
        name = name.substr(0, name.find_last_not_of(' ') + 1);
        const auto value = std::ranges::find_if(values, [name](const auto& one) {
            return name.size() == one.first.size() + 1 && name[0] == '.' &&
                   name.substr(1) == one.first;
        });
        if (value == values.end()) {
            return std::nullopt;
        }
        filled += value->second;
        text.remove_prefix(end + 2);
    }
}

struct Driver {
    std::string_view name;
    /// How its errors call it.
    std::string_view words;
    Words options;
};

constexpr auto common = std::to_array<std::string_view>({"mode", "max-buffer-size"});
constexpr auto of_json_file = std::to_array<std::string_view>(
    {"max-file", "max-size", "compress", "labels", "labels-regex", "env", "env-regex", "tag"});
constexpr auto of_local = std::to_array<std::string_view>({"max-file", "max-size", "compress"});
constexpr auto of_journald =
    std::to_array<std::string_view>({"labels", "labels-regex", "env", "env-regex", "tag"});
constexpr auto of_syslog = std::to_array<std::string_view>({"labels",
                                                            "labels-regex",
                                                            "env",
                                                            "env-regex",
                                                            "tag",
                                                            "syslog-address",
                                                            "syslog-facility",
                                                            "syslog-format"});
constexpr std::array<Driver, 4> drivers{{{"json-file", "json-file log driver", of_json_file},
                                         {"local", "log driver 'local'", of_local},
                                         {"journald", "journald log driver", of_journald},
                                         {"syslog", "syslog log driver", of_syslog}}};

/// "host", "host:514", "[::1]:514".
Result<SyslogServer> server_parse(std::string_view text) {
    constexpr std::string_view digits = "0123456789";
    SyslogServer server;
    const std::size_t bracket = text.starts_with('[') ? text.find(']') : 0;
    const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
    server.host = text.substr(0, colon);
    if (colon != std::string_view::npos) {
        const std::string_view port = text.substr(colon + 1);
        const auto parsed = std::from_chars(port.data(), port.data() + port.size(), server.port);
        if (parsed.ec != std::errc{} || parsed.ptr != port.data() + port.size() ||
            port.find_first_not_of(digits) != std::string_view::npos) {
            return bad("invalid syslog-address: bad port in " + std::string(text));
        }
    }
    if (bracket > 0 && server.host.ends_with(']')) {
        server.host = server.host.substr(1, server.host.size() - 2);
    }
    if (server.host.empty() || server.host.find_first_of("/[]@?#") != std::string::npos) {
        return bad("invalid syslog-address: bad host in " + std::string(text));
    }
    return server;
}

struct SyslogAddress {
    std::string path;  // "": the usual places.
    std::optional<SyslogServer> server;
};

/// Follows: moby daemon/logger/syslog parseAddress().
Result<SyslogAddress> syslog_address(const LogConfig& config) {
    SyslogAddress address;
    const std::string* text = option_of(config, "syslog-address");
    if (text == nullptr || text->empty()) {
        return address;
    }
    const std::size_t end = text->find("://");
    const std::string scheme = text->substr(0, end);
    const std::string rest = end == std::string::npos ? "" : text->substr(end + 3);
    if (scheme == "tcp+tls") {
        return not_yet("LogConfig.Config", "syslog-address=" + *text, "use tcp://HOST:PORT");
    }
    if (end == std::string::npos ||
        (scheme != "unix" && scheme != "unixgram" && scheme != "udp" && scheme != "tcp")) {
        return bad("unsupported scheme: '" + (end == std::string::npos ? "" : scheme) + "'");
    }
    if (scheme.starts_with("unix")) {
        address.path = rest;
        return address;
    }
    TRY(address.server, server_parse(rest));
    address.server->tcp = scheme == "tcp";
    return address;
}

Result<SyslogFormat> syslog_format(const LogConfig& config) {
    const std::string* format = option_of(config, "syslog-format");
    return syslog_format_parse(format == nullptr ? "" : *format);
}

/// What is asked of a service of the host.
Result<void> service_check(const LogConfig& config) {
    TRY([[maybe_unused]] const SyslogAddress address, syslog_address(config));
    TRY([[maybe_unused]] const SyslogFormat format, syslog_format(config));
    if (const std::string* facility = option_of(config, "syslog-facility")) {
        TRY([[maybe_unused]] const int number, syslog_facility_parse(*facility));
    }
    return ok;
}

Result<void> sizes_check(const LogConfig& config) {
    const std::string* size = option_of(config, "max-size");
    if (size != nullptr && *size != "-1") {
        const auto bytes = size_parse(*size);
        if (!bytes) {
            return bad("invalid size: '" + *size + "'");
        }
        if (*bytes == 0) {
            return bad("max-size must be a positive number");
        }
    }
    if (const std::string* files = option_of(config, "max-file")) {
        int count = 0;
        const auto parsed = std::from_chars(files->data(), files->data() + files->size(), count);
        if (parsed.ec != std::errc{} || parsed.ptr != files->data() + files->size()) {
            return bad("strconv.Atoi: parsing \"" + *files + "\": invalid syntax");
        }
        constexpr int files_max = 1000;  // Each is renamed when the newest is full.
        if (count < 1 || count > files_max) {
            return bad(count < 1 ? "max-file cannot be less than 1"
                                 : "max-file cannot be more than 1000");
        }
    }
    if (const std::string* compress = option_of(config, "compress")) {
        const auto wanted = boolean_parse(*compress);
        if (!wanted) {
            return bad("strconv.ParseBool: parsing \"" + *compress + "\": invalid syntax");
        }
        const LogRotation rotation = log_rotation_of(config);
        if (*wanted && (rotation.files_max < 2 || rotation.bytes_max == 0)) {
            return bad(
                "compress cannot be true when max-file is less than 2 or max-size is not set");
        }
    }
    return ok;
}

/// Of a sink that takes a while: ours never holds a container up, so both modes are the same.
Result<void> mode_check(const LogConfig& config) {
    const std::string* mode = option_of(config, "mode");
    if (mode != nullptr && *mode != "blocking" && *mode != "non-blocking" && !mode->empty()) {
        return bad("logger: logging mode not supported: " + *mode);
    }
    if (const std::string* size = option_of(config, "max-buffer-size")) {
        if (mode == nullptr || *mode != "non-blocking") {
            return bad("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
        }
        return not_yet("LogConfig.Config",
                       "max-buffer-size=" + *size,
                       "leave it out, since nothing is buffered");
    }
    return ok;
}

Result<void> attributes_check(const LogConfig& config) {
    for (const char* name : {"labels-regex", "env-regex"}) {
        const std::string* expression = option_of(config, name);
        if (expression != nullptr && !expression->empty() && !Pattern(*expression).good()) {
            return bad("error parsing regexp: " + *expression);
        }
    }
    if (const std::string* tag = option_of(config, "tag");
        tag != nullptr && !tag_fill(*tag, ContainerRecord())) {
        return not_yet("LogConfig.Config",
                       "tag=" + *tag,
                       "known are {{.ID}}, {{.FullID}}, {{.Name}}, {{.ImageID}}, "
                       "{{.ImageFullID}}, {{.ImageName}} and {{.DaemonName}}");
    }
    return ok;
}

std::vector<std::string> list_split(std::string_view text) {
    std::vector<std::string> items;
    while (!text.empty()) {
        const std::string_view item = text.substr(0, text.find(','));
        items.emplace_back(item);
        text.remove_prefix(std::min(item.size() + 1, text.size()));
    }
    return items;
}

/// From names and values those that an option lists, or its expression matches.
void attributes_take(const LogConfig& config,
                     const char* list,
                     const char* expression,
                     const std::map<std::string, std::string>& values,
                     LogAttributes& taken) {
    if (const std::string* names = option_of(config, list)) {
        for (const std::string& name : list_split(*names)) {
            if (const auto value = values.find(name); value != values.end()) {
                taken.insert(*value);
            }
        }
    }
    const std::string* text = option_of(config, expression);
    if (text == nullptr || text->empty()) {
        return;
    }
    const Pattern pattern(*text);
    for (const auto& value : values) {
        if (pattern.matches(value.first)) {
            taken.insert(value);
        }
    }
}

}  // namespace

Result<void> log_config_check(const LogConfig& config) {
    static constexpr auto later = std::to_array<std::string_view>(
        {"gelf", "fluentd", "awslogs", "splunk", "gcplogs", "logentries"});
    if (is_one_of(config.type, later)) {
        return not_yet(
            "LogConfig.Type", config.type, "use json-file, local, journald, syslog or none");
    }
    if (config.type == "none") {
        return ok;  // Whatever its options.
    }
    const auto driver = std::ranges::find(drivers, config.type, &Driver::name);
    if (driver == drivers.end() && !config.type.empty()) {
        return bad("error looking up logging plugin " + config.type + ": plugin \"" + config.type +
                   "\" not found");
    }
    const Driver& known = config.type.empty() ? drivers.front() : *driver;
    for (const auto& [name, value] : config.config) {
        if (!is_one_of(name, known.options) && !is_one_of(name, common)) {
            return bad("unknown log opt '" + name + "' for " + std::string(known.words));
        }
    }
    TRY_VOID(service_check(config));
    TRY_VOID(mode_check(config));
    TRY_VOID(attributes_check(config));
    return sizes_check(config);
}

std::string log_path_of(const LogConfig& config,
                        const std::string& directory,
                        const std::string& id) {
    if (config.type == "none") {
        return {};
    }
    return config.type != "json-file" ? directory + "/local-logs/container.log"
                                      : directory + "/" + id + "-json.log";
}

bool log_has_service(const LogConfig& config) {
    return config.type == "syslog" || config.type == "journald";
}

std::optional<SyslogServer> log_server_of(const LogConfig& config) {
    const auto address = syslog_address(config);
    return config.type == "syslog" && address ? address->server : std::nullopt;
}

Result<std::shared_ptr<DatagramSink>> log_service_open(const ContainerRecord& record,
                                                       const std::string& host_name,
                                                       Fd connected) {
    const LogConfig& config = record.host_config.log_config;
    const std::string* given = option_of(config, "tag");
    const std::string tag = given != nullptr && !given->empty()
                                ? tag_fill(*given, record).value_or(*given)
                                : record.id.short_id();
    if (config.type == "syslog") {
        SyslogOptions options;
        TRY(const SyslogAddress address, syslog_address(config));
        TRY(options.format, syslog_format(config));
        options.socket_path = address.path;
        options.tag = tag;
        options.host_name = host_name;
        if (const std::string* facility = option_of(config, "syslog-facility")) {
            TRY(options.facility, syslog_facility_parse(*facility));
        }
        if (address.server) {
            return std::shared_ptr<DatagramSink>(
                syslog_sink_make(std::move(options), *address.server, std::move(connected)));
        }
        TRY(auto sink, syslog_sink_make(std::move(options)));
        return std::shared_ptr<DatagramSink>(std::move(sink));
    }
    std::map<std::string, std::string> fields{
        {"CONTAINER_ID", record.id.short_id()},
        {"CONTAINER_ID_FULL", record.id.str()},
        {"CONTAINER_NAME", record.name.substr(1)},
        {"CONTAINER_TAG", tag},
        {"IMAGE_NAME", record.config.image},
        {"SYSLOG_IDENTIFIER", tag},
    };
    for (const auto& [key, value] : log_attributes_of(record)) {
        std::string name;
        for (const char c : key) {
            const auto upper = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
            const bool fits = (upper >= 'A' && upper <= 'Z') || (upper >= '0' && upper <= '9');
            name += fits ? upper : '_';
        }
        name.erase(0, std::min(name.find_first_not_of('_'), name.size()));  // Those are its own.
        if (!name.empty() && key != "tag") {
            fields.emplace(std::move(name), value);
        }
    }
    TRY(auto sink, journal_sink_make(fields));
    return std::shared_ptr<DatagramSink>(std::move(sink));
}

LogRotation log_rotation_of(const LogConfig& config) {
    constexpr LogRotation local{.bytes_max = 20'000'000, .files_max = 5};
    const std::string* size = option_of(config, "max-size");
    const std::string* files = option_of(config, "max-file");
    LogRotation rotation =
        config.type == "local" || log_has_service(config) ? local : log_rotation_default;
    if (size != nullptr) {
        // With a size alone Docker keeps one file; local keeps its five.
        rotation.files_max = config.type == "local" ? local.files_max : 1;
        rotation.bytes_max = *size == "-1" ? 0 : size_parse(*size).value_or(0);
    }
    if (files != nullptr) {
        std::from_chars(files->data(), files->data() + files->size(), rotation.files_max);
    }
    if (const std::string* compress = option_of(config, "compress")) {
        rotation.compress = boolean_parse(*compress).value_or(false);
    }
    return rotation;
}

LogAttributes log_attributes_of(const ContainerRecord& record) {
    const LogConfig& config = record.host_config.log_config;
    if (config.config.empty()) {
        return {};  // As a rule: a start has better things to do.
    }
    std::map<std::string, std::string> environment;
    for (const std::string& variable : record.config.env) {
        const std::size_t sign = variable.find('=');
        if (sign != std::string::npos) {
            environment.emplace(variable.substr(0, sign), variable.substr(sign + 1));
        }
    }
    LogAttributes taken;
    attributes_take(config, "labels", "labels-regex", record.config.labels, taken);
    attributes_take(config, "env", "env-regex", environment, taken);
    const std::string* tag = option_of(config, "tag");
    if (tag != nullptr && !tag->empty()) {
        taken.insert_or_assign("tag", tag_fill(*tag, record).value_or(*tag));
    }
    return taken;
}

JsonFileWriter log_writer_make(const ContainerRecord& record) {
    return JsonFileWriter::make(
        record.log_path, log_rotation_of(record.host_config.log_config), log_attributes_of(record));
}

}  // namespace davit
