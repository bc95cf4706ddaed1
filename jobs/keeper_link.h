#pragma once
/// KeeperLink: the daemon's side of libcontainer/keeper/protocol.h.
///
/// Without a keeper (--no-keeper, or one that was killed) every call does nothing: the containers
/// are then what an earlier daemon left in their cgroups, and nobody knows how they ended.
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "jobs/container/output_store.h"
#include "libcontainer/keeper/protocol.h"
#include "reactor/async_event.h"
#include "reactor/base/clock.h"
#include "reactor/base/ids.h"
#include "reactor/base/pid_ref.h"
#include "reactor/poller.h"

namespace davit {

/// How a process ended that the keeper inherited.
struct KeptExit {
    ExitStatus status;
    WallTime time;
};

/// What the keeper holds of one container.
struct Kept {
    std::uint32_t slot = 0;
    ContainerId id;
    PidRef process;
    /// As ContainerRun's; with a terminal only `output`.
    Fd input;
    Fd output;
    Fd error;
};

/// Everything that it holds.
struct KeptAll {
    std::vector<Kept> containers;
    /// Nothing if no daemon has shared any yet.
    std::optional<OutputStore::Files> outputs;
};

class KeeperLink {
  public:
    KeeperLink() = default;
    KeeperLink(const KeeperLink&) = delete;
    KeeperLink& operator=(const KeeperLink&) = delete;

    /// Whether there is a keeper to speak to.
    bool connected() const { return static_cast<bool>(socket_); }

    /// Take the socket, and all that an earlier daemon gave. Ends that are known already are then
    /// what exit_of() gives. Errors: unsupported (another protocol); corrupt; unavailable.
    Task<KeptAll> open(Fd socket);

    /// The output store's files; once.
    Result<void> share(const OutputStore::Files& files);

    /// What is to be held; descriptors that are -1 are not there.
    struct Holding {
        std::uint32_t slot = 0;
        const ContainerId& id;
        const PidRef& process;
        int input = -1;
        int output = -1;
        int error = -1;
    };

    Result<void> hold(const Holding& holding);

    /// The container is to read the end of its input: nobody may hold it.
    Result<void> drop_input(std::uint32_t slot);

    /// The container's end is recorded, or it was never to be.
    Result<void> release(std::uint32_t slot);

    /// The daemon serves.
    Result<void> ready();

    /// Wait for the end of a process that the keeper has inherited.
    /// Gives: nothing if the keeper has gone. Errors: cancelled.
    Task<std::optional<KeptExit>> exit_of(std::uint32_t slot);

    /// Speak with the keeper until cancelled, or until it is gone.
    Task<void> run();

    /// Wait until the keeper asks to make room for another daemon. Errors: cancelled.
    Task<void> leave_wanted() { co_return co_await leave_.wait(); }

  private:
    struct Outgoing {
        keeper::Message message;
        std::vector<Fd> fds;
    };

    Result<void> send(keeper::Message message, std::span<const int> fds);
    Result<bool> send_now(const keeper::Message& message, std::span<const int> fds) const;
    Task<void> send_queued();
    Task<void> receive_all();
    Result<void> message_take(const keeper::Message& message);
    void gone(std::string_view why);

    Fd socket_;
    Poller poller_;
    /// What there was no room for in the socket.
    std::deque<Outgoing> queue_;
    AsyncEvent queued_;
    std::map<std::uint32_t, KeptExit> exits_;
    WaitList waiters_;
    AsyncEvent leave_;
};

}  // namespace davit
