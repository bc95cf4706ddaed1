#pragma once
/// Can overlayfs work on this file system? Answered by doing everything that it is needed for.
#include <string>

#include "drivers/graph/overlay/overlay_mount.h"

namespace davit {

/// Takes: scratch, a path relative to the base that does not exist; the caller removes it.
/// Errors: unsupported, naming the file system and what it lacks.
Result<void> overlay_probe(OverlayBase base, OverlayMountMethod method, const std::string& scratch);

}  // namespace davit
