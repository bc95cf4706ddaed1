#include "graph/tar_reader.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "graph/tar_path.h"

namespace davit {

namespace {

bool carries_no_data(TarType type) {
    return type != TarType::file;
}

/// The bytes of a GNU long name end at the first NUL.
std::string_view text_until_nul(std::string_view text) {
    return text.substr(0, text.find('\0'));
}

}  // namespace

Error TarReader::entry_error(ErrorKind kind, std::string_view what) const {
    return Error(kind,
                 std::string("tar entry ")
                     .append(std::string_view(entry_.path).substr(0, shown_bytes_max))
                     .append(": ")
                     .append(what));
}

/// A whole block, out of the slice itself where it holds one.
const std::uint8_t* TarReader::block_take(std::span<const std::uint8_t>& input) {
    if (block_used_ == 0 && input.size() >= tar_block_bytes) {
        const std::uint8_t* block = input.data();
        input = input.subspan(tar_block_bytes);
        return block;
    }
    const std::size_t part = std::min(tar_block_bytes - block_used_, input.size());
    if (part != 0) {
        std::memcpy(block_ + block_used_, input.data(), part);
        block_used_ += part;
        input = input.subspan(part);
    }
    if (block_used_ != tar_block_bytes) {
        return nullptr;
    }
    block_used_ = 0;
    return block_;
}

Result<TarEvent> TarReader::next(std::span<const std::uint8_t>& input) {
    if (failed_) {
        return Error(*failed_);
    }
    for (;;) {
        auto event = step(input);
        if (!event) {
            failed_ = event.error();
            return std::move(event).error();
        }
        if (*event) {
            return **event;
        }
    }
}

/// One step of the machine; nothing when it changed state without an event.
Result<std::optional<TarEvent>> TarReader::step(std::span<const std::uint8_t>& input) {
    const std::optional<TarEvent> starved = TarEvent{};
    switch (state_) {
        case State::header:
        case State::zero:
        case State::sparse_block:
        case State::sparse_map: {
            const std::uint8_t* bytes = block_take(input);
            if (bytes == nullptr) {
                return starved;
            }
            const TarBlock block(bytes, tar_block_bytes);
            if (state_ == State::sparse_block) {
                return sparse_block_step(block);
            }
            return state_ == State::sparse_map ? sparse_map_step(block) : header_step(block);
        }
        case State::meta: {
            TRY(const bool whole, meta_step(input));
            return whole ? std::nullopt : starved;
        }
        case State::data: {
            const auto event = data_step(input);
            return event ? event : starved;
        }
        case State::skip:
        case State::padding:
            return skip_step(input) ? std::nullopt : starved;
        case State::end:
            input = {};
            if (!std::exchange(ended_, true)) {
                return std::optional<TarEvent>(TarEvent{TarEvent::Kind::archive_end, 0, {}});
            }
            return starved;
    }
    return starved;
}

Result<std::optional<TarEvent>> TarReader::header_step(TarBlock block) {
    if (tar_block_is_zero(block)) {
        if (pending_) {
            return Error(ErrorKind::corrupt, "tar: an extended header has no entry");
        }
        state_ = state_ == State::zero ? State::end : State::zero;
        return std::optional<TarEvent>();
    }
    if (state_ == State::zero) {
        return Error(ErrorKind::corrupt, "tar: a lone zero block in the middle of the archive");
    }
    if (++entry_count_ > entries_max_) {
        return Error(ErrorKind::resource_exhausted,
                     "tar: more than " + std::to_string(entries_max_) + " entries");
    }
    TRY(TarHeader header, tar_header_parse(block));
    return header_take(std::move(header), block);
}

Result<std::optional<TarEvent>> TarReader::header_take(TarHeader header, TarBlock block) {
    switch (header.typeflag) {
        case 'x':
        case 'X':  // Solaris' spelling.
        case 'g':
        case 'L':
        case 'K':
            TRY_VOID(meta_begin(header));
            return std::optional<TarEvent>();
        case 'V':  // GNU volume label: the name is all there is.
            data_left_ = header.size;
            padding_ = tar_padding(header.size);
            state_ = State::skip;
            return std::optional<TarEvent>();
        default:
            return entry_begin(std::move(header), block);
    }
}

Result<void> TarReader::meta_begin(const TarHeader& header) {
    const bool name = header.typeflag == 'L' || header.typeflag == 'K';
    const std::uint64_t max =
        name ? limits::tar_path_bytes_max + 1 : std::uint64_t{limits::tar_pax_bytes_max};
    if (header.size > max) {
        return Error(ErrorKind::resource_exhausted,
                     "tar entry " + header.name + ": extended header of " +
                         std::to_string(header.size) + " bytes is too long");
    }
    meta_type_ = header.typeflag;
    meta_.clear();
    data_left_ = header.size;
    padding_ = tar_padding(header.size);
    // A global header may be the last thing in an archive; the others speak of the next entry.
    pending_ = pending_ || header.typeflag != 'g';
    state_ = State::meta;
    return ok;
}

/// Whether the body is whole.
Result<bool> TarReader::meta_step(std::span<const std::uint8_t>& input) {
    const std::size_t part = std::min<std::uint64_t>(data_left_, input.size());
    meta_.append(reinterpret_cast<const char*>(input.data()), part);
    input = input.subspan(part);
    data_left_ -= part;
    if (data_left_ != 0) {
        return false;
    }
    TRY_VOID(meta_apply());
    data_left_ = padding_;
    state_ = State::padding;
    return true;
}

Result<void> TarReader::meta_apply() {
    switch (meta_type_) {
        case 'L':
            long_name_ = text_until_nul(meta_);
            return ok;
        case 'K':
            long_link_ = text_until_nul(meta_);
            return ok;
        case 'g':
            global_bytes_ += meta_.size();
            if (global_bytes_ > limits::tar_pax_bytes_max) {
                return Error(ErrorKind::resource_exhausted, "tar: global headers are too long");
            }
            return pax_parse(meta_, global_);
        default:
            // A second one for the same entry replaces the first.
            pax_ = global_;
            return pax_parse(meta_, *pax_);
    }
}

Result<std::optional<TarEvent>> TarReader::entry_begin(TarHeader header, TarBlock block) {
    entry_ = TarEntry{};
    region_ = 0;
    data_offset_ = 0;
    TRY_VOID(entry_fields(header));
    TRY_VOID(entry_type(header));
    pending_ = false;
    data_left_ = header.size;
    padding_ = tar_padding(header.size);
    if (entry_.type == TarType::file) {
        entry_.size = header.size;
        return sparse_begin(header, block);
    }
    // Links' sizes describe their target, and no data follows; GNU dump directories carry a list.
    data_left_ = header.typeflag == 'D' ? header.size : 0;
    padding_ = header.typeflag == 'D' ? padding_ : 0;
    return std::optional<TarEvent>(entry_event());
}

/// Header fields, overridden by PAX records, overridden by GNU long names.
Result<void> TarReader::entry_fields(TarHeader& header) {
    entry_.path = std::move(header.name);
    entry_.linkpath = std::move(header.linkname);
    entry_.mode = header.mode;
    entry_.uid = header.uid;
    entry_.gid = header.gid;
    entry_.mtime.seconds = header.mtime;
    entry_.dev_major = header.dev_major;
    entry_.dev_minor = header.dev_minor;
    PaxRecords& pax = pax_ ? *pax_ : global_;
    entry_.path = pax.sparse_name ? *pax.sparse_name : pax.path.value_or(std::move(entry_.path));
    entry_.linkpath = pax.linkpath.value_or(std::move(entry_.linkpath));
    entry_.uid = pax.uid.value_or(entry_.uid);
    entry_.gid = pax.gid.value_or(entry_.gid);
    entry_.mtime = pax.mtime.value_or(entry_.mtime);
    entry_.dev_major = pax.dev_major.value_or(entry_.dev_major);
    entry_.dev_minor = pax.dev_minor.value_or(entry_.dev_minor);
    header.size = pax.size.value_or(header.size);
    entry_.xattrs = pax.xattrs;
    if (long_name_) {
        entry_.path = *std::exchange(long_name_, std::nullopt);
    }
    if (long_link_) {
        entry_.linkpath = *std::exchange(long_link_, std::nullopt);
    }
    if (entry_.path.size() > limits::tar_path_bytes_max ||
        entry_.linkpath.size() > limits::tar_path_bytes_max) {
        return entry_error(ErrorKind::corrupt, "name too long");
    }
    return ok;
}

Result<void> TarReader::entry_type(const TarHeader& header) {
    switch (header.typeflag) {
        case '0':
        case '\0':
        case '7':
            // Before ustar a directory was a file whose name ends in a slash.
            entry_.type =
                entry_.path.ends_with('/') && header.size == 0 ? TarType::directory : TarType::file;
            return ok;
        case 'S':
            entry_.type = TarType::file;
            return ok;
        case '1':
            entry_.type = TarType::hardlink;
            return ok;
        case '2':
            entry_.type = TarType::symlink;
            return ok;
        case '3':
            entry_.type = TarType::char_device;
            return ok;
        case '4':
            entry_.type = TarType::block_device;
            return ok;
        case '5':
        case 'D':
            entry_.type = TarType::directory;
            return ok;
        case '6':
            entry_.type = TarType::fifo;
            return ok;
        default:
            return entry_error(ErrorKind::unsupported,
                               std::string("entry type '") + header.typeflag + "' is not known");
    }
}

TarEvent TarReader::entry_event() {
    pax_.reset();
    state_ = State::data;
    return TarEvent{TarEvent::Kind::entry, 0, {}};
}

std::optional<TarEvent> TarReader::data_step(std::span<const std::uint8_t>& input) {
    while (entry_.sparse && region_ < entry_.regions.size()) {
        const TarSparseRegion& region = entry_.regions[region_];
        if (data_offset_ < region.offset) {
            data_offset_ = region.offset;
        }
        if (data_offset_ - region.offset < region.size) {
            break;
        }
        ++region_;
    }
    // What a directory brought along is not its data.
    if (data_left_ != 0 && carries_no_data(entry_.type)) {
        if (!skip_step(input)) {
            return std::nullopt;
        }
        return TarEvent{TarEvent::Kind::entry_end, 0, {}};
    }
    if (data_left_ == 0) {
        data_left_ = padding_;
        state_ = State::padding;
        return TarEvent{TarEvent::Kind::entry_end, 0, {}};
    }
    if (input.empty()) {
        return std::nullopt;
    }
    std::uint64_t part = std::min<std::uint64_t>(data_left_, input.size());
    if (entry_.sparse) {
        const TarSparseRegion& region = entry_.regions[region_];
        part = std::min(part, region.size - (data_offset_ - region.offset));
    }
    const TarEvent event{TarEvent::Kind::data, data_offset_, input.first(part)};
    input = input.subspan(part);
    data_left_ -= part;
    data_offset_ += part;
    return event;
}

/// Drops data or padding; whether it is all gone.
bool TarReader::skip_step(std::span<const std::uint8_t>& input) {
    const std::size_t part = std::min<std::uint64_t>(data_left_, input.size());
    input = input.subspan(part);
    data_left_ -= part;
    if (data_left_ != 0) {
        return false;
    }
    if (state_ == State::padding) {
        state_ = State::header;
    } else {
        data_left_ = padding_;
        state_ = State::padding;
    }
    return true;
}

Result<void> TarReader::finish() const {
    if (failed_) {
        return Error(*failed_);
    }
    switch (state_) {
        case State::header:
        case State::zero:
        case State::padding:  // Of the last entry: nothing of its data is missing.
            if (block_used_ == 0 && !pending_) {
                return ok;
            }
            return Error(ErrorKind::corrupt,
                         "tar: unexpected end of archive in the header after entry " +
                             (entry_.path.empty() ? std::string("(none)") : entry_.path));
        case State::end:
            return ok;
        case State::meta:
        case State::skip:
            return Error(ErrorKind::corrupt, "tar: unexpected end of archive in a header");
        case State::sparse_block:
        case State::sparse_map:
            return entry_error(ErrorKind::corrupt, "unexpected end of archive in its sparse map");
        case State::data:
            break;
    }
    return data_left_ == 0
               ? Result<void>(ok)
               : entry_error(ErrorKind::corrupt,
                             "unexpected end of archive, " + std::to_string(data_left_) +
                                 " bytes of its data are missing");
}

}  // namespace davit
