#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "jobs/exec.h"
#include "reactor/base/limits.h"
#include "reactor/base/log.h"
#include "reactor/child.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// A piece of output to the client. Errors: the client's, or cancelled when it has left.
Task<void> send(std::shared_ptr<ExecClient> client, OutputStream stream, std::string bytes) {
    CO_TRY(const auto turn, co_await client->turn.lock());
    FdStream& connection = *client->connection->stream;
    if (!client->framed) {
        co_return co_await connection.write(bytes);
    }
    const std::array<char, 8> header = frame_header(stream, bytes.size());
    const std::array<std::string_view, 2> parts{std::string_view(header.data(), header.size()),
                                                bytes};
    co_return co_await connection.write_parts(parts);
}

/// Take one stream's output to its end. It is read no faster than the client takes it; without a
/// client, or when it has left, the bytes are gone, and the process is not held up.
Task<void> pump(std::shared_ptr<ExecRun> run, FdStream& from, OutputStream stream) {
    static std::array<char, limits::output_read_bytes> buffer;  // Not used across a wait.
    const std::shared_ptr<ExecClient> client = run->client;
    const bool wanted =
        client && (stream == OutputStream::standard_output ? client->output : client->error);
    MonotonicTime turn_begun = monotonic_now();
    std::size_t late_bytes = 0;
    while (late_bytes < limits::exec_late_output_bytes_max) {
        if (monotonic_now() - turn_begun > limits::loop_step_max) {
            co_await yield_now();
            turn_begun = monotonic_now();
        }
        CO_TRY(const std::optional<std::size_t> got, from.try_read(buffer));
        if (!got) {
            CO_CHECK(co_await from.readable().under(&run->reads));
            continue;
        }
        if (*got == 0) {
            co_return ok;
        }
        late_bytes += run->reads.cancelled() ? *got : 0;
        if (run->captured) {
            run->captured({buffer.data(), *got});
        }
        if (wanted && !client->writes.cancelled()) {
            std::string bytes(buffer.data(), *got);
            const Result<void> sent =
                co_await send(client, stream, std::move(bytes)).under(&client->writes);
            if (!sent) {
                client->leave();
            }
        }
    }
    co_return ok;
}

/// Who else may hold the pipes open after the process has ended has that long to write.
Task<void> reads_end(ExecRun& run) {
    CO_CHECK(co_await sleep_for(limits::exec_output_grace));
    run.reads.cancel();
    co_return ok;
}

Task<void> supervise(Daemon& daemon, std::shared_ptr<Exec> exec, std::shared_ptr<ExecRun> run) {
    const std::string name = exec->container->id().short_id() + " exec=" + exec->id.short_id();
    TaskGroup pumps(GroupPolicy::independent);
    if (run->output) {
        pumps.spawn(pump(run, *run->output, OutputStream::standard_output));
    }
    if (run->error) {
        pumps.spawn(pump(run, *run->error, OutputStream::standard_error));
    }
    const Result<ExitStatus> status = co_await child_wait(run->process);
    if (!status) {
        LOG_ERROR("container={}: {}", name, status.error().message());
    }
    exec->exit_code = status ? status->shell_code() : 255;
    exec->state = ExecState::exited;
    exec->run.reset();
    daemon.execs.ended(exec, monotonic_now());
    container_event(daemon,
                    *exec->container,
                    "exec_die",
                    {{"execID", exec->id.str()}, {"exitCode", std::to_string(*exec->exit_code)}});
    exec->changed();

    TaskGroup grace;
    grace.spawn(reads_end(*run));
    const Result<void> pumped = co_await pumps.join();
    if (!pumped && pumped.error().kind() != ErrorKind::cancelled) {
        LOG_WARN("container={}: read output: {}, ignoring", name, pumped.error().message());
    }
    grace.cancel();
    static_cast<void>(co_await grace.join());
    run->output_ended.set();
    co_return ok;
}

}  // namespace

void exec_supervise(Daemon& daemon,
                    std::shared_ptr<Exec> exec,
                    std::shared_ptr<ExecRun> run,
                    std::shared_ptr<ExecClient> client) {
    run->client = std::move(client);
    daemon.supervisors.spawn(supervise(daemon, std::move(exec), std::move(run)));
}

}  // namespace davit
