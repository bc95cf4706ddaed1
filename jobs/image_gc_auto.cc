#include "jobs/image_gc_auto.h"

#include "jobs/daemon.h"
#include "jobs/image/image_service.h"
#include "jobs/image_gc.h"
#include "reactor/base/log.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// For what fills the disk without new layers.
constexpr std::chrono::minutes look_interval{1};

struct Collector {
    Daemon& daemon;
    GcRequest request;
    /// It was said that the marks cannot be kept; not again before they were.
    bool complained = false;
};

void report_log(Collector& collector, const GcReport& report) {
    if (!report.removed.empty()) {
        LOG_INFO("gc: {:.0f}% of the disk were used: removed {} images, {} bytes",
                 report.used_percent,
                 report.plan.remove.size(),
                 report.bytes_freed);
    }
    if (report.bytes_freed < report.bytes_wanted && !std::exchange(collector.complained, true)) {
        LOG_WARN("gc: {:.0f}% of the disk are used, and no image that may go frees enough",
                 report.used_percent);
    }
}

Task<void> collect_if_due(Collector& collector) {
    Daemon& daemon = collector.daemon;
    CO_CHECK(co_await daemon.graph_driver->trash().drained());
    CO_TRY(const double percent, disk_used_percent(daemon.config.data_root));
    if (percent <= collector.request.high_percent) {
        collector.complained = false;
        co_return ok;
    }
    std::vector<std::string> shown{"automatic"};
    CO_TRY(const GcReport report,
           co_await daemon.engine.run(
               "image_gc", std::move(shown), image_gc, daemon, collector.request));
    report_log(collector, report);
    co_return ok;
}

Task<void> collect(Collector& collector) {
    const Result<void> done = co_await collect_if_due(collector);
    CancelScope* scope = co_await current_scope();
    if (!done && scope != nullptr && scope->cancelled()) {
        co_return done.error();
    }
    if (!done) {
        // Also if somebody cancelled the job: the next look is soon enough.
        LOG_WARN("gc: {}, ignoring", done.error().message());
    }
    co_return ok;
}

}  // namespace

Task<void> gc_run(AsyncEvent& changed, Nanoseconds interval, std::function<Task<void>()> collect) {
    for (;;) {
        changed.reset();
        CO_CHECK(co_await collect());
        const Result<void> woken = co_await with_timeout(interval, changed.wait());
        if (!woken && woken.error().kind() != ErrorKind::timed_out) {
            co_return woken.error();
        }
    }
}

Task<void> image_gc_auto(Daemon& daemon, GcMarks marks) {
    Collector collector{daemon, {}, false};
    collector.request.high_percent = marks.high_percent;
    collector.request.low_percent = marks.low_percent;
    auto step = [&collector] { return collect(collector); };
    co_return co_await gc_run(daemon.images->layers().published(), look_interval, step);
}

}  // namespace davit
