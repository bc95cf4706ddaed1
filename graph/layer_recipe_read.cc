// Reading recipes.
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

#include "graph/layer_recipe.h"
#include "graph/layer_recipe_format.h"
#include "graph/zstd_free.h"

namespace davit {

namespace {

/// No archive is longer (limits::layer_bytes_max), but it may be all headers.
constexpr auto number_max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

/// Windows of ours are far smaller.
constexpr int window_log_max = 20;

Error recipe_error(std::string_view what) {
    return Error(ErrorKind::corrupt, std::string("layer recipe: ").append(what));
}

std::uint64_t le(std::string_view bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) {
        value = (value << 8) | static_cast<std::uint8_t>(bytes[i]);
    }
    return value;
}

/// pread(2) of the whole. Errors: corrupt if the file ends before.
Result<void> read_exactly(int file, std::span<char> out, std::uint64_t offset) {
    while (!out.empty()) {
        const ssize_t got = ::pread(file, out.data(), out.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return Error::from_errno(errno, "pread", "layer recipe");
        }
        if (got == 0) {
            return recipe_error("the file is cut short");
        }
        out = out.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
    return ok;
}

Result<std::uint64_t> size_of(int file) {
    struct stat info {};

    if (::fstat(file, &info) != 0) {
        return Error::from_errno(errno, "fstat", "layer recipe");
    }
    return static_cast<std::uint64_t>(info.st_size);
}

Error magic_error(std::string_view magic) {
    if (magic.starts_with(recipe_format::magic_family)) {
        return Error(ErrorKind::unsupported, "layer recipe: written by another version of davit");
    }
    return recipe_error("no such file format");
}

}  // namespace

struct LayerRecipeReader::State {
    Fd file;
    std::unique_ptr<ZSTD_DCtx, ZstdFree> zstd{ZSTD_createDCtx()};
    std::string in;
    ZSTD_inBuffer input{nullptr, 0, 0};
    std::string out;
    std::size_t out_at = 0;
    std::size_t out_end = 0;
    bool frame_ended = false;

    bool begun = false;
    bool ended = false;
    std::uint64_t raw_left = 0;
    std::string path;
    std::uint64_t ordinals = 0;
    std::uint64_t archive_bytes = 0;
    std::optional<Error> failed;

    Result<void> pump();
    Result<void> fill();
    Result<char> byte();
    Result<std::uint64_t> number();
    Result<void> bytes(std::string& into, std::size_t size);
    Result<void> archive_add(std::uint64_t size);
    Result<LayerRecipePart> raw_part();
    Result<LayerRecipePart> payload_part();
    Result<LayerRecipePart> part();
};

/// Decompress what there is room for; all before has been used.
Result<void> LayerRecipeReader::State::pump() {
    if (frame_ended) {
        return recipe_error("it has no end");
    }
    if (input.pos == input.size) {
        ssize_t got = ::read(file.get(), in.data(), in.size());
        while (got < 0 && errno == EINTR) {
            got = ::read(file.get(), in.data(), in.size());
        }
        if (got < 0) {
            return Error::from_errno(errno, "read", "layer recipe");
        }
        if (got == 0) {
            return recipe_error("the file is cut short");
        }
        input = {in.data(), static_cast<std::size_t>(got), 0};
    }
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const std::size_t left = ZSTD_decompressStream(zstd.get(), &output, &input);
    if (ZSTD_isError(left) != 0) {
        return recipe_error(ZSTD_getErrorName(left));
    }
    frame_ended = left == 0;
    out_at = 0;
    out_end = output.pos;
    return ok;
}

/// Until there is at least one byte.
Result<void> LayerRecipeReader::State::fill() {
    while (out_at == out_end) {
        TRY_VOID(pump());
    }
    return ok;
}

Result<char> LayerRecipeReader::State::byte() {
    TRY_VOID(fill());
    return out[out_at++];
}

Result<std::uint64_t> LayerRecipeReader::State::number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
        TRY(const char next, byte());
        value |= static_cast<std::uint64_t>(next & 0x7f) << shift;
        if ((next & 0x80) == 0) {
            return value;
        }
    }
    return recipe_error("bad number");
}

Result<void> LayerRecipeReader::State::bytes(std::string& into, std::size_t size) {
    into.clear();
    while (into.size() < size) {
        TRY_VOID(fill());
        const std::size_t part = std::min(size - into.size(), out_end - out_at);
        into.append(out, out_at, part);
        out_at += part;
    }
    return ok;
}

Result<void> LayerRecipeReader::State::archive_add(std::uint64_t size) {
    if (size > number_max - archive_bytes) {
        return recipe_error("bad number");
    }
    archive_bytes += size;
    return ok;
}

Result<LayerRecipePart> LayerRecipeReader::State::raw_part() {
    TRY_VOID(fill());
    LayerRecipePart part;
    part.kind = LayerRecipePart::Kind::raw;
    part.size = std::min<std::uint64_t>(raw_left, out_end - out_at);
    part.bytes = std::string_view(out).substr(out_at, part.size);
    out_at += part.size;
    raw_left -= part.size;
    return part;
}

Result<LayerRecipePart> LayerRecipeReader::State::payload_part() {
    TRY(const std::uint64_t path_bytes, number());
    if (path_bytes > limits::tar_path_bytes_max) {
        return recipe_error("bad path");
    }
    if (path_bytes != 0) {
        TRY_VOID(bytes(path, path_bytes));
        ++ordinals;
    }
    if (path.empty() || path.find('\0') != std::string::npos) {
        return recipe_error("bad path");
    }
    LayerRecipePart part;
    part.kind = LayerRecipePart::Kind::payload;
    part.path = path;
    part.ordinal = ordinals - 1;
    TRY(part.offset, number());
    TRY(part.size, number());
    if (part.size > number_max - part.offset) {
        return recipe_error("bad number");
    }
    TRY_VOID(archive_add(part.size));
    return part;
}

Result<LayerRecipePart> LayerRecipeReader::State::part() {
    if (!begun) {
        std::string magic;
        TRY_VOID(bytes(magic, recipe_format::magic.size()));
        if (magic != recipe_format::magic) {
            return magic_error(magic);
        }
        begun = true;
    }
    if (raw_left != 0) {
        return raw_part();
    }
    LayerRecipePart part;
    if (ended) {
        return part;
    }
    TRY(const char tag, byte());
    switch (tag) {
        case recipe_format::tag_raw: {
            TRY(raw_left, number());
            TRY_VOID(archive_add(raw_left));
            if (raw_left == 0) {
                return recipe_error("bad number");
            }
            return raw_part();
        }
        case recipe_format::tag_zeros: {
            part.kind = LayerRecipePart::Kind::zeros;
            TRY(part.size, number());
            TRY_VOID(archive_add(part.size));
            return part;
        }
        case recipe_format::tag_payload:
            return payload_part();
        case recipe_format::tag_end: {
            TRY(const std::uint64_t total, number());
            while (out_at == out_end && !frame_ended) {
                TRY_VOID(pump());  // The frame's checksum.
            }
            if (total != archive_bytes || out_at != out_end) {
                return recipe_error("its end is wrong");
            }
            ended = true;
            return part;
        }
        default:
            return recipe_error("unknown record");
    }
}

LayerRecipeReader::LayerRecipeReader(Fd file) : state_(std::make_unique<State>()) {
    state_->file = std::move(file);
    state_->in.resize(ZSTD_DStreamInSize());
    state_->out.resize(ZSTD_DStreamOutSize());
    ZSTD_DCtx_setParameter(state_->zstd.get(), ZSTD_d_windowLogMax, window_log_max);
}

LayerRecipeReader::LayerRecipeReader(LayerRecipeReader&&) noexcept = default;
LayerRecipeReader& LayerRecipeReader::operator=(LayerRecipeReader&&) noexcept = default;
LayerRecipeReader::~LayerRecipeReader() = default;

Result<LayerRecipePart> LayerRecipeReader::next() {
    if (state_->failed) {
        return Error(*state_->failed);
    }
    auto part = state_->part();
    if (!part) {
        state_->failed = part.error();
    }
    return part;
}

Result<std::uint64_t> layer_recipe_archive_bytes(int file) {
    TRY(const std::uint64_t size, size_of(file));
    if (size < recipe_format::footer_bytes) {
        return recipe_error("the file is cut short");
    }
    std::array<char, recipe_format::footer_bytes> footer{};
    TRY_VOID(read_exactly(file, footer, size - footer.size()));
    const std::string_view text(footer.data(), footer.size());
    if (le(text.substr(0, 4)) != recipe_format::footer_frame ||
        le(text.substr(4, 4)) != footer.size() - 8 ||
        text.substr(16) != recipe_format::footer_mark || le(text.substr(8, 8)) > number_max) {
        return recipe_error("the file is cut short");
    }
    return le(text.substr(8, 8));
}

Result<std::vector<LayerReplaced>> layer_replaced_read(int file) {
    TRY(const std::uint64_t size, size_of(file));
    std::uint64_t at = recipe_format::replaced_magic.size();
    std::string magic(at, '\0');
    TRY_VOID(read_exactly(file, magic, 0));
    if (magic != recipe_format::replaced_magic) {
        return magic_error(magic);
    }
    std::vector<LayerReplaced> all;
    std::size_t index_bytes = 0;
    while (at < size) {
        std::array<char, recipe_format::replaced_header_bytes> header{};
        TRY_VOID(read_exactly(file, header, at));
        const std::string_view text(header.data(), header.size());
        const std::uint64_t path_bytes = le(text.substr(0, 4));
        if (path_bytes == 0 || path_bytes > limits::tar_path_bytes_max) {
            return recipe_error("bad path");
        }
        LayerReplaced one;
        one.path.resize(path_bytes);
        one.before = le(text.substr(4, 8));
        one.size = le(text.substr(12, 8));
        TRY_VOID(read_exactly(file, one.path, at + header.size()));
        one.offset = at + header.size() + path_bytes;
        if (one.size > size - one.offset || one.offset > size) {
            return recipe_error("the file is cut short");
        }
        at = one.offset + one.size;
        index_bytes += one.path.size() + sizeof(LayerReplaced);
        if (index_bytes > 2 * layer_replaced_index_bytes_max) {
            return Error(ErrorKind::resource_exhausted, "layer recipe: too many replaced files");
        }
        all.push_back(std::move(one));
    }
    return all;
}

}  // namespace davit
