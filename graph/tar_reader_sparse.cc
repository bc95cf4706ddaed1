// TarReader's sparse files: where the map comes from, and whether it may be believed.
#include <algorithm>
#include <limits>

#include "graph/tar_reader.h"

namespace davit {

namespace {

/// Decimal digits of one number of a PAX 1.0 map: 63 bits.
constexpr std::size_t map_digits_max = 19;

}  // namespace

Result<std::optional<TarEvent>> TarReader::sparse_begin(const TarHeader& header, TarBlock block) {
    PaxRecords& pax = pax_ ? *pax_ : global_;
    if (header.typeflag == 'S' && !header.gnu) {
        return entry_error(ErrorKind::corrupt, "sparse file in an archive that is not GNU tar's");
    }
    if (header.typeflag == 'S') {
        const auto real_size = tar_number_parse(
            block.subspan(tar_field::gnu_real_size.offset, tar_field::gnu_real_size.size));
        auto more = tar_sparse_pairs_parse(
            block, tar_field::gnu_sparse, tar_field::gnu_extended, entry_.regions);
        if (!more || !real_size || *real_size < 0) {
            return entry_error(ErrorKind::corrupt, "bad sparse map");
        }
        entry_.sparse = true;
        entry_.size = static_cast<std::uint64_t>(*real_size);
        if (*more) {
            state_ = State::sparse_block;
            return std::optional<TarEvent>();
        }
    } else if (pax.sparse_in_data) {
        if (!pax.sparse_real_size) {
            return entry_error(ErrorKind::corrupt, "sparse file without its real size");
        }
        entry_.sparse = true;
        entry_.size = *pax.sparse_real_size;
        map_digits_.clear();
        map_counted_ = false;
        state_ = State::sparse_map;
        return std::optional<TarEvent>();
    } else if (pax.sparse_listed) {
        entry_.sparse = true;
        entry_.size = pax.sparse_real_size.value_or(0);
        entry_.regions = std::move(pax.sparse_regions);
        if (pax.sparse_count && *pax.sparse_count != entry_.regions.size()) {
            return entry_error(ErrorKind::corrupt, "bad sparse map");
        }
    }
    if (entry_.sparse) {
        TRY_VOID(regions_check());
    }
    return std::optional<TarEvent>(entry_event());
}

Result<std::optional<TarEvent>> TarReader::sparse_block_step(TarBlock block) {
    auto more = tar_sparse_pairs_parse(
        block, tar_field::gnu_more_sparse, tar_field::gnu_more_extended, entry_.regions);
    if (!more || entry_.regions.size() > limits::tar_sparse_regions_max) {
        return entry_error(ErrorKind::corrupt, "bad sparse map");
    }
    if (*more) {
        return std::optional<TarEvent>();
    }
    TRY_VOID(regions_check());
    return std::optional<TarEvent>(entry_event());
}

/// "count\noffset\nsize\noffset\nsize\n...", padded to whole blocks, in front of the data.
Result<std::optional<TarEvent>> TarReader::sparse_map_step(TarBlock block) {
    if (data_left_ < tar_block_bytes) {
        return entry_error(ErrorKind::corrupt, "bad sparse map");
    }
    data_left_ -= tar_block_bytes;
    for (const std::uint8_t byte : block) {
        if (map_counted_ && map_numbers_left_ == 0) {
            break;  // The rest is padding.
        }
        if (byte != '\n') {
            map_digits_.push_back(static_cast<char>(byte));
            if (map_digits_.size() > map_digits_max) {
                return entry_error(ErrorKind::corrupt, "bad sparse map");
            }
            continue;
        }
        const auto number = pax_number_parse(map_digits_);
        map_digits_.clear();
        if (!number || (!map_counted_ && *number > limits::tar_sparse_regions_max)) {
            return entry_error(ErrorKind::corrupt, "bad sparse map");
        }
        if (!map_counted_) {
            map_counted_ = true;
            map_numbers_left_ = *number * 2;
        } else if (map_numbers_left_-- % 2 == 0) {
            entry_.regions.push_back({*number, 0});
        } else {
            entry_.regions.back().size = *number;
        }
    }
    if (!map_counted_ || map_numbers_left_ != 0) {
        return std::optional<TarEvent>();
    }
    TRY_VOID(regions_check());
    return std::optional<TarEvent>(entry_event());
}

/// Regions rise, do not overlap, stay inside the file and are as long as the data that follows.
Result<void> TarReader::regions_check() const {
    std::uint64_t end = 0;
    std::uint64_t total = 0;
    for (const TarSparseRegion& region : entry_.regions) {
        if (region.offset < end || region.offset > entry_.size ||
            region.size > entry_.size - region.offset) {
            return entry_error(ErrorKind::corrupt, "bad sparse map");
        }
        end = region.offset + region.size;
        total += region.size;
    }
    if (total != data_left_) {
        return entry_error(ErrorKind::corrupt, "sparse map does not match the data");
    }
    return ok;
}

}  // namespace davit
