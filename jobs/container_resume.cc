// A container that outlived the daemon which started it.
#include <array>
#include <utility>

#include "jobs/container/log_config.h"
#include "jobs/container/spec_build.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "libcontainer/user_namespace.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

Result<void> streams_take(ContainerRun& run, Kept& kept) {
    if (run.tty && kept.output) {
        TRY(kept.input, Fd::duplicate(kept.output.get()));
    }
    const auto take = [](std::unique_ptr<FdStream>& stream, Fd& fd) -> Result<void> {
        if (fd) {
            TRY(stream, FdStream::make(std::move(fd)));
        }
        return ok;
    };
    TRY_VOID(take(run.input, kept.input));
    TRY_VOID(take(run.output, kept.output));
    return take(run.error, kept.error);
}

/// Go on with its log at the very byte where an earlier daemon stopped.
Result<void> log_resume(const Daemon& daemon, Container& container, OutputSlot& slot) {
    const ContainerRecord& record = container.record;
    if (record.log_path.empty()) {
        return ok;
    }
    JsonFileWriter log = log_writer_make(record);
    const std::array streams{OutputStream::standard_output, OutputStream::standard_error};
    for (const OutputStream stream : streams) {
        if (const auto place = slot.log_cut_off(stream)) {
            TRY_VOID(log.cut_off(*place));
        }
    }
    const LogConfig& config = record.host_config.log_config;
    if (log_has_service(config) && !log_server_of(config)) {
        auto sink = log_service_open(record, daemon.system.host_name, Fd());
        if (sink) {
            log.also_to(*std::move(sink));
        } else {
            LOG_WARN("container={}: {}, ignoring: its log is only in its file",
                     container.id().short_id(),
                     sink.error().message());
        }
    }
    container.output.log_to(std::move(log));
    container.output.logs_from(slot);
    return ok;
}

/// A daemon that died in the middle of a pause, of the end of one, or of a commit left processes
/// that stand still and should not, or go on and are said not to.
Result<void> freezing_settle(Container& container, Cgroup& cgroup) {
    ContainerState& status = container.record.state.status;
    if (status == ContainerState::paused) {
        TRY(const bool frozen, cgroup.frozen());
        status = frozen ? ContainerState::paused : ContainerState::running;
        return ok;
    }
    return cgroup.thaw();
}

/// It died between the record of an update and the limits.
Result<void> limits_settle(Container& container, Cgroup& cgroup) {
    ContainerRecord& record = container.record;
    if (!std::exchange(record.limits_due, false)) {
        return ok;
    }
    std::vector<std::string> warnings;
    TRY([[maybe_unused]] const LimitsBefore before,
        cgroup.change(resources_of_update(record, record.host_config), warnings));
    return ok;
}

}  // namespace

Result<void> container_resume(Daemon& daemon, Container& container, std::optional<Kept> kept) {
    auto run = std::make_shared<ContainerRun>();
    run->tty = container.record.config.tty;
    TRY(Cgroup cgroup, Cgroup::open(daemon.cgroups, container.record.cgroup_path));
    run->cgroup = std::make_shared<Cgroup>(std::move(cgroup));
    for (const auto settle : {freezing_settle, limits_settle}) {
        if (const Result<void> settled = settle(container, *run->cgroup); !settled) {
            LOG_WARN("container={}: what an earlier daemon began: {}, ignoring",
                     container.id().short_id(),
                     settled.error().message());
        }
    }
    if (kept) {
        run->parent = RunParent::keeper;
        run->keeper = &daemon.keeper;
        run->slot.emplace(daemon.outputs->slot_adopt(kept->slot, container.id()));
        TRY_VOID(streams_take(*run, *kept));
        run->init = std::move(kept->process);
    } else {
        run->parent = RunParent::unknown;
        TRY(OutputSlot slot, daemon.outputs->slot_take(container.id()));
        run->slot.emplace(std::move(slot));
        TRY(run->init, PidRef::open(container.record.state.pid));
        LOG_WARN("container={}: its keeper had died: it goes on, but what it writes is lost",
                 container.id().short_id());
    }
    if (auto ids = user_namespace_map_of(run->init)) {
        run->ids = *std::move(ids);
    }  // Else it has ended, as its supervisor will find.
    TRY_VOID(log_resume(daemon, container, *run->slot));
    container.run = std::move(run);
    return ok;
}

}  // namespace davit
