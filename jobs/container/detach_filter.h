#pragma once
/// DetachFilter: what of an attached client's input is passed on, and whether the detach keys came.
#include <string>
#include <string_view>
#include <utility>

namespace davit {

class DetachFilter {
  public:
    /// keys: the bytes that detach, in this order; none ever do if it is empty.
    explicit DetachFilter(std::string keys) : keys_(std::move(keys)) {}

    struct Outcome {
        std::string pass;
        bool detached = false;
    };

    /// Bytes that may be the beginning of the keys are held back until it is known.
    Outcome filter(std::string_view input) {
        if (keys_.empty()) {
            return {std::string(input), false};
        }
        Outcome outcome;
        for (const char byte : input) {
            held_ += byte;
            // What looked like the keys was typed for the container after all: as much of it as no
            // longer can be their beginning.
            std::size_t typed = 0;
            while (!keys_.starts_with(std::string_view(held_).substr(typed))) {
                ++typed;
            }
            outcome.pass.append(held_, 0, typed);
            held_.erase(0, typed);
            if (held_.size() == keys_.size()) {
                outcome.detached = true;
                break;
            }
        }
        return outcome;
    }

  private:
    std::string keys_;
    std::string held_;
};

}  // namespace davit
