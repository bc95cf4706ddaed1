#include "http/api/progress_response.h"

#include "jobs/engine.h"
#include "reactor/task_group.h"

namespace davit::api {

void ProgressResponse::phase(std::string_view name) {
    context_.job.phases().begin(name);
}

Task<void> ProgressResponse::carry(Task<void> work) {
    TaskGroup group(GroupPolicy::independent);
    group.spawn(run(std::move(work)));
    Result<void> written = co_await write_all_messages();
    if (!written) {
        group.cancel();
    }
    static_cast<void>(co_await group.join());
    if (!written) {
        co_return written;
    }
    if (!outcome_ && !context_.response.started()) {
        co_return std::move(outcome_).error();
    }
    if (!context_.response.started()) {
        CO_CHECK(co_await context_.response.begin(200, "application/json"));
    }
    if (!outcome_) {
        const std::string line =
            progress_error_json(outcome_.error().message()) + std::string(progress_line_end);
        CO_CHECK(co_await context_.job.write(line));
    }
    co_return co_await context_.response.end();
}

Task<void> ProgressResponse::run(Task<void> work) {
    outcome_ = co_await std::move(work);
    queue_.close();
    co_return ok;
}

Task<void> ProgressResponse::write_all_messages() {
    for (;;) {
        CO_TRY(const std::optional<ProgressMessage> message, co_await queue_.next());
        if (!message) {
            co_return ok;
        }
        if (!context_.response.started()) {
            CO_CHECK(co_await context_.response.begin(200, "application/json"));
        }
        const std::string line = progress_json(*message) + std::string(progress_line_end);
        CO_CHECK(co_await context_.job.write(line));
    }
}

}  // namespace davit::api
