#pragma once
/// Which manifests of a repository are about another one: RegistryRepository::referrers(), and what
/// a push of such a manifest owes to registries that do not keep that list.
///
/// A registry with the referrers API lists them itself. One without it (404) has them in an index
/// under a tag that is made of the subject's digest, which whoever pushes a referrer brings up to
/// date. Nobody else must change it meanwhile: two daemons that push referrers of one subject at
/// the same moment may lose one of them, as the specification says of all clients.
///
/// Follows: OCI distribution-spec 1.1 "Listing Referrers", "Pushing Manifests with Subject",
/// "Referrers Tag Schema".
#include <cstddef>
#include <string>

#include "graph/manifest.h"

namespace davit {

/// Of one manifest.
inline constexpr std::size_t registry_referrers_max = 10'000;
/// A registry gives them in pages of its own choice.
inline constexpr std::size_t registry_referrer_pages_max = 200;

/// "sha256-<hex>": the tag of the list that clients keep.
std::string referrers_tag(const Digest& subject);

/// The list with one more referrer, which it may have already. Takes: list: the index as it is
/// there, or "" for none: what it says of others stays, known or not. Errors: corrupt (it is no
/// index).
Result<std::string> referrers_add(std::string_view list, const Descriptor& referrer);

}  // namespace davit
