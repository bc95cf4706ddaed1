// Starts containers with libcontainer's launch() and davit-init, waiting on the loop.
#include <csignal>

#include "drivers/exec/driver.h"
#include "libcontainer/init_binary.h"
#include "libcontainer/launch.h"
#include "reactor/child.h"
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

/// One descriptor for both directions: a terminal's master is written and read independently.
Result<void> console_take(ExecProcess& process, Fd console) {
    TRY(Fd copy, Fd::duplicate(console.get()));
    TRY(process.input, FdStream::make(std::move(copy)));
    TRY(process.output, FdStream::make(std::move(console)));
    return ok;
}

/// Follow init's reports until the program runs.
Task<void> init_follow(int channel, ExecProcess& process) {
    CO_TRY(Poller poller, Poller::make(channel));
    for (;;) {
        CO_TRY(std::optional<InitEvent> event, init_channel_receive(channel));
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
                CO_CHECK(console_take(process, std::move(event->console)));
                break;
            case InitEvent::Kind::failed:
                co_return std::move(*event->error);
            case InitEvent::Kind::closed:
                co_return ok;
        }
    }
}

class NativeDriver final : public ExecDriver {
  public:
    explicit NativeDriver(Fd init) : init_(std::move(init)) {}

    std::string_view name() const override { return "native"; }

    Task<ExecProcess> start(ExecRequest request) override {
        CO_TRY(Stdio stdio, stdio_make(request));
        CO_TRY(const Fd plan, plan_memory_file(request.plan));
        std::vector<int> registers;
        for (const Fd& fd : request.registers) {
            registers.push_back(fd.get());
        }
        LaunchRequest launch_request;
        launch_request.init_fd = init_.get();
        launch_request.plan_fd = plan.get();
        launch_request.clone_flags = request.plan.clone_flags;
        launch_request.registers = registers;
        launch_request.stdio = {
            stdio.theirs[0].get(), stdio.theirs[1].get(), stdio.theirs[2].get()};
        launch_request.cgroup_fd = request.cgroup_fd;
        CO_TRY(Launched launched, launch(launch_request));
        stdio.theirs = {};
        request.registers.clear();

        ExecProcess process;
        process.init = std::move(launched.init);
        Result<void> followed = co_await init_follow(launched.channel.get(), process);
        if (followed) {
            followed = streams_take(process, stdio);
        }
        if (!followed) {
            static_cast<void>(process.init.signal(SIGKILL));
            static_cast<void>(co_await child_wait(process.init).under(nullptr));
            co_return std::move(followed).error();
        }
        co_return std::move(process);
    }

  private:
    Fd init_;
};

}  // namespace

Result<std::unique_ptr<ExecDriver>> native_exec_driver_make() {
    TRY(Fd init, init_binary_open());
    return std::unique_ptr<ExecDriver>(new NativeDriver(std::move(init)));
}

}  // namespace davit
