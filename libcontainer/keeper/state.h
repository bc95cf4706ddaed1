#pragma once
/// What the keeper knows, and what its parts share. talk.cc speaks with the daemon, main.cc has the
/// children, the signals and the loop.
#include <linux/resource.h>
#include <stddef.h>
#include <stdint.h>

#include "libcontainer/keeper/protocol.h"

namespace davit::keeper {

inline constexpr int64_t second_ns = 1'000'000'000;

struct Slot {
    bool used;
    bool told;  // The daemon knows how it ended.
    Exit exit;
    int32_t exit_value;
    int32_t pid;
    uint32_t descriptors;
    int64_t exit_time_ns;
    int fds[descriptors_max];  // By descriptor's bit.
    uint8_t id[32];
};

/// What is still to be said to the daemon.
enum class Talk : uint8_t { nothing, welcome, slots, exits };

struct Keeper {
    Slot slots[slots_max];
    uint32_t slots_end;  // Behind the last one that was ever used.
    int shared[descriptors_max];
    uint32_t shared_descriptors;

    const char** arguments;
    const char** environment;
    const char* path;
    int executable;
    int signals;
    uint64_t mask_before;
    rlimit64 descriptors_before;

    long daemon;  // 0: none runs.
    int socket;   // -1: none.
    Talk talk;
    uint32_t talk_next;
    bool leave_wanted;
    bool ready;
    bool ever_ready;
    bool stopping;
    bool stop_again;
    bool upgrading;
    int64_t ready_since;
    int64_t start_at;
    uint32_t crashes;
};

/// Pages of it are used as slots are.
extern Keeper k;

/// The clocks of clock_gettime(2).
inline constexpr int clock_realtime = 0;
inline constexpr int clock_monotonic = 1;

int64_t now_ns(int clock);

/// Tell the daemon to end its containers and itself.
void stop_daemon();

/// talk.cc

/// Take in all that the daemon has sent so far.
void socket_drain();

/// Say what there is to be said. Gives: whether it is more than there was room for.
bool talk();

}  // namespace davit::keeper
