#pragma once
/// Router: (method, path pattern) -> the number of a route.
///
/// A pattern's segments are literal, {name} (one segment) or {name...} (one or more segments, for
/// image names: "/images/{name...}/json"; at most one per pattern). A more literal pattern wins:
/// "/images/json" before "/images/{name...}/json" before "/images/{name...}".
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace davit {

/// The values of a pattern's names, percent-decoded.
class RouteParams {
  public:
    /// "" for a name that the pattern does not have.
    const std::string& get(std::string_view name) const;

    void add(std::string_view name, std::string value) {
        values_.emplace_back(name, std::move(value));
    }

  private:
    std::vector<std::pair<std::string_view, std::string>> values_;
};

struct RouteMatch {
    std::size_t route = 0;
    RouteParams params;
};

class Router {
  public:
    Router();
    ~Router();
    Router(Router&&) noexcept;
    Router& operator=(Router&&) noexcept;

    /// Give a pattern a number of the caller's choice. Asserts that the pattern is well-formed and
    /// new.
    void add(std::string_view method, std::string_view pattern, std::size_t route);

    /// path is raw (not decoded), without query, and begins with "/". Nothing for an unknown path
    /// or method. The params name the router's own patterns: it must outlive the match.
    std::optional<RouteMatch> match(std::string_view method, std::string_view path) const;

  private:
    struct Pattern;

    std::vector<Pattern> patterns_;
};

}  // namespace davit
