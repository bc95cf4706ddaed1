#pragma once
/// The 512-byte blocks of an archive: where the fields lie and how numbers are spelled.
/// Follows: POSIX.1-2017 pax(1) "ustar Interchange Format"; GNU tar manual "Basic Tar Format".
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/tar_entry.h"
#include "reactor/base/result.h"

namespace davit {

inline constexpr std::size_t tar_block_bytes = 512;

using TarBlock = std::span<const std::uint8_t, tar_block_bytes>;

struct TarField {
    std::size_t offset;
    std::size_t size;
};

namespace tar_field {
inline constexpr TarField name{0, 100};
inline constexpr TarField mode{100, 8};
inline constexpr TarField uid{108, 8};
inline constexpr TarField gid{116, 8};
inline constexpr TarField size{124, 12};
inline constexpr TarField mtime{136, 12};
inline constexpr TarField checksum{148, 8};
inline constexpr TarField type{156, 1};
inline constexpr TarField linkname{157, 100};
inline constexpr TarField magic{257, 8};  ///< Magic and version together.
inline constexpr TarField dev_major{329, 8};
inline constexpr TarField dev_minor{337, 8};
inline constexpr TarField prefix{345, 155};
inline constexpr TarField star_prefix{345, 131};
inline constexpr TarField star_trailer{508, 4};
inline constexpr TarField gnu_sparse{386, 96};  ///< Four (offset, size) pairs of 12 digits each.
inline constexpr TarField gnu_extended{482, 1};
inline constexpr TarField gnu_real_size{483, 12};
inline constexpr TarField gnu_more_sparse{0, 504};  ///< In an extension block: 21 pairs.
inline constexpr TarField gnu_more_extended{504, 1};
}  // namespace tar_field

/// A header block with its numbers decoded and nothing interpreted yet.
struct TarHeader {
    char typeflag = 0;
    bool gnu = false;  ///< The "ustar  " magic of GNU tar.
    std::string name;  ///< With the prefix.
    std::string linkname;
    std::uint64_t size = 0;
    std::uint32_t mode = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::int64_t mtime = 0;
    std::uint32_t dev_major = 0;
    std::uint32_t dev_minor = 0;
};

/// Bytes of padding after size bytes of data.
inline constexpr std::uint64_t tar_padding(std::uint64_t size) {
    return (tar_block_bytes - size % tar_block_bytes) % tar_block_bytes;
}

bool tar_block_is_zero(TarBlock block);

/// Octal text or GNU's base-256; an empty field is 0. Nothing for anything else or beyond 63 bits.
std::optional<std::int64_t> tar_number_parse(std::span<const std::uint8_t> field);

/// Errors: corrupt for a wrong checksum, and for a size, owner or device number that is garbage,
///         negative or too large; the message names the entry.
Result<TarHeader> tar_header_parse(TarBlock block);

/// The pairs of an old GNU sparse header or extension block, appended to regions.
/// Gives: whether another extension block follows.
Result<bool> tar_sparse_pairs_parse(TarBlock block,
                                    TarField pairs,
                                    TarField extended,
                                    std::vector<TarSparseRegion>& regions);

/// Whether this is a header at all: its checksum, of unsigned or of signed bytes, is right.
bool tar_checksum_matches(TarBlock block);

/// The unsigned sum of a block with its checksum field taken as spaces.
std::uint32_t tar_checksum(TarBlock block);

}  // namespace davit
