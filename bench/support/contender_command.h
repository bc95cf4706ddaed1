#pragma once
/// What contenders that are commands have in common.
#include "bench/support/contender.h"
#include "bench/support/process.h"

namespace davit::bench {

/// One command: its words behind those that all of them begin with.
class Commands {
  public:
    Commands(Setting& setting, SpawnOptions base)
        : setting_(setting), names_(setting), base_(std::move(base)) {
        base_.limit = setting.limit;
    }

    Setting& setting() const { return setting_; }

    Names& names() { return names_; }

    /// Run it to its end; an error unless that is 0. With a name: that is a step of the timing.
    Result<void> run(const std::vector<std::string>& words,
                     const char* step = nullptr,
                     Timing* timing = nullptr) const;

    /// Run it, with what it writes to stdout. Errors: of the waiting; the exit code is the
    /// caller's.
    struct Told {
        int code = -1;
        Output output;
    };

    Result<Told> read(const std::vector<std::string>& words) const;

    /// Its output's words; an error unless it ends with 0.
    Result<std::vector<std::string>> list(const std::vector<std::string>& words) const;

    /// A whole container, or execution, in one command: checks what the payload wrote, and times
    /// the first byte of it.
    Result<Timing> whole(const std::vector<std::string>& words) const;

    SpawnOptions options(const std::vector<std::string>& words) const;

    /// What went wrong with a command, with the end of its log.
    Error failed(const std::vector<std::string>& words, int code) const;

  private:
    Setting& setting_;
    Names names_;
    SpawnOptions base_;
};

}  // namespace davit::bench
