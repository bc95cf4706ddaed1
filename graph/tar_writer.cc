#include "graph/tar_writer.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "graph/pax.h"
#include "graph/tar_header.h"
#include "graph/tar_path.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

char type_flag(TarType type) {
    switch (type) {
        case TarType::file:
            return '0';
        case TarType::hardlink:
            return '1';
        case TarType::symlink:
            return '2';
        case TarType::char_device:
            return '3';
        case TarType::block_device:
            return '4';
        case TarType::directory:
            return '5';
        case TarType::fifo:
            return '6';
    }
    return '0';
}

/// A header block being filled in.
class BlockBuilder {
  public:
    /// Cut to the field when longer: PAX then has the whole.
    void text(TarField field, std::string_view value) {
        value.substr(0, field.size).copy(&block_[field.offset], field.size);
    }

    /// Octal with a NUL at the end; 0 when it does not fit, PAX then has it.
    void number(TarField field, std::uint64_t value) {
        const bool fits = number_fits(field, value);
        for (std::size_t i = field.size - 1; i-- > 0;) {
            block_[field.offset + i] = static_cast<char>('0' + (fits ? value & 7 : 0));
            value >>= 3;
        }
    }

    static bool number_fits(TarField field, std::uint64_t value) {
        return value < (std::uint64_t{1} << (3 * (field.size - 1)));
    }

    void append_to(std::string& out) {
        const TarBlock bytes(reinterpret_cast<const std::uint8_t*>(block_.data()), block_.size());
        const std::uint32_t sum = tar_checksum(bytes);
        // Six digits, NUL, space: what every archiver writes here.
        number({tar_field::checksum.offset, tar_field::checksum.size - 1}, sum);
        block_[tar_field::checksum.offset + tar_field::checksum.size - 1] = ' ';
        out.append(block_.data(), block_.size());
    }

  private:
    std::array<char, tar_block_bytes> block_{};
};

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > 0 && c < 0x7f; });
}

/// The ustar name and prefix of a path, if it can be split so.
struct NameSplit {
    std::string_view prefix;
    std::string_view name;
    bool whole = false;
};

NameSplit name_split(std::string_view path) {
    if (path.size() <= tar_field::name.size) {
        return {{}, path, true};
    }
    // The last slash that leaves a prefix short enough; a directory's own slash is no split.
    const std::size_t slash = path.substr(0, path.size() - 1).rfind('/', tar_field::prefix.size);
    if (slash == std::string_view::npos || slash == 0 ||
        path.size() - slash - 1 > tar_field::name.size) {
        return {{}, path, false};
    }
    return {path.substr(0, slash), path.substr(slash + 1), true};
}

void common_fields(BlockBuilder& block, std::uint32_t mode, std::uint64_t size, char type) {
    block.number(tar_field::mode, mode);
    block.number(tar_field::size, size);
    block.text(tar_field::type, std::string_view(&type, 1));
    block.text(tar_field::magic, std::string_view("ustar\00000", 8));
    block.number(tar_field::dev_major, 0);
    block.number(tar_field::dev_minor, 0);
}

std::string pax_body(const TarEntry& entry, const std::string& path) {
    std::string body;
    if (!name_split(path).whole || !is_ascii(path)) {
        pax_record_append("path", path, body);
    }
    if (entry.linkpath.size() > tar_field::linkname.size || !is_ascii(entry.linkpath)) {
        pax_record_append("linkpath", entry.linkpath, body);
    }
    if (!BlockBuilder::number_fits(tar_field::size, entry.size)) {
        pax_record_append("size", std::to_string(entry.size), body);
    }
    if (!BlockBuilder::number_fits(tar_field::uid, entry.uid)) {
        pax_record_append("uid", std::to_string(entry.uid), body);
    }
    if (!BlockBuilder::number_fits(tar_field::gid, entry.gid)) {
        pax_record_append("gid", std::to_string(entry.gid), body);
    }
    if (entry.mtime.nanoseconds != 0 || entry.mtime.seconds < 0 ||
        !BlockBuilder::number_fits(tar_field::mtime,
                                   static_cast<std::uint64_t>(entry.mtime.seconds))) {
        pax_record_append("mtime", pax_time_format(entry.mtime), body);
    }
    if (!BlockBuilder::number_fits(tar_field::dev_major, entry.dev_major)) {
        pax_record_append("SCHILY.devmajor", std::to_string(entry.dev_major), body);
    }
    if (!BlockBuilder::number_fits(tar_field::dev_minor, entry.dev_minor)) {
        pax_record_append("SCHILY.devminor", std::to_string(entry.dev_minor), body);
    }
    std::vector<const TarXattr*> sorted;
    for (const TarXattr& xattr : entry.xattrs) {
        sorted.push_back(&xattr);
    }
    std::sort(sorted.begin(), sorted.end(), [](const TarXattr* a, const TarXattr* b) {
        return a->name < b->name;
    });
    for (const TarXattr* xattr : sorted) {
        pax_record_append("SCHILY.xattr." + xattr->name, xattr->value, body);
    }
    return body;
}

}  // namespace

Result<void> TarWriter::begin(const TarEntry& entry) {
    assert(data_left_ == 0 && padding_ == 0);
    std::string path = entry.path;
    if (entry.type == TarType::directory && !path.ends_with('/')) {
        path.push_back('/');
    }
    const bool data = entry.type == TarType::file;
    const bool nul =
        path.find('\0') != std::string::npos || entry.linkpath.find('\0') != std::string::npos;
    if (entry.path.empty() || nul) {
        return Error(ErrorKind::invalid_argument, "tar: a name is empty or holds a NUL");
    }
    const std::string pax = pax_body(entry, path);
    if (pax.size() > limits::tar_pax_bytes_max) {
        return Error(ErrorKind::invalid_argument, "tar entry " + path + ": attributes too long");
    }
    if (!pax.empty()) {
        BlockBuilder block;
        std::string_view name = tar_path_name(std::string_view(entry.path));
        block.text(tar_field::name, "PaxHeaders.0/");
        constexpr std::size_t taken = 13;
        block.text({taken, tar_field::name.size - taken}, is_ascii(name) ? name : "entry");
        block.number(tar_field::uid, 0);
        block.number(tar_field::gid, 0);
        block.number(tar_field::mtime, 0);
        common_fields(block, 0644, pax.size(), 'x');
        block.append_to(out_);
        out_.append(pax);
        out_.append(tar_padding(pax.size()), '\0');
    }
    BlockBuilder block;
    const NameSplit split = name_split(path);
    block.text(tar_field::name, split.name);
    block.text(tar_field::prefix, split.prefix);
    block.text(tar_field::linkname, entry.linkpath);
    block.number(tar_field::uid, entry.uid);
    block.number(tar_field::gid, entry.gid);
    block.number(tar_field::mtime,
                 entry.mtime.seconds < 0 ? 0 : static_cast<std::uint64_t>(entry.mtime.seconds));
    common_fields(block, entry.mode & 07777, data ? entry.size : 0, type_flag(entry.type));
    block.number(tar_field::dev_major, entry.dev_major);
    block.number(tar_field::dev_minor, entry.dev_minor);
    block.append_to(out_);
    data_left_ = data ? entry.size : 0;
    padding_ = tar_padding(data_left_);
    return ok;
}

void TarWriter::data(std::span<const std::uint8_t> bytes) {
    data(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void TarWriter::data(std::string_view bytes) {
    data_elsewhere(bytes.size());
    out_.append(bytes);
}

void TarWriter::data_elsewhere(std::uint64_t bytes) {
    assert(bytes <= data_left_);
    data_left_ -= bytes;
}

void TarWriter::end() {
    assert(data_left_ == 0);
    out_.append(padding_, '\0');
    padding_ = 0;
}

Result<void> TarWriter::add(const TarEntry& entry, std::string_view content) {
    TarEntry sized = entry;
    sized.size = content.size();
    TRY_VOID(begin(sized));
    if (!content.empty()) {
        data(content);
    }
    end();
    return ok;
}

void TarWriter::finish() {
    out_.append(2 * tar_block_bytes, '\0');
}

}  // namespace davit
