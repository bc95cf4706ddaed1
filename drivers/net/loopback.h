#pragma once
/// What davit changes of the host's `lo`, and changes back: packets from 127.0.0.1 may go to a
/// container and come back through it (accept_local, route_localnet of net.ipv4.conf.lo).
#include <string>

#include "reactor/base/result.h"

namespace davit {

/// The index of `lo` in every network namespace.
inline constexpr int loopback_index = 1;

/// Those of them that are off: their names, with commas.
Result<std::string> loopback_closed();

/// Write down which were off, before they are changed; a note that is there stays. Gives: it.
Result<std::string> loopback_note(const std::string& path, const std::string& closed);

/// Switch off what was off, and drop the note. Without one nothing was changed.
Result<void> loopback_restore(const std::string& path);

/// Drop the note: others need what was changed.
Result<void> loopback_leave(const std::string& path);

}  // namespace davit
