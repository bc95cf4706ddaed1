#include "reactor/base/digest.h"

#include <algorithm>
#include <cassert>

#include <openssl/evp.h>

namespace davit {

namespace {

bool is_lower_hex(std::string_view text) {
    return std::ranges::all_of(
        text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
    const std::size_t colon = text.find(':');
    const std::string_view algorithm = text.substr(0, colon);
    const std::string_view hex =
        colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
    const bool known =
        (algorithm == "sha256" && hex.size() == 64) || (algorithm == "sha512" && hex.size() == 128);
    if (!known || !is_lower_hex(hex)) {
        return Error(ErrorKind::invalid_argument,
                     "invalid digest \"" + std::string(text.substr(0, 160)) +
                         "\": expected sha256:<64 hex digits> or sha512:<128 hex digits>");
    }
    return Digest(std::string(text));
}

Digest Digest::from_sha256_hex(std::string_view hex) {
    assert(hex.size() == 64 && is_lower_hex(hex));
    return Digest("sha256:" + std::string(hex));
}

std::string_view Digest::algorithm() const {
    return std::string_view(text_).substr(0, text_.find(':'));
}

std::string_view Digest::hex() const {
    const std::size_t colon = text_.find(':');
    return colon == std::string::npos ? std::string_view{}
                                      : std::string_view(text_).substr(colon + 1);
}

void Hasher::ContextFree::operator()(evp_md_ctx_st* context) const {
    EVP_MD_CTX_free(context);
}

Hasher::Hasher(std::string_view algorithm) : context_(EVP_MD_CTX_new()), algorithm_(algorithm) {
    assert(context_ && (algorithm == "sha256" || algorithm == "sha512"));
    const EVP_MD* kind = algorithm == "sha512" ? EVP_sha512() : EVP_sha256();
    [[maybe_unused]] const int done = EVP_DigestInit_ex(context_.get(), kind, nullptr);
    assert(done == 1);
}

void Hasher::update(std::span<const std::uint8_t> bytes) {
    EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

void Hasher::update(std::string_view bytes) {
    EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

Digest Hasher::finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), raw.data(), &size);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text = algorithm_ + ":";
    for (unsigned i = 0; i < size; ++i) {
        text.push_back(digits[raw[i] >> 4]);
        text.push_back(digits[raw[i] & 15]);
    }
    auto digest = Digest::parse(text);
    assert(digest);
    return *std::move(digest);
}

Digest sha256_of(std::string_view bytes) {
    Hasher hasher;
    hasher.update(bytes);
    return hasher.finish();
}

}  // namespace davit
