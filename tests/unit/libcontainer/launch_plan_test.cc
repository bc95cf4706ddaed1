/// Goal: a compiled plan says what the spec says, in an order that holds; and no bytes whatever
/// make the decoder read out of bounds. Method: decode what was compiled; then truncate it
/// everywhere and flip its bytes (under AddressSanitizer).
#include "libcontainer/launch_plan.h"

#include <linux/sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <random>

#include "libcontainer/defaults.h"
#include "libcontainer/exec_plan.h"
#include "libcontainer/init/plan_format.h"
#include "libcontainer/launch.h"
#include "tests/support/catch.h"

namespace davit {

namespace {

using plan::Kind;

ContainerSpec sample() {
    auto spec = container_spec_default({});
    REQUIRE(spec);
    spec->id = "abc";
    spec->hostname = "box";
    spec->process.arguments = {"/bin/true", "x"};
    spec->process.environment = {"PATH=/bin", "EMPTY="};
    spec->process.working_directory = "/work";
    spec->process.additional_gids = {1, 2, 3};
    spec->sysctls = {{"net.ipv4.ip_forward", "1"}};
    Mount bind;
    bind.kind = MountKind::bind;
    bind.source = "/srv";
    bind.target = "/data";
    bind.attributes = MOUNT_ATTR_RDONLY;
    spec->mounts.push_back(bind);
    spec->cgroup.hierarchies.push_back(
        {.directory = "/sys/fs/cgroup/memory/davit/abc", .mount_name = "memory"});
    return *std::move(spec);
}

std::vector<PlanStep> steps_of(const ContainerSpec& spec, PlanOptions options = {}) {
    const auto compiled = plan_compile(spec, options);
    REQUIRE(compiled);
    auto steps = plan_decode(compiled->bytes);
    REQUIRE(steps);
    return *std::move(steps);
}

std::size_t position(const std::vector<PlanStep>& steps, Kind kind) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (steps[i].kind == static_cast<std::uint16_t>(kind)) {
            return i;
        }
    }
    return steps.size();
}

}  // namespace

TEST_CASE("read-only for a bind's top alone is set apart from what is for all") {
    ContainerSpec spec = sample();
    const auto attributes_count = [](const ContainerSpec& counted) {
        return std::ranges::count(
            steps_of(counted), static_cast<std::uint16_t>(Kind::mount_attributes), &PlanStep::kind);
    };
    const auto before = attributes_count(spec);
    spec.mounts.back().attributes_recursive = false;
    CHECK(attributes_count(spec) == before + 1);
    spec.mounts.back().recursive = false;
    CHECK(attributes_count(spec) == before);
}

TEST_CASE("a user namespace is entered when nothing of the host's is needed any more") {
    ContainerSpec spec = sample();
    spec.ids = {.uids = {{0, 100'000, 65'536}}, .gids = {{0, 100'000, 65'536}}};
    spec.mounts.back().maps_ids = true;
    const auto compiled = plan_compile(spec);
    REQUIRE(compiled);
    CHECK(compiled->forks);
    CHECK(compiled->clone_flags == 0);
    CHECK(compiled->registers == std::vector{RegisterKind::rootfs, RegisterKind::namespace_user});
    const auto steps = steps_of(spec);
    std::size_t next = 0;
    for (const Kind kind : {Kind::join_cgroup,
                            Kind::open_source,
                            Kind::map_ids,
                            Kind::work_in,
                            Kind::make_device,
                            Kind::give_stdio,
                            Kind::join_namespace,
                            Kind::become_root,
                            Kind::unshare,
                            Kind::fork,
                            Kind::enter_root,
                            Kind::attach,
                            Kind::sysctl,
                            Kind::execute}) {
        INFO(static_cast<int>(kind));
        const std::size_t at = position(steps, kind);
        CHECK(at >= next);
        CHECK(at < steps.size());
        next = at + 1;
    }
    // The kernel wants these from who still sees the host's.
    for (const PlanStep& step : steps) {
        if (step.kind == static_cast<std::uint16_t>(Kind::mount_filesystem)) {
            CHECK(step.strings[0] != "proc");
            CHECK(step.strings[0] != "sysfs");
        }
    }
}

TEST_CASE("what cannot be in a user namespace is refused") {
    ContainerSpec spec = sample();
    spec.ids = {.uids = {{0, 100'000, 65'536}}, .gids = {{0, 100'000, 65'536}}};
    spec.devices.push_back(Device{.path = "/srv/null", .major = 1, .minor = 3});
    const auto device = plan_compile(spec);
    REQUIRE_FALSE(device);
    CHECK_THAT(device.error().message(), Catch::Matchers::Contains("\"/srv/null\""));
    spec.devices.pop_back();
    spec.namespaces.pid = NamespaceMode::host;
    CHECK_FALSE(plan_compile(spec));
}

TEST_CASE("what was compiled is what is decoded") {
    const auto steps = steps_of(sample());
    REQUIRE(steps.back().kind == static_cast<std::uint16_t>(Kind::execute));
    CHECK(steps.back().strings ==
          std::vector<std::string>{"/bin/true", "x", "PATH=/bin", "EMPTY="});
    CHECK(steps.front().strings ==
          std::vector<std::string>{"/sys/fs/cgroup/memory/davit/abc/tasks"});
    CHECK(steps[position(steps, Kind::sysctl)].strings ==
          std::vector<std::string>{"net/ipv4/ip_forward", "1"});
    CHECK(steps[position(steps, Kind::hostname)].strings == std::vector<std::string>{"box"});
}

TEST_CASE("the order of steps that depend on each other") {
    const auto steps = steps_of(sample(), {.gate = true});
    const auto before = [&](Kind first, Kind second) {
        CHECK(position(steps, first) < position(steps, second));
    };
    before(Kind::join_cgroup, Kind::unshare);     // The cgroup namespace's root is where we are.
    before(Kind::open_source, Kind::enter_root);  // The host's paths end there.
    before(Kind::mount_attributes,
           Kind::enter_root);  // Copies of shared mounts must not stay shared.
    before(Kind::enter_root, Kind::mount_filesystem);
    before(Kind::sysctl, Kind::readonly_path);  // /proc/sys becomes read-only.
    before(Kind::mount_filesystem, Kind::mask_path);
    before(Kind::working_directory, Kind::credentials);  // Created by root.
    before(Kind::credentials, Kind::gate);
    before(Kind::gate, Kind::seccomp);
    before(Kind::seccomp, Kind::capabilities);  // Needs CAP_SYS_ADMIN without no_new_privs.
    before(Kind::capabilities, Kind::execute);
}

TEST_CASE("with no_new_privs the filter is last") {
    ContainerSpec spec = sample();
    spec.process.no_new_privileges = true;
    const auto steps = steps_of(spec);
    CHECK(position(steps, Kind::capabilities) < position(steps, Kind::no_new_privileges));
    CHECK(position(steps, Kind::no_new_privileges) < position(steps, Kind::seccomp));
    CHECK(position(steps, Kind::seccomp) + 2 == steps.size());
}

TEST_CASE("namespaces become clone flags and registers") {
    ContainerSpec spec = sample();
    CHECK(plan_compile(spec)->clone_flags ==
          (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS));
    spec.namespaces.network = NamespaceMode::join;
    spec.namespaces.ipc = NamespaceMode::host;
    const auto compiled = plan_compile(spec);
    REQUIRE(compiled);
    CHECK(compiled->clone_flags == (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS));
    CHECK(compiled->registers ==
          std::vector<RegisterKind>{RegisterKind::rootfs, RegisterKind::namespace_network});
}

TEST_CASE("specs that cannot be") {
    const auto refused = [](auto change, ErrorKind kind) {
        ContainerSpec spec = sample();
        change(spec);
        const auto compiled = plan_compile(spec);
        REQUIRE_FALSE(compiled);
        CHECK(compiled.error().kind() == kind);
    };
    refused([](ContainerSpec& spec) { spec.process.arguments.clear(); },
            ErrorKind::invalid_argument);
    refused([](ContainerSpec& spec) { spec.process.arguments = {""}; },
            ErrorKind::invalid_argument);
    refused([](ContainerSpec& spec) { spec.mounts[0].target = "proc"; },
            ErrorKind::invalid_argument);
    refused([](ContainerSpec& spec) { spec.process.working_directory = "work"; },
            ErrorKind::invalid_argument);
    refused([](ContainerSpec& spec) { spec.process.arguments.push_back(std::string("a\0b", 3)); },
            ErrorKind::invalid_argument);
    refused([](ContainerSpec& spec) { spec.namespaces.pid = NamespaceMode::join; },
            ErrorKind::invalid_argument);  // Its procfs would be that of another namespace.
    refused([](ContainerSpec& spec) { spec.namespaces.uts = NamespaceMode::host; },
            ErrorKind::invalid_argument);
    refused(
        [](ContainerSpec& spec) { spec.process.arguments.push_back(std::string(9 << 20, 'a')); },
        ErrorKind::resource_exhausted);
}

TEST_CASE("a truncated plan is refused at every length") {
    const std::string bytes = plan_compile(sample())->bytes;
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        REQUIRE_FALSE(plan_decode(std::string_view(bytes).substr(0, size)));
    }
    CHECK_FALSE(plan_decode(bytes + std::string(8, '\0')));
}

TEST_CASE("a joined pid namespace is entered last, without any power left") {
    ContainerSpec spec = sample();
    spec.namespaces.pid = NamespaceMode::join;
    spec.process.terminal = true;
    spec.process.seccomp_filter = std::string(16, '\0');
    std::ranges::find(spec.mounts, "/proc", &Mount::target)->fstype.clear();
    std::ranges::find(spec.mounts, "/proc", &Mount::target)->kind = MountKind::prepared;
    const auto compiled = plan_compile(spec);
    REQUIRE(compiled);
    CHECK(compiled->forks);
    CHECK((compiled->clone_flags & CLONE_NEWPID) == 0);
    CHECK(compiled->registers == std::vector<RegisterKind>{RegisterKind::rootfs,
                                                           RegisterKind::namespace_pid,
                                                           RegisterKind::mount});
    const auto steps = steps_of(spec);
    CHECK(position(steps, Kind::terminal) < position(steps, Kind::credentials));
    CHECK(position(steps, Kind::capabilities) + 1 == position(steps, Kind::fork));
    REQUIRE(position(steps, Kind::fork) + 3 == steps.size());
    CHECK(steps[steps.size() - 2].kind == static_cast<std::uint16_t>(Kind::session));
    CHECK(steps.back().kind == static_cast<std::uint16_t>(Kind::execute));
    CHECK_FALSE(plan_compile(sample())->forks);
}

TEST_CASE("an AppArmor profile is set before the container has a say in what /proc is") {
    ContainerSpec spec = sample();
    CHECK(position(steps_of(spec), Kind::apparmor) == steps_of(spec).size());
    spec.process.apparmor_profile = "tight";
    const auto steps = steps_of(spec);
    const std::size_t at = position(steps, Kind::apparmor);
    REQUIRE(at < steps.size());
    CHECK(steps[at].strings == std::vector<std::string>{"exec tight"});
    CHECK(at < position(steps, Kind::enter_root));
    CHECK(at < position(steps, Kind::mount_filesystem));
}

TEST_CASE("a plan for a running container joins, becomes what the spec says, and only then forks") {
    ExecSpec spec;
    spec.process.arguments = {"true"};
    spec.process.working_directory = "/srv";
    spec.process.seccomp_filter = std::string(16, '\0');
    spec.keyring = "_ses.x";
    spec.cgroup.hierarchies = {{.directory = "/sys/fs/cgroup/pids/davit/x"},
                               {.directory = "/sys/fs/cgroup/unified/davit/x", .unified = true}};
    const auto names = [](const LaunchPlan& plan) {
        std::string all;
        const auto steps = plan_decode(plan.bytes);
        REQUIRE(steps);
        for (const PlanStep& step : *steps) {
            all += step.name + (step.strings.empty() ? "" : " " + step.strings[0]) + "; ";
        }
        return all;
    };
    auto plan = exec_plan_compile(spec);
    REQUIRE(plan);
    CHECK(plan->forks);
    CHECK(plan->clone_flags == 0);
    CHECK(plan->registers == std::vector<RegisterKind>{RegisterKind::process});
    CHECK(names(*plan) ==
          "join cgroup /sys/fs/cgroup/pids/davit/x/tasks; join namespace container; open rootfs; "
          "start session _ses.x; chdir to cwd /srv; set umask; set user; load seccomp filter; "
          "set capabilities; fork; start session ; exec true; ");
    spec.user = "web:staff";
    spec.process.no_new_privileges = true;
    spec.process.apparmor_profile = "tight";
    plan = exec_plan_compile(spec);
    REQUIRE(plan);
    CHECK_THAT(names(*plan), Catch::Matchers::Contains("open rootfs; find user web; start"));
    CHECK_THAT(names(*plan),
               Catch::Matchers::Contains(
                   "set no_new_privs; load seccomp filter; fork; start session ; exec"));
    CHECK_THAT(
        names(*plan),  // While /proc is the host's.
        Catch::Matchers::Contains("set apparmor profile exec tight; join namespace container"));
    spec.process.working_directory = "srv";
    CHECK(exec_plan_compile(spec).error().kind() == ErrorKind::invalid_argument);
    spec.process.working_directory = "/";
    spec.process.arguments = {};
    CHECK(exec_plan_compile(spec).error().kind() == ErrorKind::invalid_argument);
}

TEST_CASE("the decoder is total on damaged plans") {
    const std::string bytes = plan_compile(sample())->bytes;
    std::mt19937 random(20240131);  // NOLINT: the same damage in every run.
    std::size_t refused = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string damaged = bytes;
        for (unsigned flips = random() % 4 + 1; flips > 0; --flips) {
            damaged[random() % damaged.size()] = static_cast<char>(random());
        }
        refused += plan_decode(damaged) ? 0 : 1;
    }
    CHECK(refused > 0);
}

TEST_CASE("messages of init become errors") {
    plan::Message message{};
    const auto decode = [&message] {
        return init_message_decode({reinterpret_cast<const char*>(&message), sizeof(message)});
    };
    CHECK_FALSE(decode());
    message.magic = plan::magic;
    CHECK_FALSE(decode());
    message.kind = plan::MessageKind::ready;
    CHECK(decode()->kind == InitEvent::Kind::ready);

    message.kind = plan::MessageKind::failed;
    message.operation = Kind::execute;
    message.error_number = ENOENT;
    std::copy_n("foo", 4, message.subject);
    message.detail = plan::Detail::not_in_path;
    CHECK(decode()->error->message() == "exec: \"foo\": executable file not found in $PATH");
    CHECK(decode()->error->kind() == ErrorKind::not_found);
    message.detail = plan::Detail::no_such_file;
    CHECK(decode()->error->message() == "exec: \"foo\": stat foo: no such file or directory");
    message.detail = plan::Detail::not_executable;
    CHECK(decode()->error->message() == "exec: \"foo\": permission denied");
    message.detail = plan::Detail::is_directory;
    CHECK(decode()->error->message() == "exec: \"foo\": is a directory: permission denied");
    message.detail = plan::Detail::none;
    message.error_number = ENOEXEC;
    CHECK(decode()->error->message() == "exec foo: exec format error");

    message.operation = Kind::resolve_user;
    message.error_number = ENOENT;
    message.detail = plan::Detail::unknown_user;
    CHECK(decode()->error->message() ==
          "unable to find user foo: no matching entries in passwd file");
    message.operation = Kind::working_directory;
    message.detail = plan::Detail::no_working_directory;
    CHECK(decode()->error->message() ==
          "chdir to cwd (\"foo\") set in config.json failed: no such file or directory");
    message.detail = plan::Detail::none;

    message.operation = Kind::hostname;
    message.error_number = EPERM;
    std::copy_n("sethostname", 12, message.call);
    CHECK(decode()->error->message() == "sethostname foo: sethostname: operation not permitted");
    CHECK(decode()->error->kind() == ErrorKind::permission_denied);

    // Not terminated: still only the field.
    std::fill(std::begin(message.subject), std::end(message.subject), 'x');
    CHECK(decode()->error->message().size() < 600);
    message.operation = static_cast<Kind>(9999);
    CHECK_FALSE(decode());
    CHECK_FALSE(init_message_decode("short"));
}

TEST_CASE("resource limits by name") {
    CHECK(*resource_limit_number("nofile") == RLIMIT_NOFILE);
    CHECK_FALSE(resource_limit_number("nofiles"));
}

}  // namespace davit
