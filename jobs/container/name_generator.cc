#include "jobs/container/name_generator.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>

namespace davit {

namespace {

/// So that "/name" fits where file names do.
constexpr std::size_t name_bytes_max = 254;

constexpr auto adjectives = std::to_array<std::string_view>({
    "able",    "agile",    "amber",   "ample",   "apt",      "ardent",  "avid",     "bold",
    "brave",   "breezy",   "bright",  "brisk",   "calm",     "candid",  "careful",  "cheerful",
    "clear",   "clever",   "cosmic",  "cozy",    "crisp",    "curious", "dapper",   "daring",
    "deft",    "eager",    "earnest", "easy",    "elated",   "exact",   "fair",     "faithful",
    "fast",    "festive",  "fluent",  "fond",    "frank",    "fresh",   "friendly", "gallant",
    "gentle",  "gifted",   "glad",    "golden",  "graceful", "grand",   "hardy",    "hearty",
    "honest",  "hopeful",  "humble",  "ideal",   "jolly",    "jovial",  "keen",     "kind",
    "lively",  "loyal",    "lucid",   "lucky",   "mellow",   "merry",   "mild",     "modest",
    "neat",    "nifty",    "nimble",  "noble",   "patient",  "placid",  "plucky",   "polite",
    "proud",   "prudent",  "quick",   "quiet",   "rapid",    "ready",   "robust",   "sage",
    "serene",  "sharp",    "silver",  "sincere", "smart",    "snug",    "sober",    "spry",
    "stable",  "steady",   "sturdy",  "sunny",   "sure",     "swift",   "tender",   "thrifty",
    "tidy",    "tranquil", "trusty",  "upbeat",  "useful",   "valiant", "vivid",    "warm",
    "willing", "wise",     "witty",   "worthy",  "zealous",  "zesty",
});

constexpr auto nouns = std::to_array<std::string_view>({
    "anchor",  "ballast",  "bark",      "beacon",    "berth",     "binnacle",  "boatswain",
    "bollard", "boom",     "bosun",     "bow",       "bowline",   "brig",      "buoy",
    "cable",   "canvas",   "capstan",   "captain",   "cargo",     "catamaran", "cleat",
    "clipper", "coble",    "compass",   "cormorant", "coxswain",  "cutter",    "cygnet",
    "davit",   "deck",     "dinghy",    "dock",      "dolphin",   "dory",      "drifter",
    "dunlin",  "ensign",   "fathom",    "felucca",   "fender",    "ferry",     "frigate",
    "gaff",    "galley",   "gangway",   "gannet",    "gig",       "gull",      "halyard",
    "harbor",  "hatch",    "hawser",    "helm",      "heron",     "hull",      "jetty",
    "jib",     "junk",     "kayak",     "kedge",     "keel",      "kestrel",   "ketch",
    "lagoon",  "lantern",  "lateen",    "launch",    "ledger",    "lighter",   "longboat",
    "lugger",  "mainsail", "marlin",    "mast",      "mizzen",    "mooring",   "narwhal",
    "oar",     "osprey",   "outrigger", "packet",    "paddle",    "pelican",   "petrel",
    "pier",    "pilot",    "pinnace",   "piper",     "plover",    "porpoise",  "port",
    "proa",    "quay",     "ratline",   "reef",      "rigging",   "rudder",    "sail",
    "sampan",  "schooner", "sculler",   "seal",      "sextant",   "shallop",   "skerry",
    "skiff",   "skipper",  "sloop",     "spar",      "spinnaker", "staysail",  "stern",
    "tender",  "thole",    "tide",      "tiller",    "topsail",   "trawler",   "trimaran",
    "trireme", "tugboat",  "umiak",     "wharf",     "wherry",    "windlass",  "xebec",
    "yardarm", "yawl",
});

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_name_character(char c) {
    return is_alphanumeric(c) || c == '_' || c == '.' || c == '-';
}

std::uint32_t random_below(std::size_t bound) {
    std::uint32_t value = 0;
    if (::getrandom(&value, sizeof(value), 0) != sizeof(value)) {
        std::abort();  // Never short below 256 bytes, getrandom(2).
    }
    return value % static_cast<std::uint32_t>(bound);
}

}  // namespace

Result<std::string> container_name_check(std::string_view name) {
    const std::string_view bare = name.starts_with('/') ? name.substr(1) : name;
    const bool valid = bare.size() >= 2 && bare.size() <= name_bytes_max &&
                       is_alphanumeric(bare.front()) &&
                       std::ranges::all_of(bare, is_name_character);
    if (!valid) {
        return Error(ErrorKind::invalid_argument,
                     "Invalid container name (" + std::string(name) +
                         "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
    }
    return "/" + std::string(bare);
}

std::string container_name_generate(int attempt) {
    std::string name(adjectives[random_below(adjectives.size())]);
    name.append("_").append(nouns[random_below(nouns.size())]);
    if (attempt > 0) {
        // Ten numbers at first, then ten times as many each time, so that the attempts end.
        std::size_t numbers = 10;
        for (int i = 1; i < std::min(attempt, 9); ++i) {
            numbers *= 10;
        }
        name += std::to_string(random_below(numbers));
    }
    return name;
}

}  // namespace davit
