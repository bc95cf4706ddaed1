// create, start, run, kill, delete, pause, resume.
#include <array>
#include <csignal>

#include "cli/runtime/runtime_main.h"
#include "libcontainer/signal_name.h"

#include "runtime/attend.h"
#include "runtime/runtime.h"

namespace davit::cli {

namespace {

using Given = RuntimeCommand::Given;

struct CreateOptions {
    std::string bundle = ".";
    std::string console_socket;
    std::string pid_file;
    std::string pidfd_socket;
    bool no_pivot = false;
    bool no_new_keyring = false;
    std::int64_t preserve_fds = 0;
};

struct RunOptions : CreateOptions {
    bool detach = false;
    bool keep = false;
    bool no_subreaper = false;
};

struct KillOptions {
    bool all = false;
};

struct DeleteOptions {
    bool force = false;
};

struct NoOptions {};

template <typename Options>
constexpr std::array create_flags{
    flag<Options, &Options::bundle>("bundle", 'b', "dir", "The bundle's directory"),
    flag<Options, &Options::console_socket>(
        "console-socket", 0, "socket", "Who gets the master of the container's terminal"),
    flag<Options, &Options::pid_file>("pid-file", 0, "file", "Where to write the pid"),
    flag<Options, &Options::pidfd_socket>("pidfd-socket", 0, "socket", "Refused"),
    flag<Options, &Options::no_pivot>("no-pivot", 0, "", "Refused"),
    flag<Options, &Options::no_new_keyring>("no-new-keyring", 0, "", "Keep the session's keyring"),
    flag<Options, &Options::preserve_fds>("preserve-fds", 0, "n", "Refused but for 0"),
};

constexpr std::array run_flags{
    create_flags<RunOptions>[0],
    create_flags<RunOptions>[1],
    create_flags<RunOptions>[2],
    create_flags<RunOptions>[3],
    create_flags<RunOptions>[4],
    create_flags<RunOptions>[5],
    create_flags<RunOptions>[6],
    flag<RunOptions, &RunOptions::detach>("detach", 'd', "", "Do not wait for its end"),
    flag<RunOptions, &RunOptions::keep>("keep", 0, "", "Do not delete it at its end"),
    flag<RunOptions, &RunOptions::no_subreaper>("no-subreaper", 0, "", "Accepted: none is made"),
};

constexpr std::array kill_flags{
    flag<KillOptions, &KillOptions::all>("all", 'a', "", "Every process of the container"),
};

constexpr std::array delete_flags{
    flag<DeleteOptions, &DeleteOptions::force>("force", 'f', "", "Kill it first"),
};

Error refused(const std::string& what) {
    return Error(ErrorKind::unsupported, what + ": davit does not support it");
}

Result<RuntimeCreate> create_request(const CreateOptions& options, const Given& given) {
    if (options.no_pivot) {
        return refused("--no-pivot");
    }
    if (options.preserve_fds != 0) {
        return refused("--preserve-fds");
    }
    if (!options.pidfd_socket.empty()) {
        return refused("--pidfd-socket");
    }
    RuntimeCreate request;
    request.root = given.globals.root;
    request.id = given.arguments[0];
    request.bundle = options.bundle;
    request.console_socket = options.console_socket;
    request.pid_file = options.pid_file;
    request.new_keyring = !options.no_new_keyring;
    return request;
}

Result<int> create(const CreateOptions& options, const Given& given) {
    TRY(const RuntimeCreate request, create_request(options, given));
    TRY([[maybe_unused]] const RuntimeContainer container, runtime_create(request, given.warnings));
    return 0;
}

Result<int> run(const RunOptions& options, const Given& given) {
    TRY(RuntimeCreate request, create_request(options, given));
    request.attached = !options.detach && options.console_socket.empty();
    if (!options.detach) {
        TRY_VOID(attend_prepare());
    }
    TRY(RuntimeContainer container, runtime_create(request, given.warnings));
    Result<void> started = runtime_start(container.directory, given.warnings);
    if (started && options.detach) {
        return 0;
    }
    Result<ExitStatus> status = ExitStatus{};
    if (started) {
        status = attend(container.launching.program(), std::move(container.launching.console));
    } else {
        launching_abort(container.launching);
    }
    if (!started || !options.keep) {
        TRY_VOID(runtime_delete(container.directory, true, given.warnings));
    }
    TRY_VOID(std::move(started));
    TRY(const ExitStatus ended, std::move(status));
    return ended.shell_code();
}

Result<int> start(const NoOptions& /*options*/, const Given& given) {
    TRY(const RuntimeDirectory directory,
        RuntimeDirectory::open(given.globals.root, given.arguments[0]));
    TRY_VOID(runtime_start(directory, given.warnings));
    return 0;
}

Result<int> kill_container(const KillOptions& options, const Given& given) {
    TRY(const int number, signal_parse(given.arguments.size() > 1 ? given.arguments[1] : "TERM"));
    TRY(const RuntimeDirectory directory,
        RuntimeDirectory::open(given.globals.root, given.arguments[0]));
    TRY_VOID(runtime_kill(directory, number, options.all));
    return 0;
}

Result<int> delete_container(const DeleteOptions& options, const Given& given) {
    const Result<RuntimeDirectory> directory =
        RuntimeDirectory::open(given.globals.root, given.arguments[0]);
    if (!directory && directory.error().kind() == ErrorKind::not_found && options.force) {
        return 0;
    }
    if (!directory) {
        return directory.error();
    }
    TRY_VOID(runtime_delete(*directory, options.force, given.warnings));
    return 0;
}

Result<int> pause(const NoOptions& /*options*/, const Given& given) {
    TRY(const RuntimeDirectory directory,
        RuntimeDirectory::open(given.globals.root, given.arguments[0]));
    TRY_VOID(runtime_pause(directory));
    return 0;
}

Result<int> resume(const NoOptions& /*options*/, const Given& given) {
    TRY(const RuntimeDirectory directory,
        RuntimeDirectory::open(given.globals.root, given.arguments[0]));
    TRY_VOID(runtime_resume(directory));
    return 0;
}

constexpr std::array life_commands{
    RuntimeCommand{"create",
                   "[OPTIONS] ID",
                   "Make a container of a bundle; its program waits for start",
                   1,
                   1,
                   true,
                   create_flags<CreateOptions>,
                   runtime_command_run<CreateOptions, create>},
    RuntimeCommand{"start",
                   "ID",
                   "Let a created container run its program",
                   1,
                   1,
                   true,
                   {},
                   runtime_command_run<NoOptions, start>},
    RuntimeCommand{"run",
                   "[OPTIONS] ID",
                   "Create and start a container, and wait for its end",
                   1,
                   1,
                   true,
                   run_flags,
                   runtime_command_run<RunOptions, run>},
    RuntimeCommand{"kill",
                   "[OPTIONS] ID [SIGNAL]",
                   "Send a signal to a container's first process",
                   1,
                   2,
                   true,
                   kill_flags,
                   runtime_command_run<KillOptions, kill_container>},
    RuntimeCommand{"delete",
                   "[OPTIONS] ID",
                   "Remove what is left of a container",
                   1,
                   1,
                   true,
                   delete_flags,
                   runtime_command_run<DeleteOptions, delete_container>},
    RuntimeCommand{"pause",
                   "ID",
                   "Suspend all processes of a container",
                   1,
                   1,
                   true,
                   {},
                   runtime_command_run<NoOptions, pause>},
    RuntimeCommand{"resume",
                   "ID",
                   "Let a paused container go on",
                   1,
                   1,
                   true,
                   {},
                   runtime_command_run<NoOptions, resume>},
};

}  // namespace

std::span<const RuntimeCommand> runtime_life_commands() {
    return life_commands;
}

}  // namespace davit::cli
