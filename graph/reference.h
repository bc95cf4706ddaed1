#pragma once
/// Reference: the name of an image, parsed, checked and completed.
///
/// "alpine" is docker.io/library/alpine. A reference keeps the complete form; people see the
/// familiar one ("alpine:3.20"), which leaves out what completion would put back.
///
/// Follows: the grammar of distribution/reference and Docker's completion of names: the part before
/// the first slash is a registry if it has a dot or a colon, an upper-case letter, or is
/// "localhost". One bound is ours: registry and path together are at most 255 bytes.
#include <optional>
#include <string>
#include <string_view>

#include "reactor/base/digest.h"
#include "reactor/base/result.h"

namespace davit {

class Reference {
  public:
    /// Parse and complete. Errors: invalid_argument with Docker's texts: "invalid reference
    /// format", "invalid reference format: repository name (library/Foo) must be lowercase",
    /// "repository name must not be more than 255 characters", "invalid repository name (ID),
    /// cannot specify 64-byte hexadecimal strings".
    static Result<Reference> parse(std::string_view text);

    /// A repository and, apart from it, a tag or digest: fromImage and tag of an image's create. A
    /// colon at the end of the repository is ignored ("pull -a"); a tag given apart wins.
    static Result<Reference> parse(std::string_view repository, std::string_view tag_or_digest);

    const std::string& domain() const { return domain_; }

    const std::string& path() const { return path_; }

    /// Empty if there is none.
    const std::string& tag() const { return tag_; }

    const Digest& digest() const { return digest_; }

    bool has_digest() const { return !digest_.empty(); }

    /// No tag and no digest.
    bool is_name_only() const { return tag_.empty() && digest_.empty(); }

    /// "docker.io/library/alpine"
    std::string name() const { return domain_ + "/" + path_; }

    /// "alpine"
    std::string familiar_name() const;

    /// The whole reference: name, ":tag", "@digest". Parses back to itself; the store's key.
    std::string str() const { return name() + suffix(); }

    std::string familiar() const { return familiar_name() + suffix(); }

    /// Errors: invalid_argument "invalid tag format". A digest, if there was one, is dropped.
    Result<Reference> with_tag(std::string_view tag) const;

    /// The same name by digest; a tag, if there was one, is dropped.
    Reference with_digest(Digest digest) const;

    /// ":latest" if neither tag nor digest was given.
    Reference with_default_tag() const;

    auto operator<=>(const Reference&) const = default;

  private:
    std::string suffix() const;

    std::string domain_;
    std::string path_;
    std::string tag_;
    Digest digest_;
};

/// [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
bool is_valid_tag(std::string_view text);

}  // namespace davit
