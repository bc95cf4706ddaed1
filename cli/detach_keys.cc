#include "cli/detach_keys.h"

namespace davit::cli {

namespace {

/// One key's byte. Errors: invalid_argument.
Result<char> key_parse(std::string_view key) {
    constexpr std::string_view prefix = "ctrl-";
    if (key.size() == 1) {
        return key[0];
    }
    if (key.size() == prefix.size() + 1 && key.starts_with(prefix)) {
        const char c = key.back();
        if (c >= 'a' && c <= 'z') {
            return static_cast<char>(c - 'a' + 1);
        }
        constexpr std::string_view others = "@[\\]^_";
        if (others.find(c) != std::string_view::npos) {
            return static_cast<char>(c & 0x1f);
        }
    }
    return Error(ErrorKind::invalid_argument,
                 "invalid detach keys: unknown character: '" + std::string(key) + "'");
}

}  // namespace

Result<DetachKeys> DetachKeys::parse(std::string_view text) {
    DetachKeys result;
    for (;;) {
        const std::size_t comma = text.find(',');
        TRY(const char key, key_parse(text.substr(0, comma)));
        result.keys_ += key;
        if (comma == std::string_view::npos) {
            return result;
        }
        text.remove_prefix(comma + 1);
    }
}

DetachKeys::Filtered DetachKeys::filter(std::string_view typed) {
    Filtered result;
    for (const char byte : typed) {
        if (byte != keys_[matched_]) {
            result.bytes.append(keys_, 0, matched_);
            matched_ = 0;
        }
        if (byte != keys_[matched_]) {
            result.bytes += byte;
        } else if (++matched_ == keys_.size()) {
            result.detached = true;
            return result;
        }
    }
    return result;
}

}  // namespace davit::cli
