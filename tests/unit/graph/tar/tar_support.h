#pragma once
/// Archives for tests: made by hand, read from fixtures, parsed in slices of any size.
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/inflate.h"
#include "graph/tar_entry.h"
#include "graph/tar_header.h"
#include "reactor/base/result.h"

namespace davit::test {

inline std::span<const std::uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// A file of fixtures/, decompressed.
std::string fixture(const std::string& name);

/// The whole of a compressed stream, given in slices; the error's message if it is refused.
struct Inflated {
    std::string bytes;
    std::optional<Error> error;
};

Inflated inflate_all(std::string_view compressed,
                     std::size_t slice = SIZE_MAX,
                     std::size_t output_bytes = 65536,
                     std::uint64_t output_bytes_max = limits::layer_bytes_max,
                     Compressions allowed = Compressions::archive);

/// Also in the forms that davit only reads (bzip2, xz): those whole, not in slices.
std::string deflate_all(std::string_view bytes,
                        Compression compression,
                        std::size_t slice = SIZE_MAX,
                        std::size_t output_bytes = 65536);

struct ParsedEntry {
    TarEntry entry;
    std::string content;  ///< Holes filled with zeros.
    bool ended = false;

    bool operator==(const ParsedEntry& other) const;
};

struct Parsed {
    std::vector<ParsedEntry> entries;
    bool end_seen = false;
    std::optional<Error> error;

    const ParsedEntry& at(std::string_view path) const;

    std::string error_text() const { return error ? error->message() : ""; }

    ErrorKind kind() const { return error ? error->kind() : ErrorKind::not_modified; }
};

/// Parses and finishes; everything up to an error is kept.
Parsed parse_all(std::string_view archive, std::size_t slice = SIZE_MAX);

/// A raw header block with a right checksum, for what no archiver would write.
struct RawHeader {
    std::string name = "file";
    char type = '0';
    std::string size = "00000000000";
    std::string mode = "0000644";
    std::string uid = "0000000";
    std::string gid = "0000000";
    std::string mtime = "00000000000";
    std::string linkname;
    std::string magic = std::string("ustar\00000", 8);
    std::string prefix;
};

std::string raw_block(const RawHeader& raw);

/// A header, its data and the padding.
std::string raw_entry(RawHeader raw, std::string_view data);

/// A PAX header of records in front of the entry.
std::string raw_pax(const std::map<std::string, std::string>& records, char type = 'x');

inline std::string zero_blocks(std::size_t count = 2) {
    return std::string(count * tar_block_bytes, '\0');
}

}  // namespace davit::test
