// davit stats
#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "cli/list_printer.h"
#include "cli/units.h"
#include "http/json_reader.h"
#include "reactor/base/limits.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"

namespace davit::cli {

namespace {

struct StatsOptions {
    bool all = false;
    std::string format;
    bool no_stream = false;
    bool no_trunc = false;
};

constexpr Flag stats_flags[] = {
    flag<StatsOptions, &StatsOptions::all>(
        "all", 'a', "", "Show all containers, not only running ones"),
    flag<StatsOptions, &StatsOptions::format>(
        "format", 0, "string", "table, json, or a template like '{{.Name}} {{.CPUPerc}}'"),
    flag<StatsOptions, &StatsOptions::no_stream>(
        "no-stream", 0, "", "Show the first result and end"),
    flag<StatsOptions, &StatsOptions::no_trunc>("no-trunc", 0, "", "Do not shorten IDs"),
};

constexpr ListField fields[] = {
    {"BlockIO", "BLOCK I/O"},
    {"CPUPerc", "CPU %"},
    {"Container", "CONTAINER"},
    {"ID", "CONTAINER ID"},
    {"MemPerc", "MEM %"},
    {"MemUsage", "MEM USAGE / LIMIT"},
    {"Name", "NAME"},
    {"NetIO", "NET I/O"},
    {"PIDs", "PIDS"},
};

constexpr std::string_view default_table =
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t"
    "{{.PIDs}}";
constexpr std::size_t container_id_digits = 12;
constexpr int usage_digits = 3;
constexpr std::chrono::seconds interval{1};

/// What two samples are compared by.
struct CpuTimes {
    std::uint64_t container = 0;
    std::uint64_t host = 0;
    std::uint64_t count = 0;
};

/// What is shown of one sample.
struct ContainerUsage {
    std::string id;
    std::string name;
    CpuTimes cpu;
    CpuTimes cpu_before;
    std::uint64_t memory = 0;
    std::uint64_t memory_limit = 0;
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    std::uint64_t read = 0;
    std::uint64_t written = 0;
    std::uint64_t pids = 0;
};

Result<CpuTimes> cpu_times(const JsonValue& stats, std::string_view key) {
    const JsonValue json = stats.member(key);
    CpuTimes times;
    TRY(times.container, json.member("cpu_usage").uint64_or("total_usage", 0));
    TRY(times.host, json.uint64_or("system_cpu_usage", 0));
    TRY(times.count, json.uint64_or("online_cpus", 0));
    return times;
}

/// Without the page cache that can be given up at once. Follows: docker's
/// calculateMemUsageUnixNoCache().
Result<std::uint64_t> memory_used(const JsonValue& memory) {
    TRY(const std::uint64_t usage, memory.uint64_or("usage", 0));
    for (const char* key : {"total_inactive_file", "inactive_file"}) {
        const JsonValue cache = memory.member("stats").member(key);
        if (cache.present()) {
            TRY(const std::uint64_t bytes, cache.as_uint64());
            return bytes < usage ? usage - bytes : usage;
        }
    }
    return usage;
}

Result<void> networks_add(const JsonValue& stats, ContainerUsage& usage) {
    TRY(const auto networks, stats.member("networks").as_object());
    for (const auto& [name, interface] : networks) {
        TRY(const std::uint64_t received, interface.uint64_or("rx_bytes", 0));
        TRY(const std::uint64_t sent, interface.uint64_or("tx_bytes", 0));
        usage.received += received;
        usage.sent += sent;
    }
    return ok;
}

Result<void> blocks_add(const JsonValue& stats, ContainerUsage& usage) {
    TRY(const JsonValue list, stats.member("blkio_stats").array("io_service_bytes_recursive"));
    TRY(const std::vector<JsonValue> entries, list.as_array());
    for (const JsonValue& entry : entries) {
        TRY(const std::string operation, entry.string_or("op", ""));
        TRY(const std::uint64_t bytes, entry.uint64_or("value", 0));
        if (operation == "read" || operation == "Read") {
            usage.read += bytes;
        } else if (operation == "write" || operation == "Write") {
            usage.written += bytes;
        }
    }
    return ok;
}

Result<ContainerUsage> usage_parse(const std::string& body) {
    TRY(const JsonDocument document, JsonDocument::parse(body));
    const JsonValue stats = document.root();
    ContainerUsage usage;
    TRY(usage.id, stats.string_or("id", ""));
    TRY(usage.name, stats.string_or("name", ""));
    TRY(usage.cpu, cpu_times(stats, "cpu_stats"));
    TRY(usage.cpu_before, cpu_times(stats, "precpu_stats"));
    TRY(usage.memory, memory_used(stats.member("memory_stats")));
    TRY(usage.memory_limit, stats.member("memory_stats").uint64_or("limit", 0));
    TRY(usage.pids, stats.member("pids_stats").uint64_or("current", 0));
    TRY_VOID(networks_add(stats, usage));
    TRY_VOID(blocks_add(stats, usage));
    return usage;
}

double cpu_percent(const ContainerUsage& usage) {
    if (usage.cpu.container <= usage.cpu_before.container ||
        usage.cpu.host <= usage.cpu_before.host) {
        return 0;
    }
    const auto used = static_cast<double>(usage.cpu.container - usage.cpu_before.container);
    const auto all = static_cast<double>(usage.cpu.host - usage.cpu_before.host);
    return used / all * static_cast<double>(usage.cpu.count) * 100;
}

std::string percent_text(double value) {
    return fmt::format("{:.2f}%", value);
}

std::string bytes_text(std::uint64_t bytes) {
    return binary_size_text(static_cast<double>(bytes));
}

std::string pair_text(std::uint64_t first, std::uint64_t second) {
    return size_text(static_cast<double>(first), usage_digits) + " / " +
           size_text(static_cast<double>(second), usage_digits);
}

ListRow row_make(const ContainerUsage& usage, const std::string& asked, bool no_trunc) {
    const double share =
        usage.memory_limit == 0
            ? 0
            : static_cast<double>(usage.memory) / static_cast<double>(usage.memory_limit) * 100;
    ListRow row;
    row.values = {pair_text(usage.read, usage.written),
                  percent_text(cpu_percent(usage)),
                  asked,
                  no_trunc ? usage.id : usage.id.substr(0, container_id_digits),
                  percent_text(share),
                  bytes_text(usage.memory) + " / " + bytes_text(usage.memory_limit),
                  usage.name.starts_with('/') ? usage.name.substr(1) : usage.name,
                  pair_text(usage.received, usage.sent),
                  std::to_string(usage.pids)};
    return row;
}

Task<std::vector<std::string>> containers_listed(ApiClient& api, bool all) {
    ApiCall call{"GET", "/containers/json"};
    if (all) {
        call.query.add("all", "1");
    }
    CO_TRY(const std::string body, co_await api.call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::vector<JsonValue> items, document.root().as_array());
    std::vector<std::string> ids;
    for (const JsonValue& item : items) {
        CO_TRY(std::string id, item.string_or("Id", ""));
        ids.push_back(std::move(id));
    }
    co_return std::move(ids);
}

/// Samples of all containers, asked for at the same time.
class Sampler {
  public:
    explicit Sampler(ApiClient& api) : api_(api) {}

    /// Compared with the sample before: the daemon's, or from the second round on ours.
    Task<std::vector<Result<ContainerUsage>>> round(const std::vector<std::string>& containers) {
        std::vector<Result<ContainerUsage>> usages(containers.size(),
                                                   Error(ErrorKind::internal, "not sampled"));
        Semaphore turns(limits::cli_parallel_max);
        TaskGroup group(GroupPolicy::independent);
        for (std::size_t i = 0; i < containers.size(); ++i) {
            group.spawn(sample(containers[i], turns, usages[i]));
        }
        CO_CHECK(co_await group.join());
        for (std::size_t i = 0; i < usages.size(); ++i) {
            if (usages[i]) {
                before_[containers[i]] = usages[i]->cpu;
            }
        }
        co_return std::move(usages);
    }

  private:
    Task<void> sample(const std::string& container,
                      Semaphore& turns,
                      Result<ContainerUsage>& usage) {
        CO_TRY(const Semaphore::Permit permit, co_await turns.acquire());
        ApiCall call{"GET", container_path(container, "stats")};
        call.query.add("stream", "0");
        const bool known = before_.contains(container);
        if (known) {
            call.query.add("one-shot", "1");
        }
        const Result<std::string> body = co_await api_.call(std::move(call));
        if (!body) {
            usage = body.error();
            co_return ok;
        }
        usage = usage_parse(*body);
        if (known && usage) {
            usage->cpu_before = before_[container];
        }
        co_return ok;
    }

    ApiClient& api_;
    std::map<std::string, CpuTimes> before_;
};

Task<int> stats(Context& context, StatsOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    Sampler sampler(*api);
    for (bool first = true;; first = false) {
        std::vector<std::string> containers = arguments;
        if (arguments.empty()) {
            CO_TRY(containers, co_await containers_listed(*api, options.all));
        }
        CO_TRY(const std::vector<Result<ContainerUsage>> usages,
               co_await sampler.round(containers));
        std::vector<ListRow> rows;
        for (std::size_t i = 0; i < usages.size(); ++i) {
            if (usages[i]) {
                rows.push_back(row_make(*usages[i], containers[i], options.no_trunc));
            } else if (usages[i].error().kind() != ErrorKind::not_found ||
                       (first && !arguments.empty())) {
                co_return usages[i].error();
            }
        }
        if (!options.no_stream) {
            context.out.write("\033[H\033[J");  // The screen is painted anew.
        }
        CO_CHECK(list_print(context.out, options.format, default_table, fields, rows));
        context.out.flush();
        if (options.no_stream || (rows.empty() && !arguments.empty())) {
            co_return 0;
        }
        CO_CHECK(co_await sleep_for(interval));
    }
}

}  // namespace

constexpr Command stats_command{
    .name = "stats",
    .group = "container",
    .group_names = "stats",
    .usage = "[OPTIONS] [CONTAINER...]",
    .summary = "Display a live stream of container(s) resource usage statistics",
    .flags = stats_flags,
    .body = command_body<StatsOptions, stats>,
};

}  // namespace davit::cli
