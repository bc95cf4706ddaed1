#pragma once
/// How one layer says that something of the layers below is gone, in archives and on disk.
///
/// In an archive (OCI image-spec layer.md "Whiteouts") it is an empty file `.wh.NAME` beside where
/// NAME was, or `.wh..wh..opq` inside a directory that hides everything below it. On disk overlayfs
/// wants a character device 0/0 called NAME, or the xattr trusted.overlay.opaque=y. An engine in a
/// user namespace may set no trusted xattrs; its overlayfs is mounted with `userxattr`, and wants
/// user.overlay.opaque=y. A data root belongs to one kind of engine: layers of the other say
/// nothing.
#include <sys/stat.h>

#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

enum class WhiteoutKind : unsigned char {
    none,     ///< An ordinary name.
    remove,   ///< `.wh.NAME`: target is the path of what is removed.
    opaque,   ///< `.wh..wh..opq`: target is the path of the directory.
    ignored,  ///< aufs' own bookkeeping (`.wh..wh.plnk`, `.wh..wh.aufs`, ...) and what is below it.
};

struct Whiteout {
    WhiteoutKind kind = WhiteoutKind::none;
    std::string target;
};

inline constexpr std::string_view whiteout_prefix = ".wh.";
inline constexpr std::string_view whiteout_opaque_name = ".wh..wh..opq";

/// Whether this process is in a user namespace of its own, so that overlayfs' xattrs are
/// user.overlay.*.
bool overlay_xattrs_are_user();

/// "trusted.overlay." or "user.overlay.": what overlayfs says of a layer begins so.
std::string_view overlay_xattr_prefix();

/// The prefix and "opaque".
const char* overlay_opaque_xattr();

/// What an entry's name means in a layer. Takes a clean path (tar_path_clean).
/// Errors: corrupt for a bare `.wh.`, for one that would remove "." or "..", and for a whiteout
///         used as a directory (`.wh.a/b`).
Result<Whiteout> whiteout_parse(std::string_view clean_path);

/// Whether this is what overlayfs takes for a removed name.
bool is_whiteout(const struct stat& status);

/// Whether overlayfs shows nothing of the layers below in this open directory.
bool is_opaque(int directory);

/// Whether an xattr of an archive may be set on a file of a layer. The overlay's own are the
/// engine's to write: from an archive they could redirect a lookup into other layers. Labels of
/// the host's security modules are the host's business; of security.* only capabilities belong to
/// the image.
bool xattr_allowed(std::string_view name);

}  // namespace davit
