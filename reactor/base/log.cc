#include "reactor/base/log.h"

#include <unistd.h>

#include <array>

#include "reactor/base/clock.h"

namespace davit {

namespace {
LogLevel level_min = LogLevel::info;
}

void log_level_set(LogLevel level) {
    level_min = level;
}

LogLevel log_level() {
    return level_min;
}

void log_write(LogLevel level, std::string_view message) {
    static constexpr std::array<std::string_view, 4> names{"DEBUG", "INFO", "WARN", "ERROR"};
    const std::string line = fmt::format(
        "{} {:5} {}\n", rfc3339_nano(wall_now()), names[static_cast<std::size_t>(level)], message);
    // A log that cannot be written must not stop the daemon.
    [[maybe_unused]] const ssize_t done = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace davit
