#include "libcontainer/process_plan.h"

#include <algorithm>

namespace davit {

namespace {

using plan::Kind;
using Fields = PlanWriter::Fields;

constexpr mode_t umask_default = 022;

Error invalid(const std::string& message) {
    return Error(ErrorKind::invalid_argument, message);
}

}  // namespace

Result<void> process_check(const ProcessSpec& process) {
    if (process.arguments.empty() || process.arguments[0].empty()) {
        return invalid("no command specified");
    }
    if (process.working_directory.empty() || process.working_directory.front() != '/') {
        return invalid("working directory must be absolute: \"" + process.working_directory + "\"");
    }
    if (process.seccomp_filter.size() % 8 != 0) {
        return invalid("seccomp filter is not a whole number of instructions");
    }
    return ok;
}

void cgroups_join_write(PlanWriter& writer, const CgroupPlacement& cgroup) {
    for (const CgroupPlacement::Hierarchy& hierarchy : cgroup.hierarchies) {
        if (!hierarchy.unified) {
            writer.add(Kind::join_cgroup, {hierarchy.directory + "/tasks"});
        }
    }
}

void apparmor_write(PlanWriter& writer, const ProcessSpec& process) {
    if (!process.apparmor_profile.empty()) {
        writer.add(Kind::apparmor, {"exec " + process.apparmor_profile});
    }
}

std::uint16_t ProcessWriter::resolved_flag() const {
    return origin_.resolves ? plan::flag_resolved : std::uint16_t{0};
}

void ProcessWriter::user_namespace_prepare(const IdMap& ids) {
    for (const ResourceLimit& limit : process_.resource_limits) {
        writer_.add(Kind::resource_limit,
                    Fields{.flags = plan::flag_hard_limit,
                           .a = static_cast<std::uint64_t>(limit.resource),
                           .b = limit.soft,
                           .c = limit.hard},
                    {limit.name});
    }
    writer_.add(Kind::give_stdio, Fields{.a = *ids.uid_outside(0), .b = *ids.gid_outside(0)}, {});
}

void ProcessWriter::session(const std::string& keyring) {
    const std::uint16_t flags = keyring.empty() ? std::uint16_t{0} : plan::flag_keyring;
    writer_.add(Kind::session, Fields{.flags = flags}, {keyring});
}

void ProcessWriter::terminal() {
    if (process_.terminal) {
        const unsigned no_console = origin_.joins ? plan::flag_no_console : 0U;
        const unsigned no_control = origin_.forks ? plan::flag_no_control : 0U;
        writer_.add(Kind::terminal,
                    Fields{.flags = static_cast<std::uint16_t>(no_console | no_control),
                           .a = process_.terminal_width,
                           .b = process_.terminal_height,
                           .c = process_.uid},
                    {});
    }
}

void ProcessWriter::working_directory() {
    // "/" needs neither making nor entering.
    if (process_.working_directory != "/") {
        const std::uint16_t flags = origin_.joins ? plan::flag_existing : std::uint16_t{0};
        writer_.add(Kind::working_directory, Fields{.flags = flags}, {process_.working_directory});
    }
}

void ProcessWriter::limits() {
    for (const ResourceLimit& limit : process_.resource_limits) {
        writer_.add(
            Kind::resource_limit,
            Fields{
                .a = static_cast<std::uint64_t>(limit.resource), .b = limit.soft, .c = limit.hard},
            {limit.name});
    }
    writer_.add(Kind::file_mode_mask, Fields{.a = process_.umask.value_or(umask_default)}, {});
}

void ProcessWriter::credentials() {
    const auto& groups = process_.additional_gids;
    writer_.begin(Kind::credentials,
                  Fields{.flags = resolved_flag(),
                         .a = process_.uid,
                         .b = process_.gid,
                         .c = process_.capabilities.bounding,
                         .d = groups.size()});
    writer_.raw({reinterpret_cast<const char*>(groups.data()), groups.size() * sizeof(groups[0])});
}

void ProcessWriter::find() {
    constexpr std::string_view name = "PATH=";
    const auto path = std::ranges::find_if(
        process_.environment, [](const std::string& entry) { return entry.starts_with(name); });
    const bool is_set = path != process_.environment.end();
    writer_.add(Kind::find_program,
                Fields{.a = is_set ? 1U : 0U},
                {process_.arguments[0], is_set ? std::string_view(*path).substr(name.size()) : ""});
}

void ProcessWriter::confine() {
    const Fields sets{.flags = resolved_flag(),
                      .a = process_.capabilities.effective,
                      .b = process_.capabilities.permitted,
                      .c = process_.capabilities.inheritable,
                      .d = process_.capabilities.ambient};
    const auto filter = [&] {
        if (!process_.seccomp_filter.empty()) {
            writer_.begin(
                Kind::seccomp,
                Fields{.a = process_.seccomp_flags, .d = process_.seccomp_filter.size() / 8});
            writer_.raw(process_.seccomp_filter);
        }
    };
    // Without no_new_privs a filter can only be loaded with CAP_SYS_ADMIN, so before it is given
    // up; with it the filter comes last and does not have to allow what init still does.
    if (process_.no_new_privileges) {
        writer_.add(Kind::capabilities, sets, {});
        writer_.add(Kind::no_new_privileges, {});
        filter();
    } else {
        filter();
        writer_.add(Kind::capabilities, sets, {});
    }
}

void ProcessWriter::fork_inside(std::uint64_t kept) {
    writer_.add(Kind::fork, Fields{.b = kept}, {});
    // The parent's session ends with it, and a terminal would hang up.
    const bool has_terminal = origin_.forks && process_.terminal;
    const std::uint16_t flags = has_terminal ? plan::flag_terminal : std::uint16_t{0};
    writer_.add(Kind::session, Fields{.flags = flags}, {""});
}

void ProcessWriter::execute() {
    writer_.begin(Kind::execute, Fields{.flags = resolved_flag(), .a = process_.arguments.size()});
    for (const std::string& argument : process_.arguments) {
        writer_.string(argument);
    }
    for (const std::string& variable : process_.environment) {
        writer_.string(variable);
    }
}

}  // namespace davit
