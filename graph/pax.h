#pragma once
/// PAX extended headers: "LENGTH key=value\n" records that override an entry's fields.
/// Follows: POSIX.1-2017 pax(1) "pax Extended Header"; GNU tar manual "Storing Sparse Files".
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/tar_entry.h"
#include "reactor/base/result.h"

namespace davit {

/// What the records say; an absent value leaves the header block's own.
struct PaxRecords {
    std::optional<std::string> path;
    std::optional<std::string> linkpath;
    std::optional<std::uint64_t> size;
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> gid;
    std::optional<TarTime> mtime;
    std::optional<std::uint32_t> dev_major;
    std::optional<std::uint32_t> dev_minor;
    std::vector<TarXattr> xattrs;

    // GNU.sparse.*: formats 0.0 and 0.1 list the regions here, 1.0 in front of the data.
    std::optional<std::string> sparse_name;
    std::optional<std::uint64_t> sparse_real_size;
    std::optional<std::uint64_t> sparse_count;
    std::vector<TarSparseRegion> sparse_regions;
    bool sparse_listed = false;     ///< A map or a count was given: formats 0.0 and 0.1.
    bool sparse_in_data = false;    ///< GNU.sparse.major is 1.
    bool sparse_size_open = false;  ///< A GNU.sparse.offset still waits for its numbytes.
};

/// Apply the records of one extended header to what earlier ones said. Unknown keys are ignored,
/// an empty value takes the earlier one back.
/// Errors: corrupt for a malformed record or value.
Result<void> pax_parse(std::string_view body, PaxRecords& records);

/// One record, with its length in front (writer).
void pax_record_append(std::string_view key, std::string_view value, std::string& out);

/// "seconds[.fraction]", as in mtime; fractions finer than a nanosecond are cut off.
std::optional<TarTime> pax_time_parse(std::string_view text);
std::string pax_time_format(TarTime time);

/// A decimal number without sign or blanks, up to 63 bits.
std::optional<std::uint64_t> pax_number_parse(std::string_view text);

}  // namespace davit
