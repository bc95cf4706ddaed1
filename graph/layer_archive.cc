#include "graph/layer_archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

namespace davit {

namespace {

/// No symbolic link has a part in a recipe's paths: where one is now, somebody changed the layer.
constexpr std::uint64_t entry_resolve =
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

}  // namespace

struct LayerArchive::State {
    State(Fd root_in, Fd recipe_in, Digest expected_in)
        : root(std::move(root_in)),
          recipe(std::move(recipe_in)),
          expected(std::move(expected_in)),
          hasher(expected.algorithm()) {}

    Fd root;
    LayerRecipeReader recipe;
    Digest expected;
    Hasher hasher;
    std::uint64_t bytes = 0;
    std::uint64_t given = 0;

    Fd replaced_file;
    std::map<std::string, std::vector<LayerReplaced>, std::less<>> replaced;

    LayerRecipePart part{LayerRecipePart::Kind::raw, {}, {}, 0, 0, 0};
    std::string path;  ///< Of the file that is open.
    std::uint64_t ordinal = 0;
    Fd file;
    int from = -1;  ///< Where the part's payload is read from, and where there.
    std::uint64_t from_offset = 0;
    bool done = false;
    std::optional<Error> failed;

    Result<void> replaced_open(int directory);
    Result<bool> payload_replaced();
    Result<void> payload_open();
    Result<void> part_next();
    Result<std::size_t> part_read(std::span<std::uint8_t> out);
    Result<std::size_t> payload_read(std::span<std::uint8_t> out);
    Result<std::size_t> read(std::span<std::uint8_t> out);
    Error file_error(std::string_view what) const;
};

Error LayerArchive::State::file_error(std::string_view what) const {
    return Error(ErrorKind::corrupt, std::string(part.path).append(": ").append(what));
}

Result<void> LayerArchive::State::replaced_open(int directory) {
    auto opened = Fd::openat(directory, layer_replaced_name, O_RDONLY | O_NOFOLLOW);
    if (!opened) {
        return opened.error().errno_value() == ENOENT ? Result<void>(ok)
                                                      : std::move(opened).error();
    }
    replaced_file = *std::move(opened);
    TRY(std::vector<LayerReplaced> all, layer_replaced_read(replaced_file.get()));
    for (LayerReplaced& one : all) {
        std::vector<LayerReplaced>& of_path = replaced[one.path];
        if (!of_path.empty() && of_path.back().before > one.before) {
            return Error(ErrorKind::corrupt, "layer recipe: replaced files are out of order");
        }
        of_path.push_back(std::move(one));
    }
    return ok;
}

/// Whether the payload's file was replaced later: then its content is found where it was kept.
Result<bool> LayerArchive::State::payload_replaced() {
    const auto found = replaced.find(part.path);
    if (found == replaced.end()) {
        return false;
    }
    // The first one after it; what lies behind are other contents of the same name.
    const auto kept =
        std::find_if(found->second.begin(), found->second.end(), [this](const LayerReplaced& one) {
            return one.before > part.ordinal;
        });
    if (kept == found->second.end()) {
        return false;
    }
    if (part.offset > kept->size || part.size > kept->size - part.offset) {
        return file_error("what was kept of it is too short");
    }
    from = replaced_file.get();
    from_offset = kept->offset + part.offset;
    return true;
}

Result<void> LayerArchive::State::payload_open() {
    TRY(const bool is_replaced, payload_replaced());
    if (is_replaced) {
        return ok;
    }
    if (!file || ordinal != part.ordinal) {
        file.reset();
        path = part.path;
        ordinal = part.ordinal;
        auto opened = Fd::openat2(
            root.get(), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, entry_resolve);
        if (!opened) {
            const int reason = opened.error().errno_value();
            const bool changed = reason == ENOENT || reason == ENOTDIR || reason == ELOOP ||
                                 reason == EXDEV || reason == ENXIO;
            return changed ? std::move(opened).error().with_kind(ErrorKind::corrupt)
                           : std::move(opened).error();
        }

        struct stat info {};

        if (::fstat(opened->get(), &info) != 0) {
            return Error::from_errno(errno, "fstat", path);
        }
        if (!S_ISREG(info.st_mode)) {
            return file_error("no longer a regular file");
        }
        file = *std::move(opened);
    }
    from = file.get();
    from_offset = part.offset;
    return ok;
}

Result<void> LayerArchive::State::part_next() {
    TRY(part, recipe.next());
    return part.kind == LayerRecipePart::Kind::payload ? payload_open() : Result<void>(ok);
}

Result<std::size_t> LayerArchive::State::payload_read(std::span<std::uint8_t> out) {
    for (;;) {
        const ssize_t got = ::pread(from, out.data(), out.size(), static_cast<off_t>(from_offset));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return Error::from_errno(errno, "read", part.path);
        }
        if (got == 0) {
            return file_error("shorter than it was");
        }
        from_offset += static_cast<std::uint64_t>(got);
        return static_cast<std::size_t>(got);
    }
}

/// Some bytes of the part, which has some left.
Result<std::size_t> LayerArchive::State::part_read(std::span<std::uint8_t> out) {
    out = out.first(std::min<std::uint64_t>(out.size(), part.size));
    std::size_t got = out.size();
    switch (part.kind) {
        case LayerRecipePart::Kind::raw:
            std::memcpy(out.data(), part.bytes.data(), got);
            part.bytes.remove_prefix(got);
            break;
        case LayerRecipePart::Kind::zeros:
            std::memset(out.data(), 0, got);
            break;
        case LayerRecipePart::Kind::payload: {
            TRY(got, payload_read(out));
            break;
        }
        case LayerRecipePart::Kind::end:
            break;
    }
    part.size -= got;
    return got;
}

Result<std::size_t> LayerArchive::State::read(std::span<std::uint8_t> out) {
    std::size_t filled = 0;
    while (filled < out.size() && !done) {
        while (part.size == 0 && part.kind != LayerRecipePart::Kind::end) {
            TRY_VOID(part_next());
        }
        if (part.kind == LayerRecipePart::Kind::end) {
            done = true;
            break;
        }
        TRY(const std::size_t got, part_read(out.subspan(filled)));
        filled += got;
    }
    hasher.update(std::span<const std::uint8_t>(out).first(filled));
    given += filled;
    if (given == bytes && !done) {
        // With the last byte, not after it: whoever counts bytes may not ask again.
        while (part.size == 0 && part.kind != LayerRecipePart::Kind::end) {
            TRY_VOID(part_next());
        }
        done = part.kind == LayerRecipePart::Kind::end;
    }
    if (given > bytes || (done && given != bytes)) {
        return Error(ErrorKind::corrupt, "layer recipe: it gives another length");
    }
    if (done && !expected.empty()) {
        const Digest got = hasher.finish();
        const Digest wanted = std::exchange(expected, Digest());
        if (got != wanted) {
            return Error(ErrorKind::corrupt, "its files have changed since it was unpacked");
        }
    }
    return filled;
}

LayerArchive::LayerArchive(std::unique_ptr<State> state) : state_(std::move(state)) {}

LayerArchive::LayerArchive(LayerArchive&&) noexcept = default;
LayerArchive& LayerArchive::operator=(LayerArchive&&) noexcept = default;
LayerArchive::~LayerArchive() = default;

Result<LayerArchive> LayerArchive::open(LayerFiles files, Digest diff_id) {
    auto opened = Fd::openat(files.directory.get(), layer_recipe_name, O_RDONLY | O_NOFOLLOW);
    if (!opened) {
        if (opened.error().errno_value() == ENOENT) {
            return Error(ErrorKind::unsupported,
                         "layer " + diff_id.str() +
                             " was unpacked by an earlier version, which did not keep what is "
                             "needed to pack it again: remove its image and pull it once more");
        }
        return std::move(opened).error();
    }
    TRY(const std::uint64_t bytes, layer_recipe_archive_bytes(opened->get()));
    auto state =
        std::make_unique<State>(std::move(files.root), *std::move(opened), std::move(diff_id));
    state->bytes = bytes;
    TRY_VOID(state->replaced_open(files.directory.get()));
    return LayerArchive(std::move(state));
}

std::uint64_t LayerArchive::bytes() const {
    return state_->bytes;
}

Result<std::size_t> LayerArchive::read(std::span<std::uint8_t> out) {
    State& state = *state_;
    if (state.failed) {
        return Error(*state.failed);
    }
    const std::string layer = state.expected.str();
    auto got = state.read(out);
    if (!got) {
        state.failed = std::move(got).error().context("layer " + layer);
        return Error(*state.failed);
    }
    return got;
}

}  // namespace davit
