#pragma once
/// What an engine is made to do beside what is measured: containers that already run.
#include <memory>
#include <optional>

#include "bench/support/contender_kinds.h"
#include "bench/support/engine.h"

namespace davit::bench {

/// One engine's; contenders of the same engine share it.
class Steward {
  public:
    explicit Steward(std::string engine) : engine_(std::move(engine)) {}

    Steward(const Steward&) = delete;
    Steward& operator=(const Steward&) = delete;
    virtual ~Steward() = default;

    const std::string& engine() const { return engine_; }

    /// One more container that sleeps, without a network.
    virtual Result<void> sleeper_add() = 0;

    int sleepers() const { return sleepers_; }

    /// What the engine's processes take, with those that stay for each container and without the
    /// containers' own, in KiB. Nothing if it has none that stays.
    virtual std::optional<long> share_kib() const = 0;

    /// Remove whatever it made.
    virtual Result<void> clean() = 0;

  protected:
    int sleepers_ = 0;

  private:
    std::string engine_;
};

/// Over the Docker API. The engine must outlive it.
std::unique_ptr<Steward> api_steward(std::string name, Setting& setting, const Engine& engine);

/// By commands like docker's. directory: where the engine's files are; it is in the command lines
/// of what stays for its containers.
std::unique_ptr<Steward> command_steward(std::string name,
                                         Setting& setting,
                                         const CommandConfig& config,
                                         std::string directory);

/// crun or runc.
std::unique_ptr<Steward> runtime_steward(std::string name,
                                         Setting& setting,
                                         const RuntimeConfig& config);

/// ctr. Takes: argv with address and namespace; the daemon must outlive it.
std::unique_ptr<Steward> ctr_steward(std::string name,
                                     Setting& setting,
                                     const SpawnOptions& base,
                                     const Engine& daemon);

}  // namespace davit::bench
