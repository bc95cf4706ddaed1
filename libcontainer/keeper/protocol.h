#pragma once
/// What the daemon and its keeper say to each other: datagrams of one struct over a SOCK_SEQPACKET
/// pair whose far end the daemon finds at `socket_fd`.
///
/// The daemon numbers what it wants to be kept: a *slot* holds one container's descriptors, its id
/// and its first process. The keeper's own knowledge is exactly that table.
///
///     daemon -> keeper                       keeper -> daemon
///     hello                                  welcome, then a `held` per slot in use, then `end`
///     share (the output store's files)
///     hold (a container's descriptors)
///     drop_input
///     release (its end is recorded)
///     ready
///                                            exited (a child that the keeper inherited has ended)
///                                            leave (make room for another daemon; end nothing)
///
/// Nothing is acknowledged: what was sent before a daemon died is still read after. An exit is
/// kept, and told to every further daemon, until its slot is released.
///
/// Versions: the keeper says in `welcome` which one it speaks; it is the older program as a rule
/// (an upgrade replaces the daemon only), so a daemon must speak every version up to its own.
/// Members are only ever added at the end. Follows: unix(7) SCM_RIGHTS, waitid(2).
#include <stdint.h>

namespace davit::keeper {

inline constexpr uint32_t version = 1;

/// Where the daemon finds its end of the pair.
inline constexpr int socket_fd = 3;

/// Slots of one keeper. A host runs a few thousand containers before it runs out of pids.
inline constexpr uint32_t slots_max = 32768;

enum class Kind : uint32_t {
    hello = 1,
    share = 2,
    hold = 3,
    drop_input = 4,
    release = 5,
    ready = 6,
    welcome = 16,
    held = 17,
    end = 18,
    exited = 19,
    leave = 20,
};

/// Which descriptors come along, in this order: bits of Message::descriptors.
enum Descriptor : uint32_t {
    // hold, held
    descriptor_process = 1,  // The pidfd.
    descriptor_input = 2,    // The write end of standard input, or the terminal's master.
    descriptor_output = 4,
    descriptor_error = 8,
    // share, welcome
    descriptor_memory = 1,  // The output store's memory file,
    descriptor_stage_read = 2,
    descriptor_stage_write = 4,  // and its pipe.
};

inline constexpr uint32_t descriptors_max = 4;

/// How an inherited process ended.
enum class Exit : uint32_t {
    none = 0,  // It has not, or is not the keeper's child.
    code = 1,
    signal = 2,
};

struct Message {
    Kind kind = Kind::hello;
    uint32_t version = 0;      // hello, welcome.
    uint32_t slot = 0;         // hold, held, drop_input, release, exited.
    uint32_t descriptors = 0;  // hold, held, share, welcome.
    int32_t pid = 0;           // hold, held, exited.
    Exit exit = Exit::none;    // held, exited.
    int32_t exit_value = 0;    // The exit code, or the signal's number.
    uint32_t reserved = 0;
    int64_t exit_time_ns = 0;  // CLOCK_REALTIME.
    uint8_t id[32] = {};       // hold, held: the container's.
};

static_assert(sizeof(Message) == 72);

}  // namespace davit::keeper
