#pragma once
/// Ids are types, not strings. All of Docker's are 64 lower-case hexadecimal digits of randomness
/// or of a SHA-256; short() is the 12-digit form that people see.
#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

/// count random bytes in lower-case hexadecimal (getrandom(2)): 2 * count characters.
std::string random_hex(std::size_t count);

/// True for exactly 64 lower-case hexadecimal digits.
bool is_full_id(std::string_view text);

/// A 64-digit id of one family; Tag keeps the families apart.
template <typename Tag>
class Id {
  public:
    Id() = default;

    static Id generate() {
        // An id that is all digits would be taken for a number by some clients (moby does the
        // same).
        std::string hex = random_hex(32);
        while (hex.substr(0, 12).find_first_not_of("0123456789") == std::string::npos) {
            hex = random_hex(32);
        }
        return Id(std::move(hex));
    }

    /// Errors: invalid_argument unless text is a full id.
    static Result<Id> parse(std::string_view text) {
        if (!is_full_id(text)) {
            return Error(ErrorKind::invalid_argument, "not a 64-digit id: " + std::string(text));
        }
        return Id(std::string(text));
    }

    const std::string& str() const { return hex_; }

    std::string short_id() const { return hex_.substr(0, 12); }

    bool empty() const { return hex_.empty(); }

    auto operator<=>(const Id&) const = default;

  private:
    explicit Id(std::string hex) : hex_(std::move(hex)) {}

    std::string hex_;
};

using ContainerId = Id<struct ContainerIdTag>;
using ExecId = Id<struct ExecIdTag>;
using NetworkId = Id<struct NetworkIdTag>;
using EndpointId = Id<struct EndpointIdTag>;

}  // namespace davit

template <typename Tag>
struct std::hash<davit::Id<Tag>> {
    std::size_t operator()(const davit::Id<Tag>& id) const {
        return std::hash<std::string>{}(id.str());
    }
};
