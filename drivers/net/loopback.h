#pragma once
/// What davit changes of the host's `lo`, and changes back: packets from 127.0.0.1 may go to a
/// container and come back through it (accept_local, route_localnet of net.ipv4.conf.lo).
#include <string>

#include "reactor/base/result.h"

namespace davit {

/// Write down what they are, before they are changed; a note that is there stays.
Result<void> loopback_note(const std::string& path);

/// Switch off what was off, and drop the note. Without one nothing was changed.
Result<void> loopback_restore(const std::string& path);

}  // namespace davit
