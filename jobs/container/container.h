#pragma once
/// Container: the record of one, and what lives while its process does.
///
/// Whoever changes a container holds its `operations` mutex, so that start, stop and remove follow
/// one another; readers look at any time. Jobs hold a shared_ptr: a removed container lives until
/// the last of them lets go.
#include <memory>

#include "jobs/container/output_hub.h"
#include "jobs/container/record.h"
#include "libcontainer/cgroup.h"
#include "libcontainer/user.h"
#include "reactor/async_event.h"
#include "reactor/base/ids.h"
#include "reactor/base/pid_ref.h"
#include "reactor/stream.h"

namespace davit {

/// What exists from start to exit.
struct ContainerRun {
    PidRef init;
    /// The write end of standard input, or the pty's master; null without either.
    std::unique_ptr<FdStream> input;
    /// Read ends; with a pty only `output`, which is the master.
    std::unique_ptr<FdStream> output;
    std::unique_ptr<FdStream> error;
    bool tty = false;
    std::shared_ptr<Cgroup> cgroup;
    /// Whom it runs as; so do its execs, whatever the container makes of its files.
    ResolvedUser user;
    /// Attached clients that still may write to `input`.
    std::size_t input_writers = 0;
    /// They take turns.
    AsyncMutex input_turn;
};

class Container {
  public:
    explicit Container(ContainerRecord initial) : record(std::move(initial)) {}

    Container(const Container&) = delete;
    Container& operator=(const Container&) = delete;

    const ContainerId& id() const { return record.id; }

    /// Wake everyone in wait_changed(): the state, `run` or `removed` is another now.
    void changed() { waiters_.wake_all(); }

    /// Errors: cancelled.
    WaitList::Awaiter wait_changed() { return waiters_.wait(); }

    ContainerRecord record;
    OutputHub output;
    AsyncMutex operations;
    std::shared_ptr<ContainerRun> run;
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
    /// It is stopped only to be started again: --rm must not remove it meanwhile.
    bool restarting = false;

  private:
    WaitList waiters_;
};

}  // namespace davit
