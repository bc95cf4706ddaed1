#pragma once
/// Which tags a repository has: RegistryRepository::tags_list(), and what it is made of.
///
/// Follows: OCI distribution-spec "Listing Tags"; RFC 8288 (Link).
#include <cstddef>
#include <optional>
#include <string>

#include "http/message.h"

namespace davit {

/// Tags of one repository: the largest public ones have a few thousand, and each is an image to
/// pull.
inline constexpr std::size_t registry_tags_max = 10'000;
/// Asked for at a time: registries refuse what they think too many.
inline constexpr std::size_t registry_tags_per_page = 100;
/// A registry may give less at a time than it is asked for.
inline constexpr std::size_t registry_tag_pages_max = 200;

/// The target of the first Link with rel="next".
std::optional<std::string> link_next(const Headers& headers);

}  // namespace davit
