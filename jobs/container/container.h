#pragma once
/// Container: the record of one, and what lives while its process does.
///
/// Whoever changes a container holds its `operations` mutex, so that start, stop and remove follow
/// one another; readers look at any time. Jobs hold a shared_ptr: a removed container lives until
/// the last of them lets go.
#include <memory>

#include "jobs/container/output_hub.h"
#include "jobs/container/output_store.h"
#include "jobs/container/record.h"
#include "jobs/keeper_link.h"
#include "libcontainer/cgroup.h"
#include "reactor/async_event.h"
#include "reactor/base/id_map.h"
#include "reactor/base/ids.h"
#include "reactor/base/pid_ref.h"
#include "reactor/stream.h"

namespace davit {

struct MountedTree;  // drivers/exec/driver.h

/// Who learns how a container's first process ends.
enum class RunParent : std::uint8_t {
    daemon,
    keeper,   // It outlived the daemon that started it.
    unknown,  // And the keeper, too.
};

/// What exists from start to exit.
struct ContainerRun {
    PidRef init;
    RunParent parent = RunParent::daemon;
    /// Of its user namespace; none: the daemon's.
    IdMap ids = {};
    /// Its part of the output store; the keeper knows the run by its number.
    std::optional<OutputSlot> slot;
    /// The write end of standard input, or the pty's master; null without either.
    std::unique_ptr<FdStream> input;
    /// Read ends; with a pty only `output`, which is the master.
    std::unique_ptr<FdStream> output;
    std::unique_ptr<FdStream> error;
    bool tty = false;
    std::shared_ptr<Cgroup> cgroup;
    /// Attached clients that still may write to `input`.
    std::size_t input_writers = 0;
    /// They take turns.
    AsyncMutex input_turn;
    KeeperLink* keeper = nullptr;
    /// The last signal that davit sent to it, and who asked for that; 0: none.
    int sent = 0;
    std::string sender;
    /// Of oom_kill_count(), how many an event has told of.
    std::uint64_t oom_kills_told = 0;

    /// Nobody writes to its input any more: it reads the end of it.
    void input_close() {
        input.reset();
        if (keeper != nullptr) {
            static_cast<void>(keeper->drop_input(slot->number()));  // Else it is gone: as good.
        }
    }
};

class Container {
  public:
    explicit Container(ContainerRecord initial) : record(std::move(initial)) {}

    Container(const Container&) = delete;
    Container& operator=(const Container&) = delete;

    const ContainerId& id() const { return record.id; }

    /// A process is there, or will be again without anybody asking for it.
    bool is_up() const { return run || record.state.status == ContainerState::restarting; }

    /// Wake everyone in wait_changed(): the state, `run` or `removed` is another now.
    void changed() { waiters_.wake_all(); }

    /// Errors: cancelled.
    WaitList::Awaiter wait_changed() { return waiters_.wait(); }

    ContainerRecord record;
    OutputHub output;
    AsyncMutex operations;
    std::shared_ptr<ContainerRun> run;
    /// While it does not run: what the copies that are under way see of it (container_files.h), and
    /// whose turn it is to have that made.
    std::weak_ptr<const MountedTree> files;
    AsyncMutex files_opening;
    /// Clients that are attached to the stdin of a run that is still to be started; and whether one
    /// has left again that was the only one to be (StdinOnce).
    std::size_t inputs_awaited = 0;
    bool input_spent = false;
    /// Its execs that have not ended, oldest first.
    std::vector<ExecId> exec_ids;
    /// Runs that have ended: what "next-exit" counts.
    std::uint64_t exits = 0;
    /// Its records and files are gone.
    bool removed = false;
    /// A removal has begun and will finish, or be finished at the next start.
    bool removing = false;
    /// Why the last removal failed, if it did.
    std::string removal_error;
    /// Starts that are under way, or wait for their turn: it may run in a moment.
    std::size_t starts_pending = 0;
    /// Its create has failed, and what was made could not be taken back.
    bool unwanted = false;
    /// It is stopped only to be started again: --rm must not remove it meanwhile.
    bool restarting = false;
    /// Somebody has asked for its end: its restart policy does not count for this run.
    bool exit_wanted = false;
    /// Its end is being recorded: who stores the record meanwhile stores it with this state.
    std::optional<ContainerStateRecord> ending;
    /// The last pause before a restart by the policy.
    Nanoseconds restart_pause{};
    /// The restart that is being waited for is not to be.
    AsyncEvent restart_cancelled;

  private:
    WaitList waiters_;
};

}  // namespace davit
