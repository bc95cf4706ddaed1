#include <sys/ioctl.h>

#include <cerrno>

#include "jobs/container/detach_filter.h"
#include "jobs/container_streams.h"
#include "jobs/exec.h"
#include "reactor/base/limits.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// The client's side of an exec: its input, the watch for its hang-up, and the end of the output,
/// side by side; whichever is the end of it ends the others.
class ExecAttachment {
  public:
    ExecAttachment(Job& job,
                   std::shared_ptr<Exec> exec,
                   std::shared_ptr<ExecRun> run,
                   std::shared_ptr<ExecClient> client)
        : job_(job),
          exec_(std::move(exec)),
          run_(std::move(run)),
          client_(std::move(client)),
          detach_(run_->tty ? exec_->config.detach_keys.value_or(default_keys) : "") {}

    Task<bool> carry() {
        TaskGroup group;
        group.spawn(output_then_end(group));
        group.spawn(input_then_end(group));
        group.spawn(watch(group));
        static_cast<void>(co_await group.join());
        client_->leave();
        run_->input.reset();  // Nobody else writes to it.
        static_cast<void>(co_await attach_close(*client_->connection->stream));
        co_return detached_;
    }

  private:
    static constexpr const char* default_keys = "\x10\x11";  // ctrl-p, ctrl-q

    /// With nothing of the output wanted its end is nothing to wait for.
    bool output_wanted() const { return client_->output || client_->error; }

    Task<void> output_then_end(TaskGroup& group) {
        if (output_wanted() || exec_->config.attach_stdin) {
            CO_CHECK(co_await run_->output_ended.wait());
        }
        group.cancel();
        co_return ok;
    }

    Task<void> watch(TaskGroup& group) {
        CO_CHECK(co_await client_->connection->stream->hung_up());
        client_->leave();
        group.cancel();
        co_return ok;
    }

    Task<void> input_then_end(TaskGroup& group) {
        if (!exec_->config.attach_stdin || !run_->input) {
            co_return ok;
        }
        static_cast<void>(co_await copy_input());
        if (!run_->tty) {
            run_->input.reset();  // The process reads the end of its input.
        }
        if (detached_ || !output_wanted()) {
            group.cancel();
        }
        co_return ok;
    }

    Task<void> copy_input() {
        std::string bytes = std::move(client_->connection->buffered);
        std::vector<char> buffer(limits::attach_input_bytes);
        for (;;) {
            const DetachFilter::Outcome outcome = detach_.filter(bytes);
            if (outcome.detached) {
                detached_ = true;
                co_return ok;
            }
            if (!outcome.pass.empty()) {
                CO_CHECK(co_await run_->input->write(outcome.pass));
            }
            CO_TRY(const std::size_t got, co_await client_->connection->stream->read(buffer));
            job_.count_read(got);
            if (got == 0) {
                co_return ok;
            }
            bytes.assign(buffer.data(), got);
        }
    }

    Job& job_;
    std::shared_ptr<Exec> exec_;
    std::shared_ptr<ExecRun> run_;
    std::shared_ptr<ExecClient> client_;
    DetachFilter detach_;
    bool detached_ = false;
};

Task<void> started(std::shared_ptr<Exec> exec) {
    while (exec->state == ExecState::created || exec->state == ExecState::starting) {
        CO_CHECK(co_await exec->wait_changed());
    }
    co_return ok;
}

}  // namespace

Task<bool> exec_attach(Job& job,
                       std::shared_ptr<Exec> exec,
                       std::shared_ptr<ExecRun> run,
                       std::shared_ptr<ExecClient> client) {
    ExecAttachment attachment(job, std::move(exec), std::move(run), std::move(client));
    co_return co_await attachment.carry();
}

Task<void> exec_resize(std::shared_ptr<Exec> exec, std::uint16_t height, std::uint16_t width) {
    const Result<void> waited = co_await with_timeout(limits::exec_resize_wait, started(exec));
    if (!waited && waited.error().kind() == ErrorKind::timed_out) {
        co_return Error(ErrorKind::timed_out, "timeout waiting for exec session ready");
    }
    CO_CHECK(waited);
    if (!exec->run) {
        co_return Error(ErrorKind::not_found,
                        "Exec command " + exec->id.str() + " has already run");
    }
    const winsize size{.ws_row = height, .ws_col = width, .ws_xpixel = 0, .ws_ypixel = 0};
    // Without a terminal there is nothing to do, and Docker says yes, too.
    if (exec->run->tty && ::ioctl(exec->run->output->fd(), TIOCSWINSZ, &size) != 0) {
        co_return Error::from_errno(errno, "ioctl(TIOCSWINSZ)");
    }
    co_return ok;
}

}  // namespace davit
