#pragma once
/// Logging for the edges: HTTP handlers, supervisors, main. Everything else returns Errors.
///
/// One line per record on stderr: time, level, message. A tolerated failure ends in ", ignoring".
#include <string_view>

#include <fmt/format.h>

#include "reactor/base/error.h"

namespace davit {

enum class LogLevel : int { debug, info, warn, error };

/// Records below this level are dropped. Default: info.
void log_level_set(LogLevel level);
LogLevel log_level();

/// Write one record; never blocks on a stuck reader of stderr for longer than one write(2).
void log_write(LogLevel level, std::string_view message);

template <typename... Args>
void log_at(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
    if (level >= log_level()) {
        log_write(level, fmt::format(format, std::forward<Args>(args)...));
    }
}

#define LOG_DEBUG(...) ::davit::log_at(::davit::LogLevel::debug, __VA_ARGS__)
#define LOG_INFO(...) ::davit::log_at(::davit::LogLevel::info, __VA_ARGS__)
#define LOG_WARN(...) ::davit::log_at(::davit::LogLevel::warn, __VA_ARGS__)
#define LOG_ERROR(...) ::davit::log_at(::davit::LogLevel::error, __VA_ARGS__)

}  // namespace davit
