// Starts containers with libcontainer's launch() and davit-init, waiting on the loop.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "drivers/exec/driver.h"
#include "libcontainer/init_binary.h"
#include "libcontainer/launch.h"
#include "reactor/child.h"
#include "reactor/offload.h"
#include "reactor/poller.h"

namespace davit {

namespace {

/// The container's ends of its standard streams, and ours.
struct Stdio {
    std::array<Fd, 3> theirs;
    std::array<Fd, 3> ours;
};

Result<Stdio> stdio_make(const ExecRequest& request) {
    Stdio stdio;
    if (request.terminal) {
        return stdio;  // davit-init opens the terminal inside and sends its master back.
    }
    if (request.open_stdin) {
        TRY(Pipe input, pipe_make());
        stdio.theirs[0] = std::move(input.read_end);
        stdio.ours[0] = std::move(input.write_end);
    }
    for (std::size_t i = 1; i < 3; ++i) {
        TRY(Pipe output, pipe_make());
        stdio.theirs[i] = std::move(output.write_end);
        stdio.ours[i] = std::move(output.read_end);
    }
    return stdio;
}

Result<void> streams_take(ExecProcess& process, Stdio& stdio) {
    const auto take = [](std::unique_ptr<FdStream>& stream, Fd& fd) -> Result<void> {
        if (fd) {
            TRY(stream, FdStream::make(std::move(fd)));
        }
        return ok;
    };
    TRY_VOID(take(process.input, stdio.ours[0]));
    TRY_VOID(take(process.output, stdio.ours[1]));
    return take(process.error, stdio.ours[2]);
}

/// One descriptor for both directions: a terminal's master is written and read independently. It is
/// looked at first: who has taken over what was to become an exec could send anything, and reading
/// some files blocks.
Result<void> console_take(ExecProcess& process, Fd console) {
    struct stat info {};

    constexpr unsigned terminal_major = 5;
    constexpr unsigned ptmx_minor = 2;
    if (::fstat(console.get(), &info) != 0 || !S_ISCHR(info.st_mode) ||
        info.st_rdev != ::makedev(terminal_major, ptmx_minor)) {
        return Error(ErrorKind::corrupt, "davit-init sent no terminal");
    }
    TRY(Fd copy, Fd::duplicate(console.get()));
    TRY(process.input, FdStream::make(std::move(copy)));
    TRY(process.output, FdStream::make(std::move(console)));
    return ok;
}

/// Follow init's reports until the program runs, or has failed to. A process that init forked off
/// is in process.init then, in either case. Nobody else is listened to, and only init itself tells
/// of a process: what it forks off is in the container, where others may lay hands on it.
Task<void> init_follow(int channel, pid_t init, ExecProcess& process) {
    CO_TRY(Poller poller, Poller::make(channel));
    std::optional<Error> failure;
    for (;;) {
        const std::array<pid_t, 2> senders{init, process.init ? process.init.pid() : init};
        CO_TRY(std::optional<InitEvent> event, init_channel_receive(channel, senders));
        if (!event) {
            CO_CHECK(co_await poller.readable());
            continue;
        }
        switch (event->kind) {
            case InitEvent::Kind::ready:
                CO_CHECK(launch_release(channel));
                break;
            case InitEvent::Kind::warning:
                process.warnings.push_back(event->text);
                break;
            case InitEvent::Kind::console:
                if (!process.output) {
                    CO_CHECK(console_take(process, std::move(event->console)));
                }
                break;
            case InitEvent::Kind::process:
                if (event->sender == init && !process.init) {
                    process.init = std::move(event->process);
                }
                break;
            case InitEvent::Kind::failed:
                failure = std::move(event->error);
                break;
            case InitEvent::Kind::closed:
                if (failure) {
                    co_return *std::move(failure);
                }
                co_return ok;
        }
    }
}

Task<void> process_end(PidRef process) {
    if (process) {
        static_cast<void>(process.signal(SIGKILL));
        static_cast<void>(co_await child_wait(process));
    }
    co_return ok;
}

/// Listen to the channel's end for a process that init forked off; what else it says is known.
Task<void> process_take(int channel, pid_t init, ExecProcess& process) {
    CO_TRY(Poller poller, Poller::make(channel));
    const std::array<pid_t, 1> senders{init};
    for (;;) {
        CO_TRY(std::optional<InitEvent> event, init_channel_receive(channel, senders));
        if (!event) {
            CO_CHECK(co_await poller.readable());
        } else if (event->kind == InitEvent::Kind::process) {
            process.init = std::move(event->process);
            co_return ok;
        } else if (event->kind == InitEvent::Kind::closed) {
            co_return ok;
        }
    }
}

/// Collect what an init that was killed while it forked may have left: it waits to be announced,
/// and ends when nobody does that any more. Blocks: while it exits.
void orphan_reap(pid_t group) {
    siginfo_t info{};
    while (::waitid(P_PGID, static_cast<id_t>(group), &info, WEXITED) != 0 && errno == EINTR) {
    }
}

/// Collect the process that forked, and have what it forked off in process.init.
Task<void> fork_finish(Launched& launched, ExecProcess& process, Result<void> followed) {
    if (!followed) {
        static_cast<void>(launched.init.signal(SIGKILL));
    }
    if (!process.init) {
        CO_CHECK(co_await process_take(launched.channel.get(), launched.init.pid(), process));
    }
    static_cast<void>(co_await child_wait(launched.init));
    if (!process.init) {
        orphan_reap(launched.init.pid());
    }
    if (followed && !process.init) {
        co_return Error(ErrorKind::unavailable, "davit-init was killed");
    }
    co_return followed;
}

/// Follow init's reports up to its gate.
Task<void> gate_wait(int channel) {
    CO_TRY(Poller poller, Poller::make(channel));
    for (;;) {
        CO_TRY(std::optional<InitEvent> event, init_channel_receive(channel));
        if (!event) {
            CO_CHECK(co_await poller.readable());
            continue;
        }
        switch (event->kind) {
            case InitEvent::Kind::ready:
                co_return ok;
            case InitEvent::Kind::failed:
                co_return *std::move(event->error);
            case InitEvent::Kind::closed:
                co_return Error(ErrorKind::unavailable, "davit-init was killed");
            case InitEvent::Kind::warning:
            case InitEvent::Kind::console:
            case InitEvent::Kind::process:
                break;
        }
    }
}

/// What a process that has not been reaped, so that its number is its own, has mounted.
Result<MountedTree> mounts_of(pid_t pid) {
    const std::string process = "/proc/" + std::to_string(pid);
    MountedTree tree;
    TRY(tree.mount_namespace, Fd::open(process + "/ns/mnt", O_RDONLY));
    TRY(tree.root, Fd::open(process + "/root", O_RDONLY | O_DIRECTORY));
    return tree;
}

std::vector<int> register_numbers(const ExecRequest& request) {
    std::vector<int> numbers;
    for (const Fd& fd : request.registers) {
        numbers.push_back(fd.get());
    }
    return numbers;
}

class NativeDriver final : public ExecDriver {
  public:
    explicit NativeDriver(Fd init) : init_(std::move(init)) {}

    std::string_view name() const override { return "native"; }

    Task<ExecProcess> start(ExecRequest request) override {
        Result<Stdio> made = stdio_make(request);
        if (!made && request.parked) {
            co_await shielded(process_end(std::move(request.parked->init)));
        }
        CO_TRY(Stdio stdio, std::move(made));
        CO_TRY(Launched launched, co_await init_begin(request, stdio));
        stdio.theirs = {};
        request.registers.clear();

        ExecProcess process;
        const pid_t init = launched.init.pid();
        if (!request.plan.forks) {
            process.init = std::move(launched.init);
        }
        Result<void> followed = co_await init_follow(launched.channel.get(), init, process);
        if (followed) {
            followed = streams_take(process, stdio);
        }
        if (request.plan.forks) {
            followed = co_await shielded(fork_finish(launched, process, std::move(followed)));
        }
        if (!followed) {
            co_await shielded(process_end(std::move(process.init)));
            co_return std::move(followed).error();
        }
        co_return std::move(process);
    }

    Task<ParkedInit> park(ExecRequest request) override {
        const Stdio nothing;
        CO_TRY(Launched launched, co_await init_launch(request, nothing));
        Result<void> ready = co_await gate_wait(launched.channel.get());
        if (!ready) {
            co_await shielded(process_end(std::move(launched.init)));
            co_return std::move(ready).error();
        }
        co_return ParkedInit{std::move(launched.init), std::move(launched.channel)};
    }

    Task<MountedTree> mount_tree(ExecRequest request) override {
        const Stdio nothing;
        CO_TRY(Launched launched, co_await init_launch(request, nothing));
        request.registers.clear();
        Result<void> ready = co_await gate_wait(launched.channel.get());
        Result<MountedTree> tree = MountedTree{};
        if (ready) {
            tree = mounts_of(launched.init.pid());
        } else {
            tree = std::move(ready).error();
        }
        co_await shielded(process_end(std::move(launched.init)));
        co_return std::move(tree);
    }

  private:
    /// A new process, or one that waits for the request.
    Task<Launched> init_begin(ExecRequest& request, const Stdio& stdio) const {
        if (!request.parked) {
            co_return co_await init_launch(request, stdio);
        }
        Launched launched{std::move(request.parked->init), std::move(request.parked->channel)};
        Result<void> given = hand_over(request, stdio, launched.channel.get());
        if (!given) {
            co_await shielded(process_end(std::move(launched.init)));
            co_return std::move(given).error();
        }
        co_return std::move(launched);
    }

    static Result<void> hand_over(const ExecRequest& request, const Stdio& stdio, int channel) {
        TRY(const Fd plan, plan_memory_file(request.plan));
        const std::vector<int> registers = register_numbers(request);
        HandOver given;
        given.plan_fd = plan.get();
        given.registers = registers;
        given.stdio = {stdio.theirs[0].get(), stdio.theirs[1].get(), stdio.theirs[2].get()};
        return launch_hand_over(channel, given);
    }

    /// On a worker: clone(2) makes the namespaces and returns when the child has run, which takes
    /// as long as it takes on a busy host. Both arguments must live until then. Cancellation waits
    /// for it: a process that nobody knows of would be left.
    Task<Launched> init_launch(const ExecRequest& request, const Stdio& stdio) const {
        CO_TRY(const Fd plan, plan_memory_file(request.plan));
        const std::vector<int> registers = register_numbers(request);
        LaunchRequest launch_request;
        launch_request.init_fd = init_.get();
        launch_request.plan_fd = plan.get();
        launch_request.clone_flags = request.plan.clone_flags;
        launch_request.registers = registers;
        launch_request.stdio = {
            stdio.theirs[0].get(), stdio.theirs[1].get(), stdio.theirs[2].get()};
        launch_request.cgroup_fd = request.cgroup_fd;
        auto work = [launch_request] { return launch(launch_request); };
        co_return co_await offload(work);
    }

    Fd init_;
};

}  // namespace

Result<std::unique_ptr<ExecDriver>> native_exec_driver_make() {
    TRY(Fd init, init_binary_open());
    return std::unique_ptr<ExecDriver>(new NativeDriver(std::move(init)));
}

}  // namespace davit
