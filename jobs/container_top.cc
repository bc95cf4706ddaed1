#include "jobs/container_top.h"

#include <algorithm>

#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "reactor/command.h"
#include "reactor/offload.h"

namespace davit {

namespace {

constexpr std::size_t ps_output_bytes_max = 16 * 1024 * 1024;
constexpr std::string_view ps_arguments_default = "-ef";

Result<std::shared_ptr<ContainerRun>> run_of(const Container& container) {
    const std::string& id = container.id().str();
    if (container.record.state.status == ContainerState::restarting) {
        return Error(ErrorKind::conflict,
                     "Container " + id + " is restarting, wait until the container is running");
    }
    if (!container.run) {
        return Error(ErrorKind::conflict, "container " + id + " is not running");
    }
    return container.run;
}

std::string pids_text(const std::vector<pid_t>& pids) {
    std::string text = "-q";
    for (const pid_t pid : pids) {
        text.append(text.size() == 2 ? "" : ",").append(std::to_string(pid));
    }
    return text;
}

Task<CommandOutput> ps_run(const std::vector<std::string>& arguments, std::string further) {
    std::vector<std::string> words{"ps"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    if (!further.empty()) {
        words.push_back(std::move(further));
    }
    co_return co_await command_run(std::move(words), ps_output_bytes_max);
}

/// The last line that ps wrote to its standard error says what it disliked.
Error ps_error(const CommandOutput& ran) {
    std::string text = ran.error;
    while (!text.empty() && text.back() == '\n') {
        text.pop_back();
    }
    const std::size_t line = text.rfind('\n');
    text = line == std::string::npos ? text : text.substr(line + 1);
    return Error(
        ErrorKind::internal,
        "ps: " + (text.empty() ? "exit status " + std::to_string(ran.status.shell_code()) : text));
}

/// No ps on this host.
Task<ProcessList> list_read(std::vector<pid_t> pids, std::string arguments) {
    if (arguments != ps_arguments_default) {
        co_return Error(ErrorKind::unsupported,
                        "ps is not installed on this host: only \"-ef\" can be shown, not \"" +
                            arguments + "\"");
    }
    auto read = [pids = std::move(pids)] { return process_list_read(pids); };
    co_return co_await offload(std::move(read));
}

Task<ProcessList> list_of(std::vector<pid_t> pids, std::string arguments) {
    const std::vector<std::string> words = words_split(arguments);
    Result<CommandOutput> ran = co_await ps_run(words, pids_text(pids));
    if (ran && ran->status.shell_code() != 0) {
        // Some options, such as "f", cannot be together with -q.
        ran = co_await ps_run(words, "");
    }
    if (!ran && ran.error().kind() == ErrorKind::not_found) {
        co_return co_await list_read(std::move(pids), std::move(arguments));
    }
    CO_TRY(const CommandOutput done, std::move(ran));
    if (done.status.shell_code() != 0) {
        co_return ps_error(done);
    }
    co_return ps_output_parse(done.output, pids);
}

}  // namespace

Task<ProcessList> container_top(Job& job,
                                Daemon& daemon,
                                std::shared_ptr<Container> container,
                                std::string arguments) {
    CO_CHECK(ps_arguments_check(arguments));
    if (arguments.find_first_not_of(" \t\n") == std::string::npos) {
        arguments = ps_arguments_default;
    }
    CO_TRY(const auto run, run_of(*container));
    CO_TRY(std::vector<pid_t> pids, run->cgroup->pids());
    std::ranges::sort(pids);
    job.phases().begin("ps");
    CO_TRY(ProcessList list, co_await list_of(std::move(pids), std::move(arguments)));
    container_event(daemon, *container, "top");
    co_return std::move(list);
}

}  // namespace davit
