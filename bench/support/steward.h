#pragma once
/// What an engine is made to do beside what is measured: containers that already run, pulls, prunes
/// and removes.
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

    /// How many containers the next two are about.
    static constexpr int victims = 8;

    /// Whether its engine has something like it.
    virtual bool can(Adversity adversity) const = 0;

    /// Once each: pull an image and remove it again; create containers and prune them; create some
    /// and remove them, all at the same time. Each may go on in a thread of its own.
    virtual Result<void> pull(const std::string& repository, const std::string& tag) = 0;
    virtual Result<void> prune() = 0;
    virtual Result<void> removes() = 0;

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
