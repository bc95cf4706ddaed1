#include "reactor/command.h"

#include <spawn.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "reactor/child.h"
#include "reactor/offload.h"
#include "reactor/stream.h"
#include "reactor/task_group.h"

namespace davit {

namespace {

/// A worker thread blocks every signal; a program starts with none blocked.
class SpawnSettings {
  public:
    SpawnSettings(int output, int error) {
        ::posix_spawn_file_actions_init(&actions_);
        ::posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
        ::posix_spawn_file_actions_adddup2(&actions_, output, 1);
        ::posix_spawn_file_actions_adddup2(&actions_, error, 2);
        ::posix_spawnattr_init(&attributes_);
        sigset_t set;
        sigemptyset(&set);
        ::posix_spawnattr_setsigmask(&attributes_, &set);
        sigaddset(&set, SIGPIPE);
        ::posix_spawnattr_setsigdefault(&attributes_, &set);
        ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }

    SpawnSettings(const SpawnSettings&) = delete;
    SpawnSettings& operator=(const SpawnSettings&) = delete;

    ~SpawnSettings() {
        ::posix_spawnattr_destroy(&attributes_);
        ::posix_spawn_file_actions_destroy(&actions_);
    }

    const posix_spawn_file_actions_t* actions() const { return &actions_; }

    const posix_spawnattr_t* attributes() const { return &attributes_; }

  private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

/// Blocks: until the program is executed, about a millisecond.
Result<PidRef> spawn(std::vector<std::string>& words, int output, int error) {
    std::vector<char*> arguments;
    for (std::string& word : words) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    const SpawnSettings settings(output, error);
    pid_t pid = -1;
    const int failed = ::posix_spawnp(&pid,
                                      arguments.front(),
                                      settings.actions(),
                                      settings.attributes(),
                                      arguments.data(),
                                      environ);
    if (failed != 0) {
        return Error::from_errno(failed, "execute", words.front());
    }
    return PidRef::open(pid);
}

Task<void> read_whole(FdStream& stream, std::string& text, std::size_t bytes_max) {
    std::vector<char> buffer(16 * 1024);
    for (;;) {
        CO_TRY(const std::size_t got, co_await stream.read(buffer));
        if (got == 0) {
            co_return ok;
        }
        if (text.size() + got > bytes_max) {
            co_return Error(ErrorKind::resource_exhausted, "too much output");
        }
        text.append(buffer.data(), got);
    }
}

Task<void> read_both(FdStream& output,
                     FdStream& error,
                     CommandOutput& result,
                     std::size_t bytes_max) {
    TaskGroup streams;
    streams.spawn(read_whole(output, result.output, bytes_max));
    streams.spawn(read_whole(error, result.error, bytes_max));
    co_return co_await streams.join();
}

}  // namespace

Task<CommandOutput> command_run(std::vector<std::string> words, std::size_t output_bytes_max) {
    const std::string name = words.front();
    CO_TRY(Pipe output, pipe_make());
    CO_TRY(Pipe error, pipe_make());
    auto start = [&words, out = output.write_end.get(), err = error.write_end.get()] {
        return spawn(words, out, err);
    };
    CO_TRY(const PidRef process, co_await offload(start));
    output.write_end.reset();
    error.write_end.reset();
    CO_TRY(const auto out, FdStream::make(std::move(output.read_end)));
    CO_TRY(const auto err, FdStream::make(std::move(error.read_end)));
    CommandOutput result;
    Result<void> read = co_await read_both(*out, *err, result, output_bytes_max);
    if (!read) {
        static_cast<void>(process.signal(SIGKILL));
    }
    CO_TRY(result.status, co_await shielded(child_wait(process)));
    if (!read) {
        co_return std::move(read).error().context(name);
    }
    co_return std::move(result);
}

}  // namespace davit
