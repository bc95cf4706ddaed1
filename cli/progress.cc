#include "cli/progress.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/line_reader.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "http/json_reader.h"

namespace davit::cli {

struct ProgressMessage {
    std::string id;
    std::string status;
    std::string stream;
    std::string error;
    /// The message is about one line's progress, though there may be no figures yet.
    bool has_progress = false;
    std::int64_t current = 0;
    std::int64_t total = 0;
};

namespace {

/// Bars are drawn on terminals wider than this.
constexpr unsigned bar_columns_min = 110;
constexpr std::int64_t bar_width = 50;
constexpr int progress_digits = 4;

Result<ProgressMessage> message_parse(std::string_view json) {
    TRY(const JsonDocument document, JsonDocument::parse(json));
    const JsonValue root = document.root();
    ProgressMessage message;
    TRY(message.id, root.string_or("id", ""));
    TRY(message.status, root.string_or("status", ""));
    TRY(message.stream, root.string_or("stream", ""));
    TRY(message.error, root.string_or("error", ""));
    TRY(const JsonValue detail, root.object("errorDetail"));
    if (message.error.empty()) {
        TRY(message.error, detail.string_or("message", ""));
    }
    TRY(const JsonValue progress, root.object("progressDetail"));
    message.has_progress = progress.present();
    TRY(message.current, progress.int64_or("current", 0));
    TRY(message.total, progress.int64_or("total", 0));
    return message;
}

}  // namespace

std::string progress_bar(std::int64_t current, std::int64_t total, unsigned columns) {
    if (current <= 0 && total <= 0) {
        return "";
    }
    const std::string current_text = size_text(static_cast<double>(current), progress_digits);
    if (total <= 0) {
        return fmt::format("{:>8}", current_text);
    }
    std::string bar;
    if (columns > bar_columns_min) {
        const auto done = std::clamp<std::int64_t>(
            static_cast<std::int64_t>(static_cast<double>(current) / static_cast<double>(total) *
                                      static_cast<double>(bar_width)),
            0,
            bar_width);
        bar = fmt::format("[{:=<{}}>{:<{}}] ", "", done, "", bar_width - done);
    }
    if (current > total) {
        return bar + fmt::format("{:>8}", current_text);
    }
    return bar + fmt::format("{:>8}/{}",
                             current_text,
                             size_text(static_cast<double>(total), progress_digits));
}

ProgressDisplay::ProgressDisplay(Output& out, bool quiet)
    : out_(out), quiet_(quiet), terminal_(is_terminal(out.fd())) {
    if (const auto size = terminal_size(out.fd())) {
        columns_ = size->columns;
    }
}

Result<void> ProgressDisplay::show(std::string_view json) {
    TRY(const ProgressMessage message, message_parse(json));
    if (!message.error.empty()) {
        return Error(ErrorKind::internal, message.error);
    }
    if (quiet_) {
        return ok;
    }
    if (terminal_) {
        show_on_terminal(message);
        return ok;
    }
    if (!message.stream.empty()) {
        out_.write(message.stream);
    } else if (message.current <= 0 && message.total <= 0 && !message.status.empty()) {
        out_.line(message.id.empty() ? message.status : message.id + ": " + message.status);
    }
    return ok;
}

void ProgressDisplay::show_on_terminal(const ProgressMessage& message) {
    if (!message.stream.empty()) {
        lines_.clear();
        out_.write(message.stream);
        return;
    }
    const std::string text =
        message.id.empty() ? message.status : message.id + ": " + message.status;
    if (message.id.empty() || !message.has_progress) {
        lines_.clear();
        if (!text.empty()) {
            out_.line(text);
        }
        return;
    }
    auto place = std::ranges::find(lines_, message.id);
    if (place == lines_.end()) {
        out_.write("\n");
        place = lines_.insert(lines_.end(), message.id);
    }
    const auto up = lines_.end() - place;
    const std::string bar = progress_bar(message.current, message.total, columns_);
    std::string line = bar.empty() ? text : text + " " + bar;
    if (columns_ > 0 && line.size() >= columns_) {
        line.resize(columns_ - 1);  // A line that wraps would upset the count of lines.
    }
    out_.write(fmt::format("\x1b[{}A\r\x1b[2K{}\r\x1b[{}B", up, line, up));
}

Task<void> progress_follow(ApiStream& stream, ProgressDisplay display) {
    LineReader lines(stream);
    for (;;) {
        CO_TRY(const std::optional<std::string> line, co_await lines.next());
        if (!line) {
            co_return ok;
        }
        CO_CHECK(display.show(*line));
        if (!lines.has_buffered_line()) {
            display.flush();
        }
    }
}

}  // namespace davit::cli
