#pragma once
/// IdMap: which ids inside of a user namespace are which outside. Follows: user_namespaces(7).
#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace davit {

struct IdRange {
    std::uint32_t inside = 0;
    std::uint32_t outside = 0;
    std::uint32_t count = 0;

    bool operator==(const IdRange&) const = default;
};

/// Without any range it stands for no namespace at all: every id is itself.
struct IdMap {
    std::vector<IdRange> uids = {};
    std::vector<IdRange> gids = {};

    bool operator==(const IdMap&) const = default;

    bool is_identity() const { return uids.empty() && gids.empty(); }

    /// What an id is that the map does not have (/proc/sys/kernel/overflowuid).
    static constexpr std::uint32_t overflow = 65534;

    std::optional<std::uint32_t> uid_outside(std::uint32_t uid) const {
        return find(uids, uid, &IdRange::inside, &IdRange::outside);
    }

    std::optional<std::uint32_t> gid_outside(std::uint32_t gid) const {
        return find(gids, gid, &IdRange::inside, &IdRange::outside);
    }

    /// As a process inside sees it.
    std::uint32_t uid_inside(std::uint32_t uid) const {
        return find(uids, uid, &IdRange::outside, &IdRange::inside).value_or(overflow);
    }

    std::uint32_t gid_inside(std::uint32_t gid) const {
        return find(gids, gid, &IdRange::outside, &IdRange::inside).value_or(overflow);
    }

    /// The highest group there is inside.
    std::uint32_t gid_max() const {
        std::uint32_t highest = 0;
        for (const IdRange& range : gids) {
            highest = std::max(highest, range.inside + (range.count - 1));
        }
        return gids.empty() ? UINT32_MAX - 1 : highest;
    }

  private:
    std::optional<std::uint32_t> find(const std::vector<IdRange>& ranges,
                                      std::uint32_t id,
                                      std::uint32_t IdRange::*from,
                                      std::uint32_t IdRange::*to) const {
        if (is_identity()) {
            return id;
        }
        for (const IdRange& range : ranges) {
            if (id >= range.*from && id - range.*from < range.count) {
                return range.*to + (id - range.*from);
            }
        }
        return std::nullopt;
    }
};

}  // namespace davit
