/// Goal: a further process of a running container is in all of its namespaces and cgroups, is what
/// its spec says, and a hostile container gets nothing through it. Method: run busybox in a
/// container, start others beside it, and look from the inside.
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "libcontainer/exec_plan.h"
#include "tests/integration/libcontainer/harness.h"
#include "tests/support/catch.h"

namespace davit::test {

namespace {

using Catch::Matchers::Contains;

struct Started {
    PidRef process;
    Fd output;
    Fd console;
    std::optional<Error> error;
};

/// Start, and follow the channel to its end; davit-init's first process is reaped.
Started start(const ExecSpec& spec, int pidfd) {
    Started started;
    const auto plan = exec_plan_compile(spec);
    if (!plan) {
        started.error = plan.error();
        return started;
    }
    const auto plan_fd = plan_memory_file(*plan);
    REQUIRE(plan_fd);
    auto out = pipe_make();
    REQUIRE(out);
    const std::array<int, 1> registers = {pidfd};
    LaunchRequest request;
    request.init_fd = init_binary().get();
    request.plan_fd = plan_fd->get();
    request.registers = registers;
    request.stdio = {-1, out->write_end.get(), out->write_end.get()};
    auto launched = launch(request);
    REQUIRE(launched);
    out->write_end.reset();
    for (bool open = true; open;) {
        InitEvent event = next_event(launched->channel.get());
        switch (event.kind) {
            case InitEvent::Kind::process:
                started.process = std::move(event.process);
                break;
            case InitEvent::Kind::console:
                started.console = std::move(event.console);
                break;
            case InitEvent::Kind::failed:
                started.error = std::move(event.error);
                break;
            case InitEvent::Kind::closed:
                open = false;
                break;
            case InitEvent::Kind::ready:
            case InitEvent::Kind::warning:
                break;
        }
    }
    reap(launched->init);
    started.output = std::move(out->read_end);
    return started;
}

Outcome exec(const ExecSpec& spec, const Running& container) {
    Started started = start(spec, container.init().pidfd());
    Outcome outcome;
    outcome.error = std::move(started.error);
    if (started.process) {
        outcome.output =
            read_to_end(started.console ? started.console.get() : started.output.get());
        outcome.status = reap(started.process);
    }
    // Whatever happened, there is no child of ours but the container.
    int status = 0;
    CHECK(::waitpid(-1, &status, WNOHANG) == 0);
    return outcome;
}

ExecSpec exec_for(std::vector<std::string> arguments) {
    ExecSpec spec;
    spec.process = spec_for(std::move(arguments)).process;
    spec.keyring = "_ses.test";
    return spec;
}

ExecSpec exec_for_shell(const std::string& script) {
    return exec_for({"/bin/sh", "-c", script});
}

bool has_line(const std::string& text, const std::string& line) {
    return ("\n" + text + "\n").find("\n" + line + "\n") != std::string::npos;
}

std::string error_of(const ExecSpec& spec, const Running& container) {
    const Outcome outcome = exec(spec, container);
    return outcome.error ? outcome.error->message() : "none";
}

}  // namespace

TEST_CASE("a further process is in the container's namespaces, and none of it leaks in") {
    require_root();
    const Rootfs rootfs;
    const Running container(rootfs);
    const Outcome outcome = exec(
        exec_for_shell("for n in mnt pid net ipc uts cgroup; do "
                       "test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) || echo $n; "
                       "done; hostname; umask; pwd; echo home $HOME; ls /proc/self/fd | wc -l; "
                       "exit 7"),
        container);
    REQUIRE_FALSE(outcome.error);
    // The last: 0, 1, 2 and the one that ls reads with.
    CHECK(outcome.output == "davit-test\n0022\n/\nhome /root\n4\n");
    CHECK(outcome.status.value == 7);
    CHECK_FALSE(outcome.status.signaled);

    const Outcome status = exec(exec_for({"cat", "/proc/self/status"}), container);
    for (const char* line : {"CapInh:\t0000000000000000",
                             "CapPrm:\t00000000a80425fb",
                             "CapEff:\t00000000a80425fb",
                             "CapBnd:\t00000000a80425fb",
                             "CapAmb:\t0000000000000000",
                             "Seccomp:\t2",
                             "NoNewPrivs:\t0",
                             "PPid:\t0",
                             "SigBlk:\t0000000000000000",
                             "SigIgn:\t0000000000000000"}) {
        INFO(status.output);
        INFO(line);
        CHECK(has_line(status.output, line));
    }
}

TEST_CASE("a further process can have other privileges than the container") {
    require_root();
    const Rootfs rootfs;
    const Running container(rootfs);
    ExecSpec spec = exec_for({"cat", "/proc/self/status"});
    const CapabilitySet all = capabilities_available();
    spec.process.capabilities = {.bounding = all, .effective = all, .permitted = all};
    spec.process.no_new_privileges = true;
    const Outcome outcome = exec(spec, container);
    char line[64];
    std::snprintf(line, sizeof(line), "CapEff:\t%016llx", static_cast<unsigned long long>(all));
    INFO(outcome.output);
    CHECK(has_line(outcome.output, line));
    CHECK(has_line(outcome.output, "NoNewPrivs:\t1"));
}

TEST_CASE("the user is looked up inside the container") {
    require_root();
    const Rootfs rootfs;
    rootfs.file("etc/passwd",
                "# comment\nroot:x:0:0:root:/root:/bin/sh\nshort:x\n"
                "web:x:1000:1000:web:/home/web:/bin/sh\n1001:x:1002:1002::/home/number:/bin/sh\n"
                "nohome:x:1003:50::\n");
    rootfs.file("etc/group", "root:x:0:\nweb:x:1000:\nstaff:x:50:other,web\nlate:x:60:web");
    const Running container(rootfs);
    const auto as = [&](const std::string& user, std::vector<std::string> further = {}) {
        ExecSpec spec = exec_for_shell("exec 2>/dev/null; echo $(id -u):$(id -g):$(id -G) $HOME");
        std::erase_if(spec.process.environment,
                      [](const std::string& entry) { return entry.starts_with("HOME="); });
        spec.user = user;
        spec.further_groups = std::move(further);
        const Outcome outcome = exec(spec, container);
        return outcome.error ? outcome.error->message() : outcome.output;
    };
    CHECK(as("web") == "1000:1000:1000 50 60 /home/web\n");
    CHECK(as("1000") == "1000:1000:1000 50 60 /home/web\n");
    CHECK(as("web:staff") == "1000:50:50 /home/web\n");
    CHECK(as("web:77") == "1000:77:77 /home/web\n");
    CHECK(as("4711") == "4711:0:0 /\n");
    CHECK(as("4711:4712", {"staff", "99"}) == "4711:4712:4712 50 99 /\n");
    CHECK(as("1001") == "1001:0:0 /\n");  // A number is an id, whatever has it as its name.
    CHECK(as("1002") == "1002:1002:1002 /home/number\n");
    CHECK(as("nohome") == "1003:50:50 /\n");
    CHECK(as("") == "0:0:0 /root\n");
    CHECK(as("nobody") == "unable to find user nobody: no matching entries in passwd file");
    CHECK(as("web:nogroup") == "unable to find group nogroup: no matching entries in group file");
    CHECK(as("web", {"nogroup"}) ==
          "unable to find group nogroup: no matching entries in group file");
    CHECK(as("2147483648") == "uids and gids must be in range 0-2147483647");

    ExecSpec powers = exec_for({"grep", "Cap[EPB]", "/proc/self/status"});
    powers.user = "web";
    CHECK(exec(powers, container).output ==
          "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n");
    powers = exec_for_shell("echo $HOME");
    powers.user = "web";
    powers.process.environment.emplace_back("HOME=/own");
    std::erase(powers.process.environment, "HOME=/root");
    CHECK(exec(powers, container).output == "/own\n");
}

TEST_CASE("a container that made its user files a trap gets an error") {
    require_root();
    const Rootfs rootfs;
    rootfs.remove("etc/passwd");
    ExecSpec spec = exec_for({"id"});
    spec.user = "web";
    SECTION("a link to a descriptor") {
        rootfs.symlink("/proc/self/fd/4", "etc/passwd");
        const Running container(rootfs);
        CHECK_THAT(error_of(spec, container), Contains("find user"));
    }
    SECTION("a fifo that nobody writes to") {
        REQUIRE(::mkfifo((rootfs.path() + "/etc/passwd").c_str(), 0644) == 0);
        const Running container(rootfs);
        CHECK_THAT(error_of(spec, container), Contains("find user /etc/passwd"));
    }
    SECTION("a file that never ends") {
        rootfs.symlink("/dev/zero", "etc/passwd");
        const Running container(rootfs);
        CHECK_THAT(error_of(spec, container), Contains("find user /etc/passwd"));
    }
    SECTION("a link to a file of the host's") {
        rootfs.symlink("../../../../../../etc/passwd", "etc/passwd");
        const Running container(rootfs);
        CHECK_THAT(error_of(spec, container), Contains("find user"));
    }
}

TEST_CASE("the command and the working directory are refused in the words that clients know") {
    require_root();
    const Rootfs rootfs;
    rootfs.file("etc/plain", "text", 0644);
    const Running container(rootfs);
    CHECK(error_of(exec_for({"nosuch"}), container) ==
          "exec: \"nosuch\": executable file not found in $PATH");
    CHECK(error_of(exec_for({"/nosuch"}), container) ==
          "exec: \"/nosuch\": stat /nosuch: no such file or directory");
    CHECK(error_of(exec_for({"/etc/plain"}), container) ==
          "exec: \"/etc/plain\": permission denied");
    CHECK(error_of(exec_for({"/etc"}), container) ==
          "exec: \"/etc\": is a directory: permission denied");
    ExecSpec spec = exec_for({"pwd"});
    spec.process.working_directory = "/etc";
    CHECK(exec(spec, container).output == "/etc\n");
    spec.process.working_directory = "/nosuch";
    CHECK(error_of(spec, container) ==
          "chdir to cwd (\"/nosuch\") set in config.json failed: no such file or directory");
    spec.process.working_directory = "/etc/passwd";
    CHECK(error_of(spec, container) ==
          "chdir to cwd (\"/etc/passwd\") set in config.json failed: not a directory");
    // CVE-2024-21626.
    for (int fd = 3; fd < 10; ++fd) {
        spec.process.working_directory = "/proc/self/fd/" + std::to_string(fd);
        CHECK_THAT(error_of(spec, container), Contains("chdir to cwd"));
    }
}

TEST_CASE("a further terminal leaves the container's console alone") {
    require_root();
    const Rootfs rootfs;
    const Running container(rootfs);
    ExecSpec spec = exec_for_shell(
        "tty; dd if=/dev/tty of=/dev/null count=0 2>/dev/null && echo own; "
        "grep -c /dev/console /proc/self/mounts");
    spec.process.terminal = true;
    spec.user = "web";
    const Outcome outcome = exec(spec, container);
    REQUIRE_FALSE(outcome.error);
    CHECK(outcome.output == "/dev/pts/0\r\nown\r\n0\r\n");
    CHECK(exec(spec, container).output == "/dev/pts/0\r\nown\r\n0\r\n");
}

TEST_CASE("a container's end is the end of what was started in it, and of starting more") {
    require_root();
    const Rootfs rootfs;
    Running container(rootfs);
    const auto init = PidRef::open(container.init().pid());
    REQUIRE(init);
    Started started = start(exec_for_shell("sleep 1000"), container.init().pidfd());
    REQUIRE_FALSE(started.error);
    // The init's end waits for the others', and theirs is ours to collect.
    REQUIRE(container.init().signal(SIGKILL));
    const ExitStatus status = reap(started.process);
    CHECK(status.signaled);
    CHECK(status.value == SIGKILL);
    container.end();
    started = start(exec_for({"true"}), init->pidfd());
    REQUIRE(started.error);
    CHECK(started.error->errno_value() == ESRCH);
    CHECK_FALSE(started.process);
}

TEST_CASE("a container cannot look into what is about to become its process") {
    require_root();
    const Rootfs rootfs;
    rootfs.file("watch",
                "while :; do for p in /proc/[0-9]*; do case $(readlink $p/exe) in *davit-init*) "
                "echo exe;; esac; case $(readlink $p/root) in /) ;; ?*) echo root;; esac; "
                "case $(readlink $p/fd/3) in socket*) echo fd;; esac; done; done 2>/dev/null");
    Running container(rootfs, spec_for({"/bin/sh", "/watch"}));
    for (int round = 0; round < 100; ++round) {
        const Outcome outcome = exec(exec_for({"true"}), container);
        REQUIRE_FALSE(outcome.error);
    }
    const int output = container.output();
    container.end();
    CHECK(read_to_end(output) == "");
}

TEST_CASE("what a container sees of a starting process never has more power than it will have") {
    require_root();
    const Rootfs rootfs;
    // Whoever may trace could take it over. The bounding set is what execve(2) could give back.
    rootfs.file("watch",
                "while :; do if grep -h Cap[PEB] /proc/[0-9]*/status | "
                "grep -q -v -e 00000000a80c25fb -e 0000000000000000; then echo more; fi; done "
                "2>/dev/null");
    ContainerSpec spec = spec_for({"/bin/sh", "/watch"});
    const CapabilitySet traces = capabilities_default() | CapabilitySet{1} << CAP_SYS_PTRACE;
    spec.process.capabilities = {.bounding = traces, .effective = traces, .permitted = traces};
    Running container(rootfs, spec);
    ExecSpec exec_spec = exec_for({"true"});
    exec_spec.process.capabilities = spec.process.capabilities;
    for (int round = 0; round < 100; ++round) {
        REQUIRE_FALSE(exec(exec_spec, container).error);
    }
    const int output = container.output();
    container.end();
    CHECK(read_to_end(output) == "");
}

}  // namespace davit::test
