#pragma once
/// DetachKeys: the key sequence that ends an attachment but not the container.
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit::cli {

/// Ctrl-p, ctrl-q.
inline constexpr std::string_view detach_keys_default = "ctrl-p,ctrl-q";

class DetachKeys {
  public:
    /// "ctrl-p,ctrl-q", "a", "ctrl-@,x". Errors: invalid_argument.
    static Result<DetachKeys> parse(std::string_view text);

    struct Filtered {
        /// What goes on to the container. A beginning of the sequence is held back until it is
        /// clear that it is none.
        std::string bytes;
        /// The sequence is complete; what followed it was dropped.
        bool detached = false;
    };

    Filtered filter(std::string_view typed);

  private:
    std::string keys_;
    std::size_t matched_ = 0;
};

}  // namespace davit::cli
