#pragma once
/// The kinds of contenders. What they are given outlives them.
#include <memory>

#include "bench/support/contender.h"
#include "bench/support/floor.h"
#include "bench/support/process.h"

namespace davit::bench {

/// No engine: support/floor.h. run on network none alone; it runs `true`.
std::unique_ptr<Contender> floor_contender(Floor::Config config);

/// The Docker API at a socket.
std::unique_ptr<Contender> api_contender(Setting& setting, std::string socket);

struct CommandConfig {
    SpawnOptions base;                 // argv: the program and its global options.
    std::vector<std::string> options;  // Further ones of run and create.
    std::vector<std::string> pull_options = {};
};

/// A command line like docker's: run, create, start, wait, rm, exec, ps.
std::unique_ptr<Contender> command_contender(Setting& setting, CommandConfig config);

struct RuntimeConfig {
    SpawnOptions base;  // argv: the program, and --root.
    std::string bundle_none;
    std::string bundle_host;
    std::string bundle_sleep;  // For exec.
    std::string scratch;       // An existing directory for files with pids.
};

/// crun or runc with prepared bundles: networks none and host.
std::unique_ptr<Contender> runtime_contender(Setting& setting, RuntimeConfig config);

/// ctr, containerd's own client: networks none and host. Takes: argv with address and namespace.
std::unique_ptr<Contender> ctr_contender(Setting& setting, SpawnOptions base);

}  // namespace davit::bench
