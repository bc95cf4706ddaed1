// exec, ps, update.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>

#include "cli/runtime/runtime_main.h"
#include "http/json_writer.h"

#include "runtime/attend.h"
#include "runtime/runtime.h"

namespace davit::cli {

namespace {

using Given = RuntimeCommand::Given;

struct ExecOptions {
    std::string process;
    std::string pid_file;
    std::string console_socket;
    bool detach = false;
    std::int64_t preserve_fds = 0;
    std::string cgroup;
    bool terminal = false;
    std::string user;
    std::string directory;
    std::vector<std::string> environment;
    std::vector<std::string> capabilities;
    bool no_new_privileges = false;
    std::string process_label;
    std::string apparmor;
    std::vector<std::string> groups;
    bool ignore_paused = false;
    bool no_subreaper = false;
};

constexpr std::array exec_flags{
    flag<ExecOptions, &ExecOptions::process>("process", 'p', "file", "The process as JSON"),
    flag<ExecOptions, &ExecOptions::pid_file>("pid-file", 0, "file", "Where to write the pid"),
    flag<ExecOptions, &ExecOptions::console_socket>(
        "console-socket", 0, "socket", "Who gets the master of its terminal"),
    flag<ExecOptions, &ExecOptions::detach>("detach", 'd', "", "Do not wait for its end"),
    flag<ExecOptions, &ExecOptions::preserve_fds>("preserve-fds", 0, "n", "Refused but for 0"),
    flag<ExecOptions, &ExecOptions::cgroup>("cgroup", 0, "path", "Refused"),
    flag<ExecOptions, &ExecOptions::terminal>("tty", 't', "", "Give it a terminal"),
    flag<ExecOptions, &ExecOptions::user>("user", 'u', "uid[:gid]", "Who runs it"),
    flag<ExecOptions, &ExecOptions::directory>("cwd", 0, "dir", "Where it runs"),
    flag<ExecOptions, &ExecOptions::environment>("env", 'e', "name=value", "A variable"),
    flag<ExecOptions, &ExecOptions::capabilities>("cap", 'c', "name", "One more capability"),
    flag<ExecOptions, &ExecOptions::no_new_privileges>("no-new-privs", 0, "", "Set no_new_privs"),
    flag<ExecOptions, &ExecOptions::process_label>("process-label", 0, "label", "Refused: SELinux"),
    flag<ExecOptions, &ExecOptions::apparmor>("apparmor", 0, "profile", "An AppArmor profile"),
    flag<ExecOptions, &ExecOptions::groups>("additional-gids", 'g', "gid", "One more group"),
    flag<ExecOptions, &ExecOptions::ignore_paused>(
        "ignore-paused", 0, "", "In a paused container, too"),
    flag<ExecOptions, &ExecOptions::no_subreaper>("no-subreaper", 0, "", "Accepted: none is made"),
};

struct PsOptions {
    std::string format = "table";
};

constexpr std::array ps_flags{
    flag<PsOptions, &PsOptions::format>("format", 'f', "table|json", "How they are shown"),
};

struct UpdateOptions {
    std::string resources;
    std::optional<std::int64_t> block_weight;
    std::optional<std::int64_t> cpu_period;
    std::optional<std::int64_t> cpu_quota;
    std::optional<std::int64_t> cpu_shares;
    std::string cpuset_cpus;
    std::string cpuset_mems;
    std::optional<std::int64_t> memory;
    std::optional<std::int64_t> memory_reservation;
    std::optional<std::int64_t> memory_swap;
    std::optional<std::int64_t> pids;
};

constexpr std::array update_flags{
    flag<UpdateOptions, &UpdateOptions::resources>(
        "resources", 'r', "file", "linux.resources as JSON; -: standard input"),
    flag<UpdateOptions, &UpdateOptions::block_weight>("blkio-weight", 0, "n", "10 to 1000"),
    flag<UpdateOptions, &UpdateOptions::cpu_period>("cpu-period", 0, "us", "Of the CPU quota"),
    flag<UpdateOptions, &UpdateOptions::cpu_quota>("cpu-quota", 0, "us", "-1: none"),
    flag<UpdateOptions, &UpdateOptions::cpu_shares>("cpu-share", 0, "n", "Relative weight"),
    flag<UpdateOptions, &UpdateOptions::cpuset_cpus>("cpuset-cpus", 0, "list", "CPUs to use"),
    flag<UpdateOptions, &UpdateOptions::cpuset_mems>("cpuset-mems", 0, "list", "Nodes to use"),
    flag<UpdateOptions, &UpdateOptions::memory>("memory", 0, "bytes", "-1: no limit"),
    flag<UpdateOptions, &UpdateOptions::memory_reservation>(
        "memory-reservation", 0, "bytes", "Soft limit"),
    flag<UpdateOptions, &UpdateOptions::memory_swap>("memory-swap", 0, "bytes", "Memory and swap"),
    flag<UpdateOptions, &UpdateOptions::pids>("pids-limit", 0, "n", "-1: no limit"),
};

Error not_supported(const std::string& what) {
    return Error(ErrorKind::unsupported, what + ": davit does not support it");
}

Result<std::uint32_t> id_parse(std::string_view text) {
    std::uint32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return Error(ErrorKind::invalid_argument, "\"" + std::string(text) + "\" is no id");
    }
    return id;
}

Result<void> user_apply(ProcessSpec& process, const std::string& user) {
    if (user.empty()) {
        return ok;
    }
    const std::size_t colon = user.find(':');
    TRY(process.uid, id_parse(std::string_view(user).substr(0, colon)));
    if (colon != std::string::npos) {
        TRY(process.gid, id_parse(std::string_view(user).substr(colon + 1)));
    }
    return ok;
}

Result<void> exec_check(const ExecOptions& options) {
    if (options.preserve_fds != 0) {
        return not_supported("--preserve-fds");
    }
    if (!options.cgroup.empty()) {
        return not_supported("--cgroup");
    }
    if (!options.process_label.empty()) {
        return not_supported("--process-label");
    }
    return ok;
}

/// The container's own process, but for what the options say.
Result<ProcessSpec> process_of_options(const RuntimeDirectory& directory,
                                       const ExecOptions& options,
                                       const Arguments& command) {
    TRY(ProcessSpec process, runtime_process(directory));
    if (command.empty()) {
        return Error(ErrorKind::invalid_argument, "process args cannot be empty");
    }
    process.arguments = command;
    process.terminal = options.terminal;
    process.terminal_width = process.terminal_height = 0;
    if (!options.directory.empty()) {
        process.working_directory = options.directory;
    }
    for (const std::string& entry : options.environment) {
        const std::string name = entry.substr(0, entry.find('=') + 1);
        std::erase_if(process.environment,
                      [&](const std::string& other) { return other.starts_with(name); });
        process.environment.push_back(entry);
    }
    for (const std::string& name : options.capabilities) {
        TRY(const unsigned number, capability_number(name));
        Capabilities& given = process.capabilities;
        for (CapabilitySet* set : {&given.bounding, &given.effective, &given.permitted}) {
            *set |= capability_bit(number);
        }
    }
    process.no_new_privileges = process.no_new_privileges || options.no_new_privileges;
    if (!options.apparmor.empty()) {
        process.apparmor_profile = options.apparmor;
    }
    for (const std::string& group : options.groups) {
        TRY(const std::uint32_t id, id_parse(group));
        process.additional_gids.push_back(id);
    }
    TRY_VOID(user_apply(process, options.user));
    return process;
}

Result<ProcessSpec> process_of_file(const RuntimeDirectory& directory,
                                    const std::string& path,
                                    std::vector<std::string>& warnings) {
    TRY(const std::string text, file_read(path));
    TRY(const JsonDocument document, JsonDocument::parse(text));
    TRY(ProcessSpec process, oci_process_parse(document.root(), warnings));
    // The filter is the container's, of which this says nothing.
    TRY(ProcessSpec own, runtime_process(directory));
    process.seccomp_filter = std::move(own.seccomp_filter);
    process.seccomp_flags = own.seccomp_flags;
    return process;
}

Result<int> exec(const ExecOptions& options, const Given& given) {
    TRY_VOID(exec_check(options));
    TRY(const RuntimeDirectory directory,
        RuntimeDirectory::open(given.globals.root, given.arguments[0]));
    RuntimeExec request;
    if (!options.process.empty()) {
        TRY(request.process, process_of_file(directory, options.process, given.warnings));
    } else {
        const Arguments command(given.arguments.begin() + 1, given.arguments.end());
        TRY(request.process, process_of_options(directory, options, command));
    }
    request.console_socket = options.console_socket;
    request.pid_file = options.pid_file;
    request.ignore_paused = options.ignore_paused;
    if (options.detach && request.process.terminal && options.console_socket.empty()) {
        return Error(ErrorKind::invalid_argument,
                     "cannot allocate tty if runc will detach without setting console socket");
    }
    if (!options.detach) {
        TRY_VOID(attend_prepare());
    }
    TRY(Launching launching, runtime_exec(directory, request));
    given.warnings.insert(
        given.warnings.end(), launching.warnings.begin(), launching.warnings.end());
    if (options.detach) {
        return 0;
    }
    TRY(const ExitStatus status, attend(launching.program(), std::move(launching.console)));
    return status.shell_code();
}

/// The lines of ps(1) that tell of these processes, and their head.
Result<std::string> ps_table(const std::vector<pid_t>& pids, Arguments arguments) {
    if (arguments.empty()) {
        arguments = {"-ef"};
    }
    const Fd output(::memfd_create("ps", MFD_CLOEXEC));
    if (!output) {
        return Error::from_errno(errno, "memfd_create");
    }
    std::string name = "ps";
    std::vector<char*> words{name.data()};
    for (std::string& argument : arguments) {
        words.push_back(argument.data());
    }
    words.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(output.get(), STDOUT_FILENO);
        ::execvp(words[0], words.data());
        ::_exit(127);
    }
    TRY(const PidRef process, PidRef::open(child));
    TRY(const ExitStatus status, process_wait(process));
    TRY(const std::string text, file_read("/proc/self/fd/" + std::to_string(output.get())));
    const std::size_t head_end = text.find('\n');
    const std::size_t column = text.find("PID");
    if (status.shell_code() != 0 || column == std::string::npos || column > head_end) {
        return Error(ErrorKind::internal, "ps failed, or has shown no column PID");
    }
    std::size_t fields = 0;  // Before that of the pid.
    for (std::size_t at = 1; at <= column; ++at) {
        fields += text[at] != ' ' && text[at - 1] == ' ' && text[0] != ' ' ? 1U : 0U;
    }
    std::string table = text.substr(0, head_end + 1);
    for (std::size_t at = head_end + 1; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        std::string_view rest(text.data() + at, end - at);
        for (std::size_t skipped = 0; skipped <= fields && !rest.empty(); ++skipped) {
            rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
            if (skipped < fields) {
                rest.remove_prefix(std::min(rest.find(' '), rest.size()));
            }
        }
        pid_t pid = 0;
        std::from_chars(rest.data(), rest.data() + rest.size(), pid);
        if (std::ranges::find(pids, pid) != pids.end()) {
            table += text.substr(at, end - at) + "\n";
        }
        at = end + 1;
    }
    return table;
}

Result<int> ps(const PsOptions& options, const Given& given) {
    TRY(const RuntimeDirectory directory,
        RuntimeDirectory::open(given.globals.root, given.arguments[0]));
    TRY(const std::vector<pid_t> pids, runtime_pids(directory));
    if (options.format == "json") {
        std::string text;
        JsonWriter json(text);
        json.begin_array();
        for (const pid_t pid : pids) {
            json.number(pid);
        }
        json.end_array();
        return runtime_print(text);
    }
    if (options.format != "table") {
        return Error(ErrorKind::invalid_argument, "invalid format option: table or json");
    }
    TRY(const std::string table,
        ps_table(pids, Arguments(given.arguments.begin() + 1, given.arguments.end())));
    return runtime_print(table);
}

Result<Resources> resources_of_file(const std::string& path) {
    TRY(const std::string text, file_read(path == "-" ? "/dev/stdin" : path));
    TRY(const JsonDocument document, JsonDocument::parse(text));
    return oci_resources_parse(document.root(), true);
}

Result<int> update(const UpdateOptions& options, const Given& given) {
    Resources resources;
    if (!options.resources.empty()) {
        TRY(resources, resources_of_file(options.resources));
    }
    const auto put = [](auto& slot, const std::optional<std::int64_t>& value) {
        if (value) {
            slot = static_cast<typename std::decay_t<decltype(slot)>::value_type>(*value);
        }
    };
    put(resources.blkio_weight, options.block_weight);
    put(resources.cpu_period_us, options.cpu_period);
    put(resources.cpu_quota_us, options.cpu_quota);
    put(resources.cpu_shares, options.cpu_shares);
    put(resources.memory_bytes, options.memory);
    put(resources.memory_reservation_bytes, options.memory_reservation);
    put(resources.memory_swap_bytes, options.memory_swap);
    put(resources.pids_max, options.pids);
    if (!options.cpuset_cpus.empty()) {
        resources.cpuset_cpus = options.cpuset_cpus;
    }
    if (!options.cpuset_mems.empty()) {
        resources.cpuset_mems = options.cpuset_mems;
    }
    TRY(const RuntimeDirectory directory,
        RuntimeDirectory::open(given.globals.root, given.arguments[0]));
    TRY_VOID(runtime_update(directory, resources, given.warnings));
    return 0;
}

constexpr std::array process_commands{
    RuntimeCommand{"exec",
                   "[OPTIONS] ID [COMMAND [ARG...]]",
                   "Run a further process in a container",
                   1,
                   SIZE_MAX,
                   false,
                   exec_flags,
                   runtime_command_run<ExecOptions, exec>},
    RuntimeCommand{"ps",
                   "[OPTIONS] ID [PS OPTIONS]",
                   "The processes of a container",
                   1,
                   SIZE_MAX,
                   false,
                   ps_flags,
                   runtime_command_run<PsOptions, ps>},
    RuntimeCommand{"update",
                   "[OPTIONS] ID",
                   "Change the limits of a container that runs",
                   1,
                   1,
                   true,
                   update_flags,
                   runtime_command_run<UpdateOptions, update>},
};

}  // namespace

std::span<const RuntimeCommand> runtime_process_commands() {
    return process_commands;
}

}  // namespace davit::cli
