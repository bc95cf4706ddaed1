#include "http/api/image_filter.h"

#include <algorithm>
#include <array>

#include "http/api/duration.h"

namespace davit {

namespace {

constexpr std::array<std::string_view, 6> image_filter_keys{
    "dangling", "label", "before", "since", "until", "reference"};

}  // namespace

Result<ImageFilter> ImageFilter::parse(std::string_view text,
                                       const Created& created,
                                       WallTime now) {
    ImageFilter filter;
    TRY(filter.filters_, Filters::parse(text, image_filter_keys));
    TRY(filter.dangling_, filter.filters_.boolean("dangling"));
    TRY_VOID(filter.take_bounds(created, now));
    return filter;
}

/// Of several values the one that admits the fewest counts.
Result<void> ImageFilter::take_bounds(const Created& created, WallTime now) {
    const auto earlier = [this](WallTime time) {
        before_ = std::min(before_.value_or(time), time);
    };
    for (const std::string& name : filters_.all("before")) {
        TRY(const std::optional<WallTime> time, created(name));
        earlier(time.value_or(WallTime{}));
    }
    for (const std::string& text : filters_.all("until")) {
        TRY(const WallTime time, timestamp_parse(text, now));
        earlier(time);
    }
    for (const std::string& name : filters_.all("since")) {
        TRY(const std::optional<WallTime> time, created(name));
        since_ = std::max(since_.value_or(WallTime{}), time.value_or(WallTime{}));
    }
    return ok;
}

/// "alpine", "alpine:3.*", "*/team/*": against the whole name, and against what is before the tag
/// or digest.
bool ImageFilter::admits_name(const std::string& name, char separator) const {
    const std::string bare = name.substr(0, name.rfind(separator));
    return std::ranges::any_of(filters_.all("reference"), [&](const std::string& pattern) {
        return path_matches(pattern, name) || path_matches(pattern, bare);
    });
}

bool ImageFilter::select(FilteredImage& image) const {
    if (before_ && (!image.created || *image.created >= *before_)) {
        return false;
    }
    if (since_ && (!image.created || *image.created <= *since_)) {
        return false;
    }
    if (!filters_.admits_labels("label", image.labels)) {
        return false;
    }
    if (filters_.has("reference")) {
        std::erase_if(image.tags, [this](const auto& tag) { return !admits_name(tag, ':'); });
        std::erase_if(image.digests, [this](const auto& name) { return !admits_name(name, '@'); });
        if (image.tags.empty() && image.digests.empty()) {
            return false;
        }
    }
    if (dangling_ && *dangling_) {
        return image.tags.empty();
    }
    return !dangling_ || !image.tags.empty() || !image.digests.empty();
}

}  // namespace davit
