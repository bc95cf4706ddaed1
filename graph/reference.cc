#include "graph/reference.h"

#include <algorithm>

#include "reactor/base/ids.h"

namespace davit {

namespace {

constexpr std::string_view default_domain = "docker.io";
constexpr std::string_view legacy_default_domain = "index.docker.io";
constexpr std::string_view official_prefix = "library/";
constexpr std::size_t name_bytes_max = 255;
constexpr std::size_t tag_bytes_max = 128;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}

bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

bool is_lower_alphanumeric(char c) {
    return is_lower(c) || is_digit(c);
}

bool is_alphanumeric(char c) {
    return is_lower_alphanumeric(c) || is_upper(c);
}

bool has_upper(std::string_view text) {
    return std::ranges::any_of(text, is_upper);
}

Error format_error() {
    return Error(ErrorKind::invalid_argument, "invalid reference format");
}

/// Calls check on each piece between separators; all must pass.
template <typename Check>
bool all_pieces(std::string_view text, char separator, Check check) {
    for (;;) {
        const std::size_t end = text.find(separator);
        if (!check(text.substr(0, end))) {
            return false;
        }
        if (end == std::string_view::npos) {
            return true;
        }
        text.remove_prefix(end + 1);
    }
}

bool is_host_label(std::string_view label) {
    return !label.empty() && is_alphanumeric(label.front()) && is_alphanumeric(label.back()) &&
           std::ranges::all_of(label, [](char c) { return is_alphanumeric(c) || c == '-'; });
}

/// host[:port], the host being a name, an IPv4 address or [IPv6].
bool is_domain(std::string_view text) {
    std::string_view rest;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        const std::string_view address = text.substr(1, end - 1);
        const auto belongs = [](char c) {
            return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':';
        };
        if (end == std::string_view::npos || address.empty() ||
            !std::ranges::all_of(address, belongs)) {
            return false;
        }
        rest = text.substr(end + 1);
    } else {
        const std::size_t end = std::min(text.find(':'), text.size());
        if (!all_pieces(text.substr(0, end), '.', is_host_label)) {
            return false;
        }
        rest = text.substr(end);
    }
    return rest.empty() || (rest.size() > 1 && rest.front() == ':' &&
                            std::ranges::all_of(rest.substr(1), is_digit));
}

/// Lower-case letters and digits with single separators between them: one of . _ __ or dashes.
bool is_path_component(std::string_view text) {
    if (text.empty() || !is_lower_alphanumeric(text.front()) ||
        !is_lower_alphanumeric(text.back())) {
        return false;
    }
    for (std::size_t at = 0; at < text.size();) {
        if (is_lower_alphanumeric(text[at])) {
            ++at;
            continue;
        }
        const std::size_t end = text.find_first_not_of(text[at], at);
        const std::size_t run = end - at;  // The last character is alphanumeric.
        const bool known =
            text[at] == '-' || (text[at] == '.' && run == 1) || (text[at] == '_' && run <= 2);
        if (!known || !is_lower_alphanumeric(text[end])) {
            return false;
        }
        at = end;
    }
    return true;
}

struct Split {
    std::string_view domain;
    std::string remainder;
};

/// Take the registry off, or put Docker Hub in its place.
Split split_domain(std::string_view text) {
    const std::size_t slash = text.find('/');
    Split split{default_domain, std::string(text)};
    if (slash != std::string_view::npos) {
        const std::string_view first = text.substr(0, slash);
        const bool is_registry = first == "localhost" || has_upper(first) ||
                                 first.find_first_of(".:") != std::string_view::npos;
        if (is_registry) {
            split.domain = first == legacy_default_domain ? default_domain : first;
            split.remainder = std::string(text.substr(slash + 1));
        }
    }
    if (split.domain == default_domain && split.remainder.find('/') == std::string::npos) {
        split.remainder.insert(0, official_prefix);
    }
    return split;
}

}  // namespace

bool is_valid_tag(std::string_view text) {
    const auto is_word = [](char c) { return is_alphanumeric(c) || c == '_'; };
    return !text.empty() && text.size() <= tag_bytes_max && is_word(text.front()) &&
           std::ranges::all_of(text, [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

Result<Reference> Reference::parse(std::string_view text) {
    if (is_full_id(text)) {
        return Error(ErrorKind::invalid_argument,
                     "invalid repository name (" + std::string(text) +
                         "), cannot specify 64-byte hexadecimal strings");
    }
    const Split split = split_domain(text);
    std::string_view rest = split.remainder;
    const std::string_view before_tag = rest.substr(0, rest.find(':'));
    if (has_upper(before_tag.substr(0, before_tag.find('@')))) {
        return Error(ErrorKind::invalid_argument,
                     "invalid reference format: repository name (" + std::string(before_tag) +
                         ") must be lowercase");
    }
    Reference reference;
    reference.domain_ = std::string(split.domain);
    if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
        Result<Digest> digest = Digest::parse(rest.substr(at + 1));
        if (!digest) {
            return format_error();
        }
        reference.digest_ = *std::move(digest);
        rest = rest.substr(0, at);
    }
    if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos) {
        reference.tag_ = std::string(rest.substr(colon + 1));
        rest = rest.substr(0, colon);
        if (!is_valid_tag(reference.tag_)) {
            return format_error();
        }
    }
    reference.path_ = std::string(rest);
    if (!is_domain(reference.domain_) || !all_pieces(reference.path_, '/', is_path_component)) {
        return format_error();
    }
    if (reference.name().size() > name_bytes_max) {
        return Error(ErrorKind::invalid_argument,
                     "repository name must not be more than 255 characters");
    }
    return reference;
}

Result<Reference> Reference::parse(std::string_view repository, std::string_view tag_or_digest) {
    if (repository.ends_with(':')) {
        repository.remove_suffix(1);
    }
    TRY(Reference reference, parse(repository));
    if (tag_or_digest.empty()) {
        return reference;
    }
    if (Result<Digest> digest = Digest::parse(tag_or_digest)) {
        return reference.with_digest(*std::move(digest));
    }
    return reference.with_tag(tag_or_digest);
}

std::string Reference::familiar_name() const {
    if (domain_ != default_domain) {
        return name();
    }
    const bool official = path_.starts_with(official_prefix) &&
                          path_.find('/', official_prefix.size()) == std::string::npos;
    std::string familiar = official ? path_.substr(official_prefix.size()) : path_;
    // Where the short form would mean something else (docker.io/localhost/x), it is no short form.
    const Split split = split_domain(familiar);
    const bool same = split.domain == domain_ && split.remainder == path_ && !is_full_id(familiar);
    return same ? familiar : name();
}

std::string Reference::suffix() const {
    std::string out;
    if (!tag_.empty()) {
        out.append(":").append(tag_);
    }
    if (!digest_.empty()) {
        out.append("@").append(digest_.str());
    }
    return out;
}

Result<Reference> Reference::with_tag(std::string_view tag) const {
    if (!is_valid_tag(tag)) {
        return Error(ErrorKind::invalid_argument, "invalid tag format");
    }
    Reference tagged = *this;
    tagged.tag_ = std::string(tag);
    tagged.digest_ = Digest{};
    return tagged;
}

Reference Reference::with_digest(Digest digest) const {
    Reference digested = *this;
    digested.tag_.clear();
    digested.digest_ = std::move(digest);
    return digested;
}

Reference Reference::with_default_tag() const {
    Reference complete = *this;
    if (complete.is_name_only()) {
        complete.tag_ = "latest";
    }
    return complete;
}

}  // namespace davit
