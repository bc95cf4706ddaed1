#include "http/registry/challenge.h"

#include <optional>

namespace davit {

namespace {

bool is_token_char(char c) {
    const auto u = static_cast<unsigned char>(c);
    if ((u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z')) {
        return true;
    }
    return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') {
            c = static_cast<char>(c - 'A' + 'a');
        }
    }
    return out;
}

/// Reads one field's value from left to right.
class Scanner {
  public:
    explicit Scanner(std::string_view text) : rest_(text) {}

    bool at_end() const { return rest_.empty(); }

    void skip_blanks() {
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) {
            rest_.remove_prefix(1);
        }
    }

    /// Blanks and commas: list elements may be empty.
    void skip_separators() {
        while (!rest_.empty() &&
               (rest_.front() == ' ' || rest_.front() == '\t' || rest_.front() == ',')) {
            rest_.remove_prefix(1);
        }
    }

    std::string_view token() {
        std::size_t end = 0;
        while (end < rest_.size() && is_token_char(rest_[end])) {
            ++end;
        }
        const std::string_view taken = rest_.substr(0, end);
        rest_.remove_prefix(end);
        return taken;
    }

    bool take(char c) {
        if (rest_.empty() || rest_.front() != c) {
            return false;
        }
        rest_.remove_prefix(1);
        return true;
    }

    /// A quoted string whose opening quote was taken; nothing if it never ends.
    std::optional<std::string> quoted() {
        std::string out;
        while (!rest_.empty()) {
            char c = rest_.front();
            rest_.remove_prefix(1);
            if (c == '"') {
                return out;
            }
            if (c == '\\') {
                if (rest_.empty()) {
                    return std::nullopt;
                }
                c = rest_.front();
                rest_.remove_prefix(1);
            }
            out.push_back(c);
        }
        return std::nullopt;
    }

    /// A token68 ("Negotiate abc/def==") is what follows a scheme and is no parameter.
    bool skip_token68() {
        std::size_t end = 0;
        while (end < rest_.size() && (is_token_char(rest_[end]) || rest_[end] == '/')) {
            ++end;
        }
        while (end < rest_.size() && rest_[end] == '=') {
            ++end;
        }
        const bool whole = end > 0 && (end == rest_.size() || rest_[end] == ',');
        if (whole) {
            rest_.remove_prefix(end);
        }
        return whole;
    }

    Scanner mark() const { return *this; }

  private:
    std::string_view rest_;
};

/// NAME = VALUE, into the challenge. False if what follows is not that; the scanner is then
/// unmoved.
bool take_parameter(Scanner& scanner, AuthChallenge& challenge, bool& malformed) {
    Scanner ahead = scanner.mark();
    const std::string_view name = ahead.token();
    ahead.skip_blanks();
    if (name.empty() || !ahead.take('=')) {
        return false;
    }
    ahead.skip_blanks();
    std::string value;
    if (ahead.take('"')) {
        std::optional<std::string> text = ahead.quoted();
        if (!text) {
            malformed = true;
            return false;
        }
        value = *std::move(text);
    } else {
        value = ahead.token();
    }
    challenge.parameters.emplace(lower(name), std::move(value));
    scanner = ahead;
    return true;
}

}  // namespace

std::string_view AuthChallenge::parameter(const std::string& name) const {
    const auto found = parameters.find(name);
    return found == parameters.end() ? std::string_view() : std::string_view(found->second);
}

std::vector<AuthChallenge> challenges_parse(std::string_view field) {
    std::vector<AuthChallenge> challenges;
    Scanner scanner(field);
    for (;;) {
        scanner.skip_separators();
        const std::string_view scheme = scanner.token();
        if (scheme.empty()) {
            return challenges;
        }
        AuthChallenge challenge;
        challenge.scheme = lower(scheme);
        scanner.skip_blanks();
        bool malformed = false;
        if (take_parameter(scanner, challenge, malformed)) {
            for (;;) {
                Scanner before = scanner.mark();
                scanner.skip_separators();
                if (!take_parameter(scanner, challenge, malformed)) {
                    scanner = before;
                    break;
                }
            }
        } else if (!malformed) {
            scanner.skip_token68();
        }
        challenges.push_back(std::move(challenge));
        if (malformed) {
            return challenges;
        }
    }
}

std::vector<AuthChallenge> challenges_parse(const Headers& headers) {
    std::vector<AuthChallenge> all;
    for (const HeaderField& field : headers) {
        if (equals_ignoring_case(field.name, "WWW-Authenticate")) {
            for (AuthChallenge& challenge : challenges_parse(field.value)) {
                all.push_back(std::move(challenge));
            }
        }
    }
    return all;
}

}  // namespace davit
