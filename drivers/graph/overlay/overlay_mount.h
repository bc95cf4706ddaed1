#pragma once
/// One overlayfs mount, detached, in the way that this kernel knows.
#include <string>
#include <vector>

#include "reactor/base/fd.h"

namespace davit {

enum class OverlayMountMethod {
    append,  ///< fsconfig(2) `lowerdir+`, one layer per call: any number of layers.
    string,  ///< mount(2) with one option string, then a detached copy: one page of options.
};

struct OverlaySpec {
    /// Directories relative to the base, topmost first; at least one, at least two without upper.
    std::vector<std::string> lower;
    /// Relative to the base; both empty for a read-only mount.
    std::string upper;
    std::string work;
    bool is_volatile = false;
};

/// The base directory of the layers: its descriptor and its absolute path; none ("") if only the
/// descriptor leads there.
struct OverlayBase {
    int fd;
    const std::string& path;
};

/// Which method the kernel knows, by trying. Errors: unsupported (no overlayfs); permission_denied.
Result<OverlayMountMethod> overlay_mount_method_probe(OverlayBase base);

/// Take away what a daemon that was killed had mounted for a moment (OverlayMountMethod::string).
/// Nobody else may mount meanwhile.
void overlay_mount_point_clear(OverlayBase base);

/// Errors: not_found (a directory is missing); resource_exhausted (too many layers for `string`);
///         what the kernel says.
Result<Fd> overlay_mount(OverlayBase base, OverlayMountMethod method, const OverlaySpec& spec);

}  // namespace davit
