#include "jobs/engine.h"

#include <algorithm>
#include <cassert>

#include "reactor/base/limits.h"
#include "reactor/base/log.h"

namespace davit {

std::string_view job_status_name(JobStatus status) {
    switch (status) {
        case JobStatus::running:
            return "running";
        case JobStatus::done:
            return "done";
        case JobStatus::failed:
            return "failed";
        case JobStatus::cancelled:
            return "cancelled";
    }
    return "failed";
}

void PhaseRecorder::begin(std::string_view name) {
    end();
    phases_.push_back({std::string(name), monotonic_now() - origin_, {}});
    open_ = true;
}

void PhaseRecorder::end() {
    if (open_) {
        Phase& last = phases_.back();
        last.duration = monotonic_now() - origin_ - last.start;
        open_ = false;
    }
}

Task<std::size_t> Job::read(std::span<char> buffer) {
    if (input_ == nullptr) {
        co_return std::size_t{0};
    }
    CO_TRY(const std::size_t bytes, co_await input_->read(buffer));
    count_read(bytes);
    co_return bytes;
}

Task<void> Job::write(std::string_view bytes) {
    if (output_ != nullptr) {
        CO_CHECK(co_await output_->write(bytes));
    }
    count_written(bytes.size());
    co_return ok;
}

void Job::complain(std::string line) {
    LOG_WARN("job={} {} {}: {}",
             id_,
             name_,
             arguments_.empty() ? std::string_view() : std::string_view(arguments_.front()),
             line);
    if (traffic_.complaints.size() < complaints_kept_max) {
        traffic_.complaints.push_back(std::move(line));
    }
}

namespace {

JobReport report_of(const Job& job) {
    return JobReport{.id = job.id(),
                     .name = job.name(),
                     .arguments = job.arguments(),
                     .status = JobStatus::running,
                     .started = job.started(),
                     .elapsed = monotonic_now() - job.phases().origin(),
                     .phases = job.phases().phases(),
                     .traffic = job.traffic(),
                     .error = {}};
}

}  // namespace

std::string Engine::job_name_checked(std::string_view name) {
    assert(std::ranges::any_of(job_table(), [&](const JobEntry& e) { return e.name == name; }) &&
           "a job that is not in job_table.cc");
    return std::string(name);
}

void Engine::finish(Job& job, const Error* error) {
    job.phases().end();
    running_.erase(job.id());
    JobReport report = report_of(job);
    report.status = JobStatus::done;
    if (error != nullptr) {
        report.status =
            error->kind() == ErrorKind::cancelled ? JobStatus::cancelled : JobStatus::failed;
        report.error = error->message();
    }
    finished_.push_front(std::move(report));
    if (finished_.size() > limits::jobs_finished_kept_max) {
        finished_.pop_back();
    }
}

std::vector<JobReport> Engine::list() const {
    std::vector<JobReport> reports;
    reports.reserve(running_.size() + finished_.size());
    for (auto it = running_.rbegin(); it != running_.rend(); ++it) {
        reports.push_back(report_of(*it->second));
    }
    reports.insert(reports.end(), finished_.begin(), finished_.end());
    return reports;
}

Result<void> Engine::cancel(std::uint64_t id) {
    const auto found = running_.find(id);
    if (found == running_.end()) {
        return Error(ErrorKind::not_found, "No such running job: " + std::to_string(id));
    }
    found->second->scope().cancel();
    return ok;
}

}  // namespace davit
