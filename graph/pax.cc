#include "graph/pax.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "reactor/base/limits.h"

namespace davit {

namespace {

constexpr std::string_view xattr_prefix = "SCHILY.xattr.";
constexpr std::string_view sparse_prefix = "GNU.sparse.";

Error pax_error(std::string_view key, std::string_view why) {
    return Error(ErrorKind::corrupt,
                 std::string("PAX record ").append(key).append(": ").append(why));
}

Result<void> text_set(std::string_view key,
                      std::string_view value,
                      std::optional<std::string>& into) {
    if (value.empty()) {
        into.reset();
        return ok;
    }
    if (value.find('\0') != std::string_view::npos) {
        return pax_error(key, "holds a NUL");
    }
    into = value;
    return ok;
}

template <typename Number>
Result<void> number_set(std::string_view key,
                        std::string_view value,
                        std::uint64_t max,
                        std::optional<Number>& into) {
    if (value.empty()) {
        into.reset();
        return ok;
    }
    const auto number = pax_number_parse(value);
    if (!number || *number > max) {
        return pax_error(key, "bad number");
    }
    into = static_cast<Number>(*number);
    return ok;
}

Result<void> xattr_set(std::string_view key, std::string_view value, PaxRecords& records) {
    const std::string_view name = key.substr(xattr_prefix.size());
    if (name.empty() || name.find('\0') != std::string_view::npos) {
        return pax_error(key, "bad attribute name");
    }
    std::erase_if(records.xattrs, [&](const TarXattr& xattr) { return xattr.name == name; });
    // Each name is compared with all before it, so their number has a bound.
    if (records.xattrs.size() == limits::tar_xattrs_max) {
        return pax_error(key, "too many extended attributes");
    }
    records.xattrs.push_back({std::string(name), std::string(value)});
    return ok;
}

/// GNU.sparse.map of format 0.1: "offset,size,offset,size,...".
Result<void> sparse_map_set(std::string_view key, std::string_view value, PaxRecords& records) {
    records.sparse_regions.clear();
    records.sparse_listed = true;
    std::optional<std::uint64_t> offset;
    while (!value.empty()) {
        const std::size_t comma = value.find(',');
        const auto number = pax_number_parse(value.substr(0, comma));
        if (!number) {
            return pax_error(key, "bad number");
        }
        if (!offset) {
            offset = number;
        } else {
            records.sparse_regions.push_back({*offset, *number});
            offset.reset();
        }
        value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
    }
    if (offset || records.sparse_regions.size() > limits::tar_sparse_regions_max) {
        return pax_error(key, "bad sparse map");
    }
    return ok;
}

/// GNU.sparse.offset and GNU.sparse.numbytes of format 0.0 come in pairs, once per region.
Result<void> sparse_pair_set(std::string_view key,
                             std::string_view value,
                             bool is_size,
                             PaxRecords& records) {
    const auto number = pax_number_parse(value);
    if (!number || records.sparse_size_open != is_size) {
        return pax_error(key, "bad sparse map");
    }
    if (is_size) {
        records.sparse_regions.back().size = *number;
    } else {
        if (records.sparse_regions.size() == limits::tar_sparse_regions_max) {
            return pax_error(key, "bad sparse map");
        }
        records.sparse_regions.push_back({*number, 0});
    }
    records.sparse_size_open = !is_size;
    return ok;
}

Result<void> sparse_set(std::string_view key, std::string_view value, PaxRecords& records) {
    constexpr auto size_max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    const std::string_view name = key.substr(sparse_prefix.size());
    if (name == "name") {
        return text_set(key, value, records.sparse_name);
    }
    if (name == "size" || name == "realsize") {
        return number_set(key, value, size_max, records.sparse_real_size);
    }
    if (name == "numblocks") {
        records.sparse_listed = true;
        records.sparse_regions.clear();
        return number_set(key, value, limits::tar_sparse_regions_max, records.sparse_count);
    }
    if (name == "map") {
        return sparse_map_set(key, value, records);
    }
    if (name == "offset" || name == "numbytes") {
        return sparse_pair_set(key, value, name == "numbytes", records);
    }
    if (name == "major") {
        if (value != "0" && value != "1") {
            return Error(ErrorKind::unsupported,
                         std::string("sparse format ").append(value).append(" is not known"));
        }
        records.sparse_in_data = value == "1";
    }
    return ok;
}

Result<void> record_apply(std::string_view key, std::string_view value, PaxRecords& records) {
    constexpr std::uint32_t id_max = std::numeric_limits<std::uint32_t>::max() - 1;
    constexpr auto size_max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (key == "path") {
        return text_set(key, value, records.path);
    }
    if (key == "linkpath") {
        return text_set(key, value, records.linkpath);
    }
    if (key == "size") {
        return number_set(key, value, size_max, records.size);
    }
    if (key == "uid") {
        return number_set(key, value, id_max, records.uid);
    }
    if (key == "gid") {
        return number_set(key, value, id_max, records.gid);
    }
    if (key == "SCHILY.devmajor") {
        return number_set(key, value, id_max, records.dev_major);
    }
    if (key == "SCHILY.devminor") {
        return number_set(key, value, id_max, records.dev_minor);
    }
    if (key == "mtime") {
        records.mtime = pax_time_parse(value);
        if (!records.mtime && !value.empty()) {
            return pax_error(key, "bad time");
        }
        return ok;
    }
    if (key.starts_with(xattr_prefix)) {
        return xattr_set(key, value, records);
    }
    if (key.starts_with(sparse_prefix)) {
        return sparse_set(key, value, records);
    }
    return ok;
}

}  // namespace

Result<void> pax_parse(std::string_view body, PaxRecords& records) {
    while (!body.empty()) {
        // "LENGTH key=value\n", LENGTH counting the whole record with itself.
        const std::size_t space = body.substr(0, 20).find(' ');
        const auto length = pax_number_parse(body.substr(0, space));
        if (space == std::string_view::npos || !length || *length > body.size() ||
            *length < space + 4 || body[*length - 1] != '\n') {
            return Error(ErrorKind::corrupt, "PAX header: malformed record");
        }
        const std::string_view record = body.substr(space + 1, *length - space - 2);
        const std::size_t equals = record.find('=');
        if (equals == std::string_view::npos || equals == 0) {
            return Error(ErrorKind::corrupt, "PAX header: malformed record");
        }
        TRY_VOID(record_apply(record.substr(0, equals), record.substr(equals + 1), records));
        body.remove_prefix(*length);
    }
    if (records.sparse_size_open) {
        return Error(ErrorKind::corrupt, "PAX header: bad sparse map");
    }
    return ok;
}

void pax_record_append(std::string_view key, std::string_view value, std::string& out) {
    const std::size_t rest = key.size() + value.size() + 3;  // " ", "=", "\n".
    std::size_t length = rest + 1;
    while (rest + std::to_string(length).size() != length) {
        length = rest + std::to_string(length).size();
    }
    out.append(std::to_string(length))
        .append(" ")
        .append(key)
        .append("=")
        .append(value)
        .append("\n");
}

std::optional<std::uint64_t> pax_number_parse(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || number < 0 ||
        text.front() == '-') {
        return std::nullopt;
    }
    return static_cast<std::uint64_t>(number);
}

std::optional<TarTime> pax_time_parse(std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative) {
        text.remove_prefix(1);
    }
    const std::size_t dot = text.find('.');
    const auto whole = pax_number_parse(text.substr(0, dot));
    if (!whole) {
        return std::nullopt;
    }
    constexpr std::size_t digits_max = 9;
    std::uint32_t nanoseconds = 0;
    const std::string_view fraction =
        dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
    for (std::size_t i = 0; i < std::max(digits_max, fraction.size()); ++i) {
        const char digit = i < fraction.size() ? fraction[i] : '0';
        if (digit < '0' || digit > '9') {
            return std::nullopt;
        }
        if (i < digits_max) {
            nanoseconds = nanoseconds * 10 + static_cast<std::uint32_t>(digit - '0');
        }
    }
    const auto seconds = static_cast<std::int64_t>(*whole);
    if (!negative) {
        return TarTime{seconds, nanoseconds};
    }
    // -1.25 is 2 s before the epoch and 0.75 s on.
    return nanoseconds == 0 ? TarTime{-seconds, 0}
                            : TarTime{-seconds - 1, 1'000'000'000 - nanoseconds};
}

std::string pax_time_format(TarTime time) {
    std::int64_t seconds = time.seconds;
    std::uint32_t nanoseconds = time.nanoseconds;
    std::string text;
    if (seconds < 0) {
        text = "-";
        if (nanoseconds != 0) {
            seconds += 1;
            nanoseconds = 1'000'000'000 - nanoseconds;
        }
        // INT64_MIN has no positive twin.
        text.append(std::to_string(0 - static_cast<std::uint64_t>(seconds)));
    } else {
        text = std::to_string(seconds);
    }
    if (nanoseconds != 0) {
        std::string digits = std::to_string(1'000'000'000 + nanoseconds).substr(1);
        digits.resize(digits.find_last_not_of('0') + 1);
        text.append(".").append(digits);
    }
    return text;
}

}  // namespace davit
