#pragma once
/// Why a container's last run ended, or its last start failed.
#include <cstdint>
#include <string>

#include "reactor/base/result.h"

namespace davit {

/// What was seen of it. Kept with the state.
struct ExitCause {
    /// The signal that ended its first process; 0: it exited.
    int signal = 0;
    /// The last signal that davit sent to it, and on whose behalf: "a stop request"; 0 and "": none.
    int sent = 0;
    std::string sender;
    /// Of a container that ran out of memory: where, and in bytes what it may and what it had at
    /// most; 0: not known.
    std::string memory_cgroup;
    std::uint64_t memory_limit = 0;
    std::uint64_t memory_peak = 0;
    /// The phase of a start that failed; "" if it was started.
    std::string failed_phase;

    bool operator==(const ExitCause&) const = default;
};

struct ContainerStateRecord;

/// One sentence for people, "" if there was no end yet: "killed by SIGTERM from a stop request".
std::string exit_reason(const ContainerStateRecord& state);

}  // namespace davit
