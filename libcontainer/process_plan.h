#pragma once
/// The part of a plan that makes a process what its ProcessSpec says, for a container's first
/// process (launch_plan.cc) and for further ones (exec_plan.cc).
#include <string>

#include "libcontainer/plan_writer.h"
#include "libcontainer/spec.h"

namespace davit {

/// Errors: invalid_argument (no command; a working directory that is not absolute; half a filter).
Result<void> process_check(const ProcessSpec& process);

/// Enter the v1 hierarchies; into the v2 one a process is born.
void cgroups_join_write(PlanWriter& writer, const CgroupPlacement& cgroup);

/// The AppArmor profile that its program gets, if any. While /proc is the host's.
void apparmor_write(PlanWriter& writer, const ProcessSpec& process);

/// How the process comes to be. Every method of ProcessWriter appends operations; they are called
/// in the order in which they stand there, but for terminal(), which may come as late as execute().
struct ProcessOrigin {
    bool joins = false;     // It joins a container that runs.
    bool resolves = false;  // Its user is the one that an earlier operation found.
    /// It becomes the program only in a child, fork_inside(): its terminal is that one's.
    bool forks = false;
};

class ProcessWriter {
  public:
    /// Both are borrowed.
    ProcessWriter(PlanWriter& writer, const ProcessSpec& process, ProcessOrigin origin = {})
        : writer_(writer), process_(process), origin_(origin) {}

    /// What only the daemon's user namespace may do: before the one with these ids is joined, and
    /// before everything else.
    void user_namespace_prepare(const IdMap& ids);

    /// keyring: the name of the session's own; empty: none.
    void session(const std::string& keyring);
    void terminal();
    void working_directory();
    void limits();
    void credentials();
    /// Fail now if execute() would not find its program.
    void find();
    void confine();
    /// Takes: kept: a register that goes along; none: 0, else its number and 1.
    void fork_inside(std::uint64_t kept = 0);
    void execute();

  private:
    std::uint16_t resolved_flag() const;

    PlanWriter& writer_;
    const ProcessSpec& process_;
    ProcessOrigin origin_;
};

}  // namespace davit
