#include "libcontainer/exec_plan.h"

#include <linux/sched.h>

#include <algorithm>

#include "libcontainer/process_plan.h"

namespace davit {

namespace {

using plan::Kind;
using Fields = PlanWriter::Fields;

/// Those that the container shares with the host are joined as well: to no effect.
constexpr std::uint64_t namespaces_all =
    CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

void user_write(PlanWriter& writer, const ExecSpec& spec) {
    const std::string& user = *spec.user;
    const std::size_t colon = std::min(user.find(':'), user.size());
    writer.begin(Kind::resolve_user, {});
    writer.string(std::string_view(user).substr(0, colon));
    writer.string(std::string_view(user).substr(std::min(colon + 1, user.size())));
    for (const std::string& group : spec.further_groups) {
        writer.string(group);
    }
}

}  // namespace

Result<LaunchPlan> exec_plan_compile(const ExecSpec& spec) {
    TRY_VOID(process_check(spec.process));
    LaunchPlan plan;
    plan.registers.push_back(RegisterKind::process);
    plan.forks = true;
    PlanWriter writer;
    cgroups_join_write(writer, spec.cgroup);
    if (const auto& score = spec.process.oom_score_adjust) {
        writer.add(Kind::oom_score_adjust, {std::to_string(*score)});
    }
    apparmor_write(writer, spec.process);
    ProcessWriter process(writer, spec.process, {.joins = true, .resolves = spec.user.has_value()});
    std::uint64_t joined = namespaces_all;
    if (!spec.ids.is_identity()) {
        joined |= CLONE_NEWUSER;
        process.user_namespace_prepare(spec.ids);
    }
    writer.add(Kind::join_namespace, Fields{.reg = 0, .a = joined}, {"container"});
    if (!spec.ids.is_identity()) {
        writer.add(Kind::become_root, {});
    }
    writer.add(Kind::open_root, {});
    if (spec.user) {
        user_write(writer, spec);
    }
    process.session(spec.keyring);
    process.working_directory();
    process.limits();
    process.credentials();
    process.confine();
    // Only now: whoever is in the container's pid namespace can be traced by those there who have
    // CAP_SYS_PTRACE, and must not have more to give than they have themselves.
    process.fork_inside();
    process.terminal();
    process.execute();
    TRY(plan.bytes, writer.finish(static_cast<std::uint16_t>(plan.registers.size())));
    return plan;
}

}  // namespace davit
