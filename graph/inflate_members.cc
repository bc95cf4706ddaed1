#include <algorithm>
#include <string>

#include "graph/inflate_decoder.h"

namespace davit {

Error InflateMembers::corrupt(std::string_view what) const {
    return Error(ErrorKind::corrupt, std::string(format_.name).append(": ").append(what));
}

/// Between members: the next one, zero padding, or garbage. Gives: bytes of padding.
Result<std::size_t> InflateMembers::between(std::span<const std::uint8_t> input) {
    const auto end =
        std::find_if(input.begin(), input.end(), [](std::uint8_t b) { return b != 0; });
    const auto zeros = static_cast<std::size_t>(end - input.begin());
    padding_ += zeros;
    if (end == input.end()) {
        return zeros;
    }
    const std::size_t unit = format_.padding_unit;
    const bool padded_wrongly = padding_ != 0 && (unit == 0 || padding_ % unit != 0);
    if (padded_wrongly || *end != format_.first_byte) {
        return corrupt("garbage after the end of the data");
    }
    TRY_VOID(member_begin());
    inside_ = true;
    padding_ = 0;
    return zeros;
}

Result<InflateProgress> InflateMembers::step(std::span<const std::uint8_t> input,
                                             std::span<std::uint8_t> output) {
    InflateProgress total;
    while (total.produced < output.size()) {
        const auto rest = input.subspan(total.consumed);
        if (!inside_) {
            if (rest.empty()) {
                break;
            }
            TRY(const std::size_t zeros, between(rest));
            total.consumed += zeros;
            continue;
        }
        TRY(const MemberProgress part, member_step(rest, output.subspan(total.produced)));
        total.consumed += part.consumed;
        total.produced += part.produced;
        if (part.ended) {
            inside_ = false;
            ++members_ended_;
        } else if (part.consumed == 0 && part.produced == 0) {
            break;
        }
    }
    return total;
}

Result<void> InflateMembers::finish() const {
    if (inside_) {
        return corrupt("unexpected end of the data");
    }
    if (format_.padding_unit != 0 && padding_ % format_.padding_unit != 0) {
        return corrupt("the padding at the end is cut short");
    }
    return ok;
}

}  // namespace davit
