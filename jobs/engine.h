#pragma once
/// Engine: every piece of work is a job, modelled on a unix process: it has a name, arguments,
/// standard streams, a status and phases; it can be listed and cancelled.
///
/// A job is a coroutine function `Task<T> body(Job&, request...)`, named in job_table.cc. Like a
/// process it does not know what its streams are: an API call's are the request's and the
/// response's body, those of the daemon's own jobs lead nowhere.
#include <deque>
#include <list>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/task_group.h"

namespace davit {

enum class JobStatus { running, done, failed, cancelled };

std::string_view job_status_name(JobStatus status);

/// One named stretch of a job's or a container start's time, relative to its beginning.
struct Phase {
    std::string name;
    Nanoseconds start{};
    Nanoseconds duration{};
};

/// Consecutive phases with monotonic timestamps: begin() ends the one before.
class PhaseRecorder {
  public:
    PhaseRecorder() : origin_(monotonic_now()) {}

    void begin(std::string_view name);
    void end();

    MonotonicTime origin() const { return origin_; }

    const std::vector<Phase>& phases() const { return phases_; }

  private:
    MonotonicTime origin_;
    bool open_ = false;
    std::vector<Phase> phases_;
};

/// Where a job's standard input comes from.
class JobInput {
  public:
    virtual ~JobInput() = default;

    /// At least one byte into buffer; 0 at the end.
    virtual Task<std::size_t> read(std::span<char> buffer) = 0;
};

/// Where a job's standard output goes.
class JobOutput {
  public:
    virtual ~JobOutput() = default;

    /// Returns when the bytes are taken: who does not take them holds the job.
    virtual Task<void> write(std::string_view bytes) = 0;
};

/// What has passed through a job's streams.
struct JobTraffic {
    std::uint64_t bytes_read = 0;
    std::uint64_t bytes_written = 0;
    /// Its standard error: what went wrong without being its end. The first few lines.
    std::vector<std::string> complaints;
};

class Job {
  public:
    static constexpr std::size_t complaints_kept_max = 16;

    Job(std::uint64_t id, std::string name, std::vector<std::string> arguments, CancelScope* parent)
        : id_(id), name_(std::move(name)), arguments_(std::move(arguments)), scope_(parent) {}

    std::uint64_t id() const { return id_; }

    const std::string& name() const { return name_; }

    const std::vector<std::string>& arguments() const { return arguments_; }

    WallTime started() const { return started_; }

    PhaseRecorder& phases() { return phases_; }

    const PhaseRecorder& phases() const { return phases_; }

    CancelScope& scope() { return scope_; }

    /// Connect its standard input and output; both are the caller's and outlive the body.
    void connect(JobInput& input, JobOutput& output) {
        input_ = &input;
        output_ = &output;
    }

    /// At least one byte of standard input into buffer; 0 at its end, or if there is none.
    Task<std::size_t> read(std::span<char> buffer);

    /// To standard output; if it leads nowhere the bytes are gone.
    Task<void> write(std::string_view bytes);

    /// A line to standard error: kept for those who look at the job, and in the daemon's log.
    void complain(std::string line);

    /// For bytes that a body carries past its streams, as over a connection it has taken over.
    void count_read(std::size_t bytes) { traffic_.bytes_read += bytes; }

    void count_written(std::size_t bytes) { traffic_.bytes_written += bytes; }

    const JobTraffic& traffic() const { return traffic_; }

  private:
    std::uint64_t id_;
    std::string name_;
    std::vector<std::string> arguments_;
    JobInput* input_ = nullptr;
    JobOutput* output_ = nullptr;
    JobTraffic traffic_;
    WallTime started_ = wall_now();
    PhaseRecorder phases_;
    CancelScope scope_;
};

/// What is told of a job, running or finished.
struct JobReport {
    std::uint64_t id = 0;
    std::string name;
    std::vector<std::string> arguments;
    JobStatus status = JobStatus::running;
    WallTime started;
    Nanoseconds elapsed{};
    std::vector<Phase> phases;
    JobTraffic traffic;
    std::string error;
};

/// Every job's name and what it does: the engine refuses to run a job that is not here.
struct JobEntry {
    std::string_view name;
    std::string_view summary;
};

std::span<const JobEntry> job_table();

class Engine {
  public:
    Engine() = default;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    /// Run body as a job, under the awaiter's cancellation and the job's own.
    /// Errors: the body's; cancelled.
    template <typename T, typename... Parameters>
    Task<T> run(std::string_view name,
                std::vector<std::string> shown,
                Task<T> (*body)(Job&, Parameters...),
                std::type_identity_t<Parameters>... arguments) {
        Job job(next_id_++, job_name_checked(name), std::move(shown), co_await current_scope());
        running_.emplace(job.id(), &job);
        Task<T> task = body(job, std::forward<Parameters>(arguments)...);
        Result<T> result = co_await std::move(task).under(&job.scope());
        finish(job, result ? nullptr : &result.error());
        co_return std::move(result);
    }

    /// Running jobs first, then the last finished ones, newest first.
    std::vector<JobReport> list() const;

    /// Ask a running job to stop; it does at its next await point, and undoes what it did.
    /// Errors: not_found.
    Result<void> cancel(std::uint64_t id);

    std::uint64_t running_count() const { return running_.size(); }

  private:
    static std::string job_name_checked(std::string_view name);
    void finish(Job& job, const Error* error);

    std::uint64_t next_id_ = 1;
    std::map<std::uint64_t, Job*> running_;
    std::deque<JobReport> finished_;
};

}  // namespace davit
