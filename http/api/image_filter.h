#pragma once
/// ImageFilter: which images GET /images/json lists, and under which names.
///
/// Follows: Docker Engine API, operation ImageList; moby daemon/images/images.go.
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/api/filters.h"
#include "reactor/base/clock.h"

namespace davit {

/// What a filter looks at.
struct FilteredImage {
    std::optional<WallTime> created;
    std::map<std::string, std::string> labels;
    /// "alpine:3.20"
    std::vector<std::string> tags;
    /// "alpine@sha256:..."
    std::vector<std::string> digests;
};

class ImageFilter {
  public:
    /// When an image, named by before or since, was created. Errors: not_found.
    using Created = std::function<Result<std::optional<WallTime>>(const std::string& name)>;

    /// Takes:  text: the query's `filters`.
    /// Errors: invalid_argument for an unknown key, or a value that cannot be; created's.
    static Result<ImageFilter> parse(std::string_view text, const Created& created, WallTime now);

    /// Whether the image is listed. With a reference filter the names that do not match are taken
    /// away.
    bool select(FilteredImage& image) const;

  private:
    Result<void> take_bounds(const Created& created, WallTime now);
    bool admits_name(const std::string& name, char separator) const;

    Filters filters_;
    std::optional<bool> dangling_;
    std::optional<WallTime> before_;
    std::optional<WallTime> since_;
};

}  // namespace davit
