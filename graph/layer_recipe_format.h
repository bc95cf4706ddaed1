#pragma once
/// The numbers of a recipe's format. Only for layer_recipe.cc and layer_recipe_read.cc.
#include <cstdint>
#include <string_view>

namespace davit::recipe_format {

inline constexpr std::string_view magic = "davit layer recipe 1\n";
inline constexpr std::string_view replaced_magic = "davit replaced files 1\n";
/// Another version's magic starts with this as well.
inline constexpr std::string_view magic_family = "davit ";

inline constexpr char tag_raw = 'r';
inline constexpr char tag_zeros = 'z';
inline constexpr char tag_payload = 'p';
inline constexpr char tag_end = 'e';

/// RFC 8878, section 3.1.2 "Skippable Frames".
inline constexpr std::uint32_t footer_frame = 0x184D2A50;
inline constexpr std::string_view footer_mark = "davitrcp";
/// Frame magic and size, archive length, mark.
inline constexpr std::size_t footer_bytes = 24;

/// Path length, before, size.
inline constexpr std::size_t replaced_header_bytes = 20;

}  // namespace davit::recipe_format
