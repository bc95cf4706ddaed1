#include "http/api/prune_filter.h"

#include <algorithm>

#include "http/api/duration.h"

namespace davit {

Result<PruneFilter> PruneFilter::parse(std::string_view text,
                                       std::span<const std::string_view> known,
                                       WallTime now) {
    PruneFilter filter;
    TRY(filter.filters, Filters::parse(text, known));
    if (filter.filters.all("until").size() > 1) {
        return Error(ErrorKind::invalid_argument, "more than one until filter specified");
    }
    for (const std::string& value : filter.filters.all("until")) {
        TRY(filter.until, timestamp_parse(value, now));
    }
    return filter;
}

bool PruneFilter::admits_labels(const std::map<std::string, std::string>& labels) const {
    const auto has = [&labels](const std::string& wanted) {
        const std::size_t sign = wanted.find('=');
        const auto label = labels.find(wanted.substr(0, sign));
        return label != labels.end() &&
               (sign == std::string::npos || label->second == wanted.substr(sign + 1));
    };
    return filters.admits_labels("label", labels) &&
           !std::ranges::any_of(filters.all("label!"), has);
}

}  // namespace davit
