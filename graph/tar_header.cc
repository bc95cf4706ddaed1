#include "graph/tar_header.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace davit {

namespace {

std::span<const std::uint8_t> field_bytes(TarBlock block, TarField field) {
    return block.subspan(field.offset, field.size);
}

/// Text up to the first NUL.
std::string_view field_text(TarBlock block, TarField field) {
    const auto bytes = field_bytes(block, field);
    const char* text = reinterpret_cast<const char*>(bytes.data());
    return {text, ::strnlen(text, bytes.size())};
}

/// The whole field, NULs included.
std::string_view field_raw(TarBlock block, TarField field) {
    return {reinterpret_cast<const char*>(block.data()) + field.offset, field.size};
}

std::optional<std::int64_t> base256_parse(std::span<const std::uint8_t> field) {
    const bool negative = (field[0] & 0x40) != 0;
    const std::uint8_t flip = negative ? 0xff : 0x00;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < field.size(); ++i) {
        auto byte = static_cast<std::uint8_t>(field[i] ^ flip);
        if (i == 0) {
            byte &= 0x7f;
        }
        if ((value >> 55) != 0) {
            return std::nullopt;
        }
        value = (value << 8) | byte;
    }
    const auto number = static_cast<std::int64_t>(value);
    return negative ? ~number : number;
}

Error header_error(std::string_view name, std::string_view what) {
    return Error(ErrorKind::corrupt,
                 std::string("tar entry ").append(name).append(": ").append(what));
}

/// One number of a header, checked against [0, max].
class NumberReader {
  public:
    NumberReader(TarBlock block, std::string_view name) : block_(block), name_(name) {}

    Result<std::uint64_t> read(TarField field, std::uint64_t max, std::string_view what) const {
        const auto number = tar_number_parse(field_bytes(block_, field));
        if (!number || *number < 0 || static_cast<std::uint64_t>(*number) > max) {
            return header_error(name_, std::string("bad ").append(what));
        }
        return static_cast<std::uint64_t>(*number);
    }

    Result<std::uint32_t> read32(TarField field, std::uint32_t max, std::string_view what) const {
        TRY(const std::uint64_t number, read(field, max, what));
        return static_cast<std::uint32_t>(number);
    }

  private:
    TarBlock block_;
    std::string_view name_;
};

}  // namespace

bool tar_block_is_zero(TarBlock block) {
    return std::all_of(block.begin(), block.end(), [](std::uint8_t byte) { return byte == 0; });
}

std::uint32_t tar_checksum(TarBlock block) {
    std::uint32_t sum = 0;
    for (const std::uint8_t byte : block) {
        sum += byte;
    }
    for (const std::uint8_t byte : field_bytes(block, tar_field::checksum)) {
        sum -= byte;
    }
    return sum + static_cast<std::uint32_t>(' ' * tar_field::checksum.size);
}

bool tar_checksum_matches(TarBlock block) {
    // Both sums are in the wild: old Sun and Solaris archivers added signed chars.
    const auto stored = tar_number_parse(field_bytes(block, tar_field::checksum));
    if (!stored) {
        return false;
    }
    if (*stored == tar_checksum(block)) {
        return true;
    }
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < block.size(); ++i) {
        const bool in_field = i - tar_field::checksum.offset < tar_field::checksum.size;
        sum += in_field ? ' ' : static_cast<signed char>(block[i]);
    }
    return *stored == sum;
}

std::optional<std::int64_t> tar_number_parse(std::span<const std::uint8_t> field) {
    if (!field.empty() && (field[0] & 0x80) != 0) {
        return base256_parse(field);
    }
    const auto blank = [](std::uint8_t byte) { return byte == ' ' || byte == 0; };
    while (!field.empty() && blank(field.front())) {
        field = field.subspan(1);
    }
    std::int64_t value = 0;
    while (!field.empty() && !blank(field.front())) {
        const std::uint8_t digit = field.front();
        // Twelve octal digits are 36 bits: no overflow is possible in any field.
        if (digit < '0' || digit > '7') {
            return std::nullopt;
        }
        value = value * 8 + (digit - '0');
        field = field.subspan(1);
    }
    if (!std::all_of(field.begin(), field.end(), blank)) {
        return std::nullopt;
    }
    return value;
}

Result<TarHeader> tar_header_parse(TarBlock block) {
    TarHeader header;
    header.typeflag = static_cast<char>(block[tar_field::type.offset]);
    header.name = field_text(block, tar_field::name);
    if (!tar_checksum_matches(block)) {
        return header_error(header.name,
                            "header checksum does not match (not a tar archive, or damaged)");
    }
    const std::string_view magic = field_raw(block, tar_field::magic);
    const bool ustar = magic.starts_with(std::string_view("ustar\0", 6));
    header.gnu = magic == std::string_view("ustar  \0", 8);
    if (ustar) {
        const bool star = field_raw(block, tar_field::star_trailer) == std::string_view("tar\0", 4);
        const auto prefix = field_text(block, star ? tar_field::star_prefix : tar_field::prefix);
        if (!prefix.empty()) {
            header.name = std::string(prefix).append("/").append(header.name);
        }
    }
    header.linkname = field_text(block, tar_field::linkname);

    // (uid_t)-1 means "leave as it is" to chown(2): nobody can own a file by that id.
    constexpr std::uint32_t id_max = std::numeric_limits<std::uint32_t>::max() - 1;
    constexpr std::uint32_t any32 = std::numeric_limits<std::uint32_t>::max();
    constexpr auto size_max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    const NumberReader numbers(block, header.name);
    TRY(header.size, numbers.read(tar_field::size, size_max, "size"));
    TRY(header.mode, numbers.read32(tar_field::mode, any32, "mode"));
    header.mode &= 07777;  // Some archivers store the file type here too.
    TRY(header.uid, numbers.read32(tar_field::uid, id_max, "uid"));
    TRY(header.gid, numbers.read32(tar_field::gid, id_max, "gid"));
    const auto mtime = tar_number_parse(field_bytes(block, tar_field::mtime));
    if (!mtime) {
        return header_error(header.name, "bad mtime");
    }
    header.mtime = *mtime;
    if (ustar || header.gnu) {
        // Linux: 12 bits of major, 20 bits of minor.
        TRY(header.dev_major, numbers.read32(tar_field::dev_major, any32, "device major"));
        TRY(header.dev_minor, numbers.read32(tar_field::dev_minor, any32, "device minor"));
    }
    return header;
}

Result<bool> tar_sparse_pairs_parse(TarBlock block,
                                    TarField pairs,
                                    TarField extended,
                                    std::vector<TarSparseRegion>& regions) {
    constexpr std::size_t number_bytes = 12;
    auto bytes = field_bytes(block, pairs);
    for (; !bytes.empty(); bytes = bytes.subspan(2 * number_bytes)) {
        if (bytes[0] == 0) {
            break;
        }
        const auto offset = tar_number_parse(bytes.first(number_bytes));
        const auto size = tar_number_parse(bytes.subspan(number_bytes, number_bytes));
        if (!offset || !size || *offset < 0 || *size < 0) {
            return Error(ErrorKind::corrupt, "bad sparse map");
        }
        regions.push_back({static_cast<std::uint64_t>(*offset), static_cast<std::uint64_t>(*size)});
    }
    return block[extended.offset] != 0;
}

}  // namespace davit
