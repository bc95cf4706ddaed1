/// Goal: a sandbox's plan holds what does not depend on the container, the container's the rest,
/// and together they do what one plan does; what cannot be made ahead is refused. Method: decode
/// what was compiled.
#include <sys/mount.h>

#include <algorithm>
#include <set>

#include "libcontainer/defaults.h"
#include "libcontainer/init/plan_format.h"
#include "libcontainer/launch_plan.h"
#include "tests/support/catch.h"

namespace davit {

namespace {

using plan::Kind;

ContainerSpec sample() {
    auto spec = container_spec_default({});
    REQUIRE(spec);
    spec->process.arguments = {"/bin/true"};
    spec->cgroup.hierarchies.push_back(
        {.directory = "/sys/fs/cgroup/memory/davit/abc", .mount_name = "memory"});
    return *std::move(spec);
}

Mount bind(const std::string& source, const std::string& target) {
    Mount mount;
    mount.kind = MountKind::bind;
    mount.source = source;
    mount.target = target;
    return mount;
}

std::vector<PlanStep> steps_of(const Result<LaunchPlan>& compiled) {
    REQUIRE(compiled);
    auto steps = plan_decode(compiled->bytes);
    REQUIRE(steps);
    return *std::move(steps);
}

using Described = std::multiset<std::pair<std::uint16_t, std::vector<std::string>>>;

/// The steps without those that only move things between the two plans.
void describe(const std::vector<PlanStep>& steps, Described& into) {
    const std::set<Kind> moves = {
        Kind::make_filesystem, Kind::enter_root, Kind::hand_over, Kind::open_source, Kind::attach};
    for (const PlanStep& step : steps) {
        if (!moves.contains(static_cast<Kind>(step.kind))) {
            into.emplace(step.kind, step.strings);
        }
    }
}

}  // namespace

TEST_CASE("the two plans of a sandbox do what one plan does", "[sandbox_plan]") {
    ContainerSpec spec = sample();
    spec.hostname = "box";
    spec.sysctls = {{"net.ipv4.ip_forward", "1"}};
    spec.process.oom_score_adjust = 5;
    spec.mounts.push_back(bind("/srv", "/data"));
    Described apart;
    describe(steps_of(sandbox_plan_compile(spec)), apart);
    describe(steps_of(plan_compile(spec, {.in_sandbox = true})), apart);
    Described whole;
    describe(steps_of(plan_compile(spec)), whole);
    // The file systems are mounted by the first alone.
    CHECK(apart == whole);
}

TEST_CASE("a sandbox's plan ends with the hand-over and has no registers", "[sandbox_plan]") {
    const auto compiled = sandbox_plan_compile(sample());
    const auto steps = steps_of(compiled);
    CHECK(steps.back().kind == static_cast<std::uint16_t>(Kind::hand_over));
    CHECK(compiled->registers.empty());
    CHECK(compiled->sources.empty());
    CHECK_FALSE(compiled->forks);
}

TEST_CASE("containers of one kind have the same sandbox", "[sandbox_plan]") {
    ContainerSpec one = sample();
    ContainerSpec other = sample();
    other.process.arguments = {"/bin/sh", "-c", "x"};
    other.process.environment = {"A=b"};
    other.process.terminal = true;
    other.hostname = "other";
    other.rootfs_readonly = true;
    other.mounts.push_back(bind("/srv", "/data"));
    CHECK(sandbox_plan_compile(one)->bytes == sandbox_plan_compile(other)->bytes);
    other.masked_paths.pop_back();
    CHECK(sandbox_plan_compile(one)->bytes != sandbox_plan_compile(other)->bytes);
    other = sample();
    other.sysctls = {{"net.ipv4.ip_forward", "1"}};
    CHECK(sandbox_plan_compile(one)->bytes != sandbox_plan_compile(other)->bytes);
}

TEST_CASE("what is bound into a sandbox comes by descriptor", "[sandbox_plan]") {
    ContainerSpec spec = sample();
    spec.mounts.push_back(bind("/srv", "/data"));
    spec.mounts.push_back(bind("/opt", "/opt"));
    spec.mounts.back().recursive = false;
    const auto compiled = plan_compile(spec, {.in_sandbox = true});
    const auto steps = steps_of(compiled);
    using Kinds = std::vector<RegisterKind>;
    CHECK(compiled->registers ==
          Kinds{RegisterKind::rootfs, RegisterKind::source, RegisterKind::source});
    REQUIRE(compiled->sources.size() == 2);
    CHECK(compiled->sources[0].path == "/srv");
    CHECK(compiled->sources[0].recursive);
    CHECK(compiled->sources[1].path == "/opt");
    CHECK_FALSE(compiled->sources[1].recursive);
    const bool opens_host = std::ranges::any_of(steps, [](const PlanStep& step) {
        return step.kind == static_cast<std::uint16_t>(Kind::open_source) &&
               !is_sandbox_path(step.strings[0]);
    });
    CHECK_FALSE(opens_host);
}

TEST_CASE("a sandbox that cannot be made ahead is refused", "[sandbox_plan]") {
    const auto refused = [](auto&& change) {
        ContainerSpec spec = sample();
        change(spec);
        const auto first = sandbox_plan_compile(spec);
        const auto second = plan_compile(spec, {.in_sandbox = true});
        return !first && first.error().kind() == ErrorKind::unsupported && !second;
    };
    CHECK_FALSE(refused([](ContainerSpec&) {}));
    CHECK(refused([](ContainerSpec& spec) { spec.namespaces.pid = NamespaceMode::host; }));
    CHECK(refused([](ContainerSpec& spec) { spec.namespaces.network = NamespaceMode::join; }));
    CHECK(refused([](ContainerSpec& spec) { spec.namespaces.ipc = NamespaceMode::host; }));
    CHECK(refused([](ContainerSpec& spec) { spec.namespaces.cgroup = NamespaceMode::host; }));
    CHECK(refused([](ContainerSpec& spec) { spec.mounts.push_back(bind("/x", "/dev/x")); }));
    CHECK(refused([](ContainerSpec& spec) { spec.mounts.push_back(bind("/x", "/sys")); }));
    CHECK(refused([](ContainerSpec& spec) { spec.mounts.push_back(bind("/x", "/")); }));
    CHECK(refused(
        [](ContainerSpec& spec) { spec.mounts.insert(spec.mounts.begin(), bind("/x", "/a")); }));
    CHECK(refused([](ContainerSpec& spec) { spec.devices.push_back({.path = "/null"}); }));
    CHECK(refused([](ContainerSpec& spec) { spec.masked_paths.emplace_back("/etc/shadow"); }));
    CHECK(refused([](ContainerSpec& spec) { spec.readonly_paths.emplace_back("/process"); }));
}

}  // namespace davit
