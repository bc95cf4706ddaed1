#include "http/router.h"

#include <algorithm>
#include <cassert>

#include "http/message.h"

namespace davit {

namespace {

const std::string empty_text;

std::vector<std::string_view> segments_of(std::string_view path) {
    std::vector<std::string_view> segments;
    for (std::size_t at = 1; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        segments.push_back(path.substr(at, end - at));
        at = end + 1;
    }
    return segments;
}

}  // namespace

const std::string& RouteParams::get(std::string_view name) const {
    for (const auto& [key, value] : values_) {
        if (key == name) {
            return value;
        }
    }
    return empty_text;
}

struct Router::Pattern {
    enum class Kind { literal, one, many };

    struct Segment {
        Kind kind;
        std::string text;  // The literal, or the name.
    };

    std::string method;
    std::vector<Segment> segments;
    std::size_t route;
    bool has_many = false;

    /// Literals before names before {name...}, looked at from the left; then the longer one.
    bool before(const Pattern& other) const {
        const std::size_t common = std::min(segments.size(), other.segments.size());
        for (std::size_t i = 0; i < common; ++i) {
            if (segments[i].kind != other.segments[i].kind) {
                return segments[i].kind < other.segments[i].kind;
            }
        }
        return segments.size() > other.segments.size();
    }

    /// How many path segments {name...} takes; nothing if the counts cannot match.
    std::optional<std::size_t> many_count(std::size_t path_segments) const {
        if (!has_many) {
            return path_segments == segments.size() ? std::optional<std::size_t>(0) : std::nullopt;
        }
        if (path_segments < segments.size()) {
            return std::nullopt;
        }
        return path_segments - segments.size() + 1;
    }

    bool match(const std::vector<std::string_view>& path, RouteParams& params) const;
};

bool Router::Pattern::match(const std::vector<std::string_view>& path, RouteParams& params) const {
    const auto many = many_count(path.size());
    if (!many) {
        return false;
    }
    // Literals first: most patterns fail there, before anything is decoded.
    std::size_t at = 0;
    for (const Segment& segment : segments) {
        if (segment.kind == Kind::literal && path[at] != segment.text) {
            return false;
        }
        at += segment.kind == Kind::many ? *many : 1;
    }
    at = 0;
    for (const Segment& segment : segments) {
        const std::size_t count = segment.kind == Kind::many ? *many : 1;
        if (segment.kind != Kind::literal) {
            const char* begin = path[at].data();
            const char* end = path[at + count - 1].data() + path[at + count - 1].size();
            auto value = percent_decode({begin, static_cast<std::size_t>(end - begin)});
            if (!value || value->empty()) {
                return false;
            }
            params.add(segment.text, *std::move(value));
        }
        at += count;
    }
    return true;
}

Router::Router() = default;
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

void Router::add(std::string_view method, std::string_view pattern, std::size_t route) {
    assert(pattern.starts_with('/'));
    Pattern added{std::string(method), {}, route};
    for (const std::string_view text : segments_of(pattern)) {
        if (text.starts_with('{')) {
            assert(text.ends_with('}') && text.size() > 2);
            std::string_view name = text.substr(1, text.size() - 2);
            const bool many = name.ends_with("...");
            assert(!(many && added.has_many) && "one {name...} per pattern");
            added.has_many = added.has_many || many;
            name.remove_suffix(many ? 3 : 0);
            added.segments.push_back(
                {many ? Pattern::Kind::many : Pattern::Kind::one, std::string(name)});
        } else {
            added.segments.push_back({Pattern::Kind::literal, std::string(text)});
        }
    }
    const auto place = std::upper_bound(
        patterns_.begin(), patterns_.end(), added, [](const Pattern& a, const Pattern& b) {
            return a.before(b);
        });
    patterns_.insert(place, std::move(added));
}

std::optional<RouteMatch> Router::match(std::string_view method, std::string_view path) const {
    if (!path.starts_with('/')) {
        return std::nullopt;
    }
    const std::vector<std::string_view> segments = segments_of(path);
    for (const Pattern& pattern : patterns_) {
        if (pattern.method != method) {
            continue;
        }
        RouteMatch match;
        if (pattern.match(segments, match.params)) {
            match.route = pattern.route;
            return match;
        }
    }
    return std::nullopt;
}

}  // namespace davit
