#pragma once
/// ProgressDisplay: the messages of a pull or an import, as docker shows them: on a terminal one
/// line per layer that is brought up to date in place, elsewhere one line per step without the
/// bars.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"

namespace davit::cli {

struct ProgressMessage;

class ProgressDisplay {
  public:
    /// out: where to show; quiet shows nothing.
    ProgressDisplay(Output& out, bool quiet);

    /// Show one message. Errors: the one that the message carries, with the daemon's text; corrupt
    /// if it is not JSON.
    Result<void> show(std::string_view json);

    void flush() { out_.flush(); }

  private:
    void show_on_terminal(const ProgressMessage& message);

    Output& out_;
    bool quiet_;
    bool terminal_;
    unsigned columns_ = 0;
    /// The ids of the lines below the last ordinary one.
    std::vector<std::string> lines_;
};

/// "[=====>    ]  1.2MB/3.4MB"; columns is the width of the terminal.
std::string progress_bar(std::int64_t current, std::int64_t total, unsigned columns);

/// Show a stream of messages to its end. Errors: show()'s, the stream's.
Task<void> progress_follow(ApiStream& stream, ProgressDisplay display);

}  // namespace davit::cli
