#pragma once
/// One member of an archive, as read or to be written.
#include <cstdint>
#include <string>
#include <vector>

namespace davit {

enum class TarType : std::uint8_t {
    file,
    hardlink,
    symlink,
    char_device,
    block_device,
    directory,
    fifo,
};

struct TarXattr {
    std::string name;
    std::string value;
};

/// A part of a sparse file that has data; the rest up to the file's size are holes.
struct TarSparseRegion {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
};

struct TarTime {
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;

    bool operator==(const TarTime&) const = default;
};

struct TarEntry {
    TarType type = TarType::file;
    std::string path;           ///< As spelled in the archive: untrusted, see tar_path_clean().
    std::string linkpath;       ///< Target of a hard link (a path in the archive) or a symlink.
    std::uint32_t mode = 0644;  ///< Permission, setuid, setgid and sticky bits.
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint64_t size = 0;  ///< Of the file when extracted, holes included.
    TarTime mtime;
    std::uint32_t dev_major = 0;
    std::uint32_t dev_minor = 0;
    std::vector<TarXattr> xattrs;
    bool sparse = false;  ///< `regions` says where the data goes.
    std::vector<TarSparseRegion> regions;
};

}  // namespace davit
