/// Goal: whatever goes wrong between clone and exec is reported as a typed error that names the
/// step, nothing of an image leads outside its root, and nothing can be written to davit-init.
/// Method: break each step in turn.
#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcontainer/plan_writer.h"
#include "tests/integration/libcontainer/harness.h"
#include "tests/support/catch.h"

namespace davit::test {

namespace {

using Catch::Matchers::Contains;

Error failure_of(const ContainerSpec& spec, const Rootfs& rootfs) {
    const Outcome outcome = run(spec, rootfs);
    INFO(outcome.output);
    REQUIRE(outcome.error);
    CHECK(outcome.status.value == 127);
    CHECK(outcome.output.empty());
    return *outcome.error;
}

/// Break the default spec of a shell, expect a failure with this message.
template <typename Change>
void breaks(const std::string& message, Change change) {
    require_root();
    const Rootfs rootfs;
    ContainerSpec spec = spec_for_shell("echo ran");
    change(spec);
    const Error error = failure_of(spec, rootfs);
    CHECK_THAT(error.message(), Contains(message));
}

Error exec_failure(std::vector<std::string> arguments) {
    require_root();
    const Rootfs rootfs;
    rootfs.file("plain", "text\n", 0644);
    rootfs.file("noformat", "\x01\x02\x03\x04 no format", 0755);
    rootfs.file("nointerpreter", "#!/no/such/interpreter\n", 0755);
    return failure_of(spec_for(std::move(arguments)), rootfs);
}

}  // namespace

TEST_CASE("a command that is missing") {
    const Error error = exec_failure({"foo"});
    CHECK(error.message() == "exec: \"foo\": executable file not found in $PATH");
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(exec_failure({"/foo/bar"}).message() ==
          "exec: \"/foo/bar\": stat /foo/bar: no such file or directory");
    CHECK(exec_failure({"./foo"}).message() ==
          "exec: \"./foo\": stat ./foo: no such file or directory");
}

TEST_CASE("a command that is not executable") {
    const Error error = exec_failure({"/plain"});
    CHECK(error.message() == "exec: \"/plain\": permission denied");
    CHECK(error.kind() == ErrorKind::permission_denied);
    CHECK(exec_failure({"/bin"}).message() == "exec: \"/bin\": is a directory: permission denied");
    CHECK(exec_failure({"/noformat"}).message() == "exec /noformat: exec format error");
    CHECK(exec_failure({"/nointerpreter"}).message() ==
          "exec /nointerpreter: no such file or directory");
}

TEST_CASE("each step that fails says so") {
    breaks("mount /x: nosuchfs: fsopen: no such device", [](ContainerSpec& spec) {
        Mount mount;
        mount.fstype = "nosuchfs";
        mount.target = "/x";
        spec.mounts.push_back(mount);
    });
    breaks("mount /x: size [", [](ContainerSpec& spec) {
        Mount mount;
        mount.fstype = "tmpfs";
        mount.target = "/x";
        mount.options = {{"size", "rubbish"}};
        spec.mounts.push_back(mount);
    });
    breaks("open mount source /no/such/source: open_tree: no such file or directory",
           [](ContainerSpec& spec) {
               Mount mount;
               mount.kind = MountKind::bind;
               mount.source = "/no/such/source";
               mount.target = "/x";
               spec.mounts.push_back(mount);
           });
    breaks("mount /etc/passwd: openat2: not a directory", [](ContainerSpec& spec) {
        Mount mount;
        mount.fstype = "tmpfs";
        mount.target = "/etc/passwd";
        spec.mounts.push_back(mount);
    });
    breaks("join cgroup /no/such/cgroup/tasks", [](ContainerSpec& spec) {
        spec.cgroup.hierarchies.push_back({.directory = "/no/such/cgroup", .mount_name = "x"});
    });
    breaks("write sysctl no/such/key", [](ContainerSpec& spec) {
        spec.sysctls = {{"no.such.key", "1"}};
    });
    breaks("write sysctl net/../../etc/passwd", [](ContainerSpec& spec) {
        spec.sysctls = {{"net/../../etc/passwd", "1"}};
    });
    breaks("sethostname", [](ContainerSpec& spec) { spec.hostname = std::string(65, 'x'); });
    breaks("chdir to cwd /etc/passwd/x",
           [](ContainerSpec& spec) { spec.process.working_directory = "/etc/passwd/x"; });
    breaks("set rlimit nofile", [](ContainerSpec& spec) {
        spec.process.resource_limits = {{"nofile", RLIMIT_NOFILE, 9, 8}};
    });
    breaks("set oom_score_adj", [](ContainerSpec& spec) { spec.process.oom_score_adjust = 5000; });
    breaks("create device /x: mknodat", [](ContainerSpec& spec) {
        spec.devices.push_back({.path = "/x", .mode = S_IFDIR | 0755});
    });
    breaks("load seccomp filter",
           [](ContainerSpec& spec) { spec.process.seccomp_filter = std::string(8, '\xff'); });
    breaks("set up terminal", [](ContainerSpec& spec) {
        spec.process.terminal = true;
        std::erase_if(spec.mounts, [](const Mount& mount) { return mount.target == "/dev/pts"; });
    });
}

TEST_CASE("launch itself fails typed, and leaves no process") {
    require_root();
    const Rootfs rootfs;
    LaunchRequest request;
    const auto not_executable = memory_file_sealed("x", "no program", true);
    REQUIRE(not_executable);
    request.init_fd = not_executable->get();
    request.plan_fd = not_executable->get();
    const auto launched = launch(request);
    REQUIRE_FALSE(launched);
    CHECK_THAT(launched.error().message(), Contains("execveat davit-init: exec format error"));
    siginfo_t info{};
    CHECK(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == -1);
}

TEST_CASE("init refuses a plan that is not one") {
    require_root();
    const auto init = init_binary_open();
    REQUIRE(init);
    PlanWriter writer;
    writer.add(plan::Kind::loopback_up, {});
    const std::string without_exec = *writer.finish(0);
    std::string bad_version = without_exec;
    bad_version[4] = 99;
    for (const std::string& bytes :
         {std::string("rubbish"), std::string(4096, '\0'), bad_version, without_exec}) {
        const auto plan = memory_file_sealed("plan", bytes, false);
        REQUIRE(plan);
        LaunchRequest request;
        request.init_fd = init->get();
        request.plan_fd = plan->get();
        request.clone_flags = CLONE_NEWNET;
        auto launched = launch(request);
        REQUIRE(launched);
        const InitEvent event = next_event(launched->channel.get());
        REQUIRE(event.kind == InitEvent::Kind::failed);
        CHECK_THAT(event.error->message(), Contains("plan"));
        CHECK(reap(launched->init).value == 127);
    }
}

TEST_CASE("symlinks in an image do not lead out of it") {
    require_root();
    const auto attack = [](auto prepare, auto change) {
        const Rootfs rootfs;
        prepare(rootfs);
        ContainerSpec spec = spec_for_shell("exit 0");
        change(spec);
        return run(spec, rootfs);
    };
    const auto unchanged = [](ContainerSpec&) {};
    // /proc and /sys elsewhere would leave the masks on an image's files.
    for (const char* name : {"proc", "sys"}) {
        const Outcome outcome =
            attack([&](const Rootfs& rootfs) { rootfs.symlink("/", name); }, unchanged);
        REQUIRE(outcome.error);
        CHECK_THAT(outcome.error->message(), Contains(std::string("mount /") + name));
        CHECK_THAT(outcome.error->message(), Contains("too many levels of symbolic links"));
    }
    // Dangling on purpose, so that creating the target would create it outside.
    const std::string outside = "/tmp/davit-escaped-" + std::to_string(::getpid());
    const Outcome dangling = attack(
        [&](const Rootfs& rootfs) { rootfs.symlink("../../../../../../.." + outside, "dev"); },
        unchanged);
    CHECK_FALSE(dangling.error);  // Created inside.
    for (const bool file : {false, true}) {
        const Outcome bound = attack(
            [&](const Rootfs& rootfs) {
                rootfs.symlink("../../../../../../.." + outside, "target");
            },
            [&](ContainerSpec& spec) {
                Mount mount;
                mount.kind = MountKind::bind;
                mount.source = file ? "/bin/busybox" : "/usr";
                mount.target = file ? "/target" : "/target/below";
                spec.mounts.push_back(mount);
            });
        CHECK_FALSE(bound.error);
    }
    const Outcome cwd =
        attack([&](const Rootfs& rootfs) { rootfs.symlink(outside, "trap"); },
               [&](ContainerSpec& spec) { spec.process.working_directory = "/trap/x"; });
    CHECK_FALSE(cwd.error);
    CHECK(::access(outside.c_str(), F_OK) != 0);
}

TEST_CASE("links that lead in a circle end") {
    require_root();
    const Rootfs rootfs;
    rootfs.symlink("b", "a");
    rootfs.symlink("a", "b");
    rootfs.symlink("longer/longer/longer", "longer");
    for (const char* path : {"/a", "/a/x", "/longer/x"}) {
        ContainerSpec spec = spec_for_shell("exit 0");
        spec.process.working_directory = path;
        CHECK_THAT(failure_of(spec, rootfs).message(), Contains("symbolic links"));
    }
}

TEST_CASE("a link that resolves inside the image is followed inside it") {
    require_root();
    const Rootfs rootfs;
    rootfs.directory("real");
    rootfs.symlink("/../../real", "dev");
    const Outcome outcome = run(spec_for_shell("ls /real/null && exit 0"), rootfs);
    CHECK_FALSE(outcome.error);
    CHECK(outcome.output == "/real/null\n");
}

TEST_CASE("a working directory cannot be a descriptor of the host") {
    require_root();
    for (int fd = 0; fd < 10; ++fd) {
        const Rootfs rootfs;
        ContainerSpec spec = spec_for_shell("pwd");
        spec.process.working_directory = "/proc/self/fd/" + std::to_string(fd);
        const Outcome outcome = run(spec, rootfs);
        INFO(fd << " " << outcome.output);
        CHECK(outcome.error);
    }
}

TEST_CASE("the gate holds until released, and davit-init cannot be overwritten meanwhile") {
    require_root();
    const Rootfs rootfs;
    const auto init = init_binary_open();
    const auto plan = plan_compile(spec_for_shell("exit 3"), {.gate = true});
    REQUIRE(plan);
    const auto plan_fd = plan_memory_file(*plan);
    const Fd root = rootfs.mount();
    const std::vector<int> registers = {root.get()};
    LaunchRequest request;
    request.init_fd = init->get();
    request.plan_fd = plan_fd->get();
    request.clone_flags = plan->clone_flags;
    request.registers = registers;

    auto launched = launch(request);
    REQUIRE(launched);
    REQUIRE(next_event(launched->channel.get()).kind == InitEvent::Kind::ready);
    const std::string exe = "/proc/" + std::to_string(launched->init.pid()) + "/exe";
    const auto running = Fd::open(exe, O_RDONLY);
    REQUIRE(running);

    struct stat info {};

    REQUIRE(::fstat(running->get(), &info) == 0);
    CHECK(static_cast<std::size_t>(info.st_size) == init_binary_bytes().size());
    CHECK_FALSE(Fd::open(exe, O_WRONLY));  // Busy while it runs, sealed ever after.
    CHECK_FALSE(launched->init.try_reap()->has_value());
    REQUIRE(launch_release(launched->channel.get()));
    CHECK(next_event(launched->channel.get()).kind == InitEvent::Kind::closed);
    CHECK(reap(launched->init).value == 3);
    const auto writable = Fd::open("/proc/self/fd/" + std::to_string(running->get()), O_RDWR);
    REQUIRE(writable);
    CHECK(::write(writable->get(), "x", 1) == -1);
    CHECK(errno == EPERM);
    CHECK(::ftruncate(writable->get(), 0) == -1);
    CHECK(::fcntl(writable->get(), F_ADD_SEALS, F_SEAL_SEAL) == -1);
}

TEST_CASE("an init whose daemon goes away at the gate exits") {
    require_root();
    const Rootfs rootfs;
    const auto init = init_binary_open();
    const auto plan = plan_compile(spec_for_shell("exit 3"), {.gate = true});
    const auto plan_fd = plan_memory_file(*plan);
    const Fd root = rootfs.mount();
    const std::vector<int> registers = {root.get()};
    LaunchRequest request;
    request.init_fd = init->get();
    request.plan_fd = plan_fd->get();
    request.clone_flags = plan->clone_flags;
    request.registers = registers;
    auto launched = launch(request);
    REQUIRE(launched);
    REQUIRE(next_event(launched->channel.get()).kind == InitEvent::Kind::ready);
    launched->channel.reset();
    CHECK(reap(launched->init).value == 127);
}

}  // namespace davit::test
