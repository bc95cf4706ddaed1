#pragma once
/// Digest: "algorithm:hex", the name of every blob, manifest, config and layer.
/// Follows: OCI image-spec descriptor.md "Digests". sha256 and sha512 are known; others are
/// refused.
#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

struct evp_md_ctx_st;

namespace davit {

class Digest {
  public:
    Digest() = default;

    /// Errors: invalid_argument unless text is sha256:64hex or sha512:128hex, lower case.
    static Result<Digest> parse(std::string_view text);

    /// The sha256 digest whose hex part is given; the caller vouches for 64 lower-case digits.
    static Digest from_sha256_hex(std::string_view hex);

    /// "sha256:..."
    const std::string& str() const { return text_; }

    std::string_view algorithm() const;
    std::string_view hex() const;

    /// The first 12 hex digits, as shown to people.
    std::string short_hex() const { return std::string(hex().substr(0, 12)); }

    bool empty() const { return text_.empty(); }

    auto operator<=>(const Digest&) const = default;

  private:
    explicit Digest(std::string text) : text_(std::move(text)) {}

    std::string text_;
};

/// Incremental hash (OpenSSL EVP, SHA-NI where the CPU has it). Not thread-safe; movable.
class Hasher {
  public:
    /// algorithm: "sha256" or "sha512" (a Digest's algorithm()).
    explicit Hasher(std::string_view algorithm = "sha256");
    Hasher(Hasher&&) noexcept = default;
    Hasher& operator=(Hasher&&) noexcept = default;
    ~Hasher() = default;

    void update(std::span<const std::uint8_t> bytes);
    void update(std::string_view bytes);

    /// The digest of everything so far; the hasher must not be used afterwards.
    Digest finish();

  private:
    struct ContextFree {
        void operator()(evp_md_ctx_st* context) const;
    };

    std::unique_ptr<evp_md_ctx_st, ContextFree> context_;
    std::string algorithm_;
};

/// sha256 of one buffer.
Digest sha256_of(std::string_view bytes);

}  // namespace davit

template <>
struct std::hash<davit::Digest> {
    std::size_t operator()(const davit::Digest& digest) const {
        return std::hash<std::string>{}(digest.str());
    }
};
