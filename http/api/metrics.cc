// Counters of the network, and GET /metrics: what a monitoring system reads.
#include <map>

#include <fmt/format.h>

#include "http/api/handlers.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"
#include "jobs/network/networks.h"
#include "jobs/version.h"
#include "reactor/loop.h"

namespace davit::api {

namespace {

/// The text format of Prometheus, version 0.0.4.
class Metrics {
  public:
    /// Begin a metric; kind: "gauge", "counter".
    void begin(std::string_view name, std::string_view kind, std::string_view help) {
        name_ = "davit_" + std::string(name);
        text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name_, help, kind);
    }

    template <typename T>
    void value(T number) {
        text_ += fmt::format("{} {}\n", name_, number);
    }

    /// Labels are names of ours: nothing in them has to be escaped.
    template <typename T>
    void value(std::string_view label, std::string_view of, T number) {
        text_ += fmt::format("{}{{{}=\"{}\"}} {}\n", name_, label, of, number);
    }

    /// Nothing for what has not happened.
    void calls(const ApiRoute& route, std::string_view end, std::uint64_t number) {
        if (number > 0) {
            text_ += fmt::format("{}{{method=\"{}\",endpoint=\"{}\",end=\"{}\"}} {}\n",
                                 name_,
                                 route.method,
                                 route.pattern,
                                 end,
                                 number);
        }
    }

    std::string take() { return std::move(text_); }

  private:
    std::string name_;
    std::string text_;
};

void containers_tell(Metrics& metrics, const Daemon& daemon) {
    std::map<std::string_view, std::uint64_t> by_state;
    for (std::size_t state = 0; state < container_state_count; ++state) {
        by_state[container_state_name(static_cast<ContainerState>(state))] = 0;
    }
    for (const auto& container : daemon.containers.list()) {
        ++by_state[container_state_name(container->record.state.status)];
    }
    metrics.begin("containers", "gauge", "Containers by their state.");
    for (const auto& [state, count] : by_state) {
        metrics.value("state", state, count);
    }
}

void loop_tell(Metrics& metrics) {
    const StallDetector& stalls = Loop::current().stalls();
    metrics.begin("loop_turns_total", "counter", "Turns of the daemon's event loop.");
    metrics.value(stalls.turns());
    metrics.begin("loop_long_turns_total", "counter", "Turns that kept it busy for over 1 ms.");
    metrics.value(stalls.long_turns());
    metrics.begin("loop_longest_turn_seconds", "gauge", "The longest of them.");
    metrics.value(std::chrono::duration<double>(stalls.longest()).count());
}

void calls_tell(Metrics& metrics, std::span<const ApiCallCount> counts) {
    metrics.begin("api_calls_total", "counter", "Calls of an endpoint, by how they ended.");
    for (std::size_t i = 0; i < counts.size(); ++i) {
        const ApiRoute& route = api_routes()[i];
        metrics.calls(route, "done", counts[i].done);
        metrics.calls(route, "failed", counts[i].failed);
        metrics.calls(route, "cancelled", counts[i].cancelled);
    }
}

void network_tell(Metrics& metrics, const std::vector<NetworkCounter>& counters) {
    metrics.begin("network_packets_total", "counter", "Packets that took a way of davit's.");
    for (const NetworkCounter& counter : counters) {
        if (!counter.dropped) {
            metrics.value("way", counter.name, counter.packets);
        }
    }
    metrics.begin("network_dropped_packets_total", "counter", "Packets that were dropped.");
    for (const NetworkCounter& counter : counters) {
        if (counter.dropped) {
            metrics.value("reason", counter.name, counter.packets);
        }
    }
    metrics.begin("network_dropped_bytes_total", "counter", "Bytes of those packets.");
    for (const NetworkCounter& counter : counters) {
        if (counter.dropped) {
            metrics.value("reason", counter.name, counter.bytes);
        }
    }
}

}  // namespace

Task<void> network_stats(ApiContext& context) {
    std::string body;
    JsonWriter json(body);
    json.begin_array();
    for (const NetworkCounter& counter : context.daemon.networks->counters()) {
        json.begin_object().key("Name").string(counter.name);
        json.key("Dropped").boolean(counter.dropped).key("Packets").number(counter.packets);
        json.key("Bytes").number(counter.bytes);
        json.key("Meaning").string(counter.meaning).end_object();
    }
    json.end_array();
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> metrics(ApiContext& context) {
    const Daemon& daemon = context.daemon;
    Metrics metrics;
    metrics.begin("build_info", "gauge", "The daemon's version.");
    metrics.value("version", engine_version, 1);
    containers_tell(metrics, daemon);
    metrics.begin("images", "gauge", "Images in the graph.");
    metrics.value(daemon.image_count());
    metrics.begin("networks", "gauge", "Networks, the built-in ones included.");
    metrics.value(daemon.networks->list().size());
    metrics.begin("jobs_running", "gauge", "Jobs that run, this one included.");
    metrics.value(daemon.engine.running_count());
    calls_tell(metrics, context.counts);
    loop_tell(metrics);
    network_tell(metrics, daemon.networks->counters());
    co_return co_await context.response.send(
        200, "text/plain; version=0.0.4; charset=utf-8", metrics.take());
}

}  // namespace davit::api
