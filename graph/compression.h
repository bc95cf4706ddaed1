#pragma once
/// The compressions a layer may come in, told apart by their first bytes.
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace davit {

enum class Compression : std::uint8_t { none, gzip, zstd, bzip2, xz };

/// "gzip" and so on, for messages.
std::string_view compression_name(Compression compression);

/// What a stream that starts with these bytes is; nothing while that is still open (fewer than six
/// bytes, all of them the start of some magic number).
std::optional<Compression> compression_detect(std::span<const std::uint8_t> first_bytes);

}  // namespace davit
