#pragma once
/// DeviceRule: which device nodes the processes of a container may make and open.
///
/// What no rule allows is denied. Follows: kernel admin-guide/cgroup-v1/devices.rst; OCI
/// runtime-spec config-linux.md "Allowed Device list".
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

struct DeviceRule {
    /// The letters of the v1 file.
    enum class Type : char { any = 'a', block = 'b', character = 'c' };

    Type type = Type::character;
    std::optional<std::uint32_t> major = {};  // Unset: all of them.
    std::optional<std::uint32_t> minor = {};
    bool read = false;
    bool write = false;
    bool make = false;  // mknod(2)

    /// A line as devices.allow takes it: "c 10:229 rwm", "b *:* m".
    /// Errors: invalid_argument.
    static Result<DeviceRule> parse(std::string_view text);

    std::string text() const;

    bool operator==(const DeviceRule&) const = default;
};

}  // namespace davit
