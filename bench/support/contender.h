#pragma once
/// What contenders are asked to do, and what they tell of it.
#include <array>
#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"

namespace davit::bench {

/// run: a container from nothing to gone, as `run --rm` does it. steps: the same in single requests
/// or commands, each of them timed. exec: in a container that runs.
enum class Scenario { run, steps, exec };

/// port and ports: a bridge with one and with 100 published ports that the engine chooses.
enum class Network { none, host, bridge, port, ports };

/// What goes on beside the work: nothing; the engine pulls an image, prunes, or removes containers;
/// much that was written is not on disk yet; somebody holds the lock of iptables; all processors
/// compute.
enum class Adversity { none, pull, prune, removes, dirty, xtables, cpu };

inline constexpr int ports_many = 100;
inline constexpr std::array scenario_names = {"run", "steps", "exec"};
inline constexpr std::array network_names = {"none", "host", "bridge", "port", "ports"};

inline constexpr std::array adversity_names = {
    "none", "pull", "prune", "removes", "dirty", "xtables", "cpu"};

inline const char* name_of(Adversity adversity) {
    return adversity_names[static_cast<std::size_t>(adversity)];
}

inline const char* name_of(Scenario scenario) {
    return scenario_names[static_cast<std::size_t>(scenario)];
}

inline const char* name_of(Network network) {
    return network_names[static_cast<std::size_t>(network)];
}

struct Work {
    Scenario scenario = Scenario::run;
    Network network = Network::none;
    int running = 0;  // Containers that the engine has already.
    Adversity adversity = Adversity::none;
};

/// What all contenders of a run share. Outlives them.
struct Setting {
    std::string image = "davit-bench:latest";
    std::string prefix;   // Of the names of all containers.
    Nanoseconds limit{};  // For a container, and for each request.
    /// What a container writes and ends with: an engine that did not run it cannot know.
    std::string line;
    int code = 1;
    std::atomic<unsigned> serial = 0;  // Of contenders.

    std::vector<std::string> payload() const;

    /// Errors: internal, if this is not what the payload writes and ends with.
    Result<void> check(std::string_view output, int exit_code) const;
};

/// A step of one container, or a phase that an engine tells of.
struct Step {
    std::string name;
    Nanoseconds start{};
    Nanoseconds duration{};
};

struct Timing {
    Nanoseconds whole{};
    /// create, start, first (from the request to start until the first byte of output), wait (from
    /// start's answer until the end is known), rm; only what can be told apart.
    std::vector<Step> steps;
    std::vector<Step> phases;  // davit's own, of its start.

    void step(std::string name, MonotonicTime from, MonotonicTime until) {
        steps.push_back({std::move(name), Nanoseconds(0), until - from});
    }
};

/// The names of one contender's containers: it may share its engine with others.
class Names {
  public:
    explicit Names(Setting& setting)
        : prefix_(setting.prefix + std::to_string(setting.serial.fetch_add(1)) + "-") {}

    /// Of all of them, and of no other's.
    const std::string& prefix() const { return prefix_; }

    /// Of these, those that are its own.
    void keep(std::vector<std::string>& names) const {
        std::erase_if(names, [this](const auto& name) { return !name.starts_with(prefix_); });
    }

    std::string next() { return prefix_ + std::to_string(serial_.fetch_add(1)); }

  private:
    std::string prefix_;
    std::atomic<unsigned> serial_ = 0;
};

/// One client's way to do the work once.
using Cycle = std::function<Result<Timing>()>;

class Contender {
  public:
    virtual ~Contender() = default;

    /// One more client; each is used by one thread at a time. Errors: unsupported if the engine has
    /// nothing like it; what prevents it otherwise.
    virtual Result<Cycle> client_make(const Work& work) = 0;

    /// Remove every container that is left, also that in which others were executed. Gives how many
    /// there were beside it.
    virtual Result<int> clean() = 0;

    /// Whether the work is done by this process and its children, without any engine.
    virtual bool in_process() const { return false; }
};

}  // namespace davit::bench
