/// davit_bench_network: published ports and starts on a bridge, by engine.
///
///   davit_bench_network --traffic PATH [--davit PATH] [--rounds N] [--milliseconds N] [--starts N]
///                       [--json FILE]
///
/// Each engine has a host of its own: a network namespace with an uplink to another, the remote.
/// A container echoes (davit_bench_traffic) on a published port, and so does a process of the host
/// without any engine. The engines take turns, path by path, round after round; the table has the
/// medians. Starts are create, start, wait and remove of `true`.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "bench/support/command_line.h"
#include "bench/support/engine.h"
#include "bench/support/process.h"
#include "bench/support/workspace.h"

namespace davit::bench {
namespace {

constexpr const char* image = "davit-bench:latest";
constexpr const char* host_address = "10.99.0.1";
constexpr int published_port = 8080;
constexpr int own_port = 9000;
constexpr int connections = 32;

struct Options {
    std::string davit = "build/release/cli/davit";
    std::string traffic = "build/release/bench/davit_bench_traffic";
    int rounds = 5;
    int milliseconds = 1500;
    int starts = 40;
};

/// A network namespace, held by a process that sleeps in it.
class Namespace {
  public:
    static Result<Namespace> make() {
        TRY(const Fd own, Fd::open("/proc/self/ns/net", O_RDONLY));
        if (::unshare(CLONE_NEWNET) != 0) {
            return Error::from_errno(errno, "unshare(CLONE_NEWNET)");
        }
        Result<PidRef> holder = process_spawn({{"sleep", "1000000"}, {}, "", -1});
        if (::setns(own.get(), CLONE_NEWNET) != 0 || !holder) {
            return holder ? Error::from_errno(errno, "setns") : std::move(holder).error();
        }
        TRY(Fd netns, Fd::open(fmt::format("/proc/{}/ns/net", holder->pid()), O_RDONLY));
        return Namespace(*std::move(holder), std::move(netns));
    }

    Namespace(Namespace&&) noexcept = default;
    Namespace& operator=(Namespace&&) = delete;

    ~Namespace() {
        if (netns_) {
            static_cast<void>(process_stop(holder_, std::chrono::seconds(0)));
        }
    }

    pid_t pid() const { return holder_.pid(); }

    /// Call something with this process in the namespace.
    template <typename Function>
    auto in(Function function) const -> decltype(function()) {
        TRY(const Fd own, Fd::open("/proc/self/ns/net", O_RDONLY));
        if (::setns(netns_.get(), CLONE_NEWNET) != 0) {
            return Error::from_errno(errno, "setns");
        }
        auto result = function();
        if (::setns(own.get(), CLONE_NEWNET) != 0) {
            return Error::from_errno(errno, "setns back");
        }
        return result;
    }

    Result<void> run(const std::string& words) const {
        return in([&words] { return process_run({{"sh", "-ec", words}, {}, "", -1}); });
    }

  private:
    Namespace(PidRef holder, Fd netns) : holder_(std::move(holder)), netns_(std::move(netns)) {}

    PidRef holder_;
    Fd netns_;
};

/// An engine on its host, with the container that echoes.
class Host {
  public:
    static Result<std::unique_ptr<Host>> make(const std::string& name,
                                              const Options& options,
                                              const Workspace& workspace) {
        TRY(Namespace host, Namespace::make());
        TRY(Namespace remote, Namespace::make());
        TRY_VOID(
            host.run(fmt::format("ip link set lo up; ip link add up0 type veth peer name eth0 "
                                 "netns {}; ip addr add {}/24 dev up0; ip link set up0 up",
                                 remote.pid(),
                                 host_address)));
        TRY_VOID(remote.run(
            "ip link set lo up; ip addr add 10.99.0.2/24 dev eth0; ip link set eth0 up"));
        TRY(const std::string directory, workspace.directory(name));
        TRY(Engine engine, host.in([&] {
            return name == "davit" ? Engine::start_davit({options.davit, directory, "", ""})
                                   : Engine::start_dockerd(
                                         {"dockerd", directory, "", cgroup_parent(), false, true});
        }));
        TRY(const std::string tar, Workspace::busybox_tar(options.traffic));
        TRY_VOID(engine.import_image(tar, image));
        TRY(HttpUnix connection, HttpUnix::connect(engine.socket()));
        TRY(PidRef own, host.in([&] {
            return process_spawn(
                {{options.traffic, "serve", std::to_string(own_port)}, {}, "", -1});
        }));
        std::unique_ptr<Host> made(new Host(name,
                                            options,
                                            workspace.path() + "/" + name + ".out",
                                            std::move(host),
                                            std::move(remote),
                                            std::move(engine),
                                            std::move(connection),
                                            std::move(own)));
        TRY(made->server_,
            made->begin(R"("davit_bench_traffic","serve","80")",
                        fmt::format(R"("NetworkMode":"bridge","PortBindings":{{"80/tcp":[)"
                                    R"({{"HostPort":"{}"}}]}})",
                                    published_port)));
        TRY(made->client_, made->begin(R"("sleep","1000000")", R"("NetworkMode":"bridge")"));
        TRY(const HttpAnswer details, made->call("GET", "/containers/" + made->server_ + "/json"));
        made->address_ = json_string_find(details.body, "IPAddress");
        return made;
    }

    ~Host() {
        for (const std::string& id : {server_, client_}) {
            static_cast<void>(call("DELETE", "/containers/" + id + "?force=1"));
        }
        static_cast<void>(process_stop(own_, std::chrono::seconds(0)));
    }

    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    const std::string& name() const { return name_; }

    /// From where, to where, what: a number per second.
    struct Path {
        const char* text;
        bool remote;
        const char* address;  ///< Null: the container's own.
        int port;
        bool connects;
    };

    Result<double> measure(const Path& path) {
        std::vector<std::string> words{options_.traffic,
                                       path.connects ? "connects" : "requests",
                                       path.address == nullptr ? address_ : path.address,
                                       std::to_string(path.port)};
        if (!path.connects) {
            words.push_back(std::to_string(connections));
        }
        words.push_back(std::to_string(options_.milliseconds));
        ::unlink(output_.c_str());
        const Namespace& from = path.remote ? remote_ : host_;
        const auto run = [&] { return process_run({words, {}, output_, -1}); };
        TRY_VOID(from.in(run));
        TRY(const std::string text, file_read(output_));
        return std::strtod(text.c_str(), nullptr);
    }

    /// From one container to another, by an exec.
    Result<double> measure_between() {
        TRY(const HttpAnswer created,
            call("POST",
                 "/containers/" + client_ + "/exec",
                 fmt::format(R"({{"AttachStdout":true,"Tty":true,"Cmd":["davit_bench_traffic",)"
                             R"("requests","{}","80","{}","{}"]}})",
                             address_,
                             connections,
                             options_.milliseconds)));
        TRY(HttpUnix stream, HttpUnix::connect(engine_.socket()));
        TRY([[maybe_unused]] const int status,
            stream.begin({"POST",
                          "/exec/" + json_string_find(created.body, "Id") + "/start",
                          "application/json",
                          R"({"Detach":false,"Tty":true})"}));
        std::string output;
        TRY_VOID(stream.finish([&output](std::string_view piece) { output += piece; }));
        return std::strtod(output.c_str(), nullptr);
    }

    Result<Nanoseconds> cycle(const std::string& host_config) {
        const MonotonicTime begun = monotonic_now();
        TRY(const std::string id, begin(R"("true")", host_config));
        TRY([[maybe_unused]] const HttpAnswer waited, call("POST", "/containers/" + id + "/wait"));
        TRY([[maybe_unused]] const HttpAnswer removed, call("DELETE", "/containers/" + id));
        return monotonic_now() - begun;
    }

  private:
    Host(std::string name,
         const Options& options,
         std::string output,
         Namespace host,
         Namespace remote,
         Engine engine,
         HttpUnix connection,
         PidRef own)
        : name_(std::move(name)),
          options_(options),
          output_(std::move(output)),
          host_(std::move(host)),
          remote_(std::move(remote)),
          engine_(std::move(engine)),
          connection_(std::move(connection)),
          own_(std::move(own)) {}

    Result<HttpAnswer> call(const char* method,
                            const std::string& path,
                            const std::string& body = "") {
        return api_call(connection_, method, path, body);
    }

    Result<std::string> begin(const std::string& command, const std::string& host_config) {
        TRY(const HttpAnswer created,
            call("POST",
                 "/containers/create",
                 fmt::format(R"({{"Image":"{}","Cmd":[{}],"ExposedPorts":{{"80/tcp":{{}}}},)"
                             R"("HostConfig":{{{}}}}})",
                             image,
                             command,
                             host_config)));
        std::string id = json_string_find(created.body, "Id");
        TRY([[maybe_unused]] const HttpAnswer started,
            call("POST", "/containers/" + id + "/start"));
        return id;
    }

    std::string name_;
    const Options& options_;
    std::string output_;
    Namespace host_;
    Namespace remote_;
    Engine engine_;
    HttpUnix connection_;
    PidRef own_;
    std::string server_;
    std::string client_;
    std::string address_;
};

constexpr Host::Path paths[] = {
    {"requests/s: host, container's address", false, nullptr, 80, false},
    {"requests/s: host, 127.0.0.1 published", false, "127.0.0.1", published_port, false},
    {"requests/s: remote, published", true, host_address, published_port, false},
    {"requests/s: remote, a process of the host", true, host_address, own_port, false},
    {"connections/s: host, container's address", false, nullptr, 80, true},
    {"connections/s: host, 127.0.0.1 published", false, "127.0.0.1", published_port, true},
    {"connections/s: remote, published", true, host_address, published_port, true},
    {"connections/s: remote, a process of the host", true, host_address, own_port, true},
};
constexpr const char* between_text = "requests/s: container to container";

struct Start {
    const char* text;
    const char* host_config;
};

constexpr Start starts[] = {
    {"ms: run true, network none", R"("NetworkMode":"none")"},
    {"ms: run true, bridge", R"("NetworkMode":"bridge")"},
    {"ms: run true, bridge, a port",
     R"("NetworkMode":"bridge","PortBindings":{"80/tcp":[{"HostPort":""}]})"},
};

double median(std::vector<double> values) {
    if (values.empty()) {
        return -1;
    }
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// By what was measured, then by engine.
using Figures = std::map<std::string, std::map<std::string, std::vector<double>>>;

Result<void> take(Figures& figures,
                  JsonLines& json,
                  const std::string& what,
                  const Host& host,
                  Result<double> value) {
    if (!value) {
        return std::move(value).error().context(what, host.name());
    }
    figures[what][host.name()].push_back(*value);
    json.write({{"bench", "network"}, {"contender", host.name()}, {"what", what}},
               {{"value", *value}});
    return ok;
}

Result<Figures> measure(const Options& options,
                        const std::vector<std::unique_ptr<Host>>& hosts,
                        JsonLines& json) {
    Figures figures;
    for (int round = 0; round < options.rounds; ++round) {
        for (const Host::Path& path : paths) {
            for (const auto& host : hosts) {
                TRY_VOID(take(figures, json, path.text, *host, host->measure(path)));
            }
        }
        for (const auto& host : hosts) {
            TRY_VOID(take(figures, json, between_text, *host, host->measure_between()));
        }
    }
    for (int round = 0; round < options.starts; ++round) {
        for (const Start& start : starts) {
            for (const auto& host : hosts) {
                TRY(const Nanoseconds elapsed, host->cycle(start.host_config));
                TRY_VOID(take(
                    figures, json, start.text, *host, static_cast<double>(elapsed.count()) / 1e6));
            }
        }
    }
    return figures;
}

Result<void> run(const Options& options, JsonLines& json) {
    TRY(Workspace workspace, Workspace::make("network"));
    std::vector<std::unique_ptr<Host>> hosts;
    for (const char* name : {"davit", "dockerd"}) {
        Result<std::unique_ptr<Host>> host = Host::make(name, options, workspace);
        if (host) {
            hosts.push_back(*std::move(host));
        } else {
            fmt::print("not measured: {}: {}\n", name, host.error().message());
        }
    }
    TRY(Figures figures, measure(options, hosts, json));
    hosts.clear();
    cgroup_parent_remove();
    Table table({"median", "davit", "dockerd", "davit / dockerd"});
    const auto row = [&](const char* what) {
        const double davit = median(figures[what]["davit"]);
        const double dockerd = median(figures[what]["dockerd"]);
        const double ratio = davit > 0 && dockerd > 0 ? davit / dockerd : -1;
        table.add({what, number_text(davit), number_text(dockerd), number_text(ratio)});
    };
    for (const Host::Path& path : paths) {
        row(path.text);
    }
    row(between_text);
    for (const Start& start : starts) {
        row(start.text);
    }
    table.print();
    return ok;
}

}  // namespace
}  // namespace davit::bench

int main(int argc, char** argv) {
    davit::bench::Options options;
    davit::bench::CommandLine line;
    line.davit(options.davit).text("traffic", "PATH", options.traffic);
    line.count("rounds", options.rounds).count("milliseconds", options.milliseconds);
    line.count("starts", options.starts);
    return line.run(argc, argv, [&options](davit::bench::JsonLines& json) {
        return davit::bench::run(options, json);
    });
}
